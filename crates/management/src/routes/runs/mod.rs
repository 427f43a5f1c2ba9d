//! Runs: what flows did.

mod callbacks;
pub(super) mod retry;
mod view;

use actix_web::get;
use chrono::{DateTime, Utc};
use hookgate_domain::runs::{self, RunFilter};
use hookgate_model::flow::advance::RunOutcome;
use hookgate_model::ids::{RunId, WebhookId};
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

pub use retry::{RetriedRuns, RetriedView, RunRetries};
pub use view::{AnswerView, CallbackView, RunSummary, RunView};

use crate::auth::Guarded;
use crate::auth::permissions::RunsRead;
use crate::body::Reply;
use crate::error::{ApiError, ApiResult};
use crate::fields::{Fields, FromFields, json, parsed, time};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(index)
        .service(retry::retry_runs)
        .service(read)
        .service(callbacks::retry_callback)
        .service(retry::retry_run);
}

/// Which runs a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Of this webhook.
    webhook_id: Option<WebhookId>,
    /// That ended like this.
    outcome: Option<RunOutcome>,
    /// Of events received at this moment or later.
    from: Option<DateTime<Utc>>,
    /// Of events received before this moment.
    to: Option<DateTime<Utc>>,
}

impl FromFields for Filters {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let webhook_id = fields.optional("webhook_id", parsed);
        let outcome = fields.optional("outcome", json);
        let from = fields.optional("from", time);
        let to = fields.optional("to", time);
        Some(Self {
            webhook_id: webhook_id?,
            outcome: outcome?,
            from: from?,
            to: to?,
        })
    }
}

/// List runs
///
/// A run appears when it has finished; until then its event is `pending`.
#[utoipa::path(tag = "runs", operation_id = "listRuns", security(("bearer" = ["runs:read"])),
    params(Filters, PagingParams),
    responses((status = 200, description = "A page of runs, newest event first", body = Page<RunSummary>)))]
#[get("/runs")]
async fn index(caller: Guarded<RunsRead>, paging: Paging<Filters>) -> ApiResult<Reply<Page<RunSummary>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let Filters {
        webhook_id,
        outcome,
        from,
        to,
    } = paging.filters;
    let filter = RunFilter {
        webhook_id,
        from,
        to,
        outcome: outcome.map(|outcome| outcome.as_str().to_owned()),
    };
    let found = caller
        .run(move |conn, scope| runs::list(conn, scope, &filter, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |run| run.id.uuid(),
        RunSummary::from,
    )?))
}

/// Read a run
///
/// With a record of each step, and the answer. The run of `evt_…` is `run_…` with the same rest.
#[utoipa::path(tag = "runs", operation_id = "getRun", security(("bearer" = ["runs:read"])),
    responses((status = 200, description = "The run", body = RunView)))]
#[get("/runs/{id}")]
async fn read(caller: Guarded<RunsRead>, Path((id,)): Path<(RunId,)>) -> ApiResult<Reply<RunView>> {
    caller
        .run(move |conn, scope| {
            let (run, content) = (runs::read(conn, scope, id)?, runs::content(conn, scope, id)?);
            let steps = view::steps(&content)?;
            let callbacks = runs::callbacks(conn, scope, id, &view::callers_back(&steps))?;
            Ok::<_, ApiError>(Reply::ok(RunView::new(run, content, steps, callbacks)))
        })
        .await
}
