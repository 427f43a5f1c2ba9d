//! What comes in, as it comes in.
//!
//! Postgres is asked every second: an id carries the time of receipt, and an event can be seen when its commit is over, so that
//! each look goes back over the last seconds for what took longer.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get};
use bytes::Bytes;
use chrono::TimeDelta;
use hookgate_domain::clock;
use hookgate_domain::events::{self, EventFilter};
use hookgate_model::ids::EventId;
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior};
use utoipa::IntoParams;

use super::{EventSummary, Filters};
use crate::auth::permissions::EventsRead;
use crate::auth::{Caller, Guarded};
use crate::error::ApiResult;
use crate::fields::{Fields, FromFields, parsed};
use crate::query::Query;
use crate::server_sent_events::{self, NOTHING_NEW, Place, last_event_id, message};

/// How often it is looked for events.
const POLL: Duration = Duration::from_secs(1);
/// How often a stream says something, so that nobody between takes it for dead: in polls.
const SILENT_POLLS: u32 = 15;
/// The most events that are read together.
const TOGETHER: i64 = 200;
/// The most events that are looked at together: others have their turn between.
const SCANNED: u32 = 5_000;
/// For how long after its receipt an event may first be seen. The ingress gives up a commit after 5 seconds.
const LATE: TimeDelta = TimeDelta::seconds(30);
/// The most ids of the last seconds that are remembered; of more, those that come late are not told.
const REMEMBERED: usize = 5_000;

/// Where a stream goes on.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub struct After {
    /// Begin after this event instead of now. The header `Last-Event-ID` goes before it.
    after: Option<EventId>,
}

/// The query of a stream.
pub struct Wanted {
    filter: EventFilter,
    after: Option<EventId>,
}

impl FromFields for Wanted {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let filter = Filters::from_fields(fields);
        let after = fields.optional("after", parsed);
        Some(Self {
            filter: filter?.into(),
            after: after?,
        })
    }
}

/// Watch events
///
/// Server-sent events: first `open`, then an `event` for each event that comes in, at most a second later. The `id` of each
/// says where a client goes on that gives it back as `Last-Event-ID`, or as `after`; events of the half minute before can then
/// come again. Without either, `from` begins in the past, and nothing at all begins now. The stream ends after some
/// minutes (`management.stream_seconds`): come back then.
#[utoipa::path(tag = "events", operation_id = "watchEvents", security(("bearer" = ["events:read"])),
    params(Filters, After, ("last-event-id" = Option<EventId>, Header, description = "The last `id` that came")),
    responses((status = 200, description = "The events", body = String, content_type = "text/event-stream",
            example = json!("event: open\nid: evt_01k9z3v8e5f2q8r7w6t5y4x3m2\ndata: {}\n\nevent: event\nid: evt_01k9z3v8e5f2q8r7w6t5y4x3m3\ndata: {\"id\":\"evt_01k9z3v8e5f2q8r7w6t5y4x3m3\",\"method\":\"POST\"}\n\n")),
        (status = 400, description = "invalid_header"),
        (status = 429, description = "too_many_requests")))]
#[get("/events/stream")]
pub async fn watch(
    caller: Guarded<EventsRead>,
    Query(wanted): Query<Wanted>,
    request: HttpRequest,
) -> ApiResult<HttpResponse> {
    let place = Place::take(&caller)?;
    let now = EventId::new(clock::now(), [0; 8]);
    let goes_on = last_event_id(request.headers())?.or(wanted.after);
    let begins = match (goes_on, wanted.filter.from) {
        (Some(after), _) => after,
        // The filter itself says from when on.
        (None, Some(from)) => EventId::new(from, [0; 8]),
        (None, None) => now,
    };
    let mut polls = tokio::time::interval(POLL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let tail = Tail {
        caller: (*caller).clone(),
        filter: wanted.filter,
        // Who comes back missed what was still being committed.
        begins: goes_on.map_or(begins, |after| EventId::new(after.created_at() - LATE, [0; 8])),
        goes_on: None,
        newest: begins,
        told: BTreeSet::new(),
        polls,
        silent: 0,
        ready: VecDeque::from([message("open", Some(&begins), &json!({}))?]),
        place,
    };
    Ok(server_sent_events::answer(tail, |mut tail| async move {
        let message = tail.next().await?;
        Some((message, tail))
    }))
}

/// One client's view of what comes in.
struct Tail {
    caller: Caller,
    filter: EventFilter,
    /// Where looks begin, at the earliest.
    begins: EventId,
    /// Where the next look goes on, if the last did not come to the end.
    goes_on: Option<EventId>,
    /// The newest event that was told.
    newest: EventId,
    /// The events of the last seconds that were told.
    told: BTreeSet<EventId>,
    polls: Interval,
    silent: u32,
    ready: VecDeque<Bytes>,
    place: Place,
}

impl Tail {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                self.silent = 0;
                return Some(message);
            }
            let stopping = self.caller.state().stopping.clone();
            tokio::select! {
                () = stopping.cancelled() => return None,
                () = tokio::time::sleep_until(self.place.ends_at) => return None,
                _ = self.polls.tick() => {}
            }
            // The client comes back, and hears then what is wrong.
            self.look().await.ok()?;
            self.silent += 1;
            if self.silent >= SILENT_POLLS {
                self.ready.push_back(NOTHING_NEW);
            }
        }
    }

    async fn look(&mut self) -> ApiResult<()> {
        let begins = self.forget();
        let after = self.goes_on.take().unwrap_or(begins);
        let began = clock::now();
        let scanned = self.caller.state().settings.scanned_rows.clamp(1, SCANNED).into();
        let filter = self.filter.clone();
        let told: Vec<EventId> = self.told.iter().copied().collect();
        let found = self
            .caller
            .run(move |conn, scope| events::list_after(conn, scope, &filter, after, &told, TOGETHER, scanned))
            .await?;
        let is_full = i64::try_from(found.rows.len()).unwrap_or(i64::MAX) >= TOGETHER;
        if !is_full {
            // All before was looked through: the next look need not do it again, but for what comes late.
            let late = EventId::new(began - LATE, [0; 8]);
            self.begins = self
                .begins
                .max(found.seen_to.map_or(late, |seen_to| seen_to.min(late)));
            self.goes_on = found.seen_to;
        }
        if is_full || found.seen_to.is_some() {
            // What is left is read at once.
            self.polls.reset_immediately();
        }
        for event in found.rows {
            let id = event.id;
            self.told.insert(id);
            self.newest = self.newest.max(id);
            let told = message("event", Some(&self.newest), &EventSummary::from(event))?;
            self.ready.push_back(told);
        }
        Ok(())
    }

    /// Forgets what cannot come again, and says from where on to look.
    fn forget(&mut self) -> EventId {
        let late = EventId::new(self.newest.created_at().min(clock::now()) - LATE, [0; 8]);
        let mut after = self.begins.max(late);
        while self.told.len() > REMEMBERED {
            if let Some(oldest) = self.told.pop_first() {
                after = after.max(oldest);
            }
        }
        self.told = self.told.split_off(&after);
        self.begins = after;
        after
    }
}
