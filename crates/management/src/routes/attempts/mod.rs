//! Attempts: every outbound call.

mod view;

use actix_web::get;
use hookgate_domain::attempts::{self, AttemptFilter};
use hookgate_model::ids::{AttemptId, DestinationId, RunId, WebhookId};
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::AttemptView;

use crate::auth::Guarded;
use crate::auth::permissions::RunsRead;
use crate::body::Reply;
use crate::error::ApiResult;
use crate::fields::{Fields, FromFields, parsed, text};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(index).service(read);
}

/// Which attempts a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Of this run.
    run_id: Option<RunId>,
    /// Of this webhook.
    webhook_id: Option<WebhookId>,
    /// To this destination.
    destination_id: Option<DestinationId>,
    /// That ended like this.
    #[param(example = "failed")]
    outcome: Option<String>,
}

impl FromFields for Filters {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let run_id = fields.optional("run_id", parsed);
        let webhook_id = fields.optional("webhook_id", parsed);
        let destination_id = fields.optional("destination_id", parsed);
        let outcome = fields.optional("outcome", text(1..=50));
        Some(Self {
            run_id: run_id?,
            webhook_id: webhook_id?,
            destination_id: destination_id?,
            outcome: outcome?,
        })
    }
}

/// List delivery attempts
///
/// Every call to a destination, newest first, without the responses.
#[utoipa::path(tag = "runs", operation_id = "listAttempts", security(("bearer" = ["runs:read"])),
    params(Filters, PagingParams),
    responses((status = 200, description = "A page of attempts, newest first", body = Page<AttemptView>)))]
#[get("/attempts")]
async fn index(caller: Guarded<RunsRead>, paging: Paging<Filters>) -> ApiResult<Reply<Page<AttemptView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let Filters {
        run_id,
        webhook_id,
        destination_id,
        outcome,
    } = paging.filters;
    let filter = AttemptFilter {
        run_id,
        webhook_id,
        destination_id,
        outcome,
    };
    let found = caller
        .run(move |conn, scope| attempts::list(conn, scope, &filter, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |attempt| attempt.id.uuid(),
        AttemptView::from,
    )?))
}

/// Read a delivery attempt
///
/// With its timing and the beginning of the response.
#[utoipa::path(tag = "runs", operation_id = "getAttempt", security(("bearer" = ["runs:read"])),
    responses((status = 200, description = "The attempt", body = AttemptView)))]
#[get("/attempts/{id}")]
async fn read(caller: Guarded<RunsRead>, Path((id,)): Path<(AttemptId,)>) -> ApiResult<Reply<AttemptView>> {
    let attempt = caller
        .run(move |conn, scope| attempts::read(conn, scope, id))
        .await?;
    Ok(Reply::ok(attempt.into()))
}
