//! Deleting what has expired, over all tenants, as the worker.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Date, Timestamptz};

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

/// Deletes the refusals of each webhook but the newest.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn trim_refusals(conn: &mut Connection, newest: u32) -> Result<usize> {
    Ok(sql_query(
        "WITH surplus AS (
           SELECT tenant_id, id FROM (
             SELECT tenant_id, id, row_number() OVER (PARTITION BY tenant_id, webhook_id ORDER BY id DESC) AS place FROM refusals
           ) ranked WHERE place > $1)
         DELETE FROM refusals USING surplus WHERE refusals.tenant_id = surplus.tenant_id AND refusals.id = surplus.id",
    )
    .bind::<BigInt, _>(i64::from(newest))
    .execute(conn)?)
}

/// Lets go of the whole requests of each webhook's refusals but the newest that fit into so many bytes; the refusals stay.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn trim_refused_requests(conn: &mut Connection, bytes: u64) -> Result<usize> {
    Ok(sql_query(
        "WITH surplus AS (
           SELECT tenant_id, id FROM (
             SELECT tenant_id, id, sum(octet_length(request)) OVER (PARTITION BY tenant_id, webhook_id ORDER BY id DESC) AS bytes
             FROM refusals WHERE request IS NOT NULL
           ) kept WHERE bytes > $1)
         UPDATE refusals SET request = NULL FROM surplus WHERE refusals.tenant_id = surplus.tenant_id AND refusals.id = surplus.id",
    )
    .bind::<BigInt, _>(i64::try_from(bytes).unwrap_or(i64::MAX))
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
