//! Tenants and the people in them. A [`TenantScope`] is made here for a person, once their login and membership are
//! known to be live.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::access::Role;
use hookgate_model::ids::{LoginSessionId, PlanId, TenantId, UserId};
use hookgate_model::limits::TenantLimits;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::members::{self, read_role};
use crate::schema::{login_sessions as logins, memberships, tenants};
use crate::scope::{self, TenantScope};
use crate::stored_json::StoredJson;
use crate::{clock, login_sessions, plans, users};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = tenants)]
pub struct Tenant {
    /// The id.
    #[diesel(deserialize_as = Uuid)]
    pub id: TenantId,
    /// What it is called.
    pub name: String,
    /// Counts the changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// What the operator has set for it; its plan's limits and the defaults are not in it.
    #[diesel(deserialize_as = StoredJson<TenantLimits>)]
    pub limits: TenantLimits,
    /// When it is erased, if it was deleted.
    pub delete_at: Option<DateTime<Utc>>,
    /// Since when the operator has suspended it.
    pub suspended_at: Option<DateTime<Utc>>,
    /// Why, as the tenant reads it.
    pub suspension_reason: String,
    /// Its plan, as it is stored.
    pub plan_id: Option<Uuid>,
    /// How many days it wants to keep what it received; as long as it may, when it does not say.
    pub retention_days: Option<i32>,
}

/// Whether a tenant can be worked with: when it is neither suspended nor deleted, which come and go apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the operator has suspended it.
    pub is_suspended: bool,
    /// When it is erased, if it was deleted; until then it can be restored.
    pub delete_at: Option<DateTime<Utc>>,
}

impl Standing {
    fn of(suspended_at: Option<DateTime<Utc>>, delete_at: Option<DateTime<Utc>>) -> Self {
        Self {
            is_suspended: suspended_at.is_some(),
            delete_at,
        }
    }

    /// Whether it can be worked with.
    pub const fn is_usable(self) -> bool {
        !self.is_suspended && self.delete_at.is_none()
    }

    /// In one word; of one that is suspended and deleted, that it is deleted.
    pub const fn as_str(self) -> &'static str {
        match (self.delete_at, self.is_suspended) {
            (Some(_), _) => "deleted",
            (None, true) => "suspended",
            (None, false) => "active",
        }
    }
}

impl Tenant {
    /// Whether it can be worked with.
    pub fn standing(&self) -> Standing {
        Standing::of(self.suspended_at, self.delete_at)
    }

    /// Its plan.
    pub fn plan(&self) -> Option<PlanId> {
        self.plan_id.map(PlanId::from)
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

/// Makes a tenant with its first owner and, if one is named, with a plan, in the running transaction.
///
/// # Errors
/// [`Error::NoSuchPlan`].
pub fn create(
    conn: &mut PgConnection,
    id: TenantId,
    name: &str,
    owner: UserId,
    plan: Option<&str>,
) -> Result<(TenantScope, Tenant)> {
    let plan = plan.map(|name| plans::named(conn, name)).transpose()?;
    let scope = TenantScope::proven(id);
    scope.enter(conn)?;
    let tenant = diesel::insert_into(tenants::table)
        .values((
            tenants::id.eq(id.uuid()),
            tenants::name.eq(name),
            tenants::plan_id.eq(plan.map(|plan| plan.id.uuid())),
        ))
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
        let (role, suspended_at, delete_at, last_used_at): (String, _, _, DateTime<Utc>) = memberships::table
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
                tenants::suspended_at,
                tenants::delete_at,
                logins::last_used_at,
            ))
            .first(conn)?;
        login_sessions::note_use(conn, session, last_used_at, now)?;
        Ok(Membership {
            scope: TenantScope::proven(tenant),
            role: read_role(&role)?,
            standing: Standing::of(suspended_at, delete_at),
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
/// [`Error::LimitReached`] when they own so many, else as [`create`].
pub fn create_another(
    conn: &mut PgConnection,
    id: TenantId,
    name: &str,
    owner: UserId,
    plan: Option<&str>,
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
    Ok(create(conn, id, name, owner, plan)?.1)
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
    retention_days: Option<i32>,
    now: DateTime<Utc>,
) -> Result<Tenant> {
    Ok(diesel::update(tenants::table.find(scope.uuid()))
        .set((
            tenants::name.eq(name),
            tenants::retention_days.eq(retention_days),
            tenants::updated_at.eq(now),
            tenants::version.eq(tenants::version + 1),
        ))
        .returning(Tenant::as_returning())
        .get_result(conn)?)
}

/// Deletes the tenant: nobody can use it from now on, and it is erased then. Announce a change of the tenant afterwards.
///
/// # Errors
/// [`Error::NotFound`] when it is deleted already.
pub fn delete(conn: &mut PgConnection, scope: &TenantScope, at: DateTime<Utc>) -> Result<Tenant> {
    Ok(diesel::update(
        tenants::table
            .find(scope.uuid())
            .filter(tenants::delete_at.is_null()),
    )
    .set((
        tenants::delete_at.eq(at),
        tenants::updated_at.eq(clock::now()),
        tenants::version.eq(tenants::version + 1),
    ))
    .returning(Tenant::as_returning())
    .get_result(conn)?)
}

/// Restores a tenant that was deleted; if the operator has suspended it, it stays suspended. Announce a change of the tenant
/// afterwards.
///
/// # Errors
/// [`Error::NotFound`] when it is not deleted, or its time is over.
pub fn restore(conn: &mut PgConnection, scope: &TenantScope) -> Result<Tenant> {
    let now = clock::now();
    // Of one whose time is over, parts are gone.
    let deleted = tenants::table
        .find(scope.uuid())
        .filter(tenants::delete_at.gt(now));
    Ok(diesel::update(deleted)
        .set((
            tenants::delete_at.eq(None::<DateTime<Utc>>),
            tenants::updated_at.eq(now),
            tenants::version.eq(tenants::version + 1),
        ))
        .returning(Tenant::as_returning())
        .get_result(conn)?)
}

/// All tenants. For workers.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn ids(conn: &mut PgConnection) -> Result<Vec<TenantId>> {
    let found: Vec<Uuid> = tenants::table.select(tenants::id).load(conn)?;
    Ok(found.into_iter().map(TenantId::from).collect())
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
