//! Replays: stored events that run again. Each makes a new event, a copy that names the one it repeats; its sender hears
//! nothing of it.
//!
//! A replay of many goes on in small transactions: copies, their jobs and how far it has come are committed together, so a
//! worker that dies leaves none out and makes none twice.
//!
//! Functions that take a scope run inside a [`TenantScope::transaction`] that the caller opened.

mod copy;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Integer, Jsonb, Text, Uuid as SqlUuid};
use hookgate_model::ids::{EventId, ReplayId, TenantId};
use hookgate_model::limits::TenantLimits;
use hookgate_model::replay::{ReplayStatus, RevisionChoice};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::events::{self, EventFilter, FoundAfter};
use crate::page::Page;
use crate::schema::replays;
use crate::scope::{TenantScope, transaction};
use crate::stored_json::to_json;
use crate::{clock, limits, quotas};

pub use copy::NotReplayed;

/// The most events of one transaction; fewer whose bodies are long.
const PART: i32 = 200;
/// The most events that are looked at in one transaction.
const SCANNED: i64 = 5_000;
/// When it is tried again to take a replay further that could not be, or whose tenant may have no more events this month.
const TRY_AGAIN_AFTER: TimeDelta = TimeDelta::minutes(1);

/// A replay of many events.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// Which events it repeats.
    pub filter: EventFilter,
    /// What the copies run.
    pub revision: RevisionChoice,
    /// How fast it goes.
    pub events_per_second: i32,
    /// How far it is.
    pub status: ReplayStatus,
    /// How many events there were when it was made.
    pub matched: i64,
    /// How many run again by now.
    pub replayed: i64,
    /// How many cannot.
    pub skipped: i64,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it came to its end.
    pub finished_at: Option<DateTime<Utc>>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = replays, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    filter: Value,
    revision: String,
    events_per_second: i32,
    status: String,
    matched: i64,
    replayed: i64,
    skipped: i64,
    created_by: String,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl Row {
    fn into_replay(self) -> Result<Replay> {
        let unreadable = || Error::Unreadable { what: "replay" };
        Ok(Replay {
            id: self.id.into(),
            filter: serde_json::from_value(self.filter).map_err(|_| unreadable())?,
            revision: RevisionChoice::parse(&self.revision).ok_or_else(unreadable)?,
            status: ReplayStatus::parse(&self.status).ok_or_else(unreadable)?,
            events_per_second: self.events_per_second,
            matched: self.matched,
            replayed: self.replayed,
            skipped: self.skipped,
            created_by: self.created_by,
            created_at: self.created_at,
            finished_at: self.finished_at,
        })
    }
}

/// What somebody wants.
#[derive(Debug, Clone)]
pub struct NewReplay {
    /// Which events.
    pub filter: EventFilter,
    /// What their copies run.
    pub revision: RevisionChoice,
    /// How fast, from 1 on.
    pub events_per_second: i32,
    /// Who wants it.
    pub created_by: String,
}

/// Lets a copy of one event run. It is a new event with an id of its own.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::LimitReached`] when the tenant may have no more events this month.
pub fn replay_event(
    conn: &mut PgConnection,
    scope: &TenantScope,
    event: EventId,
    revision: RevisionChoice,
    defaults: TenantLimits,
) -> Result<Result<EventId, NotReplayed>> {
    quotas::require_left(conn, scope, defaults, clock::now())?;
    let mut copied = copy::copy(conn, scope, &[event.uuid()], revision, None)?;
    copied.pop().map(|(_, copied)| copied).ok_or(Error::NotFound)
}

/// Makes a replay, which the workers carry out.
///
/// # Errors
/// [`Error::LimitReached`].
pub fn create(
    conn: &mut PgConnection,
    scope: &TenantScope,
    new: &NewReplay,
    defaults: TenantLimits,
) -> Result<Replay> {
    quotas::require_left(conn, scope, defaults, clock::now())?;
    let running = replays::table
        .filter(replays::tenant_id.eq(scope.uuid()))
        .filter(replays::status.eq(ReplayStatus::Running.as_str()))
        .count()
        .get_result::<i64>(conn)?;
    if running >= limits::RUNNING_REPLAYS {
        return Err(Error::LimitReached {
            what: "running replays",
            most: limits::RUNNING_REPLAYS,
        });
    }
    let id: ReplayId = clock::new_id();
    let matched = events::count(conn, scope, &new.filter, id.uuid())?;
    diesel::insert_into(replays::table)
        .values((
            replays::tenant_id.eq(scope.uuid()),
            replays::id.eq(id.uuid()),
            replays::filter.eq(to_json(&new.filter)?),
            replays::revision.eq(new.revision.as_str()),
            replays::events_per_second.eq(new.events_per_second),
            replays::matched.eq(matched),
            replays::before.eq(id.uuid()),
            replays::created_by.eq(&new.created_by),
        ))
        .returning(Row::as_returning())
        .get_result(conn)?
        .into_replay()
}

/// A page of the tenant's replays.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(conn: &mut PgConnection, scope: &TenantScope, page: Page) -> Result<Vec<Replay>> {
    let rows: Vec<Row> = replays::table
        .filter(replays::tenant_id.eq(scope.uuid()))
        .filter(replays::id.lt(page.below()))
        .order(replays::id.desc())
        .limit(page.limit)
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::into_replay).collect()
}

/// One replay.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read(conn: &mut PgConnection, scope: &TenantScope, id: ReplayId) -> Result<Replay> {
    let row: Row = replays::table
        .find((scope.uuid(), id.uuid()))
        .select(Row::as_select())
        .first(conn)?;
    row.into_replay()
}

/// Ends a replay before its end. What runs already runs on. One that has ended stays as it is.
///
/// # Errors
/// [`Error::NotFound`].
pub fn cancel(conn: &mut PgConnection, scope: &TenantScope, id: ReplayId) -> Result<Replay> {
    let running = replays::table
        .find((scope.uuid(), id.uuid()))
        .filter(replays::status.eq(ReplayStatus::Running.as_str()));
    diesel::update(running)
        .set((
            replays::status.eq(ReplayStatus::Cancelled.as_str()),
            replays::finished_at.eq(clock::now()),
        ))
        .execute(conn)?;
    read(conn, scope, id)
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Jsonb)]
    filter: Value,
    #[diesel(sql_type = Text)]
    revision: String,
    #[diesel(sql_type = Integer)]
    events_per_second: i32,
    #[diesel(sql_type = SqlUuid)]
    after: Uuid,
    #[diesel(sql_type = SqlUuid)]
    before: Uuid,
}

/// Takes one replay that is due a part further, of whatever tenant. Returns whether there was one. One that cannot go on is put
/// off, so that others have their turn; so is one whose tenant may have no more events this month.
///
/// # Errors
/// When Postgres cannot be reached; the part is not done then.
pub fn advance(conn: &mut PgConnection, defaults: TenantLimits) -> Result<bool> {
    transaction(conn, |conn| {
        let due: Option<Due> = sql_query(
            "SELECT tenant_id, id, filter, revision, events_per_second, after, before FROM replays
             WHERE status = 'running' AND due_at <= now() AND NOT EXISTS (
               SELECT FROM tenants WHERE tenants.id = replays.tenant_id AND tenants.status = 'suspended')
             ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED",
        )
        .get_result(conn)
        .optional()?;
        let Some(due) = due else {
            return Ok(false);
        };
        let scope = TenantScope::proven(TenantId::from(due.tenant_id));
        scope.enter(conn)?;
        let gone_on = conn.transaction(|conn| {
            quotas::require_left(conn, &scope, defaults, clock::now())?;
            due.go_on(conn, &scope)
        });
        if let Err(error) = gone_on {
            let (tenant, replay) = (scope.tenant(), ReplayId::from(due.id));
            if matches!(error, Error::LimitReached { .. }) {
                tracing::debug!(%error, %tenant, %replay, "a replay waits");
            } else {
                tracing::warn!(%error, %tenant, %replay, "a replay does not go on; trying again in a minute");
            }
            diesel::update(replays::table.find((scope.uuid(), due.id)))
                .set(replays::due_at.eq(clock::now() + TRY_AGAIN_AFTER))
                .execute(conn)?;
        }
        Ok(true)
    })
}

impl Due {
    fn go_on(&self, conn: &mut PgConnection, scope: &TenantScope) -> Result<()> {
        let read = || -> Option<(EventFilter, RevisionChoice)> {
            let filter = serde_json::from_value(self.filter.clone()).ok()?;
            Some((filter, RevisionChoice::parse(&self.revision)?))
        };
        let part = self.events_per_second.clamp(1, PART);
        let (found, copied) = match read() {
            Some((filter, revision)) => {
                let range = self.after..self.before;
                let found = events::ids_after(conn, scope, &filter, range, part.into(), SCANNED)?;
                let copied = copy::copy(conn, scope, &found.rows, revision, Some(self.id.into()))?;
                (found, copied)
            }
            // Nothing is known of what it should do: it ends.
            None => (FoundAfter::nothing(), Vec::new()),
        };
        let made = copied.iter().filter(|(_, copied)| copied.is_ok()).count();
        let (made, seen) = (count(made), count(found.rows.len()));
        let now = clock::now();
        let (status, finished_at) = match found.seen_to {
            Some(_) => (ReplayStatus::Running, None),
            None => (ReplayStatus::Finished, Some(now)),
        };
        let pause = TimeDelta::milliseconds(seen * 1000 / i64::from(self.events_per_second.max(1)));
        diesel::update(replays::table.find((scope.uuid(), self.id)))
            .set((
                replays::after.eq(found.seen_to.map_or(self.after, |seen_to| seen_to.uuid())),
                replays::replayed.eq(replays::replayed + made),
                replays::skipped.eq(replays::skipped + (seen - made)),
                replays::status.eq(status.as_str()),
                replays::finished_at.eq(finished_at),
                replays::due_at.eq(now + pause),
            ))
            .execute(conn)?;
        Ok(())
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Deletes replays that ended before a moment, at most so many; returns how many there were.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete_finished(conn: &mut PgConnection, before: DateTime<Utc>, most: i64) -> Result<usize> {
    let old = replays::table
        .filter(replays::finished_at.lt(before))
        .select((replays::tenant_id, replays::id))
        .limit(most)
        .load::<(Uuid, Uuid)>(conn)?;
    let mut deleted = 0;
    for key in old {
        deleted += diesel::delete(replays::table.find(key)).execute(conn)?;
    }
    Ok(deleted)
}
