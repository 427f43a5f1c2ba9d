//! Tenants and the people in them. A [`TenantScope`] is made here for a person, once their login and membership are
//! known to be live.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::access::Role;
use hookgate_model::ids::{LoginSessionId, TenantId, UserId};
use hookgate_model::limits::TenantLimits;
use uuid::Uuid;

use crate::audit::Origin;
use crate::error::{Error, Result};
use crate::members::{self, read_role};
use crate::schema::{login_sessions as logins, memberships, tenants};
use crate::scope::{self, TenantScope};
use crate::stored_json::{StoredJson, to_json};
use crate::{clock, login_sessions, users};

/// Whether the operator lets a tenant use the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantStatus {
    /// It does.
    Active,
    /// Requests are refused, flows are held, nothing can be changed.
    Suspended,
}

impl TenantStatus {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => ACTIVE,
            Self::Suspended => "suspended",
        }
    }
}

/// The status of a tenant that is not suspended.
const ACTIVE: &str = "active";

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = tenants)]
pub struct Tenant {
    /// The id.
    #[diesel(deserialize_as = Uuid)]
    pub id: TenantId,
    /// What it is called.
    pub name: String,
    /// `active` or `suspended`.
    pub status: String,
    /// Counts the changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// What the operator has set for it; the operator's defaults are not in it.
    #[diesel(deserialize_as = StoredJson<TenantLimits>)]
    pub limits: TenantLimits,
    /// When it is erased, if an owner has deleted it.
    pub delete_at: Option<DateTime<Utc>>,
}

/// Whether a tenant can be worked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can.
    Active,
    /// The operator has suspended it.
    Suspended,
    /// An owner has deleted it: it will be erased then, and can be restored until then.
    Deleted(DateTime<Utc>),
}

impl Standing {
    fn of(status: &str, delete_at: Option<DateTime<Utc>>) -> Self {
        match delete_at {
            Some(at) => Self::Deleted(at),
            None if status == ACTIVE => Self::Active,
            None => Self::Suspended,
        }
    }
}

impl Tenant {
    /// Whether it can be worked with.
    pub fn standing(&self) -> Standing {
        Standing::of(&self.status, self.delete_at)
    }
}

/// A person's place in a tenant, proven to be live.
#[derive(Debug, Clone, Copy)]
pub struct Membership {
    /// The tenant, whose rows may be touched.
    pub scope: TenantScope,
    /// What the person may do there.
    pub role: Role,
    /// Whether the tenant can be worked with.
    pub standing: Standing,
}

/// Makes a tenant with its first owner, in the running transaction.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn create(
    conn: &mut PgConnection,
    id: TenantId,
    name: &str,
    owner: UserId,
) -> Result<(TenantScope, Tenant)> {
    let scope = TenantScope::proven(id);
    scope.enter(conn)?;
    let tenant = diesel::insert_into(tenants::table)
        .values((tenants::id.eq(id.uuid()), tenants::name.eq(name)))
        .returning(Tenant::as_returning())
        .get_result(conn)?;
    members::add(conn, &scope, owner, Role::Owner)?;
    Ok((scope, tenant))
}

/// The place of a person in a tenant through one login: both must be live.
///
/// # Errors
/// [`Error::NotFound`] when the login has ended or was for another tenant, or the person is no member.
pub fn authorise(
    conn: &mut PgConnection,
    user: UserId,
    tenant: TenantId,
    session: LoginSessionId,
    now: DateTime<Utc>,
) -> Result<Membership> {
    scope::transaction(conn, |conn| {
        scope::set_local(conn, "hookgate.user_id", &user.uuid().to_string())?;
        let (role, status, delete_at, last_used_at): (String, String, _, DateTime<Utc>) = memberships::table
            .inner_join(tenants::table.on(tenants::id.eq(memberships::tenant_id)))
            .inner_join(logins::table.on(logins::user_id.eq(memberships::user_id)))
            .filter(memberships::tenant_id.eq(tenant.uuid()))
            .filter(memberships::user_id.eq(user.uuid()))
            .filter(logins::id.eq(session.uuid()))
            .filter(logins::tenant_id.eq(tenant.uuid()))
            .filter(logins::revoked_at.is_null())
            .filter(logins::expires_at.gt(now))
            .select((
                memberships::role,
                tenants::status,
                tenants::delete_at,
                logins::last_used_at,
            ))
            .first(conn)?;
        login_sessions::note_use(conn, session, last_used_at, now)?;
        Ok(Membership {
            scope: TenantScope::proven(tenant),
            role: read_role(&role)?,
            standing: Standing::of(&status, delete_at),
        })
    })
}

/// The tenants of a person with their role in each, those joined first in front.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn of_person(conn: &mut PgConnection, user: UserId) -> Result<Vec<(Tenant, Role)>> {
    scope::transaction(conn, |conn| {
        scope::set_local(conn, "hookgate.user_id", &user.uuid().to_string())?;
        let rows: Vec<(Tenant, String)> = memberships::table
            .inner_join(tenants::table.on(tenants::id.eq(memberships::tenant_id)))
            .filter(memberships::user_id.eq(user.uuid()))
            .order((memberships::created_at, memberships::tenant_id))
            .select((Tenant::as_select(), memberships::role))
            .load(conn)?;
        rows.into_iter()
            .map(|(tenant, role)| Ok((tenant, read_role(&role)?)))
            .collect()
    })
}

/// Makes a person another tenant, which they own, in the running transaction.
///
/// # Errors
/// [`Error::LimitReached`] when they own so many.
pub fn create_another(
    conn: &mut PgConnection,
    id: TenantId,
    name: &str,
    owner: UserId,
    most: u32,
) -> Result<Tenant> {
    users::lock(conn, owner)?;
    scope::set_local(conn, "hookgate.user_id", &owner.uuid().to_string())?;
    let owned: i64 = memberships::table
        .filter(memberships::user_id.eq(owner.uuid()))
        .filter(memberships::role.eq(Role::Owner.as_str()))
        .count()
        .get_result(conn)?;
    if owned >= i64::from(most) {
        return Err(Error::LimitReached {
            what: "tenants that one person owns",
            most: most.into(),
        });
    }
    Ok(create(conn, id, name, owner)?.1)
}

/// The tenant.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn find(conn: &mut PgConnection, scope: &TenantScope) -> Result<Tenant> {
    Ok(tenants::table
        .find(scope.uuid())
        .select(Tenant::as_select())
        .first(conn)?)
}

/// The tenant, which nobody else changes until the transaction ends.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn lock(conn: &mut PgConnection, scope: &TenantScope) -> Result<Tenant> {
    Ok(tenants::table
        .find(scope.uuid())
        .select(Tenant::as_select())
        .for_update()
        .first(conn)?)
}

/// Changes the tenant.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn update(
    conn: &mut PgConnection,
    scope: &TenantScope,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Tenant> {
    Ok(diesel::update(tenants::table.find(scope.uuid()))
        .set((
            tenants::name.eq(name),
            tenants::updated_at.eq(now),
            tenants::version.eq(tenants::version + 1),
        ))
        .returning(Tenant::as_returning())
        .get_result(conn)?)
}

/// Deletes the tenant: it is suspended from now on, and erased then. Announce a change of the tenant afterwards.
///
/// # Errors
/// [`Error::NotFound`] when it is deleted already.
pub fn delete(conn: &mut PgConnection, scope: &TenantScope, at: DateTime<Utc>) -> Result<Tenant> {
    // One that the operator has suspended meanwhile stays as it is.
    let active = tenants::table
        .find(scope.uuid())
        .filter(tenants::delete_at.is_null())
        .filter(tenants::status.eq(TenantStatus::Active.as_str()));
    let deletion = Deletion::new(TenantStatus::Suspended, Some(at));
    Ok(diesel::update(active)
        .set((deletion, tenants::version.eq(tenants::version + 1)))
        .returning(Tenant::as_returning())
        .get_result(conn)?)
}

/// Restores a tenant that was deleted. Announce a change of the tenant afterwards.
///
/// # Errors
/// [`Error::NotFound`] when it is not deleted, or its time is over.
pub fn restore(conn: &mut PgConnection, scope: &TenantScope) -> Result<Tenant> {
    // Of one whose time is over, parts are gone.
    let deleted = tenants::table
        .find(scope.uuid())
        .filter(tenants::delete_at.gt(clock::now()));
    let deletion = Deletion::new(TenantStatus::Active, None);
    Ok(diesel::update(deleted)
        .set((deletion, tenants::version.eq(tenants::version + 1)))
        .returning(Tenant::as_returning())
        .get_result(conn)?)
}

/// What deleting and restoring change.
#[derive(AsChangeset)]
#[diesel(table_name = tenants, treat_none_as_null = true)]
struct Deletion {
    status: &'static str,
    delete_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

impl Deletion {
    fn new(status: TenantStatus, delete_at: Option<DateTime<Utc>>) -> Self {
        Self {
            status: status.as_str(),
            delete_at,
            updated_at: clock::now(),
        }
    }
}

/// The tenants whose time to be erased has come. For workers.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn to_be_erased(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<TenantId>> {
    let found: Vec<Uuid> = tenants::table
        .filter(tenants::delete_at.le(now))
        .select(tenants::id)
        .load(conn)?;
    Ok(found.into_iter().map(TenantId::from).collect())
}

/// Deletes rows of such a tenant, about so many. Gives how many; 0 when the tenant itself is gone, and everything of it. For workers.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn erase(conn: &mut PgConnection, tenant: TenantId, most: i32) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Erased {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        rows: i64,
    }
    let erased: Erased = diesel::sql_query("SELECT erase_tenant($1, $2) AS rows")
        .bind::<diesel::sql_types::Uuid, _>(tenant.uuid())
        .bind::<diesel::sql_types::Integer, _>(most)
        .get_result(conn)?;
    Ok(erased.rows)
}

/// Sets what the operator allows the tenant to use. Announce a change of the tenant afterwards.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn set_limits(conn: &mut PgConnection, scope: &TenantScope, limits: &TenantLimits) -> Result<Tenant> {
    Ok(diesel::update(tenants::table.find(scope.uuid()))
        .set((
            tenants::limits.eq(to_json(limits)?),
            tenants::updated_at.eq(clock::now()),
            tenants::version.eq(tenants::version + 1),
        ))
        .returning(Tenant::as_returning())
        .get_result(conn)?)
}

/// All tenants, the oldest first. For the operator, who connects as the owner of the database.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list_all(conn: &mut PgConnection) -> Result<Vec<Tenant>> {
    Ok(tenants::table
        .order(tenants::id)
        .select(Tenant::as_select())
        .load(conn)?)
}

/// Suspends a tenant, or lets it go on. For the operator, who connects as the owner of the database. Announce a change of the
/// tenant afterwards. Doing it again changes nothing.
///
/// # Errors
/// [`Error::NotFound`].
pub fn set_status(conn: &mut PgConnection, id: TenantId, status: TenantStatus) -> Result<Tenant> {
    scope::transaction(conn, |conn| {
        scope::set_local(conn, "hookgate.tenant_id", &id.uuid().to_string())?;
        Origin::operator().enter(conn)?;
        diesel::update(
            tenants::table
                .find(id.uuid())
                .filter(tenants::status.ne(status.as_str()))
                .filter(tenants::delete_at.is_null()),
        )
        .set((
            tenants::status.eq(status.as_str()),
            tenants::updated_at.eq(clock::now()),
            tenants::version.eq(tenants::version + 1),
        ))
        .execute(conn)?;
        Ok(tenants::table
            .find(id.uuid())
            .select(Tenant::as_select())
            .first(conn)?)
    })
}
