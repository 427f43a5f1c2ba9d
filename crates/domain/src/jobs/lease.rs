//! The right to work at a job for a while, and its fencing token.

use std::collections::HashSet;
use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bytea, Double, Uuid as SqlUuid};
use hookgate_model::ids::{JobId, RevisionId, WebhookId};
use uuid::Uuid;

use super::callback::{NewCallback, insert_jobs};
use super::complete::{NewAttempt, insert_attempts};
use crate::error::Result;
use crate::scope::TenantScope;

/// The right to work at a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Whose it is.
    pub scope: TenantScope,
    /// The job.
    pub job: JobId,
    /// Of all that claimed it, only the last has this token.
    pub(super) token: i64,
}

/// What a statement over [`columns`] returns of the jobs whose lease is held.
#[derive(QueryableByName)]
pub(super) struct HeldRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = BigInt)]
    lease_token: i64,
}

/// The leases that are held. The token counts: a batch may hold an old and a new lease of one job.
pub(super) fn held<'a>(rows: Vec<HeldRow>, leases: impl Iterator<Item = &'a Lease>) -> HashSet<Lease> {
    let rows: HashSet<_> = rows.into_iter().map(|row| (row.id, row.lease_token)).collect();
    leases
        .filter(|lease| rows.contains(&(lease.job.uuid(), lease.token)))
        .copied()
        .collect()
}

/// Tenants, jobs and tokens of leases, as arrays for a query.
pub(super) fn columns<'a>(leases: impl Iterator<Item = &'a Lease>) -> (Vec<Uuid>, Vec<Uuid>, Vec<i64>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for lease in leases {
        columns.0.push(lease.scope.uuid());
        columns.1.push(lease.job.uuid());
        columns.2.push(lease.token);
    }
    columns
}

/// Extends leases; returns those that are lost.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn extend(conn: &mut PgConnection, leases: &[Lease], by: Duration) -> Result<Vec<Lease>> {
    let (tenants, jobs, tokens) = columns(leases.iter());
    let rows: Vec<HeldRow> = sql_query(
        "UPDATE jobs SET leased_until = now() + make_interval(secs => $4)
         FROM unnest($1, $2, $3) AS mine (tenant_id, id, token)
         WHERE jobs.tenant_id = mine.tenant_id AND jobs.id = mine.id AND lease_token = token RETURNING jobs.id, lease_token",
    )
    .bind::<Array<SqlUuid>, _>(tenants)
    .bind::<Array<SqlUuid>, _>(jobs)
    .bind::<Array<BigInt>, _>(tokens)
    .bind::<Double, _>(by.as_secs_f64())
    .load(conn)?;
    let held = held(rows, leases.iter());
    Ok(leases
        .iter()
        .filter(|lease| !held.contains(lease))
        .copied()
        .collect())
}

/// How far a job's one event has come, and what happened on the way.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The run's progress, as it is stored.
    pub state: Vec<u8>,
    /// The calls that were made since it was last stored.
    pub attempts: Vec<NewAttempt>,
    /// The calls that it has left behind since then.
    pub callbacks: Vec<NewCallback>,
}

/// Stores the progress of a run that goes on. Returns whether the lease is still held; if it is not, nothing is written.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn save_progress(
    conn: &mut PgConnection,
    lease: &Lease,
    (webhook, revision): (WebhookId, RevisionId),
    progress: &Progress,
) -> Result<bool> {
    let saved = sql_query(
        "UPDATE jobs SET state = $4, attempt = 0 WHERE tenant_id = $1 AND id = $2 AND lease_token = $3",
    )
    .bind::<SqlUuid, _>(lease.scope.uuid())
    .bind::<SqlUuid, _>(lease.job.uuid())
    .bind::<BigInt, _>(lease.token)
    .bind::<Bytea, _>(&progress.state)
    .execute(conn)?;
    if saved == 1 {
        let made: Vec<_> = progress
            .attempts
            .iter()
            .map(|attempt| (webhook, attempt))
            .collect();
        insert_attempts(conn, &lease.scope, &made)?;
        let left: Vec<_> = progress
            .callbacks
            .iter()
            .map(|call| (webhook, revision, call))
            .collect();
        insert_jobs(conn, &lease.scope, &left)?;
    }
    Ok(saved == 1)
}
