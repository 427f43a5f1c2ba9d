//! The OpenAPI document and a page that shows it, without anything from elsewhere.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{Data, ServiceConfig, redirect, scope};
use actix_web::{HttpResponse, Responder, get};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// The page runs its own scripts and talks to its own server, nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

pub(crate) fn register(config: &mut ServiceConfig) {
    let headers = DefaultHeaders::new()
        .add((
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(CONTENT_SECURITY_POLICY),
        ))
        .add((header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")))
        .add((header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
        .add((
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ));
    let page = SwaggerUi::new("/{_:.*}").config(
        Config::from("/openapi.json")
            .try_it_out_enabled(true)
            .persist_authorization(false)
            .validator_url("none")
            .doc_expansion("none"),
    );
    config
        .service(document)
        .service(redirect("/docs", "/docs/"))
        .service(scope("/docs").wrap(headers).service(page));
}

#[get("/openapi.json")]
async fn document(document: Data<OpenApi>) -> impl Responder {
    HttpResponse::Ok().json(document.as_ref())
}
