//! API keys: what senders present at a webhook that requires one. Only digests are kept.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::authentication::api_key;
use hookgate_model::ids::{ApiKeyId, WebhookId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::api_keys;
use crate::scope::TenantScope;
use crate::webhooks::{lock, require};
use crate::{clock, limits};

/// The characters of a key's end that are shown, so that people can tell keys apart.
const HINT_CHARACTERS: usize = 4;

/// An API key, without its secret.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = api_keys, check_for_backend(diesel::pg::Pg))]
pub struct ApiKey {
    /// Its id.
    #[diesel(deserialize_as = Uuid)]
    pub id: ApiKeyId,
    /// The webhook.
    #[diesel(deserialize_as = Uuid)]
    pub webhook_id: WebhookId,
    /// What the tenant calls it.
    pub name: String,
    /// The last characters of the key.
    pub hint: String,
    /// Counts the changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when it is not valid any more.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When a sender last presented it, to within a few seconds.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// What a tenant can change of a key.
#[derive(Debug, Clone)]
pub struct ApiKeySettings {
    /// What the tenant calls it.
    pub name: String,
    /// From when it is not valid any more.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Makes a key; its text is returned here and never again.
///
/// # Errors
/// [`Error::NotFound`] for the webhook, [`Error::LimitReached`].
pub fn create(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    settings: &ApiKeySettings,
) -> Result<(ApiKey, Zeroizing<String>)> {
    lock(conn, scope, webhook)?;
    let now = clock::now();
    let keys = || {
        api_keys::table
            .filter(api_keys::tenant_id.eq(scope.uuid()))
            .filter(api_keys::webhook_id.eq(webhook.uuid()))
    };
    let live = keys()
        .filter(api_keys::revoked_at.is_null())
        .filter(api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now)))
        .count()
        .get_result::<i64>(conn)?;
    if live >= limits::LIVE_API_KEYS {
        return Err(Error::LimitReached {
            what: "live API keys of a webhook",
            most: limits::LIVE_API_KEYS,
        });
    }
    if keys().count().get_result::<i64>(conn)? >= limits::API_KEYS {
        return Err(Error::LimitReached {
            what: "API keys of a webhook",
            most: limits::API_KEYS,
        });
    }
    let text = Zeroizing::new(api_key::text(clock::secret_bytes()));
    let hint = text
        .get(text.len().saturating_sub(HINT_CHARACTERS)..)
        .unwrap_or_default();
    let id: ApiKeyId = clock::new_id();
    let key = diesel::insert_into(api_keys::table)
        .values((
            api_keys::tenant_id.eq(scope.uuid()),
            api_keys::id.eq(id.uuid()),
            api_keys::webhook_id.eq(webhook.uuid()),
            api_keys::name.eq(&settings.name),
            api_keys::digest.eq(api_key::digest(text.as_bytes()).to_vec()),
            api_keys::hint.eq(hint),
            api_keys::expires_at.eq(settings.expires_at),
        ))
        .returning(ApiKey::as_returning())
        .get_result(conn)?;
    Ok((key, text))
}

/// One key of a webhook.
///
/// # Errors
/// [`Error::NotFound`], also for a key of another webhook.
pub fn read(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    id: ApiKeyId,
) -> Result<ApiKey> {
    Ok(api_keys::table
        .find((scope.uuid(), id.uuid()))
        .filter(api_keys::webhook_id.eq(webhook.uuid()))
        .select(ApiKey::as_select())
        .first(conn)?)
}

/// A page of a webhook's keys.
///
/// # Errors
/// [`Error::NotFound`] for a webhook that is not there.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    page: Page,
) -> Result<Vec<ApiKey>> {
    require(conn, scope, webhook)?;
    Ok(api_keys::table
        .filter(api_keys::tenant_id.eq(scope.uuid()))
        .filter(api_keys::webhook_id.eq(webhook.uuid()))
        .filter(api_keys::id.lt(page.below()))
        .order(api_keys::id.desc())
        .limit(page.limit)
        .select(ApiKey::as_select())
        .load(conn)?)
}

/// One key of a webhook, which nobody else changes until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`], also for a key of another webhook.
pub fn read_for_change(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    id: ApiKeyId,
) -> Result<ApiKey> {
    lock(conn, scope, webhook)?;
    read(conn, scope, webhook, id)
}

/// Changes what a tenant chooses.
///
/// # Errors
/// [`Error::NotFound`].
pub fn update(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    id: ApiKeyId,
    settings: &ApiKeySettings,
) -> Result<ApiKey> {
    read_for_change(conn, scope, webhook, id)?;
    Ok(diesel::update(api_keys::table.find((scope.uuid(), id.uuid())))
        .set((
            api_keys::name.eq(&settings.name),
            api_keys::expires_at.eq(settings.expires_at),
            api_keys::version.eq(api_keys::version + 1),
        ))
        .returning(ApiKey::as_returning())
        .get_result(conn)?)
}

/// Revokes a key, at once and for good. Revoking it again changes nothing.
///
/// # Errors
/// [`Error::NotFound`].
pub fn revoke(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    id: ApiKeyId,
) -> Result<ApiKey> {
    let key = read_for_change(conn, scope, webhook, id)?;
    if key.revoked_at.is_some() {
        return Ok(key);
    }
    Ok(diesel::update(api_keys::table.find((scope.uuid(), id.uuid())))
        .set((
            api_keys::revoked_at.eq(clock::now()),
            api_keys::version.eq(api_keys::version + 1),
        ))
        .returning(ApiKey::as_returning())
        .get_result(conn)?)
}

/// Deletes a key.
///
/// # Errors
/// [`Error::NotFound`].
pub fn delete(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId, id: ApiKeyId) -> Result<()> {
    read_for_change(conn, scope, webhook, id)?;
    diesel::delete(api_keys::table.find((scope.uuid(), id.uuid()))).execute(conn)?;
    Ok(())
}
