//! What a flow needs of an event that is stored masked: those parts as they were sent, sealed, in the event's job. They are
//! committed with the event and end with the job; nothing else ever holds them.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::flow::variables::EventInput;
use hookgate_model::ids::{EventId, JobId, TenantId};
use hookgate_model::protection::Secrets;
use serde::{Deserialize, Serialize};

use crate::body::{self, StoredBody};
use crate::crypto::{MasterKey, RunKey};
use crate::error::{Error, Result};
use crate::schema::jobs;
use crate::scope::TenantScope;

/// The parts of an event that are masked where it is stored, as they were sent; `None` where a part is not masked.
#[derive(Debug, Clone)]
pub struct Payload {
    /// Seals what is recorded of the run and cannot be recorded openly.
    pub key: RunKey,
    /// What must not be recorded anywhere else.
    pub secrets: Secrets,
    /// The sender's address.
    pub address: Option<IpAddr>,
    /// The path after the token.
    pub path: Option<String>,
    /// The query after the `?`.
    pub query: Option<String>,
    /// The headers.
    pub headers: Option<Vec<u8>>,
    /// What the sender calls the event.
    pub event_type: Option<String>,
    /// What the sender calls the delivery.
    pub delivery_id: Option<String>,
    /// The body.
    pub body: Option<StoredBody>,
}

/// What stands before the bytes of headers and body.
#[derive(Serialize, Deserialize)]
struct Head {
    key: String,
    secrets: Secrets,
    address: Option<IpAddr>,
    path: Option<String>,
    query: Option<String>,
    event_type: Option<String>,
    delivery_id: Option<String>,
    headers: Option<usize>,
    /// Codec and original length.
    body: Option<(i16, i32)>,
}

const UNREADABLE: Error = Error::Unreadable { what: "payload" };

/// What a sealed payload is bound to.
pub(crate) fn context(tenant: TenantId, event: EventId) -> String {
    format!("jobs/{tenant}/{event}")
}

impl Payload {
    /// Seals it for the job of an event. Costs about 1 µs per kB.
    ///
    /// # Errors
    /// [`Error::Query`] for more than 64 GiB.
    pub fn seal(&self, master: &MasterKey, scope: &TenantScope, event: EventId) -> Result<Vec<u8>> {
        let head = Head {
            key: STANDARD_NO_PAD.encode(self.key.bytes()),
            secrets: self.secrets.clone(),
            address: self.address,
            path: self.path.clone(),
            query: self.query.clone(),
            event_type: self.event_type.clone(),
            delivery_id: self.delivery_id.clone(),
            headers: self.headers.as_ref().map(Vec::len),
            body: self
                .body
                .as_ref()
                .map(|body| (body.codec(), body.original_length())),
        };
        let head = serde_json::to_vec(&head).map_err(|error| Error::Query(error.to_string()))?;
        let length = u32::try_from(head.len()).map_err(|error| Error::Query(error.to_string()))?;
        let headers = self.headers.as_deref().unwrap_or_default();
        let body = self.body.as_ref().map_or(&[][..], StoredBody::stored);
        let open = [&length.to_be_bytes(), &head[..], headers, body].concat();
        let context = context(scope.tenant(), event);
        master.derived(&context).seal(&context, &open)
    }

    /// Opens what [`Self::seal`] sealed for the same event.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for another key, another event, or a damaged value.
    pub fn open(master: &MasterKey, scope: &TenantScope, event: EventId, sealed: &[u8]) -> Result<Self> {
        let context = context(scope.tenant(), event);
        let open = master.derived(&context).open(&context, sealed)?;
        let (length, rest) = open.split_first_chunk::<4>().ok_or(UNREADABLE)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| UNREADABLE)?;
        let (head, rest) = rest.split_at_checked(length).ok_or(UNREADABLE)?;
        let head: Head = serde_json::from_slice(head).map_err(|_| UNREADABLE)?;
        let (headers, body) = rest
            .split_at_checked(head.headers.unwrap_or_default())
            .ok_or(UNREADABLE)?;
        let key = STANDARD_NO_PAD.decode(&head.key).map_err(|_| UNREADABLE)?;
        Ok(Self {
            key: RunKey::from_bytes(key.as_slice().try_into().map_err(|_| UNREADABLE)?),
            secrets: head.secrets,
            address: head.address,
            path: head.path,
            query: head.query,
            headers: head.headers.map(|_| headers.to_vec()),
            event_type: head.event_type,
            delivery_id: head.delivery_id,
            body: match head.body {
                Some((codec, length)) => {
                    let body = body::read(codec, length, body)?.into_owned();
                    Some(StoredBody::raw(Bytes::from(body)))
                }
                None => None,
            },
        })
    }

    /// Puts the parts back into their event.
    pub fn restore(self, event: &mut EventInput) {
        let Self {
            key: _,
            secrets: _,
            address,
            path,
            query,
            headers,
            event_type,
            delivery_id,
            body,
        } = self;
        event.address = address.or(event.address);
        event.event_type = event_type.or(event.event_type.take());
        event.delivery_id = delivery_id.or(event.delivery_id.take());
        if let Some(path) = path {
            event.path = path;
        }
        if let Some(query) = query {
            event.query = query;
        }
        if let Some(headers) = headers {
            event.headers = headers;
        }
        if let Some(body) = body {
            event.body = body.into_stored();
        }
    }
}

/// The sealed payload of a job, if it has one.
///
/// Runs inside a [`TenantScope::transaction`] that the caller opened.
///
/// # Errors
/// [`Error::NotFound`] when the job is gone; when Postgres cannot be reached.
pub fn payload(conn: &mut PgConnection, scope: &TenantScope, job: JobId) -> Result<Option<Vec<u8>>> {
    Ok(jobs::table
        .find((scope.uuid(), job.uuid()))
        .select(jobs::payload)
        .first(conn)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use hookgate_model::webhook::Environment;

    fn event(id: EventId) -> EventInput {
        EventInput {
            id,
            received_at: id.created_at(),
            method: "POST".into(),
            address: Some([203, 0, 113, 0].into()),
            environment: Environment::Production,
            suffix: "orders".into(),
            path: "orders".into(),
            query: "a=%5Bmasked%5D".into(),
            headers: b"x: [masked]\r\n".to_vec(),
            event_type: None,
            delivery_id: None,
            body: Bytes::new(),
        }
    }

    #[test]
    fn a_payload_opens_for_its_event_alone_and_restores_it() {
        let master = MasterKey::from_bytes(&[7; 32]);
        let scope = TenantScope::proven(clock::new_id());
        let id: EventId = clock::new_id();
        let long = Bytes::from(br#"{"card":"4111"}"#.repeat(100));
        let payload = Payload {
            key: RunKey::random(),
            secrets: Secrets::Values(vec!["4111".into()]),
            address: Some([203, 0, 113, 77].into()),
            path: None,
            query: Some("a=secret".into()),
            headers: Some(b"x: secret\r\n".to_vec()),
            event_type: None,
            delivery_id: Some("secret".into()),
            body: Some(StoredBody::new(long.clone())),
        };
        let sealed = payload.seal(&master, &scope, id).expect("sealed");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert!(Payload::open(&master, &scope, clock::new_id(), &sealed).is_err());
        let other = TenantScope::proven(clock::new_id());
        assert!(Payload::open(&master, &other, id, &sealed).is_err());
        assert!(Payload::open(&MasterKey::from_bytes(&[8; 32]), &scope, id, &sealed).is_err());

        let opened = Payload::open(&master, &scope, id, &sealed).expect("opened");
        assert_eq!(opened.secrets, payload.secrets);
        assert_eq!(opened.key.bytes(), payload.key.bytes());
        let mut restored = event(id);
        opened.restore(&mut restored);
        assert_eq!(restored.address, Some([203, 0, 113, 77].into()));
        assert_eq!(
            (restored.path.as_str(), restored.query.as_str()),
            ("orders", "a=secret")
        );
        assert_eq!(restored.headers, b"x: secret\r\n");
        assert_eq!(restored.delivery_id.as_deref(), Some("secret"));
        assert_eq!(restored.body, long);
    }
}
