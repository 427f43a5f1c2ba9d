//! The OpenAPI document and the pages that show it and that of a tenant's webhooks, without anything from elsewhere.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{Data, ServiceConfig, get, redirect, resource, scope};
use actix_web::{HttpRequest, HttpResponse, Responder};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::error::{ApiError, ErrorCode};

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
    let config_of = |url: &'static str| Config::from(url).validator_url("none").doc_expansion("none");
    let page = config_of("/openapi.json")
        .try_it_out_enabled(true)
        .persist_authorization(false);
    // The public URLs are another server's, to which this page cannot send.
    let shared = config_of("../openapi.json").supported_submit_methods([""]);
    config
        .service(document)
        .service(redirect("/docs", "/docs/"))
        .service(
            scope("/docs")
                .wrap(headers.clone())
                .service(SwaggerUi::new("/{_:.*}").config(page)),
        )
        .service(redirect("/public-api/{token}/docs", "docs/"))
        .service(
            resource("/public-api/{token}/docs/{file:.*}")
                .wrap(headers)
                .app_data(Data::new(shared))
                .route(get().to(shared_page)),
        );
}

/// A file of the page that shows the document of a tenant's webhooks. The document itself asks for the link.
async fn shared_page(request: HttpRequest, config: Data<Config<'static>>) -> Result<HttpResponse, ApiError> {
    let file = utoipa_swagger_ui::serve(request.match_info().query("file"), config.into_inner())
        .map_err(ApiError::internal)?
        .ok_or_else(|| ApiError::new(ErrorCode::RouteNotFound, "the page has no such file"))?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(file.content_type);
    if file.gzpipped {
        answer.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(answer.body(file.bytes.into_owned()))
}

#[actix_web::get("/openapi.json")]
async fn document(document: Data<OpenApi>) -> impl Responder {
    HttpResponse::Ok().json(document.as_ref())
}
