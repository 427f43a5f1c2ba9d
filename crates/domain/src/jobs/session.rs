//! The turns of a session's events: one at a time, in their order of receipt.
//!
//! A job comes first in its session when none before it is there. A claim that meets one that does not marks it and all of its
//! kind as queued, so that it is not met again, however many there are; the job that is over lets the next one go. Either
//! takes the session's lock before it looks, and looks in a statement of its own: so neither misses what the other did.

use std::collections::BTreeSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::lease::Lease;
use crate::error::{Error, Result};
use crate::scope::transaction;

/// How many jobs of one session are marked at once.
const MARKED: i64 = 1_000;

/// A tenant's session.
pub(super) type SessionKey = (Uuid, Uuid);

/// Whether a job may begin in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It may.
    First,
    /// Another comes first: the job was given back.
    Behind,
    /// Another worker has the job.
    LeaseLost,
}

fn lock(conn: &mut PgConnection, session: SessionKey) -> Result<()> {
    sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))")
        .bind::<Text, _>(session.1.to_string())
        .execute(conn)?;
    Ok(())
}

/// Marks the jobs that do not come first in these sessions.
pub(super) fn queue(conn: &mut PgConnection, sessions: BTreeSet<SessionKey>) -> Result<()> {
    for session in sessions {
        transaction(conn, |conn| {
            lock(conn, session)?;
            sql_query(
                "UPDATE jobs SET is_queued = true FROM (
                   SELECT id FROM jobs WHERE tenant_id = $1 AND session_id = $2 AND NOT is_queued AND leased_until IS NULL
                     AND EXISTS (SELECT FROM jobs first WHERE first.tenant_id = $1 AND first.session_id = $2
                       AND first.id <> jobs.id AND (first.id < jobs.id OR first.leased_until IS NOT NULL))
                   ORDER BY id DESC LIMIT $3 FOR UPDATE SKIP LOCKED) behind
                 WHERE tenant_id = $1 AND jobs.id = behind.id",
            )
            .bind::<SqlUuid, _>(session.0)
            .bind::<SqlUuid, _>(session.1)
            .bind::<BigInt, _>(MARKED)
            .execute(conn)?;
            Ok::<_, Error>(())
        })?;
    }
    Ok(())
}

/// Lets the first job of each of these sessions go, at the end of the transaction that ended the one before.
pub(super) fn release(conn: &mut PgConnection, sessions: BTreeSet<SessionKey>) -> Result<()> {
    for session in sessions {
        lock(conn, session)?;
        sql_query(
            "UPDATE jobs SET is_queued = false WHERE tenant_id = $1 AND is_queued AND id = (
               SELECT id FROM jobs WHERE tenant_id = $1 AND session_id = $2 ORDER BY id LIMIT 1)",
        )
        .bind::<SqlUuid, _>(session.0)
        .bind::<SqlUuid, _>(session.1)
        .execute(conn)?;
    }
    Ok(())
}

/// Takes a leased job into a session that only its worker knew of. One that does not come first is given back.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn enter_session(conn: &mut PgConnection, lease: &Lease, session: Uuid) -> Result<Turn> {
    let tenant = lease.scope.uuid();
    lease.scope.transaction(conn, |conn| {
        lock(conn, (tenant, session))?;
        let update = |others: &str, set: &str| {
            format!(
                "UPDATE jobs SET session_id = $4, {set} WHERE tenant_id = $1 AND id = $2 AND lease_token = $3 AND {others} (
                   SELECT FROM jobs first WHERE first.tenant_id = $1 AND first.session_id = $4
                     AND (first.id < $2 OR first.leased_until IS NOT NULL))"
            )
        };
        let first = update("NOT EXISTS", "is_queued = false");
        let behind = update(
            "EXISTS",
            "is_queued = true, leased_until = NULL, lease_token = lease_token + 1, attempt = 0",
        );
        for (statement, turn) in [(first, Turn::First), (behind, Turn::Behind)] {
            let updated = sql_query(statement)
                .bind::<SqlUuid, _>(tenant)
                .bind::<SqlUuid, _>(lease.job.uuid())
                .bind::<BigInt, _>(lease.token)
                .bind::<SqlUuid, _>(session)
                .execute(conn)?;
            if updated == 1 {
                return Ok(turn);
            }
        }
        Ok(Turn::LeaseLost)
    })
}

/// Lets go whatever comes first and is marked all the same; over all tenants, as the worker. There is none, unless jobs
/// were deleted by hand.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn release_stranded(conn: &mut PgConnection) -> Result<usize> {
    Ok(sql_query(
        "UPDATE jobs SET is_queued = false WHERE is_queued AND NOT EXISTS (SELECT FROM jobs first
           WHERE first.tenant_id = jobs.tenant_id AND first.session_id = jobs.session_id AND first.id <> jobs.id
             AND (first.id < jobs.id OR first.leased_until IS NOT NULL))",
    )
    .execute(conn)?)
}
