//! The tenant of the caller.

use actix_web::{delete, get, patch, post};
use chrono::{DateTime, TimeDelta, Utc};
use hookgate_domain::database::PgConnection;
use hookgate_domain::plans::Plan;
use hookgate_domain::redis::changes::Change;
use hookgate_domain::{Error, clock, limits, plans, tenants};
use hookgate_model::ids::TenantId;
use hookgate_model::limits::TenantLimits;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Settings;
use crate::auth::permissions::{TenantRead, TenantWrite};
use crate::auth::{Caller, Guarded};
use crate::body::{Patch, Reply};
use crate::changes::change;
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, integer, text};
use crate::query::Query;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(read)
        .service(update)
        .service(delete)
        .service(restore);
}

/// The most days that a tenant can ask for.
const RETENTION_DAYS_MOST: i64 = 3_650;

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Analytical Engines", "status": "active",
    "suspended_at": null, "suspension_reason": null, "delete_at": null,
    "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"}))]
pub struct Tenant {
    id: TenantId,
    name: String,
    /// `active`, `suspended` by the operator, or `deleted`, whether it is suspended or not.
    #[schema(example = "active")]
    status: &'static str,
    /// Since when the operator has suspended it; null unless it has.
    suspended_at: Option<DateTime<Utc>>,
    /// Why, in the operator's words.
    #[schema(example = "The invoice of October is open.")]
    suspension_reason: Option<String>,
    /// When it is erased; null unless it is deleted.
    delete_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<tenants::Tenant> for Tenant {
    fn from(tenant: tenants::Tenant) -> Self {
        let status = tenant.standing().as_str();
        let tenants::Tenant {
            id,
            name,
            created_at,
            updated_at,
            version: _,
            limits: _,
            delete_at,
            suspended_at,
            suspension_reason,
            plan_id: _,
            retention_days: _,
        } = tenant;
        Self {
            id,
            name,
            status,
            suspended_at,
            suspension_reason: Some(suspension_reason).filter(|reason| !reason.is_empty()),
            delete_at,
            created_at,
            updated_at,
        }
    }
}

/// A tenant, with what it may use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Analytical Engines", "status": "active",
    "suspended_at": null, "suspension_reason": null, "delete_at": null,
    "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z", "retention_days": 14, "plan": "Business", "limits": {"requests_per_second": 500,
    "burst": 1000, "events_per_month": 1_000_000, "body_bytes_per_month": null, "body_bytes": null,
    "waiting_callers": 200, "retention_days": 30}}))]
pub struct TenantWithLimits {
    #[serde(flatten)]
    tenant: Tenant,
    /// How many days it keeps events, runs, attempts and refusals, if it wants them gone before the installation and its limits
    /// would.
    #[schema(example = 14)]
    retention_days: Option<i32>,
    /// The name of its plan; null when it has none.
    #[schema(example = "Business")]
    plan: Option<String>,
    /// What the operator allows it to use, for itself or by its plan; null is no limit.
    limits: TenantLimitsView,
}

impl TenantWithLimits {
    fn new(tenant: tenants::Tenant, plan: Option<Plan>, defaults: TenantLimits) -> Self {
        let of_plan = plan.as_ref().map(|plan| plan.limits);
        Self {
            limits: TenantLimits::in_effect(tenant.limits, of_plan, defaults).into(),
            plan: plan.map(|plan| plan.name),
            retention_days: tenant.retention_days,
            tenant: tenant.into(),
        }
    }
}

/// What a tenant may use; null is no limit. Only the operator changes it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TenantLimits)]
pub struct TenantLimitsView {
    /// Requests per second to all of its webhooks together, in the long run; more get 429 with `Retry-After`.
    requests_per_second: Option<u32>,
    /// Requests that may come at once after a pause.
    burst: Option<u32>,
    /// Events of one calendar month (UTC); further requests get 429 until the month is over.
    events_per_month: Option<u64>,
    /// Bytes of the bodies of those events, likewise.
    body_bytes_per_month: Option<u64>,
    /// The longest body, in bytes, whatever a webhook allows.
    body_bytes: Option<u32>,
    /// Callers that may wait for a result at the same time, on each node of the ingress; more get 429.
    waiting_callers: Option<u32>,
    /// Days that what it received is kept, at most; what the installation keeps for all goes before.
    retention_days: Option<u32>,
}

impl From<TenantLimits> for TenantLimitsView {
    fn from(limits: TenantLimits) -> Self {
        let rate = limits.rate();
        Self {
            requests_per_second: rate.map(|rate| rate.per_second.get()),
            burst: rate.map(|rate| rate.burst.get()),
            events_per_month: limits.events_per_month,
            body_bytes_per_month: limits.body_bytes_per_month,
            body_bytes: limits.body_bytes,
            waiting_callers: limits.waiting_callers,
            retention_days: limits.retention_days,
        }
    }
}

/// What can be changed of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"name": "Analytical Engines", "retention_days": 14}))]
pub struct TenantSettings {
    /// What it is called.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// How many days to keep events, runs, attempts and refusals; null for as long as the installation and the tenant's limits
    /// allow. What is older is deleted within the hour, but for what still has work before it.
    #[schema(minimum = 1, maximum = 3650)]
    pub retention_days: Option<i32>,
}

impl FromFields for TenantSettings {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        let retention_days = fields.optional("retention_days", integer(1..=RETENTION_DAYS_MOST));
        Some(Self {
            name: name?,
            retention_days: retention_days?,
        })
    }
}

type TenantPatch = Patch<TenantSettings>;

/// Read the tenant
///
/// The one that the credential is for.
#[utoipa::path(tag = "account", operation_id = "getTenant", security(("bearer" = ["tenant:read"])),
    responses((status = 200, description = "The tenant, with what it may use", body = TenantWithLimits)))]
#[get("/tenant")]
async fn read(caller: Guarded<TenantRead>) -> ApiResult<Reply<TenantWithLimits>> {
    let found = caller
        .run(|conn, scope| {
            let tenant = tenants::find(conn, scope)?;
            with_plan(conn, tenant)
        })
        .await?;
    Ok(show(found, &caller.state().settings))
}

/// Change the tenant
///
/// Its name, and how long it keeps what it received. Limits of a tenant are the operator's to change.
#[utoipa::path(tag = "account", operation_id = "updateTenant", security(("bearer" = ["tenant:write"])),
    request_body(content = TenantPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The tenant as it is now", body = TenantWithLimits)))]
#[patch("/tenant")]
async fn update(
    caller: Guarded<TenantWrite>,
    if_match: IfMatch,
    patch: TenantPatch,
) -> ApiResult<Reply<TenantWithLimits>> {
    let defaults = caller.state().settings.tenant_limits;
    let changed = caller
        .run(move |conn, scope| {
            let current = tenants::lock(conn, scope)?;
            if_match.check(current.version)?;
            let before = current.retention_days;
            let settings = patch.apply(&TenantSettings {
                name: current.name,
                retention_days: current.retention_days,
            })?;
            let TenantSettings { name, retention_days } = settings;
            let tenant = tenants::update(conn, scope, &name, retention_days, clock::now())?;
            let (tenant, plan) = with_plan(conn, tenant)?;
            let of_plan = plan.as_ref().map(|plan| plan.limits);
            let limits = TenantLimits::in_effect(tenant.limits, of_plan, defaults);
            // What the operator has lowered since stays as it is wished, and counts for less.
            if retention_days != before {
                may_keep(retention_days, limits)?;
            }
            Ok::<_, ApiError>((tenant, plan))
        })
        .await?;
    Ok(show(changed, &caller.state().settings))
}

fn may_keep(days: Option<i32>, limits: TenantLimits) -> ApiResult<()> {
    let wanted = days.and_then(|days| u32::try_from(days).ok());
    match limits
        .retention_days
        .filter(|most| wanted.is_some_and(|wanted| wanted > *most))
    {
        Some(most) => Err(ApiError::field(
            "/retention_days",
            FieldCode::OutOfRange,
            format!("must be at most {most}: the tenant's limits allow no more"),
        )),
        None => Ok(()),
    }
}

/// The name of the tenant, given again by whoever deletes it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Confirmation {
    /// The name of the tenant, so that none is deleted by mistake.
    #[param(example = "Analytical Engines")]
    name: String,
}

impl FromFields for Confirmation {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        Some(Self { name: name? })
    }
}

/// Delete the tenant
///
/// From now on its URLs are unknown, its flows are held, and nothing can be changed. Until `delete_at` an owner can restore and
/// export it; then all that it has is erased, and with it the accounts that are in no other tenant. A tenant that the operator has
/// suspended can be deleted, but not restored or exported while it is suspended. For owners only, not for management keys.
#[utoipa::path(tag = "account", operation_id = "deleteTenant", security(("bearer" = [])), params(Confirmation),
    responses((status = 200, description = "The tenant, with the time at which it is erased", body = Tenant),
              (status = 403, description = "forbidden, tenant_deleted")))]
#[delete("/tenant")]
async fn delete(caller: Caller, Query(given): Query<Confirmation>) -> ApiResult<Reply<Tenant>> {
    caller.owner_who_may_leave()?;
    let hours = caller.state().settings.tenant_restore_hours.max(1);
    let at = clock::now() + TimeDelta::hours(hours.into());
    let tenant = change(&caller, move |conn, scope| {
        if tenants::lock(conn, scope)?.name != given.name {
            return Err(ApiError::field(
                "?name",
                FieldCode::Invalid,
                "must be the name of the tenant, as it is",
            ));
        }
        let tenant = tenants::delete(conn, scope, at)?;
        Ok((tenant, vec![Change::Tenant(scope.tenant())]))
    })
    .await?;
    Ok(Reply::ok(tenant.into()))
}

/// Restore the tenant
///
/// Until it is erased. Its URLs work again, and what was held goes on. For owners only, not for management keys.
#[utoipa::path(tag = "account", operation_id = "restoreTenant", security(("bearer" = [])),
    responses((status = 200, description = "The tenant", body = Tenant),
              (status = 403, description = "forbidden, tenant_suspended"),
              (status = 409, description = "wrong_state")))]
#[post("/tenant/restore")]
async fn restore(caller: Caller) -> ApiResult<Reply<Tenant>> {
    caller.owner()?;
    let tenant = change(&caller, |conn, scope| {
        let tenant = tenants::restore(conn, scope).map_err(|error| match error {
            Error::NotFound => ApiError::new(ErrorCode::WrongState, "the tenant is not deleted"),
            other => other.into(),
        })?;
        Ok((tenant, vec![Change::Tenant(scope.tenant())]))
    })
    .await?;
    Ok(Reply::ok(tenant.into()))
}

/// Its plan, too.
fn with_plan(
    conn: &mut PgConnection,
    tenant: tenants::Tenant,
) -> Result<(tenants::Tenant, Option<Plan>), Error> {
    let plan = tenant.plan().map(|id| plans::find(conn, id)).transpose()?;
    Ok((tenant, plan))
}

fn show((tenant, plan): (tenants::Tenant, Option<Plan>), settings: &Settings) -> Reply<TenantWithLimits> {
    let version = tenant.version;
    Reply::ok(TenantWithLimits::new(tenant, plan, settings.tenant_limits)).version(version)
}
