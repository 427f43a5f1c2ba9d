//! Tenants: finding them, what they may use, and whether they may.

use actix_web::{delete, get, patch, post};
use chrono::TimeDelta;
use hookgate_domain::database::PgConnection;
use hookgate_domain::operator::{Filter, Search, Status};
use hookgate_domain::scope::TenantScope;
use hookgate_domain::users::User;
use hookgate_domain::{Error, clock, limits, operator, plans, tenants, usage};
use hookgate_model::ids::{PlanId, TenantId};
use hookgate_model::limits::TenantLimits;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::limits::OwnLimits;
use super::people::Person;
use crate::admin::Operator;
use crate::body::{Json, Patch, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode, OnConstraint};
use crate::etag::IfMatch;
use crate::fields::{self, Fields, FromFields, object, parsed, text};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;
use crate::query::Query;
use crate::routes::tenant::{Tenant, TenantLimitsView};
use crate::routes::usage::{Filters as UsageFilters, MonthView, UsageView};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(index)
        .service(read)
        .service(update)
        .service(suspend)
        .service(resume)
        .service(delete)
        .service(restore)
        .service(read_usage);
}

/// A plan, by its name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "pln_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Business"}))]
struct PlanReference {
    id: PlanId,
    name: String,
}

/// A tenant, with its plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Analytical Engines", "status": "active",
    "suspended_at": null, "suspension_reason": null, "delete_at": null, "created_at": "2026-11-21T12:00:00Z",
    "updated_at": "2026-11-21T12:00:00Z", "plan": {"id": "pln_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Business"}}))]
struct TenantWithPlan {
    #[serde(flatten)]
    tenant: Tenant,
    /// Its plan; null when it has none.
    plan: Option<PlanReference>,
}

impl From<(tenants::Tenant, Option<plans::Plan>)> for TenantWithPlan {
    fn from((tenant, plan): (tenants::Tenant, Option<plans::Plan>)) -> Self {
        Self {
            tenant: tenant.into(),
            plan: plan.map(|plan| PlanReference {
                id: plan.id,
                name: plan.name,
            }),
        }
    }
}

/// A tenant, with what it may use, what it uses, and who owns it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Analytical Engines", "status": "active",
    "suspended_at": null, "suspension_reason": null, "delete_at": null, "created_at": "2026-11-21T12:00:00Z",
    "updated_at": "2026-11-21T12:00:00Z", "plan": {"id": "pln_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Business"},
    "limits": {"requests_per_second": null, "burst": null, "events_per_month": 2_000_000, "body_bytes_per_month": null,
        "body_bytes": null, "waiting_callers": null, "retention_days": null},
    "limits_in_effect": {"requests_per_second": 100, "burst": 500, "events_per_month": 2_000_000, "body_bytes_per_month": null,
        "body_bytes": null, "waiting_callers": 50, "retention_days": null},
    "owners": [{"id": "usr_01k9z3v8e5f2q8r7w6t5y4x3m2", "email": "ada@example.com", "name": "Ada"}],
    "this_month": {"events": 1204, "body_bytes": 1804800}, "webhooks": 7}))]
struct TenantDetails {
    #[serde(flatten)]
    tenant: TenantWithPlan,
    /// What is set for it alone.
    limits: OwnLimits,
    /// What counts: its own limits, else its plan's, else the settings'; null is no limit.
    limits_in_effect: TenantLimitsView,
    /// Who owns it, those who joined first in front.
    owners: Vec<Person>,
    /// What it received in this month so far (UTC).
    this_month: MonthView,
    /// How many webhooks it has.
    webhooks: i64,
}

/// A tenant as it is read for its details.
struct Found {
    tenant: tenants::Tenant,
    plan: Option<plans::Plan>,
    owners: Vec<User>,
    this_month: usage::Month,
    webhooks: i64,
}

impl Found {
    fn of(conn: &mut PgConnection, scope: &TenantScope, tenant: tenants::Tenant) -> Result<Self, Error> {
        Ok(Self {
            plan: tenant.plan().map(|id| plans::find(conn, id)).transpose()?,
            owners: operator::owners(conn, scope)?,
            this_month: usage::month(conn, scope, clock::now())?,
            webhooks: operator::count_webhooks(conn, scope)?,
            tenant,
        })
    }

    fn reply(self, defaults: TenantLimits) -> Reply<TenantDetails> {
        let version = self.tenant.version;
        let own = self.tenant.limits;
        let of_plan = self.plan.as_ref().map(|plan| plan.limits);
        Reply::ok(TenantDetails {
            limits: own.into(),
            limits_in_effect: TenantLimits::in_effect(own, of_plan, defaults).into(),
            tenant: (self.tenant, self.plan).into(),
            owners: self.owners.into_iter().map(Person::from).collect(),
            this_month: self.this_month.into(),
            webhooks: self.webhooks,
        })
        .version(version)
    }
}

/// Which tenants are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// The tenant's id, a part of its name, or the whole address of a member.
    #[param(example = "ada@example.com")]
    q: Option<String>,
    /// `active`, `suspended` or `deleted`; one that is suspended and deleted is both.
    #[param(value_type = Option<String>, pattern = "^(active|suspended|deleted)$", example = "suspended")]
    status: Option<Status>,
    /// Those that have this plan.
    plan: Option<PlanId>,
}

impl FromFields for Filters {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let q = fields.optional("q", text(1..=limits::NAME_CHARACTERS));
        let status = fields.optional("status", |value| match value.as_str() {
            Some("active") => Ok(Status::Active),
            Some("suspended") => Ok(Status::Suspended),
            Some("deleted") => Ok(Status::Deleted),
            _ => fields::wrong(FieldCode::Invalid, "expected one of: active, suspended, deleted"),
        });
        let plan = fields.optional("plan", parsed);
        Some(Self {
            q: q?,
            status: status?,
            plan: plan?,
        })
    }
}

/// List tenants
///
/// All of them, or those that the filters find.
#[utoipa::path(tag = "tenants", operation_id = "listTenants", security(("operator" = [])), params(PagingParams, Filters),
    responses((status = 200, description = "Tenants, the newest first", body = Page<TenantWithPlan>)))]
#[get("/tenants")]
async fn index(operator: Operator, paging: Paging<Filters>) -> ApiResult<Reply<Page<TenantWithPlan>>> {
    let window = paging.window_of_operator(operator.state())?;
    let page = window.rows();
    let Filters { q, status, plan } = paging.filters;
    let filter = Filter {
        search: q.as_deref().and_then(Search::parse),
        status,
        plan,
    };
    let found = operator
        .run(move |conn| operator::list_tenants(conn, &filter, page))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |(tenant, _)| tenant.id.uuid(),
        TenantWithPlan::from,
    )?))
}

/// Read a tenant
///
/// With what it may use, what it uses, and who owns it.
#[utoipa::path(tag = "tenants", operation_id = "getTenant", security(("operator" = [])),
    responses((status = 200, description = "The tenant", body = TenantDetails)))]
#[get("/tenants/{id}")]
async fn read(operator: Operator, Path((id,)): Path<(TenantId,)>) -> ApiResult<Reply<TenantDetails>> {
    let found = operator
        .in_tenant(id, |conn, scope| {
            let tenant = tenants::find(conn, scope)?;
            Ok(Found::of(conn, scope, tenant)?)
        })
        .await?;
    Ok(found.reply(operator.state().settings.tenant_limits))
}

/// What the operator sets of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"plan": null, "limits": {"events_per_month": 2_000_000}}))]
struct TenantTerms {
    /// Its plan; null for none.
    plan: Option<PlanId>,
    /// What is set for it alone.
    #[schema(required = false)]
    limits: OwnLimits,
}

impl FromFields for TenantTerms {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let plan = fields.optional("plan", parsed);
        let limits = fields.or("limits", OwnLimits::default(), object);
        Some(Self {
            plan: plan?,
            limits: limits?,
        })
    }
}

type TermsPatch = Patch<TenantTerms>;

/// Change what a tenant may use
///
/// Its plan and its own limits, effective at once.
#[utoipa::path(tag = "tenants", operation_id = "updateTenant", security(("operator" = [])),
    request_body(content = TermsPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The tenant as it is now", body = TenantDetails)))]
#[patch("/tenants/{id}")]
async fn update(
    operator: Operator,
    Path((id,)): Path<(TenantId,)>,
    if_match: IfMatch,
    patch: TermsPatch,
) -> ApiResult<Reply<TenantDetails>> {
    let changed = operator
        .change(id, move |conn, scope| {
            let current = tenants::lock(conn, scope)?;
            if_match.check(current.version)?;
            let terms = patch.apply(&TenantTerms {
                plan: current.plan(),
                limits: current.limits.into(),
            })?;
            let tenant = operator::set_terms(conn, scope, terms.plan, &terms.limits.into())
                .on_constraint("tenants_plan_fkey", || {
                    ApiError::field("/plan", FieldCode::NotFound, "there is no such plan")
                })?;
            Ok(Found::of(conn, scope, tenant)?)
        })
        .await?;
    Ok(changed.reply(operator.state().settings.tenant_limits))
}

/// Why a tenant is suspended.
#[derive(ToSchema)]
#[schema(example = json!({"reason": "The invoice of October is open."}))]
struct Suspension {
    /// For the tenant to read.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

impl FromFields for Suspension {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let reason = fields.required("reason", text(1..=limits::REASON_CHARACTERS));
        Some(Self { reason: reason? })
    }
}

/// Suspend a tenant
///
/// Requests to its URLs get 403, its flows are held, and nothing of it can be changed; its people can still log in, read why, and
/// delete the tenant. One that is suspended gets the new reason, one that is deleted can be suspended, too.
#[utoipa::path(tag = "tenants", operation_id = "suspendTenant", security(("operator" = [])),
    responses((status = 200, description = "The tenant", body = TenantDetails)))]
#[post("/tenants/{id}/suspend")]
async fn suspend(
    operator: Operator,
    Path((id,)): Path<(TenantId,)>,
    Json(given): Json<Suspension>,
) -> ApiResult<Reply<TenantDetails>> {
    let suspended = operator
        .change(id, move |conn, scope| {
            let tenant = operator::suspend(conn, scope, &given.reason)?;
            Ok(Found::of(conn, scope, tenant)?)
        })
        .await?;
    Ok(suspended.reply(operator.state().settings.tenant_limits))
}

/// End a tenant's suspension
///
/// What was held goes on. One that is not suspended stays as it is; one that is deleted stays deleted.
#[utoipa::path(tag = "tenants", operation_id = "resumeTenant", security(("operator" = [])),
    responses((status = 200, description = "The tenant", body = TenantDetails)))]
#[post("/tenants/{id}/resume")]
async fn resume(operator: Operator, Path((id,)): Path<(TenantId,)>) -> ApiResult<Reply<TenantDetails>> {
    let resumed = operator
        .change(id, |conn, scope| {
            let tenant = operator::resume(conn, scope)?;
            Ok(Found::of(conn, scope, tenant)?)
        })
        .await?;
    Ok(resumed.reply(operator.state().settings.tenant_limits))
}

/// Delete a tenant
///
/// As its owner could: its URLs are unknown from now on, and at `delete_at` all that it has is erased. Until then it can be restored,
/// by an owner, too, unless it is suspended. One that is deleted stays as it is.
#[utoipa::path(tag = "tenants", operation_id = "deleteTenant", security(("operator" = [])),
    responses((status = 200, description = "The tenant, with the time at which it is erased", body = TenantDetails)))]
#[delete("/tenants/{id}")]
async fn delete(operator: Operator, Path((id,)): Path<(TenantId,)>) -> ApiResult<Reply<TenantDetails>> {
    let hours = operator.state().settings.tenant_restore_hours.max(1);
    let at = clock::now() + TimeDelta::hours(hours.into());
    let deleted = operator
        .change(id, move |conn, scope| {
            let mut tenant = tenants::lock(conn, scope)?;
            if tenant.delete_at.is_none() {
                tenant = tenants::delete(conn, scope, at)?;
            }
            Ok(Found::of(conn, scope, tenant)?)
        })
        .await?;
    Ok(deleted.reply(operator.state().settings.tenant_limits))
}

/// Restore a tenant
///
/// One that was deleted, until it is erased. If it is suspended, it stays suspended.
#[utoipa::path(tag = "tenants", operation_id = "restoreTenant", security(("operator" = [])),
    responses((status = 200, description = "The tenant", body = TenantDetails),
              (status = 409, description = "wrong_state")))]
#[post("/tenants/{id}/restore")]
async fn restore(operator: Operator, Path((id,)): Path<(TenantId,)>) -> ApiResult<Reply<TenantDetails>> {
    let restored = operator
        .change(id, |conn, scope| {
            tenants::lock(conn, scope)?;
            let tenant = tenants::restore(conn, scope).map_err(|error| match error {
                Error::NotFound => ApiError::new(ErrorCode::WrongState, "the tenant is not deleted"),
                other => other.into(),
            })?;
            Ok(Found::of(conn, scope, tenant)?)
        })
        .await?;
    Ok(restored.reply(operator.state().settings.tenant_limits))
}

/// Read the usage of a tenant
///
/// As the tenant reads it: accepted events and the bytes of their bodies, by day or webhook.
#[utoipa::path(tag = "tenants", operation_id = "getTenantUsage", security(("operator" = [])), params(UsageFilters),
    responses((status = 200, description = "What was received", body = UsageView)))]
#[get("/tenants/{id}/usage")]
async fn read_usage(
    operator: Operator,
    Path((id,)): Path<(TenantId,)>,
    Query(filters): Query<UsageFilters>,
) -> ApiResult<Reply<UsageView>> {
    let usage = operator
        .in_tenant(id, move |conn, scope| {
            tenants::find(conn, scope)?;
            filters.read(conn, scope)
        })
        .await?;
    Ok(Reply::ok(usage))
}
