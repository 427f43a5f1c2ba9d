//! Destinations: where flows call.

mod view;

use actix_web::{delete, get, patch, post};
use hookgate_domain::clock;
use hookgate_domain::destinations::{self, DestinationSettings};
use hookgate_domain::limits;
use hookgate_model::base_url::BaseUrl;
use hookgate_model::ids::DestinationId;
use hookgate_model::outbound_signature::SigningSecret;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::{DestinationView, DestinationWithSecret};

use crate::auth::Guarded;
use crate::auth::permissions::{DestinationsRead, DestinationsWrite};
use crate::body::{Json, NoContent, Patch, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, Read, boolean, text, wrong};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

/// The random bytes of a generated signing secret.
const SECRET_BYTES: usize = 32;

type DestinationPatch = Patch<SettingsBody>;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(index)
        .service(read)
        .service(update)
        .service(remove)
        .service(rotate_secret)
        .service(remove_secret);
}

/// A destination to make.
#[derive(ToSchema)]
#[schema(example = json!({"name": "CRM", "base_url": "https://crm.example.com/api", "signed": true}))]
pub struct NewDestination {
    /// A name, unique in the tenant.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What the URL of every call begins with: http or https, without credentials, query and fragment.
    #[schema(value_type = String, max_length = 2000)]
    base_url: BaseUrl,
    /// Whether calls are signed per Standard Webhooks.
    #[schema(required = false, default = true)]
    signed: bool,
    /// The secret that signs calls: `whsec_` and the base64 of 16 to 64 bytes. By default one is generated.
    #[schema(value_type = Option<String>)]
    signing_secret: Option<SigningSecret>,
}

impl FromFields for NewDestination {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        let base_url = fields.required("base_url", base_url);
        let signed = fields.or("signed", true, boolean);
        let signing_secret = fields.optional("signing_secret", secret);
        if signed == Some(false) && matches!(signing_secret, Some(Some(_))) {
            let detail = "leave it out when calls are not to be signed";
            fields.error("/signing_secret", FieldCode::Invalid, detail);
            return None;
        }
        Some(Self {
            name: name?,
            base_url: base_url?,
            signed: signed?,
            signing_secret: signing_secret?,
        })
    }
}

fn base_url(value: Value) -> Read<BaseUrl> {
    let written = text(1..=hookgate_model::base_url::MAX_LENGTH)(value)?;
    BaseUrl::parse(&written).or_else(|error| wrong(FieldCode::Invalid, error.to_string()))
}

fn secret(value: Value) -> Read<SigningSecret> {
    let written = text(1..=200)(value)?;
    SigningSecret::parse(&written).or_else(|error| wrong(FieldCode::Invalid, error.to_string()))
}

fn generate() -> ApiResult<SigningSecret> {
    SigningSecret::from_bytes(&clock::secret_bytes::<SECRET_BYTES>()).map_err(ApiError::internal)
}

/// Create a destination
///
/// Its signing secret is in this answer alone. The receiver verifies with it that a call comes from here.
#[utoipa::path(tag = "destinations", operation_id = "createDestination",
    security(("bearer" = ["destinations:write"])), request_body = NewDestination,
    responses((status = 201, description = "The destination", body = DestinationWithSecret),
        (status = 409, description = "name_taken, limit_reached")))]
#[post("/destinations")]
async fn create(
    caller: Guarded<DestinationsWrite>,
    Json(new): Json<NewDestination>,
) -> ApiResult<Reply<DestinationWithSecret>> {
    let secret = match new.signing_secret {
        Some(given) => Some(given),
        None if new.signed => Some(generate()?),
        None => None,
    };
    let settings = DestinationSettings {
        name: new.name,
        base_url: new.base_url,
    };
    let key = caller.state().master_key.clone();
    let text = secret.as_ref().map(SigningSecret::expose);
    let destination = caller
        .run(move |conn, scope| destinations::create(conn, scope, &key, &settings, text.as_deref()))
        .await?;
    let version = destination.version;
    Ok(Reply::created(DestinationWithSecret::new(destination, secret.as_ref())).version(version))
}

/// List destinations
#[utoipa::path(tag = "destinations", operation_id = "listDestinations",
    security(("bearer" = ["destinations:read"])), params(PagingParams),
    responses((status = 200, description = "A page of destinations, newest first", body = Page<DestinationView>)))]
#[get("/destinations")]
async fn index(caller: Guarded<DestinationsRead>, paging: Paging) -> ApiResult<Reply<Page<DestinationView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .run(move |conn, scope| destinations::list(conn, scope, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |destination| destination.id.uuid(),
        DestinationView::from,
    )?))
}

/// Read a destination
#[utoipa::path(tag = "destinations", operation_id = "getDestination",
    security(("bearer" = ["destinations:read"])),
    responses((status = 200, description = "The destination, without its secret", body = DestinationView)))]
#[get("/destinations/{id}")]
async fn read(
    caller: Guarded<DestinationsRead>,
    Path((id,)): Path<(DestinationId,)>,
) -> ApiResult<Reply<DestinationView>> {
    let destination = caller
        .run(move |conn, scope| destinations::read(conn, scope, id))
        .await?;
    let version = destination.version;
    Ok(Reply::ok(DestinationView::from(destination)).version(version))
}

/// What can be changed of a destination.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DestinationSettings, example = json!({"name": "CRM", "base_url": "https://crm.example.com/api"}))]
pub struct SettingsBody {
    /// A name, unique in the tenant.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What the URL of every call begins with.
    #[schema(max_length = 2000)]
    base_url: String,
}

struct Changed(DestinationSettings);

impl FromFields for Changed {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        let base_url = fields.required("base_url", base_url);
        Some(Self(DestinationSettings {
            name: name?,
            base_url: base_url?,
        }))
    }
}

/// Change a destination
///
/// Calls that are made from now on go to the new URL, also those of runs that have begun.
#[utoipa::path(tag = "destinations", operation_id = "updateDestination",
    security(("bearer" = ["destinations:write"])),
    request_body(content = DestinationPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The destination as it is now", body = DestinationView),
        (status = 409, description = "name_taken")))]
#[patch("/destinations/{id}")]
async fn update(
    caller: Guarded<DestinationsWrite>,
    Path((id,)): Path<(DestinationId,)>,
    if_match: IfMatch,
    patch: Patch<Changed>,
) -> ApiResult<Reply<DestinationView>> {
    let destination = caller
        .run(move |conn, scope| {
            let current = destinations::read_for_change(conn, scope, id)?;
            if_match.check(current.version)?;
            let body = SettingsBody {
                name: current.name,
                base_url: current.base_url,
            };
            let Changed(settings) = patch.apply(&body)?;
            Ok::<_, ApiError>(destinations::update(conn, scope, id, &settings)?)
        })
        .await?;
    let version = destination.version;
    Ok(Reply::ok(DestinationView::from(destination)).version(version))
}

/// Delete a destination
///
/// This is final. A destination that the draft or the published revision of a webhook calls cannot be deleted.
#[utoipa::path(tag = "destinations", operation_id = "deleteDestination",
    security(("bearer" = ["destinations:write"])),
    responses((status = 204, description = "It is gone"), (status = 409, description = "in_use"),
        (status = 412, description = "precondition_failed")))]
#[delete("/destinations/{id}")]
async fn remove(
    caller: Guarded<DestinationsWrite>,
    Path((id,)): Path<(DestinationId,)>,
    if_match: IfMatch,
) -> ApiResult<NoContent> {
    caller
        .run(move |conn, scope| {
            if_match.check(destinations::read_for_change(conn, scope, id)?.version)?;
            let webhooks: Vec<String> = destinations::used_by(conn, scope, id)?
                .iter()
                .map(ToString::to_string)
                .collect();
            if !webhooks.is_empty() {
                let detail = format!(
                    "it is called by the draft or the published revision of {}",
                    webhooks.join(", ")
                );
                return Err(ApiError::new(ErrorCode::InUse, detail));
            }
            destinations::delete(conn, scope, id)?;
            Ok(NoContent)
        })
        .await
}

/// How a signing secret is replaced.
#[derive(ToSchema)]
#[schema(example = json!({}))]
pub struct SecretRotation {
    /// The new secret: `whsec_` and the base64 of 16 to 64 bytes. By default one is generated.
    #[schema(value_type = Option<String>)]
    signing_secret: Option<SigningSecret>,
}

impl FromFields for SecretRotation {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let signing_secret = fields.optional("signing_secret", secret);
        Some(Self {
            signing_secret: signing_secret?,
        })
    }
}

/// Rotate the signing secret of a destination
///
/// The new secret signs from the next call on, and is in this answer alone. An unsigned destination becomes a signed one.
#[utoipa::path(tag = "destinations", operation_id = "rotateSigningSecret",
    security(("bearer" = ["destinations:write"])), request_body = SecretRotation,
    responses((status = 200, description = "The destination with its new secret", body = DestinationWithSecret)))]
#[post("/destinations/{id}/rotate-secret")]
async fn rotate_secret(
    caller: Guarded<DestinationsWrite>,
    Path((id,)): Path<(DestinationId,)>,
    Json(new): Json<SecretRotation>,
) -> ApiResult<Reply<DestinationWithSecret>> {
    let secret = new.signing_secret.map_or_else(generate, Ok)?;
    let key = caller.state().master_key.clone();
    let text = secret.expose();
    let destination = caller
        .run(move |conn, scope| destinations::replace_signing_secret(conn, scope, &key, id, Some(&text)))
        .await?;
    let version = destination.version;
    Ok(Reply::ok(DestinationWithSecret::new(destination, Some(&secret))).version(version))
}

/// Remove the signing secret of a destination
///
/// Calls are not signed any more, from the next one on.
#[utoipa::path(tag = "destinations", operation_id = "removeSigningSecret",
    security(("bearer" = ["destinations:write"])),
    responses((status = 204, description = "It is gone"), (status = 412, description = "precondition_failed")))]
#[delete("/destinations/{id}/signing-secret")]
async fn remove_secret(
    caller: Guarded<DestinationsWrite>,
    Path((id,)): Path<(DestinationId,)>,
    if_match: IfMatch,
) -> ApiResult<NoContent> {
    let key = caller.state().master_key.clone();
    caller
        .run(move |conn, scope| {
            if_match.check(destinations::read_for_change(conn, scope, id)?.version)?;
            destinations::replace_signing_secret(conn, scope, &key, id, None)?;
            Ok::<_, ApiError>(NoContent)
        })
        .await
}
