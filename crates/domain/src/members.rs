//! Who belongs to a tenant, and as what. Whoever changes that holds the tenant's lock ([`lock`]), so that what they decided
//! by still holds when they write.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::access::Role;
use hookgate_model::ids::UserId;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::{login_sessions, memberships, tenants, users};
use crate::scope::{self, TenantScope};
use crate::users::User;

/// A person in a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: User,
    /// As what.
    pub role: Role,
    /// Since when.
    pub joined_at: DateTime<Utc>,
    /// Counts the changes.
    pub version: i64,
}

type Row = (User, String, DateTime<Utc>, i64);

fn member((user, role, joined_at, version): Row) -> Result<Member> {
    Ok(Member {
        user,
        role: read_role(&role)?,
        joined_at,
        version,
    })
}

/// Reads a stored role.
pub(crate) fn read_role(stored: &str) -> Result<Role> {
    stored.parse().map_err(|_| Error::Unreadable { what: "role" })
}

/// Keeps everybody else from changing who belongs to the tenant until the transaction ends.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn lock(conn: &mut PgConnection, scope: &TenantScope) -> Result<()> {
    tenants::table
        .find(scope.uuid())
        .select(tenants::id)
        .for_no_key_update()
        .first::<Uuid>(conn)?;
    Ok(())
}

/// A page of the tenant's members.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(conn: &mut PgConnection, scope: &TenantScope, page: Page) -> Result<Vec<Member>> {
    memberships::table
        .inner_join(users::table)
        .filter(memberships::tenant_id.eq(scope.uuid()))
        .filter(memberships::user_id.lt(page.below()))
        .order(memberships::user_id.desc())
        .limit(page.limit)
        .select((
            User::as_select(),
            memberships::role,
            memberships::created_at,
            memberships::version,
        ))
        .load::<Row>(conn)?
        .into_iter()
        .map(member)
        .collect()
}

/// A member.
///
/// # Errors
/// [`Error::NotFound`].
pub fn find(conn: &mut PgConnection, scope: &TenantScope, user: UserId) -> Result<Member> {
    let row: Row = memberships::table
        .inner_join(users::table)
        .filter(memberships::tenant_id.eq(scope.uuid()))
        .filter(memberships::user_id.eq(user.uuid()))
        .select((
            User::as_select(),
            memberships::role,
            memberships::created_at,
            memberships::version,
        ))
        .first(conn)?;
    member(row)
}

/// Whether a person of this address is a member.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn has_email(conn: &mut PgConnection, scope: &TenantScope, email: &str) -> Result<bool> {
    let of_address = memberships::table
        .inner_join(users::table)
        .filter(memberships::tenant_id.eq(scope.uuid()))
        .filter(users::email.eq(email));
    Ok(diesel::select(diesel::dsl::exists(of_address)).get_result(conn)?)
}

/// How many members the tenant has, all or of one role.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn count(conn: &mut PgConnection, scope: &TenantScope, role: Option<Role>) -> Result<u64> {
    let mut query = memberships::table
        .filter(memberships::tenant_id.eq(scope.uuid()))
        .count()
        .into_boxed();
    if let Some(role) = role {
        query = query.filter(memberships::role.eq(role.as_str()));
    }
    let count: i64 = query.get_result(conn)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Makes a person a member.
///
/// # Errors
/// The constraint `memberships_pkey` when they are one already.
pub fn add(conn: &mut PgConnection, scope: &TenantScope, user: UserId, role: Role) -> Result<()> {
    diesel::insert_into(memberships::table)
        .values((
            memberships::tenant_id.eq(scope.uuid()),
            memberships::user_id.eq(user.uuid()),
            memberships::role.eq(role.as_str()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Gives a member another role, which counts from their next request on.
///
/// # Errors
/// [`Error::NotFound`].
pub fn set_role(conn: &mut PgConnection, scope: &TenantScope, user: UserId, role: Role) -> Result<()> {
    let changed = diesel::update(memberships::table.find((scope.uuid(), user.uuid())))
        .set((
            memberships::role.eq(role.as_str()),
            memberships::version.eq(memberships::version + 1),
        ))
        .execute(conn)?;
    if changed == 0 {
        Err(Error::NotFound)
    } else {
        Ok(())
    }
}

/// Takes a person out of the tenant and ends their logins to it: their tokens for it stop working at once. A person who is in
/// no tenant any more is deleted.
///
/// # Errors
/// [`Error::NotFound`].
pub fn remove(conn: &mut PgConnection, scope: &TenantScope, user: UserId) -> Result<()> {
    // Of two removals from different tenants the second then finds that it is the last one; nobody can add a membership
    // meanwhile, since that needs the person's row.
    users::table
        .find(user.uuid())
        .select(users::id)
        .for_update()
        .first::<Uuid>(conn)?;
    let removed = diesel::delete(memberships::table.find((scope.uuid(), user.uuid()))).execute(conn)?;
    if removed == 0 {
        return Err(Error::NotFound);
    }
    diesel::delete(
        login_sessions::table
            .filter(login_sessions::tenant_id.eq(scope.uuid()))
            .filter(login_sessions::user_id.eq(user.uuid())),
    )
    .execute(conn)?;
    scope::set_local(conn, "hookgate.user_id", &user.uuid().to_string())?;
    let elsewhere = memberships::table.filter(memberships::user_id.eq(user.uuid()));
    if !diesel::select(diesel::dsl::exists(elsewhere)).get_result::<bool>(conn)? {
        diesel::delete(users::table.find(user.uuid())).execute(conn)?;
    }
    Ok(())
}
