//! Secrets: encrypted values that webhooks verify their senders with, and that calls present. A value is sealed with the master
//! key, bound to its row, and never shown.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::flow::secrets::FlowSecrets;
use hookgate_model::ids::{SecretId, TenantId, WebhookId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::crypto::MasterKey;
use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::{revisions, secrets, webhooks};
use crate::scope::TenantScope;
use crate::{clock, limits};

/// A secret without its value.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = secrets, check_for_backend(diesel::pg::Pg))]
pub struct Secret {
    /// Its id.
    #[diesel(deserialize_as = Uuid)]
    pub id: SecretId,
    /// A name, unique in the tenant.
    pub name: String,
    /// Counts the changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its name or value last changed.
    pub updated_at: DateTime<Utc>,
    /// When its value last changed.
    pub value_changed_at: DateTime<Utc>,
}

/// What a sealed value is bound to.
pub fn context(tenant: TenantId, id: SecretId) -> String {
    format!("secrets/{tenant}/{id}")
}

/// Makes a secret.
///
/// # Errors
/// `secrets_name_key` when the name is taken; [`Error::LimitReached`].
pub fn create(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    name: &str,
    value: &[u8],
) -> Result<Secret> {
    require_room(conn, scope)?;
    let id: SecretId = clock::new_id();
    Ok(diesel::insert_into(secrets::table)
        .values((
            secrets::tenant_id.eq(scope.uuid()),
            secrets::id.eq(id.uuid()),
            secrets::name.eq(name),
            secrets::value.eq(key.seal(&context(scope.tenant(), id), value)?),
        ))
        .returning(Secret::as_returning())
        .get_result(conn)?)
}

/// Refuses when the tenant has as many secrets as it may have.
pub(crate) fn require_room(conn: &mut PgConnection, scope: &TenantScope) -> Result<()> {
    let existing = secrets::table
        .filter(secrets::tenant_id.eq(scope.uuid()))
        .count()
        .get_result::<i64>(conn)?;
    if existing < limits::SECRETS {
        return Ok(());
    }
    Err(Error::LimitReached {
        what: "secrets",
        most: limits::SECRETS,
    })
}

/// One secret.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read(conn: &mut PgConnection, scope: &TenantScope, id: SecretId) -> Result<Secret> {
    Ok(secrets::table
        .find((scope.uuid(), id.uuid()))
        .select(Secret::as_select())
        .first(conn)?)
}

/// One secret, which nobody else changes, and no webhook begins to use, until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read_for_change(conn: &mut PgConnection, scope: &TenantScope, id: SecretId) -> Result<Secret> {
    Ok(secrets::table
        .find((scope.uuid(), id.uuid()))
        .select(Secret::as_select())
        .for_update()
        .first(conn)?)
}

/// A page of the tenant's secrets.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(conn: &mut PgConnection, scope: &TenantScope, page: Page) -> Result<Vec<Secret>> {
    Ok(secrets::table
        .filter(secrets::tenant_id.eq(scope.uuid()))
        .filter(secrets::id.lt(page.below()))
        .order(secrets::id.desc())
        .limit(page.limit)
        .select(Secret::as_select())
        .load(conn)?)
}

/// Changes the name, and the value if another is given.
///
/// # Errors
/// [`Error::NotFound`], `secrets_name_key` when the name is taken.
pub fn update(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    id: SecretId,
    name: &str,
    value: Option<&[u8]>,
) -> Result<Secret> {
    read_for_change(conn, scope, id)?;
    let now = clock::now();
    let sealed = value
        .map(|value| key.seal(&context(scope.tenant(), id), value))
        .transpose()?;
    let changed_at = sealed.is_some().then_some(now);
    Ok(diesel::update(secrets::table.find((scope.uuid(), id.uuid())))
        .set((
            secrets::name.eq(name),
            sealed.map(|sealed| secrets::value.eq(sealed)),
            changed_at.map(|now| secrets::value_changed_at.eq(now)),
            secrets::version.eq(secrets::version + 1),
            secrets::updated_at.eq(now),
        ))
        .returning(Secret::as_returning())
        .get_result(conn)?)
}

/// The webhooks whose authentication or handshake names the secret.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn used_by(conn: &mut PgConnection, scope: &TenantScope, id: SecretId) -> Result<Vec<WebhookId>> {
    let settings = "webhooks.authentication::text || coalesce(webhooks.handshake::text, '') LIKE ";
    let mentions = diesel::dsl::sql::<diesel::sql_types::Bool>(settings)
        .bind::<diesel::sql_types::Text, _>(format!("%{id}%"));
    let ids: Vec<Uuid> = webhooks::table
        .filter(webhooks::tenant_id.eq(scope.uuid()))
        .filter(mentions)
        .order(webhooks::id)
        .select(webhooks::id)
        .load(conn)?;
    Ok(ids.into_iter().map(WebhookId::from).collect())
}

/// The webhooks whose flow can send the secret: that of the draft, or the published one.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn sent_by(conn: &mut PgConnection, scope: &TenantScope, id: SecretId) -> Result<Vec<WebhookId>> {
    let is_in_use = revisions::id
        .eq(webhooks::draft_revision_id)
        .or(revisions::id.nullable().eq(webhooks::published_revision_id));
    let mentions =
        diesel::dsl::sql::<diesel::sql_types::Bool>("revisions.document #>> '{flow,secrets}' LIKE ")
            .bind::<diesel::sql_types::Text, _>(format!("%{id}%"));
    let ids: Vec<Uuid> = webhooks::table
        .inner_join(revisions::table.on(revisions::tenant_id.eq(webhooks::tenant_id).and(is_in_use)))
        .filter(webhooks::tenant_id.eq(scope.uuid()))
        .filter(mentions)
        .order(webhooks::id)
        .distinct()
        .select(webhooks::id)
        .load(conn)?;
    Ok(ids.into_iter().map(WebhookId::from).collect())
}

/// Deletes a secret.
///
/// # Errors
/// [`Error::NotFound`].
pub fn delete(conn: &mut PgConnection, scope: &TenantScope, id: SecretId) -> Result<()> {
    read_for_change(conn, scope, id)?;
    diesel::delete(secrets::table.find((scope.uuid(), id.uuid()))).execute(conn)?;
    Ok(())
}

/// Of some ids, those that are secrets of the tenant. They cannot be deleted until the transaction ends.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn existing(conn: &mut PgConnection, scope: &TenantScope, ids: &[SecretId]) -> Result<HashSet<SecretId>> {
    let present: Vec<Uuid> = secrets::table
        .filter(secrets::tenant_id.eq(scope.uuid()))
        .filter(secrets::id.eq_any(uuids(ids)))
        .select(secrets::id)
        .for_key_share()
        .load(conn)?;
    Ok(present.into_iter().map(SecretId::from).collect())
}

/// The values of some secrets, for a verifier. One that is not there is left out.
///
/// # Errors
/// [`Error::Unreadable`] when one was sealed with another master key, or is damaged.
pub fn open(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    ids: &[SecretId],
) -> Result<HashMap<SecretId, Zeroizing<Vec<u8>>>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sealed: Vec<(Uuid, Vec<u8>)> = secrets::table
        .filter(secrets::tenant_id.eq(scope.uuid()))
        .filter(secrets::id.eq_any(uuids(ids)))
        .select((secrets::id, secrets::value))
        .load(conn)?;
    sealed
        .into_iter()
        .map(|(id, sealed)| {
            let id = SecretId::from(id);
            Ok((id, key.open(&context(scope.tenant(), id), &sealed)?))
        })
        .collect()
}

/// The values of a flow's secrets, by the words that it has for them. One that is not there is left out.
///
/// # Errors
/// [`Error::Unreadable`] when one was sealed with another master key, or is damaged.
pub fn open_for_flow(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    wanted: &BTreeMap<String, SecretId>,
) -> Result<FlowSecrets> {
    let ids: Vec<SecretId> = wanted.values().copied().collect();
    let values = open(conn, scope, key, &ids)?;
    let opened = wanted.iter().filter_map(|(word, id)| {
        let value = std::str::from_utf8(values.get(id)?).ok()?;
        Some((word.clone(), value.to_owned()))
    });
    Ok(opened.collect())
}

fn uuids(ids: &[SecretId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.uuid()).collect()
}
