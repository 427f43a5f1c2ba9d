//! The API keys that senders present at a webhook.

mod view;

use actix_web::{delete, get, patch, post};
use chrono::{DateTime, Utc};
use hookgate_domain::api_keys::{self, ApiKeySettings};
use hookgate_domain::limits;
use hookgate_domain::redis::changes::Change;
use hookgate_model::ids::{ApiKeyId, WebhookId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::{ApiKeyView, CreatedApiKey};

use super::urls::require_future;
use crate::auth::Guarded;
use crate::auth::permissions::{KeysRead, KeysWrite};
use crate::body::{Json, NoContent, Patch, Reply};
use crate::changes::change;
use crate::error::ApiResult;
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, text, time};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

type ApiKeyPatch = Patch<SettingsBody>;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(index)
        .service(read)
        .service(update)
        .service(remove)
        .service(revoke);
}

/// What can be chosen of an API key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeySettings, example = json!({"name": "the shop", "expires_at": "2027-11-21T00:00:00Z"}))]
pub struct SettingsBody {
    /// What the tenant calls it, such as the sender's name.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// From when it is not valid any more; null or absent: it does not expire.
    expires_at: Option<DateTime<Utc>>,
}

impl FromFields for SettingsBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        let expires_at = fields.optional("expires_at", time);
        Some(Self {
            name: name?,
            expires_at: expires_at?,
        })
    }
}

impl From<SettingsBody> for ApiKeySettings {
    fn from(body: SettingsBody) -> Self {
        Self {
            name: body.name,
            expires_at: body.expires_at,
        }
    }
}

/// Create an API key
///
/// The key is in this answer alone. It counts at this webhook, once its `authentication.kind` is `api_key`.
#[utoipa::path(tag = "api keys", operation_id = "createApiKey", security(("bearer" = ["keys:write"])),
    request_body = SettingsBody,
    responses((status = 201, description = "The key", body = CreatedApiKey),
        (status = 409, description = "limit_reached")))]
#[post("/webhooks/{id}/api-keys")]
async fn create(
    caller: Guarded<KeysWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
    Json(new): Json<SettingsBody>,
) -> ApiResult<Reply<CreatedApiKey>> {
    require_future(new.expires_at)?;
    let settings = ApiKeySettings::from(new);
    let (key, text) = change(&caller, move |conn, scope| {
        Ok((
            api_keys::create(conn, scope, webhook, &settings)?,
            vec![Change::Webhook(webhook)],
        ))
    })
    .await?;
    let version = key.version;
    Ok(Reply::created(CreatedApiKey::new(key, text.to_string())).version(version))
}

/// List the API keys of a webhook
///
/// Without the keys themselves, which are shown once; also the revoked ones.
#[utoipa::path(tag = "api keys", operation_id = "listApiKeys", security(("bearer" = ["keys:read"])),
    params(PagingParams),
    responses((status = 200, description = "A page of keys, newest first", body = Page<ApiKeyView>)))]
#[get("/webhooks/{id}/api-keys")]
async fn index(
    caller: Guarded<KeysRead>,
    Path((webhook,)): Path<(WebhookId,)>,
    paging: Paging,
) -> ApiResult<Reply<Page<ApiKeyView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let keys = caller
        .run(move |conn, scope| api_keys::list(conn, scope, webhook, rows))
        .await?;
    Ok(Reply::ok(window.page(
        keys,
        |key| key.id.uuid(),
        ApiKeyView::from,
    )?))
}

/// Read an API key
///
/// Without the key itself: its name, its expiry, and when it was revoked.
#[utoipa::path(tag = "api keys", operation_id = "getApiKey", security(("bearer" = ["keys:read"])),
    responses((status = 200, description = "The key, without its secret", body = ApiKeyView)))]
#[get("/webhooks/{id}/api-keys/{key_id}")]
async fn read(
    caller: Guarded<KeysRead>,
    Path((webhook, id)): Path<(WebhookId, ApiKeyId)>,
) -> ApiResult<Reply<ApiKeyView>> {
    let key = caller
        .run(move |conn, scope| api_keys::read(conn, scope, webhook, id))
        .await?;
    let version = key.version;
    Ok(Reply::ok(ApiKeyView::from(key)).version(version))
}

/// Change an API key
///
/// An `expires_at` that has passed ends it at once.
#[utoipa::path(tag = "api keys", operation_id = "updateApiKey", security(("bearer" = ["keys:write"])),
    request_body(content = ApiKeyPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The key as it is now", body = ApiKeyView)))]
#[patch("/webhooks/{id}/api-keys/{key_id}")]
async fn update(
    caller: Guarded<KeysWrite>,
    Path((webhook, id)): Path<(WebhookId, ApiKeyId)>,
    if_match: IfMatch,
    patch: ApiKeyPatch,
) -> ApiResult<Reply<ApiKeyView>> {
    let key = change(&caller, move |conn, scope| {
        let current = api_keys::read_for_change(conn, scope, webhook, id)?;
        if_match.check(current.version)?;
        let settings = patch.apply(&SettingsBody {
            name: current.name,
            expires_at: current.expires_at,
        })?;
        let key = api_keys::update(conn, scope, webhook, id, &settings.into())?;
        Ok((key, vec![Change::Webhook(webhook)]))
    })
    .await?;
    let version = key.version;
    Ok(Reply::ok(ApiKeyView::from(key)).version(version))
}

/// Delete an API key
///
/// This is final. It stops working at once.
#[utoipa::path(tag = "api keys", operation_id = "deleteApiKey", security(("bearer" = ["keys:write"])),
    responses((status = 204, description = "It is gone"), (status = 412, description = "precondition_failed")))]
#[delete("/webhooks/{id}/api-keys/{key_id}")]
async fn remove(
    caller: Guarded<KeysWrite>,
    Path((webhook, id)): Path<(WebhookId, ApiKeyId)>,
    if_match: IfMatch,
) -> ApiResult<NoContent> {
    change(&caller, move |conn, scope| {
        if_match.check(api_keys::read_for_change(conn, scope, webhook, id)?.version)?;
        api_keys::delete(conn, scope, webhook, id)?;
        Ok((NoContent, vec![Change::Webhook(webhook)]))
    })
    .await
}

/// Revoke an API key
///
/// It stops working at once and for good, and stays in the list. Revoking it again changes nothing.
#[utoipa::path(tag = "api keys", operation_id = "revokeApiKey", security(("bearer" = ["keys:write"])),
    responses((status = 200, description = "The revoked key", body = ApiKeyView)))]
#[post("/webhooks/{id}/api-keys/{key_id}/revoke")]
async fn revoke(
    caller: Guarded<KeysWrite>,
    Path((webhook, id)): Path<(WebhookId, ApiKeyId)>,
) -> ApiResult<Reply<ApiKeyView>> {
    let key = change(&caller, move |conn, scope| {
        Ok((
            api_keys::revoke(conn, scope, webhook, id)?,
            vec![Change::Webhook(webhook)],
        ))
    })
    .await?;
    let version = key.version;
    Ok(Reply::ok(ApiKeyView::from(key)).version(version))
}
