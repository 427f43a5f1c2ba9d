//! Management keys: what machines call this API with.

use actix_web::{get, post};
use chrono::{DateTime, SecondsFormat, Utc};
use hookgate_domain::management_keys::{self, NewManagementKey};
use hookgate_domain::{clock, limits};
use hookgate_model::access::Scope;
use hookgate_model::ids::ManagementKeyId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::me::grantable;
use crate::auth::permissions::{ManagementKeysRead, ManagementKeysWrite};
use crate::auth::secret_token::{self, SecretToken};
use crate::auth::{Actor, Guarded};
use crate::body::{Json, Reply};
use crate::error::{ApiError, ApiResult, FieldCode};
use crate::fields::{Fields, FromFields, list, parsed, text, time};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(index)
        .service(read)
        .service(revoke);
}

/// A management key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "mgk_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Deployment", "hint": "hgm_4fJx",
    "scopes": ["webhooks:write"], "created_at": "2026-11-21T12:00:00Z", "expires_at": null, "revoked_at": null,
    "last_used_at": "2026-11-21T12:30:00Z"}))]
pub struct ManagementKey {
    id: ManagementKeyId,
    name: String,
    /// The beginning of the key, by which to recognise it.
    hint: String,
    scopes: Vec<Scope>,
    created_at: DateTime<Utc>,
    /// When it stops working by itself; null for never.
    expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<management_keys::ManagementKey> for ManagementKey {
    fn from(key: management_keys::ManagementKey) -> Self {
        Self {
            scopes: key.scopes(),
            id: key.id,
            name: key.name,
            hint: key.hint,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// What a new management key needs.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"name": "Deployment", "scopes": ["webhooks:write"], "expires_at": "2027-11-21T00:00:00Z"}))]
pub struct ManagementKeyRequest {
    /// What it is for.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it may do: no more than whoever makes it.
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// When it stops working by itself; absent for never. A key that ends makes none that ends later.
    expires_at: Option<DateTime<Utc>>,
}

impl FromFields for ManagementKeyRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        let scopes = fields.required("scopes", list(1..=Scope::ALL.len(), parsed));
        let expires_at = fields.optional("expires_at", time);
        Some(Self {
            name: name?,
            scopes: scopes?,
            expires_at: expires_at?,
        })
    }
}

/// A new management key with the key itself, which is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"key": "hgm_4fJxQmV0c2lHb3d3aGF0YXJlYWxseWxvbmdrZXl0aGlzaXM", "id": "mgk_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "name": "Deployment", "hint": "hgm_4fJx", "scopes": ["webhooks:write"], "created_at": "2026-11-21T12:00:00Z",
    "expires_at": null, "revoked_at": null, "last_used_at": null}))]
struct CreatedManagementKey {
    /// Send it as `Authorization: Bearer`. It cannot be shown again.
    key: String,
    #[serde(flatten)]
    about: ManagementKey,
}

/// Create a management key
///
/// The key is in this answer alone. It can be given no scope that its maker does not have, and no later end than that of a key
/// that makes it.
#[utoipa::path(tag = "management keys", operation_id = "createManagementKey",
    security(("bearer" = ["management_keys:write"])),
    responses((status = 201, description = "The key", body = CreatedManagementKey)))]
#[post("/management-keys")]
async fn create(
    caller: Guarded<ManagementKeysWrite>,
    Json(new): Json<ManagementKeyRequest>,
) -> ApiResult<Reply<CreatedManagementKey>> {
    check(&new, &caller.actor)?;
    let token = SecretToken::new(secret_token::MANAGEMENT_KEY);
    let new = NewManagementKey {
        id: clock::new_id(),
        name: new.name,
        digest: token.digest,
        hint: token.hint(),
        scopes: new.scopes,
        expires_at: new.expires_at,
    };
    let key = caller
        .run(move |conn, scope| management_keys::create(conn, scope, &new))
        .await?;
    Ok(Reply::created(CreatedManagementKey {
        key: token.text,
        about: key.into(),
    }))
}

fn check(new: &ManagementKeyRequest, maker: &Actor) -> ApiResult<()> {
    let wrong_end = |detail: String| Err(ApiError::field("/expires_at", FieldCode::OutOfRange, detail));
    if new.expires_at.is_some_and(|at| at <= clock::now()) {
        return wrong_end("must be in the future".to_owned());
    }
    if let Actor::Key {
        expires_at: Some(end),
        ..
    } = maker
        && new.expires_at.is_none_or(|at| at > *end)
    {
        let end = end.to_rfc3339_opts(SecondsFormat::Micros, true);
        return wrong_end(format!(
            "must not be later than {end}, when the key that makes it ends"
        ));
    }
    let grantable = grantable(maker);
    match new.scopes.iter().position(|scope| !grantable.contains(scope)) {
        None => Ok(()),
        Some(place) => Err(ApiError::field(
            format!("/scopes/{place}"),
            FieldCode::Invalid,
            "you cannot give a scope that allows more than you may do",
        )),
    }
}

/// List management keys
///
/// Without the keys themselves, which are shown once.
#[utoipa::path(tag = "management keys", operation_id = "listManagementKeys",
    security(("bearer" = ["management_keys:read"])), params(PagingParams),
    responses((status = 200, description = "A page of keys, newest first", body = Page<ManagementKey>)))]
#[get("/management-keys")]
async fn index(caller: Guarded<ManagementKeysRead>, paging: Paging) -> ApiResult<Reply<Page<ManagementKey>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let keys = caller
        .run(move |conn, scope| management_keys::list(conn, scope, rows))
        .await?;
    Ok(Reply::ok(window.page(
        keys,
        |key| key.id.uuid(),
        ManagementKey::from,
    )?))
}

/// Read a management key
///
/// Without the key itself: its scopes, and when it was last used.
#[utoipa::path(tag = "management keys", operation_id = "getManagementKey",
    security(("bearer" = ["management_keys:read"])),
    responses((status = 200, description = "The key", body = ManagementKey)))]
#[get("/management-keys/{id}")]
async fn read(
    caller: Guarded<ManagementKeysRead>,
    Path((id,)): Path<(ManagementKeyId,)>,
) -> ApiResult<Reply<ManagementKey>> {
    let key = caller
        .run(move |conn, scope| management_keys::find(conn, scope, id))
        .await?;
    Ok(Reply::ok(key.into()))
}

/// Revoke a management key
///
/// It stops working at once and for good. Revoking it again changes nothing.
#[utoipa::path(tag = "management keys", operation_id = "revokeManagementKey",
    security(("bearer" = ["management_keys:write"])),
    responses((status = 200, description = "The revoked key", body = ManagementKey)))]
#[post("/management-keys/{id}/revoke")]
async fn revoke(
    caller: Guarded<ManagementKeysWrite>,
    Path((id,)): Path<(ManagementKeyId,)>,
) -> ApiResult<Reply<ManagementKey>> {
    let key = caller
        .run(move |conn, scope| management_keys::revoke(conn, scope, id, clock::now()))
        .await?;
    Ok(Reply::ok(key.into()))
}
