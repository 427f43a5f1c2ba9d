//! Callbacks that did not arrive after all their retries: listed, and made again as many as a filter finds. One alone is made
//! again at its run.

use actix_web::{get, post};
use chrono::{DateTime, Utc};
use hookgate_domain::failed_callbacks::{self, FailedCallback, FailedCallbackFilter};
use hookgate_model::ids::{AttemptId, DestinationId, RunId, WebhookId};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::runs::retry::{MOST, wake};
use crate::auth::Guarded;
use crate::auth::permissions::{EventsWrite, RunsRead};
use crate::body::{Json, Reply};
use crate::error::{ApiError, ApiResult};
use crate::fields::{Fields, FromFields, boolean, parsed, time};
use crate::page::{Page, Paging, PagingParams};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(index).service(retry);
}

/// A callback that did not arrive.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FailedCallback, example = json!({"run_id": "run_01k9z3v8e5f2q8r7w6t5y4x3m2", "step": "notify",
    "webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2", "destination_id": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "failed_at": "2026-11-21T12:00:00Z", "last_attempt_id": "att_01k9z3v8e5f2q8r7w6t5y4x3m2", "attempts": 10, "status": 503,
    "error": "the destination answered 503"}))]
pub struct FailedCallbackView {
    /// The run that left it behind.
    run_id: RunId,
    /// The step that did.
    #[schema(example = "notify")]
    step: String,
    /// The webhook.
    webhook_id: WebhookId,
    /// Where it was to go.
    destination_id: DestinationId,
    /// When it was given up.
    failed_at: DateTime<Utc>,
    /// Its last attempt.
    last_attempt_id: AttemptId,
    /// How many attempts there were; null when the last one is not kept any more, as in the fields after this.
    #[schema(example = 10)]
    attempts: Option<i32>,
    /// What the destination answered at last.
    #[schema(example = 503)]
    status: Option<i16>,
    /// What was wrong at last.
    #[schema(example = "the destination answered 503")]
    error: Option<String>,
}

impl From<FailedCallback> for FailedCallbackView {
    fn from(failed: FailedCallback) -> Self {
        Self {
            run_id: failed.run_id,
            step: failed.step,
            webhook_id: failed.webhook_id,
            destination_id: failed.destination_id,
            failed_at: failed.failed_at,
            last_attempt_id: failed.attempt_id,
            attempts: failed.attempts,
            status: failed.status,
            error: failed.error,
        }
    }
}

/// Which failed callbacks a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Of this webhook.
    webhook_id: Option<WebhookId>,
    /// To this destination.
    destination_id: Option<DestinationId>,
}

impl FromFields for Filters {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let webhook_id = fields.optional("webhook_id", parsed);
        let destination_id = fields.optional("destination_id", parsed);
        Some(Self {
            webhook_id: webhook_id?,
            destination_id: destination_id?,
        })
    }
}

/// List failed callbacks
///
/// Calls that runs left behind, and that did not arrive after all their retries. Those of events that are stored masked are not
/// kept.
#[utoipa::path(tag = "runs", operation_id = "listFailedCallbacks", security(("bearer" = ["runs:read"])),
    params(Filters, PagingParams),
    responses((status = 200, description = "A page of them, those given up last in front", body = Page<FailedCallbackView>)))]
#[get("/failed-callbacks")]
async fn index(
    caller: Guarded<RunsRead>,
    paging: Paging<Filters>,
) -> ApiResult<Reply<Page<FailedCallbackView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let filter = FailedCallbackFilter {
        webhook_id: paging.filters.webhook_id,
        destination_id: paging.filters.destination_id,
        ..FailedCallbackFilter::default()
    };
    let found = caller
        .run(move |conn, scope| failed_callbacks::list(conn, scope, &filter, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |failed| failed.attempt_id.uuid(),
        FailedCallbackView::from,
    )?))
}

/// Which failed callbacks are made again.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"destination_id": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2", "from": "2026-11-21T12:00:00Z",
    "to": "2026-11-21T13:00:00Z", "dry_run": true}))]
pub struct CallbackRetries {
    /// Of this webhook; by default of all.
    pub webhook_id: Option<WebhookId>,
    /// To this destination; by default to all.
    pub destination_id: Option<DestinationId>,
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
    filter: FailedCallbackFilter,
    dry_run: bool,
}

impl FromFields for Retries {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let webhook_id = fields.optional("webhook_id", parsed);
        let destination_id = fields.optional("destination_id", parsed);
        let from = fields.optional("from", time);
        let to = fields.optional("to", time);
        let dry_run = fields.or("dry_run", false, boolean);
        Some(Self {
            filter: FailedCallbackFilter {
                id: None,
                webhook_id: webhook_id?,
                destination_id: destination_id?,
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
pub struct RetriedCallbacks {
    /// How many failed callbacks there were.
    matched: i64,
    /// How many of them are made again now: the oldest, at most 1,000. Ask again for the rest.
    retried: usize,
}

/// Retry failed callbacks
///
/// Makes those that a filter finds again, each with the same idempotency key and as many retries as before, or counts them with
/// `dry_run`. What the destination takes at once and in a second bounds how quickly they come.
#[utoipa::path(tag = "runs", operation_id = "retryCallbacks", security(("bearer" = ["events:write"])),
    request_body = CallbackRetries,
    responses((status = 200, description = "How many there were, and how many are made again", body = RetriedCallbacks),
        (status = 429, description = "too_many_requests")))]
#[post("/failed-callbacks/retry")]
async fn retry(
    caller: Guarded<EventsWrite>,
    Json(Retries { filter, dry_run }): Json<Retries>,
) -> ApiResult<Reply<RetriedCallbacks>> {
    let _place = caller.state().searches.take(&caller)?;
    let retried = caller
        .run(move |conn, scope| {
            let matched = failed_callbacks::count(conn, scope, &filter)?;
            let retried = match dry_run {
                true => 0,
                false => failed_callbacks::retry(conn, scope, &filter, MOST)?,
            };
            Ok::<_, ApiError>(RetriedCallbacks { matched, retried })
        })
        .await?;
    if retried.retried > 0 {
        wake(&caller).await;
    }
    Ok(Reply::ok(retried))
}
