//! Taking up work, fairly: a few jobs of each tenant that has any, first attempts and retries by turns.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{
    Array, BigInt, Bool, Bytea, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use hookgate_model::ids::{DestinationId, EventId, JobId, RevisionId, TenantId, WebhookId};
use uuid::Uuid;

use super::lease::Lease;
use super::session;
use crate::error::Result;
use crate::scope::TenantScope;

/// How much to take up.
#[derive(Debug, Clone)]
pub struct Claims {
    /// The most jobs in all.
    pub jobs: i64,
    /// The most first attempts of one tenant, and the most retries of one tenant.
    pub per_tenant: i64,
    /// Tenants that have enough already.
    pub not_of: Vec<TenantId>,
    /// How long the worker has until it must extend the leases.
    pub lease: Duration,
}

/// What a claim found.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The jobs, those that have been due for longest first.
    pub jobs: Vec<ClaimedJob>,
    /// How many were held instead, as their webhooks are not active.
    pub held: usize,
    /// The tenant after which the next claim is to look on; `None` when there is nobody after the last.
    pub next: Option<Uuid>,
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
    /// Since when it was due, or held.
    pub due_at: DateTime<Utc>,
    /// How often it was claimed since it last made progress, this time included.
    pub claims: i32,
    /// The ingress node whose caller waits.
    pub answer_to: Option<String>,
    /// How far its one event has come, in its stored form.
    pub state: Option<Vec<u8>>,
    /// Whether its one event is stored masked, and what the flow needs of it is in the job.
    pub has_payload: bool,
    /// Whether it is a call that a run left behind, and the state is that call.
    pub is_callback: bool,
    /// The destination whose turn it has waited for.
    pub turn_of: Option<DestinationId>,
    /// The session in which it has its turn, if the ingress knew it.
    pub session_id: Option<Uuid>,
}

/// How many tenants one claim looks at: bounds its cost where very many have jobs that are not due.
const TENANTS: i32 = 500;

/// The loose index scan goes from tenant to tenant, one look-up each, however many jobs a tenant has. There is a row
/// without a job when there is none. The work of suspended tenants stays where it is; what has not begun of a webhook that is
/// not active, or that holds something older, is held ([`super::held`]) instead of claimed, unless a caller waits for it; what
/// does not come first in its session is queued ([`super::session`]). A job whose lease has run out still has its turn. What is
/// asked of a webhook are values, not an EXISTS: that could become a look at all webhooks. Where either part is full, tenants
/// further on were not looked at: nobody there is served, so that the next claim goes on where this one came to.
const CLAIM: &str = "
WITH RECURSIVE visited AS (
  (SELECT tenant_id, 1 AS place FROM jobs WHERE tenant_id > $1 AND NOT is_held AND NOT is_queued ORDER BY tenant_id LIMIT 1)
  UNION ALL
  SELECT following.tenant_id, place + 1 FROM visited, LATERAL (
    SELECT tenant_id FROM jobs WHERE jobs.tenant_id > visited.tenant_id AND NOT is_held AND NOT is_queued
    ORDER BY tenant_id LIMIT 1) following
  WHERE place < $2
), firsts AS (
  SELECT job.*, place FROM visited, LATERAL (
    SELECT due.*, row_number() OVER () AS turn FROM (
      SELECT tenant_id, id, webhook_id, session_id, due_at, leased_until, attempt > 0 OR state IS NOT NULL OR answer_to IS NOT NULL AS has_begun FROM jobs
      WHERE jobs.tenant_id = visited.tenant_id AND NOT is_retry AND greatest(due_at, leased_until) <= now()
        AND NOT is_held AND NOT is_queued
      ORDER BY greatest(due_at, leased_until) LIMIT $3 FOR UPDATE SKIP LOCKED) due) job
  WHERE visited.tenant_id <> ALL ($6) AND NOT EXISTS (
    SELECT FROM tenants WHERE tenants.id = visited.tenant_id AND status = 'suspended') LIMIT $4
), retries AS (
  SELECT job.*, place FROM visited, LATERAL (
    SELECT due.*, row_number() OVER () AS turn FROM (
      SELECT tenant_id, id, webhook_id, session_id, due_at, leased_until, true AS has_begun FROM jobs
      WHERE jobs.tenant_id = visited.tenant_id AND is_retry AND greatest(due_at, leased_until) <= now()
        AND NOT is_held AND NOT is_queued
      ORDER BY greatest(due_at, leased_until) LIMIT $3 FOR UPDATE SKIP LOCKED) due) job
  WHERE visited.tenant_id <> ALL ($6) AND NOT EXISTS (
    SELECT FROM tenants WHERE tenants.id = visited.tenant_id AND status = 'suspended') LIMIT $4
), chosen AS (
  SELECT tenant_id, id, place, NOT has_begun AND (coalesce((
    SELECT status <> 'active' FROM webhooks WHERE webhooks.tenant_id = due.tenant_id AND webhooks.id = due.webhook_id
  ), false) OR coalesce((
    SELECT (held.due_at, held.id) < (due.due_at, due.id) FROM jobs held
    WHERE held.tenant_id = due.tenant_id AND held.webhook_id = due.webhook_id AND held.is_held AND held.waits_for IS NULL
    ORDER BY held.due_at, held.id LIMIT 1
  ), false)) AS is_stopped, CASE WHEN EXISTS (
    SELECT FROM jobs first WHERE first.tenant_id = due.tenant_id AND first.session_id = due.session_id AND first.id <> due.id
      AND (first.leased_until IS NOT NULL OR due.leased_until IS NULL AND first.id < due.id)
  ) THEN session_id END AS queued_in
  FROM (SELECT * FROM (SELECT * FROM firsts UNION ALL SELECT * FROM retries) turns
    WHERE place <= coalesce(least((SELECT max(place) FROM firsts HAVING count(*) >= $4), (SELECT max(place) FROM retries HAVING count(*) >= $4)), $2)
    ORDER BY turn, place LIMIT $4) due
), claimed AS (
  UPDATE jobs SET is_held = is_stopped, lease_token = lease_token + 1,
    leased_until = CASE WHEN NOT is_stopped THEN now() + make_interval(secs => $5) END,
    attempt = CASE WHEN is_stopped THEN 0 ELSE attempt + 1 END
  FROM chosen WHERE jobs.tenant_id = chosen.tenant_id AND jobs.id = chosen.id AND (is_stopped OR queued_in IS NULL)
  RETURNING jobs.tenant_id, jobs.id, lease_token, webhook_id, revision_id, event_ids, due_at, attempt, answer_to, state,
    payload IS NOT NULL AS has_payload, is_held, waits_for, session_id, is_callback
)
SELECT claimed.*, (SELECT tenant_id FROM visited WHERE place = $2) AS last_visited,
  CASE WHEN (SELECT count(*) FROM chosen) >= $4
    THEN (SELECT tenant_id FROM chosen ORDER BY place DESC LIMIT 1) END AS last_chosen,
  ARRAY(SELECT tenant_id FROM chosen WHERE queued_in IS NOT NULL AND NOT is_stopped ORDER BY id) AS queued_tenants,
  ARRAY(SELECT queued_in FROM chosen WHERE queued_in IS NOT NULL AND NOT is_stopped ORDER BY id) AS queued_sessions
FROM (SELECT) AS always LEFT JOIN claimed ON true";

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    job: Option<JobRow>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    last_visited: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    last_chosen: Option<Uuid>,
    #[diesel(sql_type = Array<SqlUuid>)]
    queued_tenants: Vec<Uuid>,
    #[diesel(sql_type = Array<SqlUuid>)]
    queued_sessions: Vec<Uuid>,
}

#[derive(QueryableByName)]
struct JobRow {
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
    #[diesel(sql_type = Bool)]
    has_payload: bool,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    waits_for: Option<Uuid>,
    #[diesel(sql_type = Bool)]
    is_callback: bool,
    #[diesel(sql_type = Bool)]
    is_held: bool,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    session_id: Option<Uuid>,
}

/// Claims jobs that are due, of the tenants after `after`: a worker goes from claim to claim by [`Claimed::next`] and then
/// begins anew with the nil UUID, so that everybody's turn comes.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn claim(conn: &mut PgConnection, claims: &Claims, after: Uuid) -> Result<Claimed> {
    let not_of: Vec<Uuid> = claims.not_of.iter().map(|tenant| tenant.uuid()).collect();
    let rows: Vec<Row> = sql_query(CLAIM)
        .bind::<SqlUuid, _>(after)
        .bind::<Integer, _>(TENANTS)
        .bind::<BigInt, _>(claims.per_tenant)
        .bind::<BigInt, _>(claims.jobs)
        .bind::<Double, _>(claims.lease.as_secs_f64())
        .bind::<Array<SqlUuid>, _>(not_of)
        .load(conn)?;
    let next = rows.first().and_then(|row| row.last_chosen.or(row.last_visited));
    let queued: BTreeSet<_> = rows
        .first()
        .into_iter()
        .flat_map(|row| {
            row.queued_tenants
                .iter()
                .copied()
                .zip(row.queued_sessions.iter().copied())
        })
        .collect();
    // What was claimed is claimed all the same: those jobs are met again.
    if let Err(error) = session::queue(conn, queued) {
        tracing::warn!(%error, "jobs behind others of their session could not be marked");
    }
    let rows = rows.into_iter().filter_map(|row| row.job);
    let (held, rows): (Vec<JobRow>, Vec<JobRow>) = rows.partition(|row| row.is_held);
    let mut jobs: Vec<ClaimedJob> = rows.into_iter().map(ClaimedJob::from).collect();
    jobs.sort_by_key(|job| (job.due_at, job.lease.job));
    Ok(Claimed {
        jobs,
        held: held.len(),
        next,
    })
}

impl From<JobRow> for ClaimedJob {
    fn from(row: JobRow) -> Self {
        // They were committed in the order in which their bodies were complete.
        let mut event_ids: Vec<EventId> = row.event_ids.into_iter().map(EventId::from).collect();
        event_ids.sort_unstable();
        Self {
            lease: Lease {
                scope: TenantScope::proven(row.tenant_id.into()),
                job: JobId::from(row.id),
                token: row.lease_token,
            },
            webhook_id: row.webhook_id.into(),
            revision_id: row.revision_id.into(),
            event_ids,
            due_at: row.due_at,
            claims: row.attempt,
            answer_to: row.answer_to,
            state: row.state,
            has_payload: row.has_payload,
            is_callback: row.is_callback,
            turn_of: row.waits_for.map(DestinationId::from),
            session_id: row.session_id,
        }
    }
}
