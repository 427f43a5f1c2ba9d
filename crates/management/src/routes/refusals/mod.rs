//! Refusals: what was not accepted, and why.

mod recheck;
mod view;

use actix_web::get;
use chrono::{DateTime, Utc};
use hookgate_domain::refusals::{self, RefusalFilter};
use hookgate_model::ids::{RefusalId, UrlId, WebhookId};
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

pub use recheck::{Recheck, RecheckView};
pub use view::RefusalView;

use crate::auth::Guarded;
use crate::auth::permissions::EventsRead;
use crate::body::Reply;
use crate::error::ApiResult;
use crate::fields::{Fields, FromFields, parsed, text, time};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(index).service(read).service(recheck::recheck);
}

/// Which refusals a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Of this webhook.
    webhook_id: Option<WebhookId>,
    /// To this URL.
    url_id: Option<UrlId>,
    /// For this reason.
    #[param(example = "method_not_allowed")]
    reason: Option<String>,
    /// At this moment or later.
    from: Option<DateTime<Utc>>,
    /// Before this moment.
    to: Option<DateTime<Utc>>,
}

impl FromFields for Filters {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let webhook_id = fields.optional("webhook_id", parsed);
        let url_id = fields.optional("url_id", parsed);
        let reason = fields.optional("reason", text(1..=50));
        let from = fields.optional("from", time);
        let to = fields.optional("to", time);
        Some(Self {
            webhook_id: webhook_id?,
            url_id: url_id?,
            reason: reason?,
            from: from?,
            to: to?,
        })
    }
}

/// List refusals
///
/// Of requests to known URLs; a flood of them is counted, and kept only in part.
#[utoipa::path(tag = "events", operation_id = "listRefusals", security(("bearer" = ["events:read"])),
    params(Filters, PagingParams),
    responses((status = 200, description = "A page of refusals, newest first", body = Page<RefusalView>)))]
#[get("/refusals")]
async fn index(caller: Guarded<EventsRead>, paging: Paging<Filters>) -> ApiResult<Reply<Page<RefusalView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let Filters {
        webhook_id,
        url_id,
        reason,
        from,
        to,
    } = paging.filters;
    let filter = RefusalFilter {
        webhook_id,
        url_id,
        reason,
        from,
        to,
    };
    let found = caller
        .run(move |conn, scope| refusals::list(conn, scope, &filter, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |refusal| refusal.id.uuid(),
        RefusalView::from,
    )?))
}

/// Read a refusal
///
/// With its reason and what the request was like, without its credentials.
#[utoipa::path(tag = "events", operation_id = "getRefusal", security(("bearer" = ["events:read"])),
    responses((status = 200, description = "The refusal", body = RefusalView)))]
#[get("/refusals/{id}")]
async fn read(caller: Guarded<EventsRead>, Path((id,)): Path<(RefusalId,)>) -> ApiResult<Reply<RefusalView>> {
    let refusal = caller
        .run(move |conn, scope| refusals::read(conn, scope, id))
        .await?;
    Ok(Reply::ok(refusal.into()))
}
