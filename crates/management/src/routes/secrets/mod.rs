//! Secrets: what webhooks verify their senders with, and what is presented to destinations. A value is given or generated, and never shown again.

mod value;
mod view;

use actix_web::{delete, get, patch, post};
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::PgConnection;
use hookgate_domain::redis::changes::Change;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::{destinations, limits, secrets, webhooks};
use hookgate_model::ids::SecretId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use zeroize::Zeroizing;

pub use value::Form;
pub use view::{NewSecretView, SecretView};

use crate::auth::Guarded;
use crate::auth::permissions::{SecretsRead, SecretsWrite};
use crate::body::{Json, NoContent, Patch, Reply};
use crate::changes::change;
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, parsed, text};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;
use crate::routes::destinations::require_usable;
use crate::routes::webhooks::authentication;

type SecretPatch = Patch<SettingsBody>;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(index)
        .service(read)
        .service(update)
        .service(remove);
}

/// A secret: its name, and its value either as the sender gave it or to be generated here.
#[derive(Serialize, ToSchema)]
#[schema(as = SecretSettings, example = json!({"name": "GitHub, orders", "generate": "hex"}))]
pub struct SettingsBody {
    /// A name, unique in the tenant.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The value, exactly as the sender shows or takes it, at most 16,384 bytes; white space around it is taken away.
    /// How it is decoded is a setting of the webhook that uses it.
    #[schema(min_length = 1, max_length = 16_384)]
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Generates the value from 32 random bytes, in this form. Give either this or `value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    generate: Option<Form>,
}

/// The name, and the value if one is given or to be generated.
struct Settings {
    name: String,
    value: Option<Given>,
}

enum Given {
    Text(Zeroizing<String>),
    Generate(Form),
}

impl Given {
    /// The value, and what of it the caller is shown: the caller knows a value that they gave.
    fn into_value(self) -> (Zeroizing<String>, Option<Zeroizing<String>>) {
        match self {
            Self::Text(value) => (value, None),
            Self::Generate(form) => {
                let value = form.generate();
                (value.clone(), Some(value))
            }
        }
    }
}

impl FromFields for Settings {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        let value = fields.optional("value", value::read);
        let form = fields.optional("generate", parsed);
        let value = match (value?, form?) {
            (Some(_), Some(_)) => {
                let detail = "give either a value, or the form of one to generate";
                fields.error("/generate", FieldCode::Invalid, detail);
                return None;
            }
            (Some(value), None) => Some(Given::Text(value)),
            (None, Some(form)) => Some(Given::Generate(form)),
            (None, None) => None,
        };
        Some(Self { name: name?, value })
    }
}

/// Create a secret
///
/// A generated value is in this answer alone; a given one is in none.
#[utoipa::path(tag = "secrets", operation_id = "createSecret",
    security(("bearer" = ["secrets:write"])), request_body = SettingsBody,
    responses((status = 201, description = "The secret", body = NewSecretView),
        (status = 409, description = "name_taken, limit_reached")))]
#[post("/secrets")]
async fn create(
    caller: Guarded<SecretsWrite>,
    Json(Settings { name, value }): Json<Settings>,
) -> ApiResult<Reply<NewSecretView>> {
    let Some(given) = value else {
        let detail = "give a value, or with `generate` the form of one to generate";
        return Err(ApiError::field("/value", FieldCode::Required, detail));
    };
    let (value, shown) = given.into_value();
    let key = caller.state().master_key.clone();
    let secret = caller
        .run(move |conn, scope| secrets::create(conn, scope, &key, &name, value.as_bytes()))
        .await?;
    let version = secret.version;
    Ok(Reply::created(NewSecretView::new(secret, shown)).version(version))
}

/// List secrets
///
/// Without their values.
#[utoipa::path(tag = "secrets", operation_id = "listSecrets",
    security(("bearer" = ["secrets:read"])), params(PagingParams),
    responses((status = 200, description = "A page of secrets, newest first", body = Page<SecretView>)))]
#[get("/secrets")]
async fn index(caller: Guarded<SecretsRead>, paging: Paging) -> ApiResult<Reply<Page<SecretView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .run(move |conn, scope| secrets::list(conn, scope, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |secret| secret.id.uuid(),
        SecretView::from,
    )?))
}

/// Read a secret
///
/// Without its value.
#[utoipa::path(tag = "secrets", operation_id = "getSecret", security(("bearer" = ["secrets:read"])),
    responses((status = 200, description = "The secret, without its value", body = SecretView)))]
#[get("/secrets/{id}")]
async fn read(caller: Guarded<SecretsRead>, Path((id,)): Path<(SecretId,)>) -> ApiResult<Reply<SecretView>> {
    let secret = caller
        .run(move |conn, scope| secrets::read(conn, scope, id))
        .await?;
    let version = secret.version;
    Ok(Reply::ok(SecretView::from(secret)).version(version))
}

/// Change a secret
///
/// A new value replaces the old one at once, for every webhook that uses it; what a flow has left to be called back is sent as it is. To rotate without a gap, make a second
/// secret, name both in the webhooks, give the new one to the sender, and then delete the old one.
#[utoipa::path(tag = "secrets", operation_id = "updateSecret", security(("bearer" = ["secrets:write"])),
    request_body(content = SecretPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The secret as it is now", body = NewSecretView),
        (status = 409, description = "name_taken")))]
#[patch("/secrets/{id}")]
async fn update(
    caller: Guarded<SecretsWrite>,
    Path((id,)): Path<(SecretId,)>,
    if_match: IfMatch,
    patch: Patch<Settings>,
) -> ApiResult<Reply<NewSecretView>> {
    let key = caller.state().master_key.clone();
    let (secret, shown) = change(&caller, move |conn, scope| {
        let current = secrets::read_for_change(conn, scope, id)?;
        if_match.check(current.version)?;
        let body = SettingsBody {
            name: current.name,
            value: None,
            generate: None,
        };
        let Settings { name, value } = patch.apply(&body)?;
        let (value, shown) = value.map(Given::into_value).unzip();
        let bytes = value.as_ref().map(|value| value.as_bytes());
        let secret = secrets::update(conn, scope, &key, id, &name, bytes)?;
        let changes = match value {
            Some(_) => users_of(conn, scope, &key, id)?,
            None => Vec::new(),
        };
        Ok(((secret, shown.flatten()), changes))
    })
    .await?;
    let version = secret.version;
    Ok(Reply::ok(NewSecretView::new(secret, shown)).version(version))
}

/// The webhooks whose authentication names a secret that has a new value. Each must be able to use it, and so must each
/// destination.
fn users_of(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    id: SecretId,
) -> ApiResult<Vec<Change>> {
    for destination in destinations::using_secret(conn, scope, id)? {
        let (authentication, certificate) = (&destination.authentication, &destination.client_certificate);
        let usable = require_usable(conn, scope, key, authentication, certificate.as_ref());
        usable.map_err(|error| unusable_by(&destination.id.to_string(), error))?;
    }
    let users = secrets::used_by(conn, scope, id)?;
    for webhook in &users {
        let authentication = webhooks::read(conn, scope, *webhook)?.authentication;
        let usable = authentication::require_usable(conn, scope, key, &authentication);
        usable.map_err(|error| unusable_by(&webhook.to_string(), error))?;
    }
    Ok(users.into_iter().map(Change::Webhook).collect())
}

fn unusable_by(user: &str, error: ApiError) -> ApiError {
    match error.code() {
        ErrorCode::InvalidRequest => {
            let detail = format!("{user} could not use it: {}", error.detail());
            ApiError::field("/value", FieldCode::Invalid, detail)
        }
        _ => error,
    }
}

/// Delete a secret
///
/// This is final. A secret that the authentication of a webhook or destination names, or a webhook's draft or published flow, cannot
/// be deleted.
#[utoipa::path(tag = "secrets", operation_id = "deleteSecret", security(("bearer" = ["secrets:write"])),
    responses((status = 204, description = "It is gone"), (status = 409, description = "in_use"),
        (status = 412, description = "precondition_failed")))]
#[delete("/secrets/{id}")]
async fn remove(
    caller: Guarded<SecretsWrite>,
    Path((id,)): Path<(SecretId,)>,
    if_match: IfMatch,
) -> ApiResult<NoContent> {
    caller
        .run(move |conn, scope| {
            if_match.check(secrets::read_for_change(conn, scope, id)?.version)?;
            refuse_if_used(conn, scope, id)?;
            secrets::delete(conn, scope, id)?;
            Ok::<_, ApiError>(NoContent)
        })
        .await
}

fn refuse_if_used(conn: &mut PgConnection, scope: &TenantScope, id: SecretId) -> ApiResult<()> {
    let mut webhooks = secrets::used_by(conn, scope, id)?;
    webhooks.extend(secrets::sent_by(conn, scope, id)?);
    webhooks.sort_unstable();
    webhooks.dedup();
    let destinations = destinations::using_secret(conn, scope, id)?;
    let destinations = destinations.iter().map(|destination| destination.id.to_string());
    let users: Vec<String> = webhooks
        .iter()
        .map(ToString::to_string)
        .chain(destinations)
        .collect();
    if users.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "it is named by the authentication or the flow of {}",
        users.join(", ")
    );
    Err(ApiError::new(ErrorCode::InUse, detail))
}
