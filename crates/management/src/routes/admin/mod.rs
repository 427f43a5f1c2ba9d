//! The operator's API, one file per noun, like the tenants'. Its handlers take [`Operator`](crate::admin::Operator) instead of a
//! caller. A POST needs no `Idempotency-Key`: done twice, each comes to the same, and of two plans only one has the name.

use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{HttpResponse, Responder};
use utoipa::openapi::OpenApi;
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::admin;
use crate::error::{ApiError, ErrorCode};

pub mod audit_log;
pub mod limits;
pub mod people;
pub mod plans;
pub mod tenants;

/// Registers every route, in the order in which the document shows them.
pub(crate) fn register(config: &mut ServiceConfig<'_>) {
    let v1 = scope("/admin/v1")
        .configure(tenants::register)
        .configure(plans::register)
        .configure(people::register)
        .configure(audit_log::register)
        .wrap(from_fn(admin::middleware));
    config.service(v1);
}

/// The document, which tells nothing that is secret.
#[actix_web::get("/admin/v1/openapi.json")]
pub(crate) async fn document(document: Data<OpenApi>) -> impl Responder {
    HttpResponse::Ok().json(document.as_ref())
}

pub(crate) async fn unknown() -> Result<&'static str, ApiError> {
    Err(ApiError::new(
        ErrorCode::RouteNotFound,
        "see /admin/v1/openapi.json for the paths there are",
    ))
}
