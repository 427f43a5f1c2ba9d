//! Templates: webhooks ready to be made. Each known sender is one; they are part of the program, and the same for everybody.

mod view;

use actix_web::{get, web};
use hookgate_model::senders::{self, Category};
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::TemplateView;

use crate::auth::Guarded;
use crate::auth::permissions::WebhooksRead;
use crate::body::Reply;
use crate::error::{ApiError, ApiResult, FieldCode};
use crate::fields::{Fields, FromFields, Read, wrong};
use crate::page::Page;
use crate::query::Query;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(index).service(read);
}

/// Which templates a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Of this category.
    #[param(inline, example = "payments")]
    category: Option<Category>,
}

impl FromFields for Filters {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let category = fields.optional("category", category);
        Some(Self { category: category? })
    }
}

fn category(value: serde_json::Value) -> Read<Category> {
    serde_json::from_value(value).or_else(|error| wrong(FieldCode::Invalid, error.to_string()))
}

/// List templates
///
/// A template says how a known sender is verified, what must be set up on both sides, and has the body of the request
/// that makes the webhook. The list is short and comes whole, by name.
#[utoipa::path(tag = "templates", operation_id = "listTemplates", security(("bearer" = ["webhooks:read"])),
    params(Filters),
    responses((status = 200, description = "Every template", body = Page<TemplateView>)))]
#[get("/templates")]
async fn index(
    _caller: Guarded<WebhooksRead>,
    Query(Filters { category }): Query<Filters>,
) -> ApiResult<Reply<Page<TemplateView>>> {
    let chosen = |preset: &&senders::Preset| category.is_none_or(|category| preset.category == category);
    Ok(Reply::ok(Page {
        data: senders::all()
            .iter()
            .filter(chosen)
            .map(TemplateView::from)
            .collect(),
        next_cursor: None,
    }))
}

/// Read a template
#[utoipa::path(tag = "templates", operation_id = "getTemplate", security(("bearer" = ["webhooks:read"])),
    params(("name" = String, Path, description = "Its name", example = "stripe")),
    responses((status = 200, description = "The template", body = TemplateView)))]
#[get("/templates/{name}")]
async fn read(_caller: Guarded<WebhooksRead>, name: web::Path<String>) -> ApiResult<Reply<TemplateView>> {
    let preset = senders::find(&name).ok_or_else(ApiError::not_found)?;
    Ok(Reply::ok(TemplateView::from(preset)))
}
