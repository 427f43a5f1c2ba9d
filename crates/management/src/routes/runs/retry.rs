//! Runs that failed, and go on: one by one, or as many as a filter finds.

use actix_web::post;
use chrono::{DateTime, Utc};
use hookgate_domain::runs::{self, RetryFilter};
use hookgate_model::ids::{EventId, RunId, WebhookId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::permissions::EventsWrite;
use crate::auth::{Caller, Guarded};
use crate::body::{Json, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::fields::{Fields, FromFields, boolean, parsed, time};
use crate::path::Path;

/// The most runs, or callbacks, that one request lets go on.
pub(in crate::routes) const MOST: i64 = 1_000;

/// A run that goes on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetriedRun, example = json!({"event_id": "evt_01k9z3v8e5f2q8r7w6t5y4x3m2"}))]
pub struct RetriedView {
    /// Its event, which is pending until the run ends again.
    event_id: EventId,
}

/// Retry a run
///
/// A run that failed goes on at the step that failed, with what the steps before it gave and with the same idempotency keys. It
/// is not there until it ends again. To run the whole flow once more, replay the event.
#[utoipa::path(tag = "runs", operation_id = "retryRun", security(("bearer" = ["events:write"])),
    responses((status = 200, description = "It goes on", body = RetriedView),
        (status = 409, description = "wrong_state")))]
#[post("/runs/{id}/retry")]
pub(super) async fn retry_run(
    caller: Guarded<EventsWrite>,
    Path((id,)): Path<(RunId,)>,
) -> ApiResult<Reply<RetriedView>> {
    caller
        .run(move |conn, scope| {
            let filter = RetryFilter {
                id: Some(id),
                ..RetryFilter::default()
            };
            if runs::retry(conn, scope, &filter, 1)? == 1 {
                return Ok(());
            }
            let run = runs::read(conn, scope, id)?;
            let detail = match run.outcome.as_str() {
                "failed" | "crashed" => {
                    "it cannot go on: its event is stored masked or belongs to a session, or its webhook was deleted"
                }
                _ => "it did not fail",
            };
            Err(ApiError::new(ErrorCode::WrongState, detail))
        })
        .await?;
    wake(&caller).await;
    Ok(Reply::ok(RetriedView { event_id: id.into() }))
}

/// Which failed runs go on.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2", "from": "2026-11-21T12:00:00Z",
    "to": "2026-11-21T13:00:00Z", "dry_run": true}))]
pub struct RunRetries {
    /// Of this webhook; by default of all.
    pub webhook_id: Option<WebhookId>,
    /// Of events received at this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Of events received before this moment.
    pub to: Option<DateTime<Utc>>,
    /// Whether to count them alone.
    #[schema(required = false, default = false)]
    pub dry_run: bool,
}

/// Read and valid.
struct Retries {
    filter: RetryFilter,
    dry_run: bool,
}

impl FromFields for Retries {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let webhook_id = fields.optional("webhook_id", parsed);
        let from = fields.optional("from", time);
        let to = fields.optional("to", time);
        let dry_run = fields.or("dry_run", false, boolean);
        Some(Self {
            filter: RetryFilter {
                id: None,
                webhook_id: webhook_id?,
                from: from?,
                to: to?,
            },
            dry_run: dry_run?,
        })
    }
}

/// What a request for retries came to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"matched": 1200, "retried": 1000}))]
pub struct RetriedRuns {
    /// How many failed runs there were that can go on.
    matched: i64,
    /// How many of them go on now: the oldest, at most 1,000. Ask again for the rest.
    retried: usize,
}

/// Retry failed runs
///
/// Lets those that a filter finds go on, or counts them with `dry_run`.
#[utoipa::path(tag = "runs", operation_id = "retryRuns", security(("bearer" = ["events:write"])),
    request_body = RunRetries,
    responses((status = 200, description = "How many there were, and how many go on", body = RetriedRuns),
        (status = 429, description = "too_many_requests")))]
#[post("/runs/retry")]
pub(super) async fn retry_runs(
    caller: Guarded<EventsWrite>,
    Json(Retries { filter, dry_run }): Json<Retries>,
) -> ApiResult<Reply<RetriedRuns>> {
    let _place = caller.state().searches.take(&caller)?;
    let retried = caller
        .run(move |conn, scope| {
            let matched = runs::count_retryable(conn, scope, &filter)?;
            let retried = if dry_run {
                0
            } else {
                runs::retry(conn, scope, &filter, MOST)?
            };
            Ok::<_, ApiError>(RetriedRuns { matched, retried })
        })
        .await?;
    if retried.retried > 0 {
        wake(&caller).await;
    }
    Ok(Reply::ok(retried))
}

pub(in crate::routes) async fn wake(caller: &Caller) {
    if let Err(error) = caller.state().redis.wake_workers().await {
        tracing::debug!(%error, "workers find the job by polling");
    }
}
