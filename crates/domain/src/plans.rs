//! Plans: limits with a name, which the operator makes and gives to tenants. They are no tenant's.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::PlanId;
use hookgate_model::limits::TenantLimits;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::plans;
use crate::stored_json::{StoredJson, to_json};
use crate::{clock, limits};

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = plans)]
pub struct Plan {
    /// The id.
    #[diesel(deserialize_as = Uuid)]
    pub id: PlanId,
    /// What it is called; metrics name it.
    pub name: String,
    /// What a tenant may use that has it, and no limits of its own.
    #[diesel(deserialize_as = StoredJson<TenantLimits>)]
    pub limits: TenantLimits,
    /// Counts the changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// The plan.
///
/// # Errors
/// [`Error::NotFound`].
pub fn find(conn: &mut PgConnection, id: PlanId) -> Result<Plan> {
    Ok(plans::table
        .find(id.uuid())
        .select(Plan::as_select())
        .first(conn)?)
}

/// The plan with this name.
///
/// # Errors
/// [`Error::NoSuchPlan`].
pub fn named(conn: &mut PgConnection, name: &str) -> Result<Plan> {
    let found = plans::table
        .filter(plans::name.eq(name))
        .select(Plan::as_select())
        .first(conn)
        .optional()?;
    found.ok_or_else(|| Error::NoSuchPlan(name.to_owned()))
}

/// A page of the plans.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(conn: &mut PgConnection, page: Page) -> Result<Vec<Plan>> {
    Ok(plans::table
        .filter(plans::id.lt(page.below()))
        .order(plans::id.desc())
        .limit(page.limit)
        .select(Plan::as_select())
        .load(conn)?)
}

/// Makes a plan, in the running transaction.
///
/// # Errors
/// [`Error::LimitReached`]; [`Error::Constraint`] `plans_name_key` when the name is taken.
pub fn create(conn: &mut PgConnection, id: PlanId, name: &str, limits: &TenantLimits) -> Result<Plan> {
    // Of two that are made at once the second counts the first.
    diesel::sql_query("LOCK TABLE plans IN SHARE ROW EXCLUSIVE MODE").execute(conn)?;
    let there: i64 = plans::table.count().get_result(conn)?;
    if there >= limits::PLANS {
        return Err(Error::LimitReached {
            what: "plans",
            most: limits::PLANS,
        });
    }
    Ok(diesel::insert_into(plans::table)
        .values((
            plans::id.eq(id.uuid()),
            plans::name.eq(name),
            plans::limits.eq(to_json(limits)?),
        ))
        .returning(Plan::as_returning())
        .get_result(conn)?)
}

/// The plan, which nobody else changes until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`].
pub fn lock(conn: &mut PgConnection, id: PlanId) -> Result<Plan> {
    Ok(plans::table
        .find(id.uuid())
        .select(Plan::as_select())
        .for_update()
        .first(conn)?)
}

/// Changes a plan. Announce it afterwards.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Constraint`] `plans_name_key` when the name is taken.
pub fn update(conn: &mut PgConnection, id: PlanId, name: &str, limits: &TenantLimits) -> Result<Plan> {
    Ok(diesel::update(plans::table.find(id.uuid()))
        .set((
            plans::name.eq(name),
            plans::limits.eq(to_json(limits)?),
            plans::updated_at.eq(clock::now()),
            plans::version.eq(plans::version + 1),
        ))
        .returning(Plan::as_returning())
        .get_result(conn)?)
}

/// Deletes a plan that no tenant has.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Constraint`] `tenants_plan_fkey` when a tenant has it.
pub fn delete(conn: &mut PgConnection, id: PlanId) -> Result<()> {
    match diesel::delete(plans::table.find(id.uuid())).execute(conn)? {
        0 => Err(Error::NotFound),
        _ => Ok(()),
    }
}
