//! An event on its way into Postgres.

use std::fmt::Write;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookgate_model::deduplication::Remembered;
use hookgate_model::ids::{EventId, RevisionId, UrlId, WebhookId};
use hookgate_model::webhook::Environment;
use ipnet::IpNet;
use uuid::Uuid;

use super::claims::Claim;
use super::row::RowWriter;
use crate::body::StoredBody;
use crate::deduplication::DeliveryKeys;
use crate::scope::TenantScope;

/// An accepted request, as it is stored.
#[derive(Debug)]
pub struct NewEvent<'a> {
    /// Whose it is: the scope of the resolved URL.
    pub scope: TenantScope,
    /// Its id, which carries the time of receipt.
    pub id: EventId,
    /// The webhook that accepted it.
    pub webhook_id: WebhookId,
    /// The URL that it came to.
    pub url_id: UrlId,
    /// The revision that runs it, if one was published.
    pub revision_id: Option<RevisionId>,
    /// The environment of the URL.
    pub environment: Environment,
    /// The HTTP method.
    pub method: &'a str,
    /// The URL's suffix, with its parameters' names.
    pub suffix: &'a str,
    /// The path after the token, as it was sent.
    pub path: &'a str,
    /// The query string after the `?`, as it was sent.
    pub query: &'a str,
    /// Who sent it; a network when the address is masked.
    pub address: Option<IpNet>,
    /// The headers in the form of [`hookgate_model::headers`].
    pub headers: &'a [u8],
    /// The body.
    pub body: &'a StoredBody,
    /// What the sender calls the event.
    pub event_type: Option<&'a str>,
    /// What the sender calls the delivery.
    pub delivery_id: Option<&'a str>,
    /// What was masked of it, as JSON.
    pub masked: Option<&'a [u8]>,
    /// What its flow needs unmasked, sealed.
    pub payload: Option<&'a [u8]>,
    /// Whether the delivery is remembered.
    pub remember: &'a Remember,
    /// The work that the event starts.
    pub work: Work,
    /// The session in which it has its turn. The event gets a job of its own.
    pub session_id: Option<Uuid>,
}

/// Whether a delivery is remembered, so that it is recognised when it comes again.
#[derive(Debug, Clone)]
pub enum Remember {
    /// The webhook remembers none.
    Off,
    /// The webhook does, and this one has no key.
    NoKey,
    /// By these keys. If one of them is held, the event is not stored.
    By(DeliveryKeys),
}

impl Remember {
    /// The stored text.
    pub(crate) const fn as_str(&self) -> Option<&'static str> {
        match self {
            Self::Off => None,
            Self::NoKey => Some(Remembered::NoKey.as_str()),
            Self::By(_) => Some(Remembered::Yes.as_str()),
        }
    }
}

/// What is to be done with an event once it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Nothing: its revision has no flow.
    None,
    /// Run the flow. Events of one webhook that are committed together share a job.
    Run,
    /// Run the flow. The event gets a job of its own, which keeps its progress.
    RunAlone,
    /// Run the flow and tell this node the answer. The event gets a job of its own.
    RunAndAnswer(Arc<str>),
    /// Run the flow when the webhook is activated again.
    Hold,
}

/// The columns of the COPY, in the order of [`NewEvent::write`].
const COLUMNS: &str = "tenant_id, id, webhook_id, url_id, revision_id, environment, method, suffix, path, query, address, headers, body_codec, body_bytes, body, event_type, delivery_id, masked, deduplication";

impl NewEvent<'_> {
    /// Appends the row to a COPY.
    pub(super) fn write(&self, buffer: &mut Vec<u8>) {
        let mut row = RowWriter::begin(buffer, 19);
        row.uuid(self.scope.uuid())
            .uuid(self.id.uuid())
            .uuid(self.webhook_id.uuid())
            .uuid(self.url_id.uuid());
        match self.revision_id {
            Some(id) => row.uuid(id.uuid()),
            None => row.null(),
        };
        row.text(self.environment.as_str())
            .text(self.method)
            .text(self.suffix)
            .text(self.path)
            .text(self.query)
            .address(self.address)
            .bytes(self.headers)
            .int2(self.body.codec())
            .int4(self.body.original_length())
            .bytes(self.body.stored())
            .optional_text(self.event_type)
            .optional_text(self.delivery_id)
            .optional_json(self.masked)
            .optional_text(self.remember.as_str());
    }

    /// The keys that must be its own before it is stored.
    pub(super) fn claim(&self) -> Option<Box<Claim>> {
        match self.remember {
            Remember::By(keys) => Some(Box::new(Claim::of(self.scope.uuid(), self.id, keys))),
            Remember::Off | Remember::NoKey => None,
        }
    }
}

/// The work of one event of a batch.
#[derive(Debug, Clone)]
pub(super) struct JobPart {
    pub(super) tenant: Uuid,
    pub(super) webhook: Uuid,
    pub(super) revision: Uuid,
    pub(super) event: Uuid,
    pub(super) work: Work,
    /// The payload in base64: an event that has one gets a job of its own.
    pub(super) payload: Option<String>,
    pub(super) session: Option<Uuid>,
}

impl JobPart {
    /// The work of an event; none without a revision or a flow.
    pub(super) fn of(event: &NewEvent<'_>) -> Option<Self> {
        let revision = event.revision_id.filter(|_| event.work != Work::None)?;
        Some(Self {
            tenant: event.scope.uuid(),
            webhook: event.webhook_id.uuid(),
            revision: revision.uuid(),
            event: event.id.uuid(),
            work: event.work.clone(),
            payload: event.payload.map(|payload| STANDARD.encode(payload)),
            session: event.session_id,
        })
    }

    /// How much its payload adds to the commit.
    pub(super) fn payload_bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, String::len)
    }

    /// Whether two events can share a job.
    fn shares_with(&self, other: &Self) -> bool {
        !matches!(self.work, Work::RunAlone | Work::RunAndAnswer(_))
            && self.session.is_none()
            && other.session.is_none()
            && self.payload.is_none()
            && other.payload.is_none()
            && (self.tenant, self.webhook, self.revision, &self.work)
                == (other.tenant, other.webhook, other.revision, &other.work)
    }
}

/// The COPY into the partition of a day (`YYYYMMDD`).
pub(super) fn copy_statement(day: &str) -> String {
    format!("COPY events_{day} ({COLUMNS}) FROM STDIN (FORMAT binary)")
}

/// The most events that one job carries: what a worker takes on at once.
const EVENTS_PER_JOB: usize = 100;

/// Prepared once for a session, as planning would cost more than inserting. The text forms are cast there, so that a call
/// is built from strings alone.
pub(super) const PREPARE_JOBS: &str = "PREPARE insert_jobs (uuid[], uuid[], uuid[], uuid[], text[], bool[], text[], text[], uuid[]) AS \
    INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, is_held, answer_to, payload, session_id) \
    SELECT tenant, id, webhook, revision, events::uuid[], held, answer_to, decode(payload, 'base64'), session \
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS job (tenant, id, webhook, revision, events, held, answer_to, payload, session)";

/// The statement that inserts the jobs of a batch; `None` when there are none. The values are UUIDs, node names and
/// base64 that this program made: nothing that came from outside.
pub(super) fn job_statement(mut parts: Vec<&JobPart>) -> Option<String> {
    if parts.is_empty() {
        return None;
    }
    // What is held will run in the order of receipt: within a commit, too.
    let held = |part: &JobPart| (part.work == Work::Hold).then_some(part.event);
    let key = |part: &JobPart| (part.tenant, part.webhook, part.revision, held(part));
    if !parts.is_sorted_by_key(|part| key(part)) {
        parts.sort_by_key(|part| key(part));
    }
    // One array for each parameter, in their order.
    let mut arrays: [String; 9] = Default::default();
    for group in parts
        .chunk_by(|a, b| a.shares_with(b))
        .flat_map(|group| group.chunks(EVENTS_PER_JOB))
    {
        let Some(first) = group.first() else { continue };
        let [
            tenants,
            ids,
            webhooks,
            revisions,
            events,
            held,
            answers,
            payloads,
            sessions,
        ] = &mut arrays;
        // The job's id is its first event's, which is unique and in the order of time.
        for (array, id) in [
            (tenants, first.tenant),
            (ids, first.event),
            (webhooks, first.webhook),
            (revisions, first.revision),
        ] {
            let _ = write!(array, "{},", id.as_hyphenated());
        }
        events.push_str("\"{");
        for part in group {
            let _ = write!(events, "{},", part.event.as_hyphenated());
        }
        events.pop();
        events.push_str("}\",");
        held.push_str(if first.work == Work::Hold { "t," } else { "f," });
        match &first.work {
            Work::RunAndAnswer(node) => {
                let _ = write!(answers, "\"{}\",", node.replace(['"', '\'', '\\'], ""));
            }
            _ => answers.push_str("NULL,"),
        }
        payloads.push_str(first.payload.as_deref().unwrap_or("NULL"));
        payloads.push(',');
        match first.session {
            Some(session) => {
                let _ = write!(sessions, "{},", session.as_hyphenated());
            }
            None => sessions.push_str("NULL,"),
        }
    }
    let arrays = arrays.map(|array| format!("'{{{}}}'", array.trim_end_matches(',')));
    Some(format!("EXECUTE insert_jobs ({})", arrays.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(tenant: u128, event: u128, work: Work) -> JobPart {
        let id = Uuid::from_u128;
        JobPart {
            tenant: id(tenant),
            webhook: id(10),
            revision: id(20),
            event: id(event),
            work,
            payload: None,
            session: None,
        }
    }

    /// The number of jobs, counted by their lists of events.
    fn jobs(statement: &str) -> usize {
        statement.matches("\"{").count()
    }

    #[test]
    fn events_of_one_webhook_share_a_job() {
        let parts: Vec<_> = (0..250)
            .map(|event| part(1 + event % 2, event, Work::Run))
            .collect();
        assert_eq!(jobs(&job_statement(parts.iter().collect()).expect("jobs")), 4);
        assert_eq!(job_statement(Vec::new()), None);
    }

    #[test]
    fn an_event_with_a_payload_has_its_own() {
        let mut parts: Vec<_> = (0..4).map(|event| part(1, event, Work::Run)).collect();
        parts[1].payload = Some("AQID".into());
        let statement = job_statement(parts.iter().collect()).expect("jobs");
        assert_eq!(jobs(&statement), 3);
        assert!(statement.contains("'{NULL,AQID,NULL}'"), "{statement}");
    }

    #[test]
    fn what_is_held_is_in_the_order_of_receipt() {
        let parts: Vec<_> = (0..250).rev().map(|event| part(1, event, Work::Hold)).collect();
        let statement = job_statement(parts.iter().collect()).expect("jobs");
        let id = |event| Uuid::from_u128(event).as_hyphenated().to_string();
        let ids = [0, 100, 200].map(id).join(",");
        assert!(statement.contains(&format!("'{{{ids}}}'")), "{statement}");
        assert_eq!(jobs(&statement), 3);
    }

    #[test]
    fn an_event_with_a_waiting_caller_has_its_own() {
        let node = Work::RunAndAnswer(Arc::from("node-1"));
        let parts = [
            part(1, 1, node.clone()),
            part(1, 2, node),
            part(1, 3, Work::Run),
            part(1, 4, Work::Hold),
        ];
        let statement = job_statement(parts.iter().collect()).expect("jobs");
        assert_eq!(jobs(&statement), 4);
        assert!(statement.contains(r#"{"node-1","node-1",NULL,NULL}"#) && statement.contains("{f,f,f,t}"));
    }
}
