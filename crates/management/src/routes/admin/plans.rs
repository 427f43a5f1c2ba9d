//! Plans: limits with a name.

use actix_web::{delete, get, patch, post};
use chrono::{DateTime, Utc};
use hookgate_domain::redis::changes::Change;
use hookgate_domain::{clock, limits, operator, plans};
use hookgate_model::ids::PlanId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::limits::OwnLimits;
use crate::admin::Operator;
use crate::body::{Json, NoContent, Patch, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode, OnConstraint};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, object, text};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(index)
        .service(read)
        .service(update)
        .service(delete);
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "pln_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Business", "limits": {"requests_per_second": 100,
    "burst": 500, "events_per_month": 1_000_000, "body_bytes_per_month": null, "body_bytes": null, "waiting_callers": 50, "retention_days": null},
    "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"}))]
struct Plan {
    id: PlanId,
    name: String,
    limits: OwnLimits,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<plans::Plan> for Plan {
    fn from(plan: plans::Plan) -> Self {
        Self {
            id: plan.id,
            name: plan.name,
            limits: plan.limits.into(),
            created_at: plan.created_at,
            updated_at: plan.updated_at,
        }
    }
}

/// A plan, with how many have it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "pln_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Business", "limits": {"requests_per_second": 100,
    "burst": 500, "events_per_month": 1_000_000, "body_bytes_per_month": null, "body_bytes": null, "waiting_callers": 50, "retention_days": null},
    "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z", "tenants": 12}))]
struct PlanInUse {
    #[serde(flatten)]
    plan: Plan,
    /// How many tenants have it.
    tenants: i64,
}

/// What can be set of a plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"name": "Business", "limits": {"requests_per_second": 100, "burst": 500, "events_per_month": 1_000_000,
    "waiting_callers": 50, "retention_days": null}}))]
struct PlanSettings {
    /// What it is called; tenants see it, metrics are labelled with it, and no other plan has the same.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What a tenant may use that has it.
    #[schema(required = false)]
    limits: OwnLimits,
}

impl FromFields for PlanSettings {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::PLAN_NAME_CHARACTERS));
        let limits = fields.or("limits", OwnLimits::default(), object);
        Some(Self {
            name: name?,
            limits: limits?,
        })
    }
}

type PlanPatch = Patch<PlanSettings>;

fn name_taken() -> ApiError {
    ApiError::new(ErrorCode::NameTaken, "another plan has this name")
}

/// Create a plan
///
/// There may be a hundred.
#[utoipa::path(tag = "plans", operation_id = "createPlan", security(("operator" = [])),
    responses((status = 201, description = "The plan", body = Plan),
              (status = 409, description = "name_taken, limit_reached")))]
#[post("/plans")]
async fn create(operator: Operator, Json(new): Json<PlanSettings>) -> ApiResult<Reply<Plan>> {
    let plan = operator
        .run(move |conn| {
            plans::create(conn, clock::new_id(), &new.name, &new.limits.into())
                .on_constraint("plans_name_key", name_taken)
        })
        .await?;
    let version = plan.version;
    Ok(Reply::created(Plan::from(plan)).version(version))
}

/// List plans
///
/// With their limits.
#[utoipa::path(tag = "plans", operation_id = "listPlans", security(("operator" = [])), params(PagingParams),
    responses((status = 200, description = "Plans, the newest first", body = Page<Plan>)))]
#[get("/plans")]
async fn index(operator: Operator, paging: Paging) -> ApiResult<Reply<Page<Plan>>> {
    let window = paging.window_of_operator(operator.state())?;
    let page = window.rows();
    let plans = operator.run(move |conn| plans::list(conn, page)).await?;
    Ok(Reply::ok(window.page(
        plans,
        |plan| plan.id.uuid(),
        Plan::from,
    )?))
}

/// Read a plan
///
/// With how many tenants have it.
#[utoipa::path(tag = "plans", operation_id = "getPlan", security(("operator" = [])),
    responses((status = 200, description = "The plan, with how many have it", body = PlanInUse)))]
#[get("/plans/{id}")]
async fn read(operator: Operator, Path((id,)): Path<(PlanId,)>) -> ApiResult<Reply<PlanInUse>> {
    let (plan, tenants) = operator
        .run(move |conn| {
            let plan = plans::find(conn, id)?;
            Ok::<_, ApiError>((plan, operator::count_tenants(conn, id)?))
        })
        .await?;
    let version = plan.version;
    Ok(Reply::ok(PlanInUse {
        plan: plan.into(),
        tenants,
    })
    .version(version))
}

/// Change a plan
///
/// The limits of all tenants that have it change at once, but for those of their own.
#[utoipa::path(tag = "plans", operation_id = "updatePlan", security(("operator" = [])),
    request_body(content = PlanPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The plan as it is now", body = Plan),
              (status = 409, description = "name_taken, in_use")))]
#[patch("/plans/{id}")]
async fn update(
    operator: Operator,
    Path((id,)): Path<(PlanId,)>,
    if_match: IfMatch,
    patch: PlanPatch,
) -> ApiResult<Reply<Plan>> {
    let own = operator.clone();
    let registers = operator.state().settings.plan_of_new_tenants.clone();
    let plan = operator
        .and_announce(Change::Plan(id), async move {
            own.run(move |conn| {
                let current = plans::lock(conn, id)?;
                if_match.check(current.version)?;
                let before = current.name.clone();
                let wanted = patch.apply(&PlanSettings {
                    name: current.name,
                    limits: current.limits.into(),
                })?;
                if wanted.name != before {
                    required_by_new_tenants(&before, registers.as_deref())?;
                }
                plans::update(conn, id, &wanted.name, &wanted.limits.into())
                    .on_constraint("plans_name_key", name_taken)
            })
            .await
        })
        .await?;
    let version = plan.version;
    Ok(Reply::ok(Plan::from(plan)).version(version))
}

/// Refuses what would leave new tenants without their plan, and so nobody able to register.
fn required_by_new_tenants(plan: &str, of_new_tenants: Option<&str>) -> ApiResult<()> {
    if of_new_tenants == Some(plan) {
        Err(ApiError::new(
            ErrorCode::InUse,
            "new tenants get this plan by its name: change management.plan_of_new_tenants first",
        ))
    } else {
        Ok(())
    }
}

/// Delete a plan
///
/// One that no tenant has.
#[utoipa::path(tag = "plans", operation_id = "deletePlan", security(("operator" = [])),
    responses((status = 204, description = "The plan is gone"), (status = 409, description = "in_use")))]
#[delete("/plans/{id}")]
async fn delete(operator: Operator, Path((id,)): Path<(PlanId,)>) -> ApiResult<NoContent> {
    let registers = operator.state().settings.plan_of_new_tenants.clone();
    operator
        .run(move |conn| {
            let plan = plans::lock(conn, id)?;
            required_by_new_tenants(&plan.name, registers.as_deref())?;
            plans::delete(conn, id).on_constraint("tenants_plan_fkey", || {
                ApiError::new(
                    ErrorCode::InUse,
                    "tenants have this plan: give them another one first",
                )
            })
        })
        .await?;
    Ok(NoContent)
}
