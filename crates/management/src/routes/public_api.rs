//! The tenant's live webhooks as an API of their own: an OpenAPI document, and links that show it.

use actix_web::http::header::{CACHE_CONTROL, HOST, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use chrono::{DateTime, Utc};
use hookgate_domain::{clock, crypto, limits, public_api};
use hookgate_model::ids::PublicApiLinkId;
use hookgate_model::public_api::{PublicApi, document};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Settings;
use crate::auth::Guarded;
use crate::auth::permissions::{WebhooksRead, WebhooksWrite};
use crate::auth::secret_token::{self, SecretToken};
use crate::body::{Json, NoContent, Reply};
use crate::error::{ApiError, ApiResult, FieldCode};
use crate::fields::{Fields, FromFields, text, time};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;
use crate::state::State;

/// About what making a document takes, in bytes.
const MEMORY: usize = 64 << 20;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(read)
        .service(create)
        .service(index)
        .service(remove);
}

/// What whoever has a link sees.
pub(super) fn register_shared(config: &mut ServiceConfig<'_>) {
    config.service(shared);
}

/// Read the document of the live webhooks
///
/// OpenAPI 3.1, made from the live settings and the published revisions: the production URLs of every webhook that is not
/// disabled, with methods, parameters, bodies, security schemes, every answer that can come back, and callbacks. It holds the
/// URLs with their tokens. At most 500 webhooks are told of, the oldest, and as many
/// as fit into 8 MiB; the document says when there are more.
#[utoipa::path(tag = "public API", operation_id = "getPublicApi", security(("bearer" = ["webhooks:read"])),
    responses((status = 200, description = "The OpenAPI document", body = Object,
        example = json!({"openapi": "3.1.0", "info": {"title": "Analytical Engines", "version": "2026-11-21T12:00:00Z"},
            "paths": {}}))))]
#[get("/public-api/openapi.json")]
async fn read(caller: Guarded<WebhooksRead>) -> ApiResult<Reply<Value>> {
    let server = caller.state().settings.public_url.to_string();
    let told = caller
        .run(move |conn, scope| public_api::read(conn, scope, &server))
        .await?;
    Ok(Reply::ok(made(caller.state(), told).await?))
}

/// The document, made where other requests do not wait for it.
async fn made(state: &State, told: PublicApi) -> ApiResult<Value> {
    let made = state.apart.run(MEMORY, move || document(&told)).await;
    made.ok_or_else(|| ApiError::internal("a document was not made"))
}

/// Read the document of the live webhooks by a link
///
/// Values that were learnt from requests are left out of it; what somebody wrote by hand is in it.
///
/// Whoever has a link of a tenant sees this, and a page that shows it, without further credentials.
#[utoipa::path(tag = "public API", operation_id = "getSharedPublicApi",
    params(("token" = String, Path, description = "The token of a link", example = "hgl_4fJxQmV0c2lHb3d3aGF0YXJlYWxseWxvbmdrZXl0aGlzaXM")),
    responses((status = 200, description = "The OpenAPI document", body = Object,
        example = json!({"openapi": "3.1.0", "info": {"title": "Analytical Engines", "version": "2026-11-21T12:00:00Z"},
            "paths": {}}))))]
#[get("/public-api/{token}/openapi.json")]
async fn shared(state: Data<State>, Path((token,)): Path<(String,)>) -> ApiResult<HttpResponse> {
    let digest = crypto::digest(token.as_bytes());
    let server = state.settings.public_url.to_string();
    let told = state
        .database
        .run(move |conn| {
            let scope = public_api::open(conn, &digest, clock::now())?;
            scope.transaction(conn, |conn| public_api::read(conn, &scope, &server))
        })
        .await?;
    let told = made(&state, told.without_learnt_values()).await?;
    // The URLs in it are credentials, and the link can end at any moment.
    let no_store = HeaderValue::from_static("no-store");
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, no_store))
        .json(told))
}

/// A link that shows the document, and a page made of it, to whoever has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "pal_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "For the shop's developers",
    "created_at": "2026-11-21T12:00:00Z", "expires_at": null}))]
pub struct PublicApiLink {
    id: PublicApiLinkId,
    /// Whom it is for.
    name: String,
    created_at: DateTime<Utc>,
    /// When it stops working by itself; null for never.
    expires_at: Option<DateTime<Utc>>,
}

impl From<public_api::Link> for PublicApiLink {
    fn from(link: public_api::Link) -> Self {
        let public_api::Link {
            id,
            name,
            created_at,
            expires_at,
        } = link;
        Self {
            id,
            name,
            created_at,
            expires_at,
        }
    }
}

/// A new link with its URLs, which are shown this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"page_url": "https://hookgate.example.com/public-api/hgl_4fJxQmV0c2lHb3d3aGF0YXJlYWxseWxvbmdrZXl0aGlzaXM/docs/",
    "document_url": "https://hookgate.example.com/public-api/hgl_4fJxQmV0c2lHb3d3aGF0YXJlYWxseWxvbmdrZXl0aGlzaXM/openapi.json",
    "id": "pal_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "For the shop's developers", "created_at": "2026-11-21T12:00:00Z",
    "expires_at": null}))]
struct CreatedPublicApiLink {
    /// The page that shows the document, for people.
    page_url: String,
    /// The document, for programs that generate clients.
    document_url: String,
    #[serde(flatten)]
    about: PublicApiLink,
}

/// What a new link needs.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"name": "For the shop's developers", "expires_at": "2027-11-21T00:00:00Z"}))]
pub struct PublicApiLinkRequest {
    /// Whom it is for.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// When it stops working by itself; absent for never.
    expires_at: Option<DateTime<Utc>>,
}

impl FromFields for PublicApiLinkRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        let expires_at = fields.optional("expires_at", time);
        Some(Self {
            name: name?,
            expires_at: expires_at?,
        })
    }
}

/// Create a link to the document
///
/// Without a link the document is private. The URLs are in this answer alone; whoever has one sees the document, with the
/// public URLs of the webhooks in it, until the link expires or is deleted.
#[utoipa::path(tag = "public API", operation_id = "createPublicApiLink", security(("bearer" = ["webhooks:write"])),
    responses((status = 201, description = "The link", body = CreatedPublicApiLink),
        (status = 409, description = "limit_reached")))]
#[post("/public-api/links")]
async fn create(
    request: HttpRequest,
    caller: Guarded<WebhooksWrite>,
    Json(new): Json<PublicApiLinkRequest>,
) -> ApiResult<Reply<CreatedPublicApiLink>> {
    if new.expires_at.is_some_and(|at| at <= clock::now()) {
        let detail = "must be in the future";
        return Err(ApiError::field("/expires_at", FieldCode::OutOfRange, detail));
    }
    let token = SecretToken::new(secret_token::PUBLIC_API_LINK);
    let digest = token.digest;
    let link = caller
        .run(move |conn, scope| public_api::create_link(conn, scope, &new.name, &digest, new.expires_at))
        .await?;
    let api_url = api_url(&request, &caller.state().settings);
    let base = format!("{}/public-api/{}", api_url.trim_end_matches('/'), token.text);
    Ok(Reply::created(CreatedPublicApiLink {
        page_url: format!("{base}/docs/"),
        document_url: format!("{base}/openapi.json"),
        about: link.into(),
    }))
}

/// What links to this API begin with.
fn api_url(request: &HttpRequest, settings: &Settings) -> String {
    match &settings.api_url {
        Some(url) => url.to_string(),
        None => {
            let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
            let scheme = if settings.tls_certificate.is_some() {
                "https"
            } else {
                "http"
            };
            format!("{scheme}://{}", host.unwrap_or("localhost"))
        }
    }
}

/// List the links to the document
///
/// Without the secret part of their URLs, which is shown once.
#[utoipa::path(tag = "public API", operation_id = "listPublicApiLinks", security(("bearer" = ["webhooks:read"])),
    params(PagingParams),
    responses((status = 200, description = "A page of links, newest first", body = Page<PublicApiLink>)))]
#[get("/public-api/links")]
async fn index(caller: Guarded<WebhooksRead>, paging: Paging) -> ApiResult<Reply<Page<PublicApiLink>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let links = caller
        .run(move |conn, scope| public_api::list_links(conn, scope, rows))
        .await?;
    Ok(Reply::ok(window.page(
        links,
        |link| link.id.uuid(),
        PublicApiLink::from,
    )?))
}

/// Delete a link to the document
///
/// It stops working at once.
#[utoipa::path(tag = "public API", operation_id = "deletePublicApiLink", security(("bearer" = ["webhooks:write"])),
    responses((status = 204, description = "It is deleted")))]
#[delete("/public-api/links/{id}")]
async fn remove(
    caller: Guarded<WebhooksWrite>,
    Path((id,)): Path<(PublicApiLinkId,)>,
) -> ApiResult<NoContent> {
    caller
        .run(move |conn, scope| public_api::delete_link(conn, scope, id))
        .await?;
    Ok(NoContent)
}
