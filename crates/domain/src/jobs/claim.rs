//! Taking up work, fairly: a few jobs of each tenant that has any, first attempts and retries by turns.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{
    Array, BigInt, Bytea, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use hookgate_model::ids::{EventId, JobId, RevisionId, WebhookId};
use uuid::Uuid;

use super::lease::Lease;
use crate::error::Result;
use crate::scope::TenantScope;

/// How much to take up.
#[derive(Debug, Clone, Copy)]
pub struct Claims {
    /// The most jobs in all.
    pub jobs: i64,
    /// The most first attempts of one tenant, and the most retries of one tenant.
    pub per_tenant: i64,
    /// How long the worker has until it must extend the leases.
    pub lease: Duration,
}

/// A job that this worker may work at.
#[derive(Debug, Clone)]
pub struct ClaimedJob {
    /// The proof of it.
    pub lease: Lease,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The revision to run.
    pub revision_id: RevisionId,
    /// The events, in the order of their receipt.
    pub event_ids: Vec<EventId>,
    /// Since when it was due.
    pub due_at: DateTime<Utc>,
    /// How often it was claimed since it last made progress, this time included.
    pub claims: i32,
    /// The ingress node whose caller waits.
    pub answer_to: Option<String>,
    /// How far its one event has come, in its stored form.
    pub state: Option<Vec<u8>>,
}

/// How many tenants one claim looks at: bounds its cost where very many have jobs that are not due.
const TENANTS: i32 = 500;

/// The loose index scan goes from tenant to tenant, one look-up each, however many jobs a tenant has.
const CLAIM: &str = "
WITH RECURSIVE visited AS (
  (SELECT tenant_id, 1 AS place FROM jobs WHERE tenant_id > $1 ORDER BY tenant_id LIMIT 1)
  UNION ALL
  SELECT following.tenant_id, place + 1 FROM visited, LATERAL (
    SELECT tenant_id FROM jobs WHERE jobs.tenant_id > visited.tenant_id ORDER BY tenant_id LIMIT 1) following
  WHERE place < $2
), firsts AS (
  SELECT job.*, place FROM visited, LATERAL (
    SELECT tenant_id, id, row_number() OVER () AS turn FROM (
      SELECT tenant_id, id FROM jobs
      WHERE jobs.tenant_id = visited.tenant_id AND NOT is_retry AND greatest(due_at, leased_until) <= now()
      ORDER BY greatest(due_at, leased_until) LIMIT $3 FOR UPDATE SKIP LOCKED) due) job
  LIMIT $4
), retries AS (
  SELECT job.*, place FROM visited, LATERAL (
    SELECT tenant_id, id, row_number() OVER () AS turn FROM (
      SELECT tenant_id, id FROM jobs
      WHERE jobs.tenant_id = visited.tenant_id AND is_retry AND greatest(due_at, leased_until) <= now()
      ORDER BY greatest(due_at, leased_until) LIMIT $3 FOR UPDATE SKIP LOCKED) due) job
  LIMIT $4
), chosen AS (
  SELECT tenant_id, id FROM (SELECT * FROM firsts UNION ALL SELECT * FROM retries) due ORDER BY turn, place LIMIT $4
)
UPDATE jobs SET leased_until = now() + make_interval(secs => $5), lease_token = lease_token + 1, attempt = attempt + 1
FROM chosen WHERE jobs.tenant_id = chosen.tenant_id AND jobs.id = chosen.id
RETURNING jobs.tenant_id, jobs.id, lease_token, webhook_id, revision_id, event_ids, due_at, attempt, answer_to, state";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = BigInt)]
    lease_token: i64,
    #[diesel(sql_type = SqlUuid)]
    webhook_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    revision_id: Uuid,
    #[diesel(sql_type = Array<SqlUuid>)]
    event_ids: Vec<Uuid>,
    #[diesel(sql_type = Timestamptz)]
    due_at: DateTime<Utc>,
    #[diesel(sql_type = Integer)]
    attempt: i32,
    #[diesel(sql_type = Nullable<Text>)]
    answer_to: Option<String>,
    #[diesel(sql_type = Nullable<Bytea>)]
    state: Option<Vec<u8>>,
}

/// Claims jobs that are due, of the tenants after `after` and then of all: a worker passes the last tenant of its last
/// claim, so that everybody's turn comes when there is more due than it can take.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn claim(conn: &mut PgConnection, claims: Claims, after: Uuid) -> Result<Vec<ClaimedJob>> {
    let mut jobs = claim_after(conn, claims, after)?;
    let missing = claims.jobs - i64::try_from(jobs.len()).unwrap_or(i64::MAX);
    if missing > 0 && !after.is_nil() {
        jobs.extend(claim_after(
            conn,
            Claims {
                jobs: missing,
                ..claims
            },
            Uuid::nil(),
        )?);
    }
    Ok(jobs)
}

fn claim_after(conn: &mut PgConnection, claims: Claims, after: Uuid) -> Result<Vec<ClaimedJob>> {
    let rows: Vec<Row> = sql_query(CLAIM)
        .bind::<SqlUuid, _>(after)
        .bind::<Integer, _>(TENANTS)
        .bind::<BigInt, _>(claims.per_tenant)
        .bind::<BigInt, _>(claims.jobs)
        .bind::<Double, _>(claims.lease.as_secs_f64())
        .load(conn)?;
    Ok(rows.into_iter().map(ClaimedJob::from).collect())
}

impl From<Row> for ClaimedJob {
    fn from(row: Row) -> Self {
        Self {
            lease: Lease {
                scope: TenantScope::proven(row.tenant_id.into()),
                job: JobId::from(row.id),
                token: row.lease_token,
            },
            webhook_id: row.webhook_id.into(),
            revision_id: row.revision_id.into(),
            event_ids: row.event_ids.into_iter().map(EventId::from).collect(),
            due_at: row.due_at,
            claims: row.attempt,
            answer_to: row.answer_to,
            state: row.state,
        }
    }
}
