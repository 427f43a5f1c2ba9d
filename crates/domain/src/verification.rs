//! What is secret in the authentication of a webhook: its API keys and the secrets that it names.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::authentication::{Authentication, Material, StoredKey};
use hookgate_model::ids::{ApiKeyId, WebhookId};
use uuid::Uuid;

use crate::crypto::MasterKey;
use crate::error::{Error, Result};
use crate::schema::api_keys;
use crate::scope::TenantScope;
use crate::secrets;

/// Loads and opens it. A secret that is not there is left out: the verifier says so when it is compiled.
///
/// # Errors
/// [`Error::Unreadable`] when a secret was sealed with another master key, or is damaged.
pub fn material(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    webhook: WebhookId,
    authentication: &Authentication,
) -> Result<Material> {
    Ok(Material {
        api_keys: keys(conn, scope, webhook)?,
        secrets: secrets::open(conn, scope, key, &authentication.secret_ids())?,
    })
}

/// A webhook's keys that are not revoked; the expired ones are among them, so that a sender can be told.
fn keys(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId) -> Result<Vec<StoredKey>> {
    let rows: Vec<(Uuid, Vec<u8>, Option<DateTime<Utc>>)> = api_keys::table
        .filter(api_keys::tenant_id.eq(scope.uuid()))
        .filter(api_keys::webhook_id.eq(webhook.uuid()))
        .filter(api_keys::revoked_at.is_null())
        .select((api_keys::id, api_keys::digest, api_keys::expires_at))
        .load(conn)?;
    rows.into_iter()
        .map(|(id, digest, expires_at)| {
            let digest = digest
                .try_into()
                .map_err(|_| Error::Unreadable { what: "key digest" })?;
            Ok(StoredKey {
                id: ApiKeyId::from(id),
                digest,
                expires_at,
            })
        })
        .collect()
}
