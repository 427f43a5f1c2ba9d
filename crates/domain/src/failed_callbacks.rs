//! Calls that runs left behind and that did not arrive after all their retries. Each is kept with its sealed request, so that it
//! can be made again alone, until maintenance deletes it.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bytea, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use hookgate_model::ids::{AttemptId, DestinationId, EventId, JobId, RunId, WebhookId};
use uuid::Uuid;

use crate::error::Result;
use crate::jobs::{JobResult, callback_id};
use crate::page::Page;
use crate::schema::{attempts, failed_callbacks};
use crate::scope::TenantScope;

/// A call that did not arrive.
#[derive(Debug, Clone)]
pub struct FailedCallback {
    /// The run that left it behind.
    pub run_id: RunId,
    /// The step that did.
    pub step: String,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Where it was to go.
    pub destination_id: DestinationId,
    /// When it was given up.
    pub failed_at: DateTime<Utc>,
    /// Its last attempt.
    pub attempt_id: AttemptId,
    /// Which one that was, from 1.
    pub attempts: Option<i32>,
    /// What the destination answered to it.
    pub status: Option<i16>,
    /// What was wrong with it.
    pub error: Option<String>,
}

/// Which of them are meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct FailedCallbackFilter {
    /// This one.
    pub id: Option<JobId>,
    /// Of this webhook.
    pub webhook_id: Option<WebhookId>,
    /// To this destination.
    pub destination_id: Option<DestinationId>,
    /// Of events received at this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Of events received before this moment.
    pub to: Option<DateTime<Utc>>,
}

impl FailedCallbackFilter {
    /// That of a run's step.
    pub fn of_step(run: RunId, step: &str) -> Self {
        Self {
            id: Some(callback_id(run.into(), step)),
            ..Self::default()
        }
    }
}

/// Keeps the calls that did not arrive.
pub(crate) fn keep(conn: &mut PgConnection, scope: &TenantScope, results: &[&JobResult]) -> Result<()> {
    for result in results {
        let (Some(state), Some(attempt)) = (&result.failed_callback, result.attempts.last()) else {
            continue;
        };
        sql_query(
            "INSERT INTO failed_callbacks
               (tenant_id, id, webhook_id, revision_id, event_id, state, destination_id, step, attempt_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        )
        .bind::<SqlUuid, _>(scope.uuid())
        .bind::<SqlUuid, _>(result.lease.job.uuid())
        .bind::<SqlUuid, _>(result.webhook_id.uuid())
        .bind::<SqlUuid, _>(result.revision_id.uuid())
        .bind::<SqlUuid, _>(attempt.event_id.uuid())
        .bind::<Bytea, _>(state)
        .bind::<SqlUuid, _>(attempt.destination_id.uuid())
        .bind::<Text, _>(&attempt.step)
        .bind::<SqlUuid, _>(attempt.id.uuid())
        .execute(conn)?;
    }
    Ok(())
}

/// A page of them, those given up last in front.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &FailedCallbackFilter,
    page: Page,
) -> Result<Vec<FailedCallback>> {
    type Row = (
        (
            Uuid,
            Option<String>,
            Uuid,
            Option<Uuid>,
            DateTime<Utc>,
            Option<Uuid>,
        ),
        Option<(i32, Option<i16>, Option<String>)>,
    );
    let last = attempts::tenant_id
        .eq(failed_callbacks::tenant_id)
        .and(attempts::id.nullable().eq(failed_callbacks::attempt_id));
    let mut query = failed_callbacks::table
        .left_join(attempts::table.on(last))
        .filter(failed_callbacks::tenant_id.eq(scope.uuid()))
        .filter(failed_callbacks::attempt_id.lt(page.below()))
        .order(failed_callbacks::attempt_id.desc())
        .limit(page.limit)
        .select((
            (
                failed_callbacks::event_id,
                failed_callbacks::step,
                failed_callbacks::webhook_id,
                failed_callbacks::destination_id,
                failed_callbacks::failed_at,
                failed_callbacks::attempt_id,
            ),
            (attempts::number, attempts::status, attempts::error).nullable(),
        ))
        .into_boxed();
    if let Some(webhook) = filter.webhook_id {
        query = query.filter(failed_callbacks::webhook_id.eq(webhook.uuid()));
    }
    if let Some(destination) = filter.destination_id {
        query = query.filter(failed_callbacks::destination_id.eq(destination.uuid()));
    }
    let rows: Vec<Row> = query.load(conn)?;
    let read = |((event, step, webhook, destination, failed_at, attempt), last): Row| {
        let last = last.unwrap_or_default();
        Some(FailedCallback {
            run_id: EventId::from(event).into(),
            step: step?,
            webhook_id: webhook.into(),
            destination_id: destination?.into(),
            failed_at,
            attempt_id: attempt?.into(),
            attempts: (last.0 > 0).then_some(last.0),
            status: last.1,
            error: last.2,
        })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

const MATCHING: &str = "tenant_id = $1 AND ($2 IS NULL OR id = $2) AND ($3 IS NULL OR webhook_id = $3)
    AND ($4 IS NULL OR destination_id = $4)
    AND ($5 IS NULL OR event_id >= uuidv7_floor($5)) AND ($6 IS NULL OR event_id < uuidv7_floor($6))
    AND EXISTS (SELECT FROM webhooks WHERE webhooks.tenant_id = $1 AND webhooks.id = webhook_id)";

/// How many a filter finds.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn count(conn: &mut PgConnection, scope: &TenantScope, filter: &FailedCallbackFilter) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let query = format!("SELECT count(*) AS count FROM failed_callbacks WHERE {MATCHING}");
    Ok(sql_query(query)
        .bind::<SqlUuid, _>(scope.uuid())
        .bind::<Nullable<SqlUuid>, _>(filter.id.map(|id| id.uuid()))
        .bind::<Nullable<SqlUuid>, _>(filter.webhook_id.map(|id| id.uuid()))
        .bind::<Nullable<SqlUuid>, _>(filter.destination_id.map(|id| id.uuid()))
        .bind::<Nullable<Timestamptz>, _>(filter.from)
        .bind::<Nullable<Timestamptz>, _>(filter.to)
        .get_result::<Count>(conn)?
        .count)
}

/// Lets those that a filter finds go on, the oldest first, at most so many: with all their retries before them and the same
/// idempotency keys. Returns how many there were.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn retry(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &FailedCallbackFilter,
    most: i64,
) -> Result<usize> {
    // A token that no lease of the past has.
    let query = format!(
        "WITH chosen AS (SELECT id FROM failed_callbacks WHERE {MATCHING} ORDER BY failed_at LIMIT $7), failed AS (
           DELETE FROM failed_callbacks USING chosen
           WHERE failed_callbacks.tenant_id = $1 AND failed_callbacks.id = chosen.id
           RETURNING failed_callbacks.id, webhook_id, revision_id, event_id, state)
         INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, is_retry, is_callback, state, lease_token)
         SELECT $1, id, webhook_id, revision_id, ARRAY[event_id], true, true, state, (extract(epoch FROM now()) * 1000)::bigint
         FROM failed ON CONFLICT DO NOTHING"
    );
    Ok(sql_query(query)
        .bind::<SqlUuid, _>(scope.uuid())
        .bind::<Nullable<SqlUuid>, _>(filter.id.map(|id| id.uuid()))
        .bind::<Nullable<SqlUuid>, _>(filter.webhook_id.map(|id| id.uuid()))
        .bind::<Nullable<SqlUuid>, _>(filter.destination_id.map(|id| id.uuid()))
        .bind::<Nullable<Timestamptz>, _>(filter.from)
        .bind::<Nullable<Timestamptz>, _>(filter.to)
        .bind::<BigInt, _>(most)
        .execute(conn)?)
}

/// Deletes what was kept before `oldest`, at most so many; returns how many there were. For the maintenance.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete_old(conn: &mut PgConnection, oldest: DateTime<Utc>, most: i64) -> Result<usize> {
    Ok(sql_query(
        "DELETE FROM failed_callbacks USING (
           SELECT tenant_id, id FROM failed_callbacks WHERE failed_at < $1 ORDER BY failed_at LIMIT $2) gone
         WHERE failed_callbacks.tenant_id = gone.tenant_id AND failed_callbacks.id = gone.id",
    )
    .bind::<Timestamptz, _>(oldest)
    .bind::<BigInt, _>(most)
    .execute(conn)?)
}
