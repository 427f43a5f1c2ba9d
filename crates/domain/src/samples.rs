//! Samples: requests that show what a webhook's data is, captured or given. A webhook has a bounded number of them, and of
//! their bytes.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, sum};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::flow::variables::EventInput;
use hookgate_model::ids::{EventId, SampleId, UrlId, WebhookId};
use hookgate_model::protection::Masked;
use hookgate_model::sample::SampleSource;
use hookgate_model::webhook::Environment;
use ipnet::IpNet;
use serde_json::Value;
use uuid::Uuid;

use crate::body::{self, StoredBody};
use crate::error::{Error, Result};
use crate::events::EventContent;
use crate::page::{Page, floor};
use crate::schema::{captures, samples};
use crate::scope::TenantScope;
use crate::stored_json::MaybeJson;
use crate::webhooks;

/// What a webhook's samples may take together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The most samples.
    pub samples: i32,
    /// The most bytes of them, as they are stored.
    pub bytes: i64,
}

impl Room {
    /// Whether one more of so many bytes fits beside what there is.
    pub(crate) fn fits(&self, (samples, bytes): (i64, i64), more: i32) -> bool {
        samples < i64::from(self.samples) && bytes.saturating_add(more.into()) <= self.bytes
    }
}

/// A sample to add.
#[derive(Debug, Clone)]
pub struct NewSample<'a> {
    /// Its id, which carries the time of receipt.
    pub id: SampleId,
    /// Whose requests it shows.
    pub webhook_id: WebhookId,
    /// What it is taken from.
    pub source: SampleSource,
    /// The URL that it came to, if it came.
    pub url_id: Option<UrlId>,
    /// The event that it is taken from, if it is.
    pub event_id: Option<EventId>,
    /// The environment of the URL.
    pub environment: Environment,
    /// The HTTP method.
    pub method: &'a str,
    /// The URL's suffix, with its parameters' names.
    pub suffix: &'a str,
    /// The path after the token.
    pub path: &'a str,
    /// The query string after the `?`.
    pub query: &'a str,
    /// Who sent it; a network when the address is masked.
    pub address: Option<IpNet>,
    /// The headers in the form of [`hookgate_model::headers`].
    pub headers: &'a [u8],
    /// The body.
    pub body: &'a StoredBody,
    /// What was masked of it, as JSON.
    pub masked: Option<Value>,
}

impl NewSample<'_> {
    /// What it takes of the webhook's room.
    pub(crate) fn stored_bytes(&self) -> i32 {
        let bytes = self.path.len() + self.query.len() + self.headers.len() + self.body.stored().len();
        i32::try_from(bytes).unwrap_or(i32::MAX)
    }
}

/// A sample, without its headers and body.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its id.
    pub id: SampleId,
    /// Whose requests it shows.
    pub webhook_id: WebhookId,
    /// What it was taken from.
    pub source: SampleSource,
    /// The URL that it came to, if it came.
    pub url_id: Option<UrlId>,
    /// The event that it was taken from, if it was.
    pub event_id: Option<EventId>,
    /// Its number among those that the webhook captured.
    pub number: Option<i64>,
    /// The environment of the URL.
    pub environment: Environment,
    /// The HTTP method.
    pub method: String,
    /// The URL's suffix, with its parameters' names.
    pub suffix: String,
    /// The path after the token.
    pub path: String,
    /// The query string after the `?`.
    pub query: String,
    /// Who sent it; a network when the address is masked.
    pub address: Option<IpNet>,
    /// The length of the body as it was sent, in bytes.
    pub body_bytes: i32,
    /// What of it is masked; `None` when it is stored as it came.
    pub masked: Option<Masked>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = samples, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    webhook_id: Uuid,
    source: String,
    url_id: Option<Uuid>,
    event_id: Option<Uuid>,
    number: Option<i64>,
    environment: String,
    method: String,
    suffix: String,
    path: String,
    query: String,
    address: Option<IpNet>,
    body_bytes: i32,
    #[diesel(deserialize_as = MaybeJson<Masked>)]
    masked: Option<Masked>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = samples, check_for_backend(diesel::pg::Pg))]
struct ContentRow {
    headers: Vec<u8>,
    body_codec: i16,
    body_bytes: i32,
    body: Vec<u8>,
}

impl Row {
    fn into_sample(self) -> Result<Sample> {
        let unreadable = || Error::Unreadable { what: "sample" };
        Ok(Sample {
            source: SampleSource::parse(&self.source).ok_or_else(unreadable)?,
            environment: Environment::parse(&self.environment).ok_or_else(unreadable)?,
            id: self.id.into(),
            webhook_id: self.webhook_id.into(),
            url_id: self.url_id.map(UrlId::from),
            event_id: self.event_id.map(EventId::from),
            number: self.number,
            method: self.method,
            suffix: self.suffix,
            path: self.path,
            query: self.query,
            address: self.address,
            body_bytes: self.body_bytes,
            masked: self.masked,
        })
    }
}

impl Sample {
    /// The sample as an event of the moment when it was taken.
    pub fn into_input(self, content: EventContent) -> EventInput {
        let id = EventId::from(self.id.uuid());
        EventInput {
            id,
            received_at: id.created_at(),
            method: self.method,
            address: self.address.map(|network| network.addr()),
            environment: self.environment,
            suffix: self.suffix,
            path: self.path,
            query: self.query,
            headers: content.headers,
            body: content.body,
            event_type: None,
            delivery_id: None,
        }
    }
}

/// Adds a sample that was given.
///
/// # Errors
/// [`Error::NotFound`] for a webhook that is not there; [`Error::LimitReached`] when it has no room.
pub fn add(conn: &mut PgConnection, scope: &TenantScope, new: &NewSample<'_>, room: Room) -> Result<Sample> {
    webhooks::lock(conn, scope, new.webhook_id)?;
    // Nothing is captured meanwhile.
    captures::table
        .find((scope.uuid(), new.webhook_id.uuid()))
        .select(captures::taken)
        .for_update()
        .first::<i64>(conn)
        .optional()?;
    require_room(conn, scope, new.webhook_id, room, new.stored_bytes())?;
    insert(conn, scope, new, None)?;
    read(conn, scope, new.webhook_id, new.id)
}

/// Makes sure that a sample of so many bytes can be added.
///
/// # Errors
/// [`Error::LimitReached`] when it cannot.
pub(crate) fn require_room(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    room: Room,
    bytes: i32,
) -> Result<()> {
    let used = used(conn, scope, webhook)?;
    if room.fits(used, bytes) {
        return Ok(());
    }
    Err(if used.0 >= i64::from(room.samples) {
        Error::LimitReached {
            what: "samples of a webhook: delete some first",
            most: room.samples.into(),
        }
    } else {
        Error::LimitReached {
            what: "bytes of samples of a webhook: delete some first",
            most: room.bytes,
        }
    })
}

/// How many samples a webhook has, and their bytes.
pub(crate) fn used(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId) -> Result<(i64, i64)> {
    let (samples, bytes): (i64, Option<i64>) = samples::table
        .filter(samples::tenant_id.eq(scope.uuid()))
        .filter(samples::webhook_id.eq(webhook.uuid()))
        .select((count_star(), sum(samples::stored_bytes)))
        .first(conn)?;
    Ok((samples, bytes.unwrap_or(0)))
}

pub(crate) fn insert(
    conn: &mut PgConnection,
    scope: &TenantScope,
    new: &NewSample<'_>,
    number: Option<i64>,
) -> Result<()> {
    diesel::insert_into(samples::table)
        .values((
            (
                samples::tenant_id.eq(scope.uuid()),
                samples::id.eq(new.id.uuid()),
                samples::webhook_id.eq(new.webhook_id.uuid()),
                samples::source.eq(new.source.as_str()),
                samples::url_id.eq(new.url_id.map(UrlId::uuid)),
                samples::event_id.eq(new.event_id.map(EventId::uuid)),
                samples::number.eq(number),
                samples::environment.eq(new.environment.as_str()),
                samples::method.eq(new.method),
                samples::suffix.eq(new.suffix),
            ),
            (
                samples::path.eq(new.path),
                samples::query.eq(new.query),
                samples::address.eq(new.address),
                samples::headers.eq(new.headers),
                samples::body_codec.eq(new.body.codec()),
                samples::body_bytes.eq(new.body.original_length()),
                samples::body.eq(new.body.stored()),
                samples::masked.eq(&new.masked),
                samples::stored_bytes.eq(new.stored_bytes()),
            ),
        ))
        .execute(conn)?;
    Ok(())
}

/// A page of a webhook's samples, the newest first.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    page: Page,
) -> Result<Vec<Sample>> {
    let rows = samples::table
        .filter(samples::tenant_id.eq(scope.uuid()))
        .filter(samples::webhook_id.eq(webhook.uuid()))
        .filter(samples::id.lt(page.below()))
        .order(samples::id.desc())
        .limit(page.limit)
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::into_sample).collect()
}

/// The samples that a webhook captured after a number, in their order.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn captured_after(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    number: i64,
    most: i64,
) -> Result<Vec<Sample>> {
    let rows = samples::table
        .filter(samples::tenant_id.eq(scope.uuid()))
        .filter(samples::webhook_id.eq(webhook.uuid()))
        .filter(samples::number.gt(number))
        .order(samples::number.asc())
        .limit(most)
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::into_sample).collect()
}

/// One sample of a webhook.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    id: SampleId,
) -> Result<Sample> {
    samples::table
        .find((scope.uuid(), id.uuid()))
        .filter(samples::webhook_id.eq(webhook.uuid()))
        .select(Row::as_select())
        .first(conn)?
        .into_sample()
}

/// The headers and the body of a sample.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Unreadable`] for a damaged body.
pub fn content(conn: &mut PgConnection, scope: &TenantScope, id: SampleId) -> Result<EventContent> {
    let row: ContentRow = samples::table
        .find((scope.uuid(), id.uuid()))
        .select(ContentRow::as_select())
        .first(conn)?;
    let body = body::read(row.body_codec, row.body_bytes, &row.body)?;
    Ok(EventContent {
        headers: row.headers,
        body: Bytes::from(body.into_owned()),
    })
}

/// Deletes a sample of a webhook.
///
/// # Errors
/// [`Error::NotFound`].
pub fn delete(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId, id: SampleId) -> Result<()> {
    let of_webhook = samples::table
        .filter(samples::tenant_id.eq(scope.uuid()))
        .filter(samples::id.eq(id.uuid()))
        .filter(samples::webhook_id.eq(webhook.uuid()));
    if diesel::delete(of_webhook).execute(conn)? == 0 {
        return Err(Error::NotFound);
    }
    Ok(())
}

/// Deletes samples that senders sent before a moment, over all tenants, as the worker: at most so many.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete_older(conn: &mut PgConnection, before: DateTime<Utc>, most: i64) -> Result<usize> {
    let old = samples::table
        .filter(samples::id.lt(floor(before)))
        .filter(samples::source.eq_any(SampleSource::SENT.map(SampleSource::as_str)))
        .select((samples::tenant_id, samples::id))
        .limit(most)
        .load::<(Uuid, Uuid)>(conn)?;
    let mut deleted = 0;
    for key in old {
        deleted += diesel::delete(samples::table.find(key)).execute(conn)?;
    }
    Ok(deleted)
}
