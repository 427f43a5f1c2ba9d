//! What the operator does, over all tenants: as `hookgate_admin` under `/admin/v1`, or as the owner of the database at the command
//! line. Both see of tenants what stands in these queries, and nothing of what they received.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::access::Role;
use hookgate_model::ids::{PlanId, TenantId, UserId};
use hookgate_model::limits::TenantLimits;

use crate::audit::Origin;
use crate::clock;
use crate::error::{Error, Result};
use crate::login_sessions;
use crate::page::Page;
use crate::plans::Plan;
use crate::schema::{memberships, plans, tenants, totp_secrets, users, webhooks};
use crate::scope::{self, TenantScope};
use crate::stored_json::to_json;
use crate::tenants::Tenant;
use crate::users::User;
use crate::webhooks::search::containing;

/// What a tenant can be found by.
#[derive(Debug, Clone)]
pub enum Search {
    /// Its id.
    Id(TenantId),
    /// A part of its name, or a member's whole address; upper and lower case are the same.
    Text(String),
}

impl Search {
    /// Understands what was typed; `None` for nothing.
    pub fn parse(typed: &str) -> Option<Self> {
        let typed = typed.trim();
        match typed.parse() {
            Ok(id) => Some(Self::Id(id)),
            Err(_) => (!typed.is_empty()).then(|| Self::Text(typed.to_owned())),
        }
    }
}

/// What a tenant can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Neither of the others.
    Active,
    /// The operator has suspended it; it may be deleted, too.
    Suspended,
    /// It was deleted, and is not erased yet; it may be suspended, too.
    Deleted,
}

/// Which tenants are wanted; `None` means any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// That are found by this.
    pub search: Option<Search>,
    /// That are this.
    pub status: Option<Status>,
    /// That have this plan.
    pub plan: Option<PlanId>,
}

/// A page of all tenants, each with its plan.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list_tenants(
    conn: &mut PgConnection,
    filter: &Filter,
    page: Page,
) -> Result<Vec<(Tenant, Option<Plan>)>> {
    let mut query = tenants::table
        .left_join(plans::table.on(tenants::plan_id.eq(plans::id.nullable())))
        .filter(tenants::id.lt(page.below()))
        .order(tenants::id.desc())
        .limit(page.limit)
        .select((Tenant::as_select(), Option::<Plan>::as_select()))
        .into_boxed();
    match &filter.search {
        Some(Search::Id(id)) => query = query.filter(tenants::id.eq(id.uuid())),
        Some(Search::Text(text)) => {
            let of_member = memberships::table
                .inner_join(users::table)
                .filter(users::email.eq(text.to_lowercase()))
                .select(memberships::tenant_id);
            query = query.filter(
                tenants::name
                    .ilike(containing(text))
                    .or(tenants::id.eq_any(of_member)),
            );
        }
        None => {}
    }
    match filter.status {
        Some(Status::Active) => {
            query = query.filter(tenants::suspended_at.is_null().and(tenants::delete_at.is_null()));
        }
        Some(Status::Suspended) => query = query.filter(tenants::suspended_at.is_not_null()),
        Some(Status::Deleted) => query = query.filter(tenants::delete_at.is_not_null()),
        None => {}
    }
    if let Some(plan) = filter.plan {
        query = query.filter(tenants::plan_id.eq(plan.uuid()));
    }
    Ok(query.load(conn)?)
}

/// All tenants, the oldest first.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn all_tenants(conn: &mut PgConnection) -> Result<Vec<Tenant>> {
    Ok(tenants::table
        .order(tenants::id)
        .select(Tenant::as_select())
        .load(conn)?)
}

/// Runs queries in one transaction; what they change is put on record.
///
/// # Errors
/// What the queries end in; the transaction is rolled back then.
pub fn in_transaction<T, E: From<Error>>(
    conn: &mut PgConnection,
    origin: &Origin,
    queries: impl FnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    scope::transaction(conn, |conn| {
        origin.enter(conn)?;
        queries(conn)
    })
}

/// Runs queries in one transaction of a tenant that the operator names, whether there is such a tenant or not.
///
/// # Errors
/// What the queries end in; the transaction is rolled back then.
pub fn in_tenant<T, E: From<Error>>(
    conn: &mut PgConnection,
    origin: &Origin,
    tenant: TenantId,
    queries: impl FnOnce(&mut PgConnection, &TenantScope) -> Result<T, E>,
) -> Result<T, E> {
    let scope = TenantScope::proven(tenant);
    scope.transaction(conn, |conn| {
        origin.enter(conn)?;
        queries(conn, &scope)
    })
}

/// The people who own the tenant.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn owners(conn: &mut PgConnection, scope: &TenantScope) -> Result<Vec<User>> {
    Ok(memberships::table
        .inner_join(users::table)
        .filter(memberships::tenant_id.eq(scope.uuid()))
        .filter(memberships::role.eq(Role::Owner.as_str()))
        .order(memberships::created_at)
        .select(User::as_select())
        .load(conn)?)
}

/// How many webhooks the tenant has.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn count_webhooks(conn: &mut PgConnection, scope: &TenantScope) -> Result<i64> {
    Ok(webhooks::table
        .filter(webhooks::tenant_id.eq(scope.uuid()))
        .count()
        .get_result(conn)?)
}

/// How many tenants have the plan.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn count_tenants(conn: &mut PgConnection, plan: PlanId) -> Result<i64> {
    Ok(tenants::table
        .filter(tenants::plan_id.eq(plan.uuid()))
        .count()
        .get_result(conn)?)
}

/// Gives the tenant a plan, or none, and limits of its own. Announce a change of the tenant afterwards.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Constraint`] `tenants_plan_fkey` when there is no such plan.
pub fn set_terms(
    conn: &mut PgConnection,
    scope: &TenantScope,
    plan: Option<PlanId>,
    limits: &TenantLimits,
) -> Result<Tenant> {
    Ok(diesel::update(tenants::table.find(scope.uuid()))
        .set((
            tenants::plan_id.eq(plan.map(PlanId::uuid)),
            tenants::limits.eq(to_json(limits)?),
            tenants::updated_at.eq(clock::now()),
            tenants::version.eq(tenants::version + 1),
        ))
        .returning(Tenant::as_returning())
        .get_result(conn)?)
}

/// Suspends the tenant, be it deleted: its requests are refused, its flows are held, its settings cannot be changed. Of one that is
/// suspended the reason is changed. Announce a change of the tenant afterwards.
///
/// # Errors
/// [`Error::NotFound`].
pub fn suspend(conn: &mut PgConnection, scope: &TenantScope, reason: &str) -> Result<Tenant> {
    let now = clock::now();
    let current = crate::tenants::lock(conn, scope)?;
    Ok(diesel::update(tenants::table.find(scope.uuid()))
        .set((
            tenants::suspended_at.eq(current.suspended_at.unwrap_or(now)),
            tenants::suspension_reason.eq(reason),
            tenants::updated_at.eq(now),
            tenants::version.eq(tenants::version + 1),
        ))
        .returning(Tenant::as_returning())
        .get_result(conn)?)
}

/// Ends the tenant's suspension; if it is deleted, it stays deleted. One that is not suspended stays as it is. Announce a change of
/// the tenant afterwards.
///
/// # Errors
/// [`Error::NotFound`].
pub fn resume(conn: &mut PgConnection, scope: &TenantScope) -> Result<Tenant> {
    diesel::update(
        tenants::table
            .find(scope.uuid())
            .filter(tenants::suspended_at.is_not_null()),
    )
    .set((
        tenants::suspended_at.eq(None::<DateTime<Utc>>),
        tenants::suspension_reason.eq(""),
        tenants::updated_at.eq(clock::now()),
        tenants::version.eq(tenants::version + 1),
    ))
    .execute(conn)?;
    crate::tenants::find(conn, scope)
}

/// A person, by what the operator knows of them.
#[derive(Debug, Clone)]
pub enum Person {
    /// The id.
    Id(UserId),
    /// The address of the account.
    Email(String),
}

impl Person {
    /// Understands what was typed: an id, else an address.
    pub fn parse(typed: &str) -> Self {
        let typed = typed.trim();
        typed
            .parse()
            .map_or_else(|_| Self::Email(typed.to_owned()), Self::Id)
    }
}

/// Takes away a person's second factor, with its recovery codes, and ends their logins. Gives the person; `None` when they have no
/// second factor, and then nothing is changed. In the running transaction.
///
/// # Errors
/// [`Error::NotFound`].
pub fn remove_second_factor(conn: &mut PgConnection, person: &Person) -> Result<Option<User>> {
    let query = users::table.select(User::as_select());
    let user: User = match person {
        Person::Id(id) => query.filter(users::id.eq(id.uuid())).first(conn)?,
        Person::Email(email) => query.filter(users::email.eq(email.to_lowercase())).first(conn)?,
    };
    let confirmed = totp_secrets::table
        .find(user.id.uuid())
        .filter(totp_secrets::confirmed_at.is_not_null());
    if diesel::delete(confirmed).execute(conn)? == 0 {
        return Ok(None);
    }
    login_sessions::revoke_others(conn, user.id, None, clock::now())?;
    Ok(Some(user))
}
