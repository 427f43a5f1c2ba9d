//! Deliveries that are remembered: the keys that events leave behind, committed with them, and how often each came again.
//!
//! Invariant: of all events that share a key while it is remembered, one is stored. Whoever stores an event claims its keys
//! in the same transaction; the primary key lets one of two claims wait for the other's outcome. The [`crate::appender`]
//! claims for whole batches, [`claim`] for one event in a transaction of its caller.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bytea, Integer, Nullable, Timestamptz, Uuid as SqlUuid};
use hookgate_model::deduplication::KeyDigest;
use hookgate_model::ids::EventId;
use uuid::Uuid;

use crate::error::Result;
use crate::gathered::Gather;
use crate::schema::deduplication_keys;
use crate::scope::TenantScope;

/// What an event is to be remembered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryKeys {
    /// Its keys, at least one. Where several belong to different events, the first says whose duplicate it is.
    pub keys: Vec<KeyDigest>,
    /// For how long.
    pub remember: Duration,
    /// What its caller gets, in the stored form of [`hookgate_model::answer::Answer`]; `None` when that is the answer of
    /// the event's run.
    pub answer: Option<Arc<[u8]>>,
}

/// The event that came before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The event.
    pub first: EventId,
    /// What its caller got, as in [`DeliveryKeys::answer`].
    pub answer: Option<Arc<[u8]>>,
}

/// Claims keys that nobody holds, in the order of the primary key, so that two who claim the same never wait for each
/// other. Keys that are held are not touched: a row that is only looked at costs nobody a lock. $5 are places in $6.
pub(crate) const CLAIM: &str = "\
    INSERT INTO deduplication_keys AS stored (tenant_id, digest, event_id, expires_at, answer) \
    SELECT tenant_id, digest, event_id, now() + make_interval(secs => seconds), ($6)[answer] \
    FROM unnest($1, $2, $3, $4, $5) AS claimed (tenant_id, digest, event_id, seconds, answer) \
    WHERE NOT EXISTS (SELECT FROM deduplication_keys held WHERE held.tenant_id = claimed.tenant_id \
      AND held.digest = claimed.digest AND held.expires_at > now()) \
    ORDER BY tenant_id, digest \
    ON CONFLICT (tenant_id, digest) DO UPDATE SET event_id = excluded.event_id, expires_at = excluded.expires_at, \
      answer = excluded.answer WHERE stored.expires_at <= now()";

/// Reads the keys that this transaction did not write: after a claim, those that others hold. It must be a statement of its
/// own, to see what was committed while the claim waited.
pub(crate) const READ_OTHERS: &str = "\
    SELECT encode(stored.digest, 'hex'), stored.event_id, encode(stored.answer, 'hex') \
    FROM unnest($1, $2) AS claimed (tenant_id, digest) \
    JOIN deduplication_keys stored ON stored.tenant_id = claimed.tenant_id AND stored.digest = claimed.digest \
    WHERE stored.xmin IS DISTINCT FROM pg_current_xact_id_if_assigned()::xid";

/// Gives keys that were just claimed to another event: that of a duplicate's other keys. $4 are places in $5.
pub(crate) const MOVE: &str = "\
    UPDATE deduplication_keys AS stored SET event_id = moved.event_id, answer = ($5)[moved.answer] \
    FROM unnest($1, $2, $3, $4) AS moved (tenant_id, digest, event_id, answer) \
    WHERE stored.tenant_id = moved.tenant_id AND stored.digest = moved.digest";

/// Claims the keys of one event, which is then stored in the same transaction. Returns the event that came before; then
/// this one must not be stored, and its other keys belong to the first.
///
/// Runs inside a [`TenantScope::transaction`] that the caller opened.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn claim(
    conn: &mut PgConnection,
    scope: &TenantScope,
    event: EventId,
    claimed: &DeliveryKeys,
) -> Result<Option<Duplicate>> {
    let digests: Vec<&[u8]> = claimed.keys.iter().map(|key| &key.as_bytes()[..]).collect();
    let count = digests.len();
    let answers: Vec<&[u8]> = claimed.answer.iter().map(|answer| &**answer).collect();
    let place = claimed.answer.as_ref().map(|_| 1);
    sql_query(CLAIM)
        .bind::<Array<SqlUuid>, _>(vec![scope.uuid(); count])
        .bind::<Array<Bytea>, _>(&digests)
        .bind::<Array<SqlUuid>, _>(vec![event.uuid(); count])
        .bind::<Array<Integer>, _>(vec![seconds(claimed.remember); count])
        .bind::<Array<Nullable<Integer>>, _>(vec![place; count])
        .bind::<Array<Bytea>, _>(answers)
        .execute(conn)?;
    let held: Vec<Held> = deduplication_keys::table
        .filter(deduplication_keys::tenant_id.eq(scope.uuid()))
        .filter(deduplication_keys::digest.eq_any(&digests))
        .select(Held::as_select())
        .load(conn)?;
    let by_others = |digest: &&[u8]| {
        held.iter()
            .find(|held| held.digest == *digest && held.event_id != event.uuid())
    };
    let Some(Held {
        event_id: first,
        answer,
        ..
    }) = digests.iter().find_map(by_others)
    else {
        return Ok(None);
    };
    let own = held.iter().filter(|held| held.event_id == event.uuid());
    let own: Vec<&[u8]> = own.map(|held| held.digest.as_slice()).collect();
    diesel::update(deduplication_keys::table)
        .filter(deduplication_keys::tenant_id.eq(scope.uuid()))
        .filter(deduplication_keys::digest.eq_any(own))
        .set((
            deduplication_keys::event_id.eq(first),
            deduplication_keys::answer.eq(answer),
        ))
        .execute(conn)?;
    Ok(Some(Duplicate {
        first: EventId::from(*first),
        answer: answer.as_deref().map(Arc::from),
    }))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = deduplication_keys, check_for_backend(diesel::pg::Pg))]
struct Held {
    digest: Vec<u8>,
    event_id: Uuid,
    answer: Option<Vec<u8>>,
}

/// A span in whole seconds, as Postgres takes it.
pub(crate) fn seconds(span: Duration) -> i32 {
    i32::try_from(span.as_secs()).unwrap_or(i32::MAX)
}

/// How often an event came again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repetition {
    /// Whose event it is.
    pub scope: TenantScope,
    /// The event.
    pub event: EventId,
    /// How often it came.
    pub count: i64,
    /// When it last came.
    pub last_at: DateTime<Utc>,
}

impl Gather for Repetition {
    const WHAT: &'static str = "how often events came again";
    const EVERY: Duration = Duration::from_secs(1);
    const MOST: usize = 100_000;
    type Key = (TenantScope, EventId);

    fn key(&self) -> Self::Key {
        (self.scope, self.event)
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.last_at = self.last_at.max(other.last_at);
    }

    /// Over all tenants, as the ingress.
    fn write(conn: &mut PgConnection, repetitions: &[Self]) -> Result<()> {
        let mut sorted: Vec<&Self> = repetitions.iter().collect();
        // In one order for all nodes, so that they do not wait for each other in a circle.
        sorted.sort_unstable_by_key(|repetition| (repetition.scope.uuid(), repetition.event));
        macro_rules! column {
            ($repetition:ident => $value:expr) => {
                sorted.iter().map(|$repetition| $value).collect::<Vec<_>>()
            };
        }
        sql_query(
            "INSERT INTO duplicates AS known (tenant_id, event_id, count, last_at)
             SELECT * FROM unnest($1, $2, $3, $4) AS again (tenant_id, event_id, count, last_at) ORDER BY tenant_id, event_id
             ON CONFLICT (tenant_id, event_id)
             DO UPDATE SET count = known.count + excluded.count, last_at = greatest(known.last_at, excluded.last_at)",
        )
        .bind::<Array<SqlUuid>, _>(column!(repetition => repetition.scope.uuid()))
        .bind::<Array<SqlUuid>, _>(column!(repetition => repetition.event.uuid()))
        .bind::<Array<BigInt>, _>(column!(repetition => repetition.count))
        .bind::<Array<Timestamptz>, _>(column!(repetition => repetition.last_at))
        .execute(conn)?;
        Ok(())
    }
}

/// Deletes keys whose time is over, at most so many; returns how many there were. Rows that a writer is just taking over are
/// left to it.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete_expired(conn: &mut PgConnection, most: i64) -> Result<usize> {
    Ok(sql_query(
        "DELETE FROM deduplication_keys USING (
           SELECT tenant_id, digest FROM deduplication_keys WHERE expires_at <= now() ORDER BY expires_at LIMIT $1
           FOR UPDATE SKIP LOCKED) expired
         WHERE deduplication_keys.tenant_id = expired.tenant_id AND deduplication_keys.digest = expired.digest",
    )
    .bind::<BigInt, _>(most)
    .execute(conn)?)
}

/// Deletes the counts of events before `oldest`, which are gone, at most so many; returns how many there were.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete_counts(conn: &mut PgConnection, oldest: DateTime<Utc>, most: i64) -> Result<usize> {
    Ok(sql_query(
        "DELETE FROM duplicates USING (
           SELECT tenant_id, event_id FROM duplicates WHERE event_id < $1 ORDER BY event_id LIMIT $2) gone
         WHERE duplicates.tenant_id = gone.tenant_id AND duplicates.event_id = gone.event_id",
    )
    .bind::<SqlUuid, _>(crate::page::floor(oldest))
    .bind::<BigInt, _>(most)
    .execute(conn)?)
}
