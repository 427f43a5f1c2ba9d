//! Deleting what has expired, over all tenants, as the worker.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Date, Timestamptz};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::scope::{set_local, transaction};

/// A connection, for crates that do not know diesel.
pub type Connection = diesel::pg::PgConnection;

/// The lock that only one worker holds. Any number that nothing else uses.
const LOCK: i64 = 0x686f_6f6b_6761_7465;
/// How long the answer to a POST with an `Idempotency-Key` is kept.
const IDEMPOTENCY_HOURS: i64 = 24;
/// How long it is kept what tenants received and what became of it: a year, and the month before.
const USAGE_DAYS: i64 = 400;

/// How long to wait for a table that somebody reads; then the maintenance gives way, and tries again later.
const LOCK_TIMEOUT: &str = "5s";

/// Does something that one worker at a time does; `None` when another is at it. Its queries are one transaction.
///
/// # Errors
/// What it ends in.
pub fn alone<T>(conn: &mut Connection, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<Option<T>> {
    #[derive(QueryableByName)]
    struct Locked {
        #[diesel(sql_type = Bool)]
        locked: bool,
    }
    transaction::<_, Error>(conn, |conn| {
        set_local(conn, "lock_timeout", LOCK_TIMEOUT)?;
        let lock: Locked = sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
            .bind::<BigInt, _>(LOCK)
            .get_result(conn)?;
        if lock.locked {
            work(conn).map(Some)
        } else {
            Ok(None)
        }
    })
}

/// A webhook that has refusals. The default is before all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, QueryableByName)]
pub struct RefusingWebhook {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    webhook_id: Uuid,
}

/// The next webhooks that have refusals, after one; at most so many.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn refusing_webhooks(
    conn: &mut Connection,
    after: RefusingWebhook,
    most: i64,
) -> Result<Vec<RefusingWebhook>> {
    // From one to the next in the index, whatever lies between them.
    Ok(sql_query(
        "WITH RECURSIVE found AS (
           SELECT $1 AS tenant_id, $2 AS webhook_id, 0::bigint AS place
           UNION ALL
           SELECT next.tenant_id, next.webhook_id, place + 1 FROM found, LATERAL (
             SELECT tenant_id, webhook_id FROM refusals
             WHERE (refusals.tenant_id, refusals.webhook_id) > (found.tenant_id, found.webhook_id)
             ORDER BY tenant_id, webhook_id LIMIT 1) next
           WHERE place < $3)
         SELECT tenant_id, webhook_id FROM found WHERE place > 0 ORDER BY place",
    )
    .bind::<diesel::sql_types::Uuid, _>(after.tenant_id)
    .bind::<diesel::sql_types::Uuid, _>(after.webhook_id)
    .bind::<BigInt, _>(most)
    .load(conn)?)
}

/// Deletes the refusals of a webhook but the newest; at most so many.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn trim_refusals(
    conn: &mut Connection,
    webhook: RefusingWebhook,
    newest: u32,
    most: i64,
) -> Result<usize> {
    Ok(sql_query(
        "DELETE FROM refusals USING (
           SELECT tenant_id, id FROM refusals WHERE tenant_id = $1 AND webhook_id = $2
           ORDER BY id DESC OFFSET $3 LIMIT $4) surplus
         WHERE refusals.tenant_id = surplus.tenant_id AND refusals.id = surplus.id",
    )
    .bind::<diesel::sql_types::Uuid, _>(webhook.tenant_id)
    .bind::<diesel::sql_types::Uuid, _>(webhook.webhook_id)
    .bind::<BigInt, _>(i64::from(newest))
    .bind::<BigInt, _>(most)
    .execute(conn)?)
}

/// Lets go of the whole requests of a webhook's refusals but the newest that fit into so many bytes, at most so many; the
/// refusals stay.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn trim_refused_requests(
    conn: &mut Connection,
    webhook: RefusingWebhook,
    bytes: u64,
    most: i64,
) -> Result<usize> {
    Ok(sql_query(
        "UPDATE refusals SET request = NULL FROM (
           SELECT tenant_id, id FROM (
             SELECT tenant_id, id, sum(octet_length(request)) OVER (ORDER BY id DESC) AS bytes
             FROM refusals WHERE tenant_id = $1 AND webhook_id = $2 AND request IS NOT NULL
           ) kept WHERE bytes > $3 LIMIT $4) surplus
         WHERE refusals.tenant_id = surplus.tenant_id AND refusals.id = surplus.id",
    )
    .bind::<diesel::sql_types::Uuid, _>(webhook.tenant_id)
    .bind::<diesel::sql_types::Uuid, _>(webhook.webhook_id)
    .bind::<BigInt, _>(i64::try_from(bytes).unwrap_or(i64::MAX))
    .bind::<BigInt, _>(most)
    .execute(conn)?)
}

/// Deletes idempotent answers after a day, what tenants received after 400 days, and logins, refresh
/// tokens, invitations and tokens that were mailed when they expire.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete_expired(conn: &mut Connection, now: DateTime<Utc>) -> Result<()> {
    sql_query("DELETE FROM idempotency_keys WHERE created_at < $1")
        .bind::<Timestamptz, _>(now - TimeDelta::hours(IDEMPOTENCY_HOURS))
        .execute(conn)?;
    for table in ["usage", "outcomes"] {
        sql_query(format!("DELETE FROM {table} WHERE day < $1"))
            .bind::<Date, _>((now - TimeDelta::days(USAGE_DAYS)).date_naive())
            .execute(conn)?;
    }
    for table in ["refresh_tokens", "login_sessions", "invitations", "mailed_tokens"] {
        sql_query(format!("DELETE FROM {table} WHERE expires_at < $1"))
            .bind::<Timestamptz, _>(now)
            .execute(conn)?;
    }
    Ok(())
}
