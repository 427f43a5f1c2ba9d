//! Runs: what flows did, one for each event that had work behind it. A run is written once, when it has finished.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use std::ops::Range;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Timestamptz, Uuid as SqlUuid};
use hookgate_model::answer::Answer;
use hookgate_model::ids::{RevisionId, RunId, WebhookId};
use uuid::Uuid;

use crate::crypto::RunKey;
use crate::error::{Error, Result};
use crate::jobs::callback_id;
use crate::page::{self, Found, Page};
use crate::schema::{attempts, jobs, runs};
use crate::scope::TenantScope;

/// A finished run, without its steps and answer.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = runs, check_for_backend(diesel::pg::Pg))]
pub struct Run {
    /// Its id, with the UUID of its event.
    #[diesel(deserialize_as = Uuid)]
    pub id: RunId,
    /// The webhook.
    #[diesel(deserialize_as = Uuid)]
    pub webhook_id: WebhookId,
    /// The revision that ran.
    #[diesel(deserialize_as = Uuid)]
    pub revision_id: RevisionId,
    /// How it ended.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
    /// When a worker first took it up.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

/// The rest of a run.
#[derive(Debug, Clone)]
pub struct RunContent {
    /// A record for each step, as the worker wrote it.
    pub steps: Vec<u8>,
    /// What the caller got, or would have got.
    pub answer: Option<Answer>,
    /// Whether there was an answer that data protection does not let anybody read any more.
    pub answer_withheld: bool,
}

/// Which runs are wanted; `None` means any.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Of this webhook.
    pub webhook_id: Option<WebhookId>,
    /// That ended like this.
    pub outcome: Option<String>,
    /// Of events received at this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Of events received before this moment.
    pub to: Option<DateTime<Utc>>,
}

/// A page of the tenant's runs.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &RunFilter,
    page: Page,
) -> Result<Found<Run>> {
    let indexed = |ids: Range<Uuid>| {
        let mut query = runs::table
            .filter(runs::tenant_id.eq(scope.uuid()))
            .filter(runs::id.ge(ids.start))
            .filter(runs::id.lt(ids.end))
            .order(runs::id.desc())
            .into_boxed();
        if let Some(webhook) = filter.webhook_id {
            query = query.filter(runs::webhook_id.eq(webhook.uuid()));
        }
        query
    };
    let time = page::between(filter.from, filter.to);
    let newest = |conn: &mut PgConnection, ids: Range<Uuid>, most| {
        let mut query = indexed(time.start.max(ids.start)..time.end.min(ids.end)).limit(most);
        if let Some(outcome) = &filter.outcome {
            query = query.filter(runs::outcome.eq(outcome));
        }
        Ok(query.select(Run::as_select()).load(conn)?)
    };
    if filter.outcome.is_none() {
        return page.recent_first(conn, newest);
    }
    page.in_slices(
        conn,
        |conn, below, n| {
            let nth = indexed(time.start..time.end.min(below)).offset(n - 1).limit(1);
            Ok(nth.select(runs::id).first(conn).optional()?)
        },
        newest,
    )
}

/// One run.
///
/// # Errors
/// [`Error::NotFound`], also while it has not finished.
pub fn read(conn: &mut PgConnection, scope: &TenantScope, id: RunId) -> Result<Run> {
    Ok(runs::table
        .find((scope.uuid(), id.uuid()))
        .select(Run::as_select())
        .first(conn)?)
}

/// The steps and the answer of a run.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unreadable`] when the stored answer is damaged.
pub fn content(conn: &mut PgConnection, scope: &TenantScope, id: RunId) -> Result<RunContent> {
    let (steps, answer): (Vec<u8>, Option<Vec<u8>>) = runs::table
        .find((scope.uuid(), id.uuid()))
        .select((runs::steps, runs::answer))
        .first(conn)?;
    let answer_withheld = answer.as_deref().is_some_and(RunKey::has_sealed);
    let decode = |stored: Vec<u8>| Answer::decode(&stored).ok_or(Error::Unreadable { what: "answer" });
    Ok(RunContent {
        steps,
        answer: answer.filter(|_| !answer_withheld).map(decode).transpose()?,
        answer_withheld,
    })
}

/// What became of a call that a run left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackState {
    /// The step that made it.
    pub step: String,
    /// `pending`, `succeeded` or `failed`.
    pub outcome: &'static str,
    /// How many attempts there were.
    pub attempts: i32,
    /// The status that the last one got.
    pub status: Option<i16>,
}

/// What became of the calls that these steps of a run left behind.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn callbacks(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: RunId,
    steps: &[&str],
) -> Result<Vec<CallbackState>> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let jobs_of: Vec<Uuid> = steps
        .iter()
        .map(|step| callback_id(id.into(), step).uuid())
        .collect();
    let pending: Vec<Uuid> = jobs::table
        .filter(jobs::tenant_id.eq(scope.uuid()))
        .filter(jobs::id.eq_any(&jobs_of))
        .select(jobs::id)
        .load(conn)?;
    let made: Vec<(String, i32, String, Option<i16>)> = attempts::table
        .filter(attempts::tenant_id.eq(scope.uuid()))
        .filter(attempts::run_id.eq(id.uuid()))
        .filter(attempts::step.eq_any(steps))
        .order(attempts::id)
        .select((
            attempts::step,
            attempts::number,
            attempts::outcome,
            attempts::status,
        ))
        .load(conn)?;
    let state = |(step, job): (&&str, &Uuid)| {
        let last = made.iter().rev().find(|(of, ..)| of == *step);
        let outcome = match last {
            _ if pending.contains(job) => "pending",
            Some((_, _, outcome, _)) if outcome == "succeeded" => "succeeded",
            _ => "failed",
        };
        CallbackState {
            step: (*step).to_owned(),
            outcome,
            attempts: last.map_or(0, |(_, number, ..)| *number),
            status: last.and_then(|(.., status)| *status),
        }
    };
    Ok(steps.iter().zip(&jobs_of).map(state).collect())
}

/// Which failed runs are to go on; `None` means any. Runs of events that are stored masked, or have a session, are never among
/// them: what their flows would need is gone, or others have had their turn.
#[derive(Debug, Clone, Default)]
pub struct RetryFilter {
    /// This one.
    pub id: Option<RunId>,
    /// Of this webhook.
    pub webhook_id: Option<WebhookId>,
    /// Of events received at this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Of events received before this moment.
    pub to: Option<DateTime<Utc>>,
}

const RETRYABLE: &str = "runs.tenant_id = $1 AND outcome IN ('failed', 'crashed') AND state IS NOT NULL
    AND ($2 IS NULL OR runs.id = $2) AND ($3 IS NULL OR webhook_id = $3)
    AND ($4 IS NULL OR runs.id >= uuidv7_floor($4)) AND ($5 IS NULL OR runs.id < uuidv7_floor($5))
    AND EXISTS (SELECT FROM webhooks WHERE webhooks.tenant_id = $1 AND webhooks.id = webhook_id)";

/// How many failed runs a filter finds that can go on.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn count_retryable(conn: &mut PgConnection, scope: &TenantScope, filter: &RetryFilter) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let query = sql_query(format!("SELECT count(*) AS count FROM runs WHERE {RETRYABLE}"));
    Ok(query
        .bind::<SqlUuid, _>(scope.uuid())
        .bind::<Nullable<SqlUuid>, _>(filter.id.map(|id| id.uuid()))
        .bind::<Nullable<SqlUuid>, _>(filter.webhook_id.map(|id| id.uuid()))
        .bind::<Nullable<Timestamptz>, _>(filter.from)
        .bind::<Nullable<Timestamptz>, _>(filter.to)
        .get_result::<Count>(conn)?
        .count)
}

/// Lets failed runs go on, the oldest first, at most so many: at the step that failed, with what the steps before it gave, and
/// with the same idempotency keys. The runs are taken away until they end again. Returns how many there were.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn retry(conn: &mut PgConnection, scope: &TenantScope, filter: &RetryFilter, most: i64) -> Result<usize> {
    // A token that no lease of the past has.
    let query = sql_query(format!(
        "WITH chosen AS (SELECT id FROM runs WHERE {RETRYABLE} ORDER BY id LIMIT $6), failed AS (
           DELETE FROM runs USING chosen WHERE runs.tenant_id = $1 AND runs.id = chosen.id
           RETURNING runs.id, webhook_id, revision_id, state)
         INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, is_retry, state, lease_token)
         SELECT $1, id, webhook_id, revision_id, ARRAY[id], true, state, (extract(epoch FROM now()) * 1000)::bigint
         FROM failed ON CONFLICT DO NOTHING"
    ));
    Ok(query
        .bind::<SqlUuid, _>(scope.uuid())
        .bind::<Nullable<SqlUuid>, _>(filter.id.map(|id| id.uuid()))
        .bind::<Nullable<SqlUuid>, _>(filter.webhook_id.map(|id| id.uuid()))
        .bind::<Nullable<Timestamptz>, _>(filter.from)
        .bind::<Nullable<Timestamptz>, _>(filter.to)
        .bind::<BigInt, _>(most)
        .execute(conn)?)
}
