//! Machines' credentials for the management API: 256 random bits, of which only the digest is kept.
//!
//! A [`TenantScope`] is made here for a key, once it is known to be live.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::access::Scope;
use hookgate_model::ids::ManagementKeyId;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::management_keys;
use crate::scope::{self, TenantScope};
use crate::tenants::{self, Standing};

/// How stale `last_used_at` may be: writing it on every request would cost each a commit.
const LAST_USED_PRECISION: TimeDelta = TimeDelta::minutes(1);

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = management_keys)]
pub struct ManagementKey {
    /// The id.
    #[diesel(deserialize_as = Uuid)]
    pub id: ManagementKeyId,
    /// What it is for.
    pub name: String,
    /// The beginning of the key, by which people recognise it.
    pub hint: String,
    /// The names of its scopes.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl ManagementKey {
    /// Its scopes; a name that this program does not know gives nothing.
    pub fn scopes(&self) -> Vec<Scope> {
        self.scopes.iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// Whether it works.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// What a new key needs.
#[derive(Debug, Clone)]
pub struct NewManagementKey {
    /// The id.
    pub id: ManagementKeyId,
    /// What it is for.
    pub name: String,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// The beginning of the key.
    pub hint: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it stops working by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A presented key that is live.
#[derive(Debug)]
pub struct Authenticated {
    /// The tenant that it opens.
    pub scope: TenantScope,
    /// The key.
    pub key: ManagementKey,
    /// Whether the tenant can be worked with.
    pub standing: Standing,
}

/// The live key of a digest. Notes the use.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or it is expired or revoked.
pub fn authenticate(conn: &mut PgConnection, digest: &[u8; 32], now: DateTime<Utc>) -> Result<Authenticated> {
    scope::transaction(conn, |conn| {
        scope::present_digest(conn, digest)?;
        let (tenant, key): (Uuid, ManagementKey) = management_keys::table
            .filter(management_keys::digest.eq(&digest[..]))
            .select((management_keys::tenant_id, ManagementKey::as_select()))
            .first(conn)?;
        if !key.is_live(now) {
            return Err(Error::NotFound);
        }
        let scope = TenantScope::proven(tenant.into());
        scope.enter(conn)?;
        let standing = tenants::find(conn, &scope)?.standing();
        if key.last_used_at.is_none_or(|at| now - at > LAST_USED_PRECISION) {
            diesel::update(management_keys::table.find((scope.uuid(), key.id.uuid())))
                .set(management_keys::last_used_at.eq(now))
                .execute(conn)?;
        }
        Ok(Authenticated { scope, key, standing })
    })
}

/// Adds a key.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn create(conn: &mut PgConnection, scope: &TenantScope, new: &NewManagementKey) -> Result<ManagementKey> {
    let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.as_str()).collect();
    Ok(diesel::insert_into(management_keys::table)
        .values((
            management_keys::tenant_id.eq(scope.uuid()),
            management_keys::id.eq(new.id.uuid()),
            management_keys::name.eq(&new.name),
            management_keys::digest.eq(&new.digest[..]),
            management_keys::hint.eq(&new.hint),
            management_keys::scopes.eq(scopes),
            management_keys::expires_at.eq(new.expires_at),
        ))
        .returning(ManagementKey::as_returning())
        .get_result(conn)?)
}

/// The keys of the tenant, newest first.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(conn: &mut PgConnection, scope: &TenantScope, page: Page) -> Result<Vec<ManagementKey>> {
    Ok(management_keys::table
        .filter(management_keys::tenant_id.eq(scope.uuid()))
        .filter(management_keys::id.lt(page.below()))
        .order(management_keys::id.desc())
        .limit(page.limit)
        .select(ManagementKey::as_select())
        .load(conn)?)
}

/// A key.
///
/// # Errors
/// [`Error::NotFound`].
pub fn find(conn: &mut PgConnection, scope: &TenantScope, id: ManagementKeyId) -> Result<ManagementKey> {
    Ok(management_keys::table
        .find((scope.uuid(), id.uuid()))
        .select(ManagementKey::as_select())
        .first(conn)?)
}

/// Revokes a key, for good. Revoking again changes nothing.
///
/// # Errors
/// [`Error::NotFound`].
pub fn revoke(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: ManagementKeyId,
    now: DateTime<Utc>,
) -> Result<ManagementKey> {
    diesel::update(
        management_keys::table
            .find((scope.uuid(), id.uuid()))
            .filter(management_keys::revoked_at.is_null()),
    )
    .set(management_keys::revoked_at.eq(now))
    .execute(conn)?;
    find(conn, scope, id)
}
