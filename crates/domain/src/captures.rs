//! Capture windows: while one is open, what comes to a webhook becomes a sample and starts nothing.
//!
//! The window's row is locked for each sample: so it takes exactly as many as it may, nothing becomes a sample after it was
//! closed, and its samples are numbered in the order in which they are committed.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::{UrlId, WebhookId};
use hookgate_model::sample::CaptureEnd;
use uuid::Uuid;

use crate::clock;
use crate::error::Result;
use crate::samples::{self, NewSample, Room};
use crate::schema::captures;
use crate::scope::TenantScope;

/// The latest window of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = captures, check_for_backend(diesel::pg::Pg))]
pub struct Capture {
    url_id: Option<Uuid>,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When it ends at the latest.
    pub expires_at: DateTime<Utc>,
    /// When it was ended before.
    pub ended_at: Option<DateTime<Utc>>,
    ended_by: Option<String>,
    taken: i64,
    /// The number of the last sample of the windows before.
    pub taken_before: i64,
    /// The most samples that it takes.
    pub most: i32,
    most_samples: i32,
    most_bytes: i64,
}

impl Capture {
    /// The URL that it is open for; `None` for all of the webhook's.
    pub fn url_id(&self) -> Option<UrlId> {
        self.url_id.map(UrlId::from)
    }

    /// How many samples it has taken.
    pub const fn taken(&self) -> i64 {
        self.taken - self.taken_before
    }

    /// What ended it; `None` while it is open.
    pub fn end(&self, now: DateTime<Utc>) -> Option<CaptureEnd> {
        let ended_by = self.ended_by.as_deref().and_then(CaptureEnd::parse);
        ended_by.or((self.expires_at <= now).then_some(CaptureEnd::Expired))
    }

    const fn room(&self) -> Room {
        Room {
            samples: self.most_samples,
            bytes: self.most_bytes,
        }
    }
}

/// A window to open.
#[derive(Debug, Clone, Copy)]
pub struct NewCapture {
    /// The URL that it is for; `None` for all of the webhook's.
    pub url_id: Option<UrlId>,
    /// When it ends at the latest.
    pub expires_at: DateTime<Utc>,
    /// The most samples that it takes.
    pub most: i32,
    /// What the webhook's samples may take together.
    pub room: Room,
}

/// Opens a window; one that is open ends with it.
///
/// # Errors
/// [`crate::Error::LimitReached`] when the webhook has no room for a sample.
pub fn open(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    new: NewCapture,
) -> Result<Capture> {
    samples::require_room(conn, scope, webhook, new.room, 1)?;
    let state = (
        captures::url_id.eq(new.url_id.map(UrlId::uuid)),
        captures::opened_at.eq(clock::now()),
        captures::expires_at.eq(new.expires_at),
        captures::ended_at.eq(None::<DateTime<Utc>>),
        captures::ended_by.eq(None::<String>),
        captures::most.eq(new.most),
        captures::most_samples.eq(new.room.samples),
        captures::most_bytes.eq(new.room.bytes),
    );
    Ok(diesel::insert_into(captures::table)
        .values((
            captures::tenant_id.eq(scope.uuid()),
            captures::webhook_id.eq(webhook.uuid()),
            state.clone(),
        ))
        .on_conflict((captures::tenant_id, captures::webhook_id))
        .do_update()
        .set((state, captures::taken_before.eq(captures::taken)))
        .returning(Capture::as_returning())
        .get_result(conn)?)
}

/// The latest window; `None` when there never was one.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn read(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId) -> Result<Option<Capture>> {
    Ok(captures::table
        .find((scope.uuid(), webhook.uuid()))
        .select(Capture::as_select())
        .first(conn)
        .optional()?)
}

/// Closes the window, if it is open. From the commit on nothing becomes a sample.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn close(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId) -> Result<()> {
    end(conn, scope, webhook, CaptureEnd::Closed)
}

/// Makes a sample of a request, if the window of its URL is open and the webhook has room; ends a window that has not, or
/// that this was the last sample of. Whether it did.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn take(conn: &mut PgConnection, scope: &TenantScope, new: &NewSample<'_>) -> Result<Taken> {
    let window: Option<Capture> = captures::table
        .find((scope.uuid(), new.webhook_id.uuid()))
        .select(Capture::as_select())
        .for_update()
        .first(conn)
        .optional()?;
    let is_of_url = |window: &Capture| window.url_id.is_none() || window.url_id() == new.url_id;
    let open = window.filter(|window| window.end(clock::now()).is_none() && is_of_url(window));
    let Some(window) = open else {
        return Ok(Taken::NotOpen);
    };
    let used = samples::used(conn, scope, new.webhook_id)?;
    if !window.room().fits(used, new.stored_bytes()) {
        end(conn, scope, new.webhook_id, CaptureEnd::Full)?;
        return Ok(Taken::NotOpen);
    }
    let number = window.taken + 1;
    samples::insert(conn, scope, new, Some(number))?;
    diesel::update(captures::table.find((scope.uuid(), new.webhook_id.uuid())))
        .set(captures::taken.eq(number))
        .execute(conn)?;
    if window.taken() + 1 < i64::from(window.most) {
        return Ok(Taken::Sample);
    }
    end(conn, scope, new.webhook_id, CaptureEnd::Full)?;
    Ok(Taken::LastSample)
}

/// What became of a request to a webhook that was thought to capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is a sample.
    Sample,
    /// It is a sample, the last one of its window.
    LastSample,
    /// Nothing: the window is not open (any more).
    NotOpen,
}

fn end(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId, by: CaptureEnd) -> Result<()> {
    let now = clock::now();
    diesel::update(captures::table.find((scope.uuid(), webhook.uuid())))
        .filter(captures::ended_at.is_null())
        .filter(captures::expires_at.gt(now))
        .set((captures::ended_at.eq(now), captures::ended_by.eq(by.as_str())))
        .execute(conn)?;
    Ok(())
}
