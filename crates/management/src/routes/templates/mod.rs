//! Templates: known senders, and whole webhooks ready to be made. They are part of the program, and the same for everybody.

mod view;

use actix_web::{get, web};
use hookgate_model::senders::Category;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::{TemplateKind, TemplateView};

use crate::auth::Guarded;
use crate::auth::permissions::WebhooksRead;
use crate::body::Reply;
use crate::error::{ApiError, ApiResult};
use crate::fields::{Fields, FromFields, json};
use crate::page::Page;
use crate::query::Query;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(index).service(read);
}

/// Which templates a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Of this kind.
    #[param(inline, example = "webhook")]
    kind: Option<TemplateKind>,
    /// Of this category.
    #[param(inline, example = "payments")]
    category: Option<Category>,
}

impl FromFields for Filters {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let kind = fields.optional("kind", json);
        let category = fields.optional("category", json);
        Some(Self {
            kind: kind?,
            category: category?,
        })
    }
}

/// List templates
///
/// A template of kind `sender` says how a known sender is verified, and what must be set up on both sides. One of kind
/// `webhook` is a whole webhook with a flow; its `parameters` are what you choose of it. Both have the body of the request
/// that makes the webhook. The list is short and comes whole, by name.
#[utoipa::path(tag = "templates", operation_id = "listTemplates", security(("bearer" = ["webhooks:read"])),
    params(Filters),
    responses((status = 200, description = "Every template", body = Page<TemplateView>)))]
#[get("/templates")]
async fn index(
    _caller: Guarded<WebhooksRead>,
    Query(Filters { kind, category }): Query<Filters>,
) -> ApiResult<Reply<Page<TemplateView>>> {
    let mut data = TemplateView::all();
    data.retain(|template| {
        kind.is_none_or(|kind| template.kind() == kind)
            && category.is_none_or(|category| template.category() == category)
    });
    Ok(Reply::ok(Page {
        data,
        next_cursor: None,
    }))
}

/// Read a template
///
/// With the parameters that it takes and the settings that come of them.
#[utoipa::path(tag = "templates", operation_id = "getTemplate", security(("bearer" = ["webhooks:read"])),
    params(("name" = String, Path, description = "Its name", example = "stripe")),
    responses((status = 200, description = "The template", body = TemplateView)))]
#[get("/templates/{name}")]
async fn read(_caller: Guarded<WebhooksRead>, name: web::Path<String>) -> ApiResult<Reply<TemplateView>> {
    let named = TemplateView::all()
        .into_iter()
        .find(|template| template.name() == *name);
    Ok(Reply::ok(named.ok_or_else(ApiError::not_found)?))
}
