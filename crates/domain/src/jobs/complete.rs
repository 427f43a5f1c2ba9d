//! Completing work: the runs, their attempts, what is left for later, and the end of the job, in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{
    Array, BigInt, Bool, Bytea, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid,
};
use hookgate_model::flow::advance::RunOutcome;
use hookgate_model::ids::{AttemptId, DestinationId, EventId, RevisionId, WebhookId};
use serde_json::Value;
use uuid::Uuid;

use super::callback::{self, NewCallback};
use super::lease::{HeldRow, Lease, columns, held};
use super::session;
use crate::error::Result;
use crate::failed_callbacks;
use crate::notifications::{self, Notice, Notifier};
use crate::scope::{TenantScope, transaction};
use crate::sessions::{self, SessionWrite};

/// What became of a job while it was leased.
#[derive(Debug, Clone)]
pub struct JobResult {
    /// The proof that it may be told.
    pub lease: Lease,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The revision that ran.
    pub revision_id: RevisionId,
    /// The ingress node whose caller waits.
    pub answer_to: Option<String>,
    /// The session that the job has its turn in.
    pub session_id: Option<Uuid>,
    /// What is left in it.
    pub session: Option<SessionWrite>,
    /// The events that are over.
    pub finished: Vec<FinishedRun>,
    /// The calls that were made.
    pub attempts: Vec<NewAttempt>,
    /// What is to be done later: each becomes a job of its own.
    pub again: Vec<Again>,
    /// The calls that the runs left behind: each becomes a job of its own.
    pub callbacks: Vec<NewCallback>,
    /// Whether the job is such a call itself.
    pub is_callback: bool,
    /// Of such a call that did not arrive: the sealed request, if it may be made again one day.
    pub failed_callback: Option<Vec<u8>>,
    /// What the tenant may want to be told of.
    pub notices: Vec<Notice>,
}

/// A run that is over.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// The event, which gives the run its id.
    pub event_id: EventId,
    /// What it came to.
    pub outcome: RunOutcome,
    /// Why it failed.
    pub error: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// A record for each step, as JSON.
    pub steps: Vec<u8>,
    /// The caller's answer in its stored form.
    pub answer: Option<Vec<u8>>,
    /// Of a run that failed: how far it came, if it may go on one day.
    pub state: Option<Vec<u8>>,
}

/// A call that was made.
#[derive(Debug, Clone)]
pub struct NewAttempt {
    /// Its id.
    pub id: AttemptId,
    /// The event of the run.
    pub event_id: EventId,
    /// Where it went.
    pub destination_id: DestinationId,
    /// The step that made it.
    pub step: String,
    /// Counts the attempts of that step from 1.
    pub number: i32,
    /// The method.
    pub method: &'static str,
    /// The URL, without its query.
    pub url: String,
    /// `succeeded` or `failed`.
    pub outcome: &'static str,
    /// The status of the answer.
    pub status: Option<i16>,
    /// What went wrong.
    pub error: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took, in microseconds.
    pub duration_us: i64,
    /// How long its parts took.
    pub timing: Value,
    /// The beginning of the answer's body.
    pub response_preview: Option<Vec<u8>>,
}

/// Work for later, of one or more events of the job.
#[derive(Debug, Clone)]
pub struct Again {
    /// The events; one alone if there is a state.
    pub event_ids: Vec<EventId>,
    /// When.
    pub due_at: DateTime<Utc>,
    /// How far the event has come.
    pub state: Option<Vec<u8>>,
    /// How often it was claimed without progress.
    pub claims: i32,
    /// Whether it has been tried before, and queues behind what has not.
    pub is_retry: bool,
    /// What it waits for besides its time.
    pub waits: Waits,
}

/// What work waits for besides its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Waits {
    /// Nothing.
    #[default]
    Nothing,
    /// The turn that a destination's rate has given it.
    Turn(DestinationId),
    /// That somebody resumes a destination. It is held until then.
    Resumption(DestinationId),
}

impl Waits {
    fn destination(self) -> Option<Uuid> {
        match self {
            Self::Nothing => None,
            Self::Turn(destination) | Self::Resumption(destination) => Some(destination.uuid()),
        }
    }

    fn is_held(self) -> bool {
        matches!(self, Self::Resumption(_))
    }
}

/// Whether a job's result was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// It was.
    Written,
    /// Another worker has the job, or has completed it: nothing was written.
    LeaseLost,
}

/// Completes jobs of any number of tenants in one transaction.
///
/// # Errors
/// When Postgres cannot be reached or refuses a row; nothing is written then.
pub fn complete(
    conn: &mut PgConnection,
    notifier: &Notifier,
    results: &[JobResult],
) -> Result<Vec<Completion>> {
    let mut tenants: BTreeMap<Uuid, Vec<&JobResult>> = BTreeMap::new();
    for result in results {
        tenants.entry(result.lease.scope.uuid()).or_default().push(result);
    }
    let held = transaction(conn, |conn| {
        let (mut held, mut turns) = (HashSet::new(), BTreeSet::new());
        for results in tenants.values() {
            let Some(first) = results.first() else { continue };
            let scope = first.lease.scope;
            scope.enter(conn)?;
            let (going_on, over): (Vec<&JobResult>, Vec<&JobResult>) =
                results.iter().partition(|result| result.goes_on().is_some());
            let mut ended = end_leases(conn, &over)?;
            ended.extend(put_off(conn, &going_on)?);
            let written: Vec<&JobResult> = results
                .iter()
                .copied()
                .filter(|result| ended.contains(&result.lease))
                .collect();
            insert_runs(conn, &scope, &written)?;
            let made = written.iter().flat_map(|result| {
                let of_result = |attempt| (result.webhook_id, attempt);
                result.attempts.iter().map(of_result)
            });
            insert_attempts(conn, &scope, &made.collect::<Vec<_>>())?;
            insert_jobs(conn, &scope, &written)?;
            for result in &written {
                if let Some(session) = &result.session {
                    sessions::write(conn, &scope, result.webhook_id, session)?;
                }
            }
            turns.extend(
                written
                    .iter()
                    .filter_map(|result| Some((scope.uuid(), result.session_id?))),
            );
            callback::insert(conn, &scope, &written)?;
            failed_callbacks::keep(conn, &scope, &written)?;
            let notices = written.iter().flat_map(|result| result.notices.iter().cloned());
            notifications::announce(conn, &scope, notifier, &notices.collect::<Vec<_>>())?;
            held.extend(written.iter().map(|result| result.lease));
        }
        session::release(conn, turns)?;
        Ok::<_, crate::Error>(held)
    })?;
    let completion = |result: &JobResult| {
        if held.contains(&result.lease) {
            Completion::Written
        } else {
            Completion::LeaseLost
        }
    };
    Ok(results.iter().map(completion).collect())
}

impl JobResult {
    /// What is to be done later, when that is all of the job: it stays then, with what it holds.
    fn goes_on(&self) -> Option<&Again> {
        match (&self.finished[..], &self.again[..]) {
            ([], [again])
                if self.is_callback || again.event_ids[..] == [EventId::from(self.lease.job.uuid())] =>
            {
                Some(again)
            }
            _ => None,
        }
    }
}

/// Gives back the jobs whose lease is still held and that go on later, and returns those leases. The tokens go on, so that
/// no lease of the past fits.
fn put_off(conn: &mut PgConnection, results: &[&JobResult]) -> Result<HashSet<Lease>> {
    if results.is_empty() {
        return Ok(HashSet::new());
    }
    let leases = || results.iter().map(|result| &result.lease);
    let (tenants, jobs, tokens) = columns(leases());
    macro_rules! column {
        ($again:ident => $value:expr) => {
            results
                .iter()
                .filter_map(|result| result.goes_on())
                .map(|$again| $value)
                .collect::<Vec<_>>()
        };
    }
    let rows: Vec<HeldRow> = sql_query(
        "UPDATE jobs SET due_at = due, leased_until = NULL, lease_token = lease_token + 1, attempt = claims,
           is_retry = retry, state = new_state, waits_for = waits, is_held = held
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
           AS mine (tenant_id, id, token, due, claims, retry, new_state, waits, held)
         WHERE jobs.tenant_id = mine.tenant_id AND jobs.id = mine.id AND lease_token = token
         RETURNING jobs.id, token AS lease_token",
    )
    .bind::<Array<SqlUuid>, _>(tenants)
    .bind::<Array<SqlUuid>, _>(jobs)
    .bind::<Array<BigInt>, _>(tokens)
    .bind::<Array<Timestamptz>, _>(column!(again => again.due_at))
    .bind::<Array<Integer>, _>(column!(again => again.claims))
    .bind::<Array<Bool>, _>(column!(again => again.is_retry))
    .bind::<Array<Nullable<Bytea>>, _>(column!(again => again.state.as_deref()))
    .bind::<Array<Nullable<SqlUuid>>, _>(column!(again => again.waits.destination()))
    .bind::<Array<Bool>, _>(column!(again => again.waits.is_held()))
    .load(conn)?;
    Ok(held(rows, leases()))
}

/// Deletes the jobs whose lease is still held, and returns those leases.
fn end_leases(conn: &mut PgConnection, results: &[&JobResult]) -> Result<HashSet<Lease>> {
    if results.is_empty() {
        return Ok(HashSet::new());
    }
    let leases = || results.iter().map(|result| &result.lease);
    let (tenants, jobs, tokens) = columns(leases());
    let rows: Vec<HeldRow> = sql_query(
        "DELETE FROM jobs USING unnest($1, $2, $3) AS mine (tenant_id, id, token)
         WHERE jobs.tenant_id = mine.tenant_id AND jobs.id = mine.id AND lease_token = token
         RETURNING jobs.id, lease_token",
    )
    .bind::<Array<SqlUuid>, _>(tenants)
    .bind::<Array<SqlUuid>, _>(jobs)
    .bind::<Array<BigInt>, _>(tokens)
    .load(conn)?;
    Ok(held(rows, leases()))
}

fn insert_runs(conn: &mut PgConnection, scope: &TenantScope, results: &[&JobResult]) -> Result<()> {
    let runs: Vec<(&JobResult, &FinishedRun)> = results
        .iter()
        .flat_map(|result| result.finished.iter().map(|run| (*result, run)))
        .collect();
    if runs.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&JobResult, &FinishedRun) -> Uuid| -> Vec<Uuid> {
        runs.iter().map(|(result, run)| value(result, run)).collect()
    };
    // A run that is there already was written by the completion whose outcome this worker never learnt.
    sql_query(
        "INSERT INTO runs (tenant_id, id, webhook_id, revision_id, outcome, error, started_at, finished_at, steps, answer,
           state) SELECT $1, * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(scope.uuid())
    .bind::<Array<SqlUuid>, _>(column(|_, run| run.event_id.uuid()))
    .bind::<Array<SqlUuid>, _>(column(|result, _| result.webhook_id.uuid()))
    .bind::<Array<SqlUuid>, _>(column(|result, _| result.revision_id.uuid()))
    .bind::<Array<Text>, _>(runs.iter().map(|(_, run)| run.outcome.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(runs.iter().map(|(_, run)| run.error.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(runs.iter().map(|(_, run)| run.started_at).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(runs.iter().map(|(_, run)| run.finished_at).collect::<Vec<_>>())
    .bind::<Array<Bytea>, _>(runs.iter().map(|(_, run)| run.steps.as_slice()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Bytea>>, _>(runs.iter().map(|(_, run)| run.answer.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Bytea>>, _>(runs.iter().map(|(_, run)| run.state.as_deref()).collect::<Vec<_>>())
    .execute(conn)?;
    Ok(())
}

/// Inserts calls that were made, each with the webhook on whose behalf it was.
pub(super) fn insert_attempts(
    conn: &mut PgConnection,
    scope: &TenantScope,
    made: &[(WebhookId, &NewAttempt)],
) -> Result<()> {
    if made.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        ($attempt:ident => $value:expr) => {
            made.iter().map(|(_, $attempt)| $value).collect::<Vec<_>>()
        };
    }
    sql_query(
        "INSERT INTO attempts (tenant_id, id, run_id, webhook_id, destination_id, step, number, method, url, outcome, status,
           error, started_at, duration_us, timing, response_preview)
         SELECT $1, * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind::<SqlUuid, _>(scope.uuid())
    .bind::<Array<SqlUuid>, _>(column!(attempt => attempt.id.uuid()))
    .bind::<Array<SqlUuid>, _>(column!(attempt => attempt.event_id.uuid()))
    .bind::<Array<SqlUuid>, _>(made.iter().map(|(webhook, _)| webhook.uuid()).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(column!(attempt => attempt.destination_id.uuid()))
    .bind::<Array<Text>, _>(column!(attempt => attempt.step.as_str()))
    .bind::<Array<Integer>, _>(column!(attempt => attempt.number))
    .bind::<Array<Text>, _>(column!(attempt => attempt.method))
    .bind::<Array<Text>, _>(column!(attempt => attempt.url.as_str()))
    .bind::<Array<Text>, _>(column!(attempt => attempt.outcome))
    .bind::<Array<Nullable<SmallInt>>, _>(column!(attempt => attempt.status))
    .bind::<Array<Nullable<Text>>, _>(column!(attempt => attempt.error.as_deref()))
    .bind::<Array<Timestamptz>, _>(column!(attempt => attempt.started_at))
    .bind::<Array<BigInt>, _>(column!(attempt => attempt.duration_us))
    .bind::<Array<Jsonb>, _>(column!(attempt => &attempt.timing))
    .bind::<Array<Nullable<Bytea>>, _>(column!(attempt => attempt.response_preview.as_deref()))
    .execute(conn)?;
    Ok(())
}

/// Inserts what is left for later. The tokens go on from the job that was claimed, so that no lease of the past fits.
fn insert_jobs(conn: &mut PgConnection, scope: &TenantScope, results: &[&JobResult]) -> Result<()> {
    for result in results.iter().filter(|result| result.goes_on().is_none()) {
        for again in &result.again {
            let Some(first) = again.event_ids.first() else {
                continue;
            };
            sql_query(
                "INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, due_at, lease_token, attempt, is_retry,
                   answer_to, state, waits_for, is_held, session_id)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            )
            .bind::<SqlUuid, _>(scope.uuid())
            .bind::<SqlUuid, _>(first.uuid())
            .bind::<SqlUuid, _>(result.webhook_id.uuid())
            .bind::<SqlUuid, _>(result.revision_id.uuid())
            .bind::<Array<SqlUuid>, _>(again.event_ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
            .bind::<Timestamptz, _>(again.due_at)
            .bind::<BigInt, _>(result.lease.token + 1)
            .bind::<Integer, _>(again.claims)
            .bind::<Bool, _>(again.is_retry)
            .bind::<Nullable<Text>, _>(result.answer_to.as_deref())
            .bind::<Nullable<Bytea>, _>(again.state.as_deref())
            .bind::<Nullable<SqlUuid>, _>(again.waits.destination())
            .bind::<Bool, _>(again.waits.is_held())
            .bind::<Nullable<SqlUuid>, _>(result.session_id)
            .execute(conn)?;
        }
    }
    Ok(())
}
