//! Events: accepted requests, as they were sent. They are written by the [`crate::appender`], or one by one by
//! [`take_refused`], and read here.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

mod export;
mod filter;
mod insert;
mod search;
mod status;

pub use export::{Part, export};
pub use filter::EventFilter;
pub use insert::take_refused;
pub use search::{Slice, Text, slice};

use std::ops::Range;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::deduplication::Remembered;
use hookgate_model::flow::variables::EventInput;
use hookgate_model::ids::{EventId, RefusalId, ReplayId, RevisionId, UrlId, WebhookId};
use hookgate_model::protection::Masked;
use hookgate_model::webhook::Environment;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::{self, Found, Page};
use crate::schema::events;
use crate::scope::TenantScope;
use crate::stored_json::MaybeJson;
use filter::{matching, nth_above, nth_below};
use search::together;
use status::with_status;

/// An event without its headers and body.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id, which carries the time of receipt.
    pub id: EventId,
    /// The webhook that accepted it.
    pub webhook_id: WebhookId,
    /// The URL that it came to.
    pub url_id: UrlId,
    /// The revision that runs it, if there was one.
    pub revision_id: Option<RevisionId>,
    /// The environment of the URL.
    pub environment: Environment,
    /// The HTTP method.
    pub method: String,
    /// The URL's suffix at the time, with its parameters' names.
    pub suffix: String,
    /// The path after the token, as it was sent.
    pub path: String,
    /// The query string after the `?`, as it was sent.
    pub query: String,
    /// Who sent it.
    pub address: Option<IpNet>,
    /// The length of the body as it was sent.
    pub body_bytes: i32,
    /// What the sender calls the event, if it is known.
    pub event_type: Option<String>,
    /// What the sender calls the delivery, if it is known.
    pub delivery_id: Option<String>,
    /// What of it is masked; `None` when it is stored as it was sent.
    pub masked: Option<Masked>,
    /// Whether it is remembered, so that it is recognised when it comes again.
    pub deduplication: Option<Remembered>,
    /// The refusal that it was taken from, if it was refused first.
    pub refusal_id: Option<RefusalId>,
    /// The event that it repeats, if it is a copy.
    pub replay_of: Option<EventId>,
    /// The replay that made it, if it was one of many.
    pub replay_id: Option<ReplayId>,
    /// How often it came again; `None` when it did not.
    pub duplicates: Option<Duplicates>,
    /// How far it has come.
    pub status: EventStatus,
}

/// How often an event came again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicates {
    /// How often.
    pub count: i64,
    /// When it last did.
    pub last_at: DateTime<Utc>,
}

/// How far an event has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum EventStatus {
    /// It is stored, and nothing more is to be done.
    Received,
    /// Its flow is to run, or runs.
    Pending,
    /// Its flow has ended with this outcome.
    Finished(String),
}

impl From<String> for EventStatus {
    fn from(name: String) -> Self {
        match name.as_str() {
            "received" => Self::Received,
            "pending" => Self::Pending,
            _ => Self::Finished(name),
        }
    }
}

impl From<EventStatus> for String {
    fn from(status: EventStatus) -> Self {
        match status {
            EventStatus::Received => "received".to_owned(),
            EventStatus::Pending => "pending".to_owned(),
            EventStatus::Finished(outcome) => outcome,
        }
    }
}

/// The rest of an event.
#[derive(Debug, Clone)]
pub struct EventContent {
    /// The headers in the form of [`hookgate_model::headers`].
    pub headers: Vec<u8>,
    /// The body, byte for byte as it was sent.
    pub body: Bytes,
}

impl Event {
    /// The event as its flow gets it, as far as it is stored.
    pub fn into_input(self, content: EventContent) -> EventInput {
        EventInput {
            id: self.id,
            received_at: self.id.created_at(),
            method: self.method,
            address: self.address.map(|network| network.addr()),
            environment: self.environment,
            suffix: self.suffix,
            path: self.path,
            query: self.query,
            headers: content.headers,
            body: content.body,
            event_type: self.event_type,
            delivery_id: self.delivery_id,
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = events, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    webhook_id: Uuid,
    url_id: Uuid,
    revision_id: Option<Uuid>,
    environment: String,
    method: String,
    suffix: String,
    path: String,
    query: String,
    address: Option<IpNet>,
    body_bytes: i32,
    event_type: Option<String>,
    delivery_id: Option<String>,
    #[diesel(deserialize_as = MaybeJson<Masked>)]
    masked: Option<Masked>,
    deduplication: Option<String>,
    refusal_id: Option<Uuid>,
    replay_of: Option<Uuid>,
    replay_id: Option<Uuid>,
}

/// The rest of an event as it is stored: nobody needs a connection to read it.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = events, check_for_backend(diesel::pg::Pg))]
pub struct StoredContent {
    headers: Vec<u8>,
    body_codec: i16,
    body_bytes: i32,
    body: Vec<u8>,
}

/// A page of the tenant's events.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &EventFilter,
    page: Page,
) -> Result<Found<Event>> {
    let found = if filter.is_indexed() {
        page.recent_first(conn, |conn, ids, most| newest(conn, scope, filter, ids, most))?
    } else {
        page.in_slices(
            conn,
            |conn, below, rows| nth_below(conn, scope, filter, below, rows),
            |conn, ids, most| newest(conn, scope, filter, ids, most),
        )?
    };
    Ok(Found {
        rows: with_status(conn, scope, found.rows)?,
        seen_to: found.seen_to,
    })
}

/// The newest events in a range of ids.
fn newest(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &EventFilter,
    ids: Range<Uuid>,
    most: i64,
) -> Result<Vec<Row>> {
    Ok(matching(scope, filter, ids)
        .order(events::id.desc())
        .limit(most)
        .select(Row::as_select())
        .load(conn)?)
}

/// What was found of a list that is read on from its oldest row.
#[derive(Debug)]
pub struct FoundAfter<T> {
    /// The rows, the oldest first: when there are as many as were wanted, there may be more among those that were looked at.
    pub rows: Vec<T>,
    /// The last row that was looked at; `None` when the list is over.
    pub seen_to: Option<EventId>,
}

impl<T> FoundAfter<T> {
    /// A list that has nothing more.
    pub(crate) const fn nothing() -> Self {
        Self {
            rows: Vec::new(),
            seen_to: None,
        }
    }
}

/// The tenant's events after an id, but for some, the oldest first: `most` of them among the next `scanned`.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list_after(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &EventFilter,
    after: EventId,
    except: &[EventId],
    most: i64,
    scanned: i64,
) -> Result<FoundAfter<Event>> {
    let except: Vec<Uuid> = except.iter().map(|id| id.uuid()).collect();
    let (ids, seen_to) = next_slice(conn, scope, filter, after.uuid()..Uuid::max(), scanned)?;
    let rows = matching(scope, filter, ids)
        .filter(events::id.ne_all(except))
        .order(events::id.asc())
        .limit(most)
        .select(Row::as_select())
        .load(conn)?;
    Ok(FoundAfter {
        rows: with_status(conn, scope, rows)?,
        seen_to,
    })
}

/// The ids of the next events in a range (neither end is part of it), and the last of them, unless there are no more.
fn next_slice(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &EventFilter,
    range: Range<Uuid>,
    scanned: i64,
) -> Result<(Range<Uuid>, Option<EventId>)> {
    let ids = page::after(range.start)..range.end;
    let last = nth_above(conn, scope, filter, ids.clone(), scanned)?;
    let end = last.map_or(ids.end, page::after);
    Ok((ids.start..end, last.map(EventId::from)))
}

/// How many of the tenant's events there are below an id.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn count(conn: &mut PgConnection, scope: &TenantScope, filter: &EventFilter, below: Uuid) -> Result<i64> {
    Ok(matching(scope, filter, Uuid::nil()..below)
        .count()
        .get_result(conn)?)
}

/// The tenant's events in a range of ids (neither end is part of it), the oldest first: at most `most` of them among the next
/// `scanned`, and as many as are handled together for the length of their bodies.
pub(crate) fn ids_after(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &EventFilter,
    range: Range<Uuid>,
    most: i64,
    scanned: i64,
) -> Result<FoundAfter<Uuid>> {
    let (ids, seen_to) = next_slice(conn, scope, filter, range, scanned)?;
    let lengths: Vec<(Uuid, i32)> = matching(scope, filter, ids)
        .order(events::id.asc())
        .limit(most)
        .select((events::id, events::body_bytes))
        .load(conn)?;
    let rows: Vec<Uuid> = lengths
        .iter()
        .take(together(&lengths))
        .map(|(id, _)| *id)
        .collect();
    // What is left of the slice comes with the next part.
    let is_part = rows.len() < lengths.len() || i64::try_from(lengths.len()).is_ok_and(|found| found >= most);
    let seen_to = if is_part {
        rows.last().copied().map(EventId::from)
    } else {
        seen_to
    };
    Ok(FoundAfter { rows, seen_to })
}

/// One event.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read(conn: &mut PgConnection, scope: &TenantScope, id: EventId) -> Result<Event> {
    let row = events::table
        .find((scope.uuid(), id.uuid()))
        .select(Row::as_select())
        .first(conn)?;
    with_status(conn, scope, vec![row])?.pop().ok_or(Error::NotFound)
}

/// Those of some events that are there, the newest first.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn read_all(conn: &mut PgConnection, scope: &TenantScope, ids: &[EventId]) -> Result<Vec<Event>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = events::table
        .filter(events::tenant_id.eq(scope.uuid()))
        .filter(events::id.eq_any(ids))
        .order(events::id.desc())
        .select(Row::as_select())
        .load(conn)?;
    with_status(conn, scope, rows)
}

/// Events as a flow needs them, in the order of their ids: as many of them, but at least one, as have less than
/// `body_bytes` before them. An event that is gone is left out.
///
/// # Errors
/// [`Error::Unreadable`] when a stored body is damaged; when Postgres cannot be reached.
pub fn inputs(
    conn: &mut PgConnection,
    scope: &TenantScope,
    ids: &[EventId],
    body_bytes: i64,
) -> Result<Vec<EventInput>> {
    let rows: Vec<InputRow> = diesel::sql_query(
        "SELECT * FROM (
           SELECT id, environment, method, suffix, path, query, address, headers, body_codec, body_bytes, body, event_type, delivery_id,
             sum(body_bytes) OVER (ORDER BY id) - body_bytes AS before
           FROM events WHERE tenant_id = $1 AND id = ANY ($2)) wanted
         WHERE before < $3 OR before = 0 ORDER BY id",
    )
    .bind::<diesel::sql_types::Uuid, _>(scope.uuid())
    .bind::<diesel::sql_types::Array<diesel::sql_types::Uuid>, _>(
        ids.iter().map(|id| id.uuid()).collect::<Vec<_>>(),
    )
    .bind::<diesel::sql_types::BigInt, _>(body_bytes)
    .load(conn)?;
    rows.into_iter().map(InputRow::into_input).collect()
}

#[derive(QueryableByName)]
#[diesel(table_name = events, check_for_backend(diesel::pg::Pg))]
struct InputRow {
    id: Uuid,
    environment: String,
    method: String,
    suffix: String,
    path: String,
    query: String,
    address: Option<IpNet>,
    headers: Vec<u8>,
    body_codec: i16,
    body_bytes: i32,
    body: Vec<u8>,
    event_type: Option<String>,
    delivery_id: Option<String>,
}

impl InputRow {
    fn into_input(self) -> Result<EventInput> {
        let id = EventId::from(self.id);
        let body = crate::body::read(self.body_codec, self.body_bytes, &self.body)?.into_owned();
        Ok(EventInput {
            id,
            received_at: id.created_at(),
            method: self.method,
            address: self.address.map(|address| address.addr()),
            environment: Environment::parse(&self.environment).ok_or(Error::Unreadable { what: "event" })?,
            suffix: self.suffix,
            path: self.path,
            query: self.query,
            headers: self.headers,
            event_type: self.event_type,
            delivery_id: self.delivery_id,
            body: body.into(),
        })
    }
}

/// The headers and the body of an event.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unreadable`] when the stored body is damaged.
pub fn content(conn: &mut PgConnection, scope: &TenantScope, id: EventId) -> Result<EventContent> {
    let stored: StoredContent = events::table
        .find((scope.uuid(), id.uuid()))
        .select(StoredContent::as_select())
        .first(conn)?;
    stored.read()
}

impl StoredContent {
    /// The length of the body as it was sent.
    pub fn body_bytes(&self) -> usize {
        usize::try_from(self.body_bytes).unwrap_or(0)
    }

    /// The headers and the body as they were sent.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when the stored body is damaged.
    pub fn read(self) -> Result<EventContent> {
        let body = crate::body::read(self.body_codec, self.body_bytes, &self.body)?.into_owned();
        Ok(EventContent {
            headers: self.headers,
            body: body.into(),
        })
    }
}

impl Row {
    fn into_event(self, duplicates: Option<Duplicates>, status: EventStatus) -> Result<Event> {
        Ok(Event {
            id: self.id.into(),
            webhook_id: self.webhook_id.into(),
            url_id: self.url_id.into(),
            revision_id: self.revision_id.map(RevisionId::from),
            environment: Environment::parse(&self.environment).ok_or(Error::Unreadable { what: "event" })?,
            method: self.method,
            suffix: self.suffix,
            path: self.path,
            query: self.query,
            address: self.address,
            body_bytes: self.body_bytes,
            event_type: self.event_type,
            delivery_id: self.delivery_id,
            masked: self.masked,
            deduplication: self.deduplication.as_deref().and_then(Remembered::parse),
            refusal_id: self.refusal_id.map(RefusalId::from),
            replay_of: self.replay_of.map(EventId::from),
            replay_id: self.replay_id.map(ReplayId::from),
            duplicates,
            status,
        })
    }
}
