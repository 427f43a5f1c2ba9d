//! The tenants of a person.

use actix_web::{HttpRequest, get, post};
use hookgate_domain::database::PgConnection;
use hookgate_domain::{clock, scope, tenants};
use hookgate_model::access::Role;
use hookgate_model::ids::TenantId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::auth::{Tokens, start_session};
use super::tenant::{Tenant, TenantSettings};
use crate::auth::Caller;
use crate::body::{Json, Reply};
use crate::client_address;
use crate::error::{ApiError, ApiResult};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(list).service(create).service(switch);
}

/// A tenant of the person, with what they are in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"role": "owner", "tenant": {"id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Analytical Engines",
    "status": "active", "suspended_at": null, "suspension_reason": null, "delete_at": null, "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"}}))]
struct TenantMembership {
    tenant: Tenant,
    role: Role,
}

/// The tenants of a person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"data": [{"role": "owner", "tenant": {"id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "name": "Analytical Engines", "status": "active", "suspended_at": null, "suspension_reason": null, "delete_at": null, "created_at": "2026-11-21T12:00:00Z",
    "updated_at": "2026-11-21T12:00:00Z"}}]}))]
struct TenantMemberships {
    /// All of them, those joined first in front.
    data: Vec<TenantMembership>,
}

/// List the tenants of the person who calls
///
/// With the role in each. `switchTenant` gives tokens for another one.
#[utoipa::path(tag = "account", operation_id = "listTenants", security(("bearer" = [])),
    responses((status = 200, description = "The person's tenants", body = TenantMemberships),
              (status = 403, description = "forbidden")))]
#[get("/tenants")]
async fn list(caller: Caller) -> ApiResult<Reply<TenantMemberships>> {
    let user = caller.person()?;
    let memberships = caller
        .state()
        .database
        .run(move |conn| tenants::of_person(conn, user))
        .await?;
    let data = memberships
        .into_iter()
        .map(|(tenant, role)| TenantMembership {
            tenant: tenant.into(),
            role,
        })
        .collect();
    Ok(Reply::ok(TenantMemberships { data }))
}

/// Create another tenant
///
/// The person who calls owns it. It has nothing in common with their other tenants; log in to it to use it.
#[utoipa::path(tag = "account", operation_id = "createTenant", security(("bearer" = [])),
    responses((status = 201, description = "The new tenant", body = TenantMembership),
              (status = 403, description = "forbidden"),
              (status = 409, description = "limit_reached")))]
#[post("/tenants")]
async fn create(caller: Caller, Json(new): Json<TenantSettings>) -> ApiResult<Reply<TenantMembership>> {
    let user = caller.person()?;
    let origin = caller.origin();
    let settings = &caller.state().settings;
    let (plan, most) = (settings.plan_of_new_tenants.clone(), settings.tenants_per_person);
    let create = move |conn: &mut PgConnection| {
        scope::transaction(conn, |conn| {
            origin.enter(conn)?;
            tenants::create_another(conn, clock::new_id(), &new.name, user, plan.as_deref(), most)
        })
    };
    let tenant = caller.state().database.run(create).await?;
    Ok(Reply::created(TenantMembership {
        tenant: tenant.into(),
        role: Role::Owner,
    }))
}

/// Log in to another tenant of the person who calls
///
/// The tokens given are for that tenant; those in use stay as they are. The new login ends no later than the one in use. It takes no
/// `Idempotency-Key`: done twice, it gives two logins.
#[utoipa::path(tag = "account", operation_id = "switchTenant", security(("bearer" = [])),
    responses((status = 201, description = "Tokens for the other tenant", body = Tokens),
              (status = 403, description = "forbidden")))]
#[post("/tenants/{id}/switch")]
async fn switch(
    caller: Caller,
    request: HttpRequest,
    Path((id,)): Path<(TenantId,)>,
) -> ApiResult<Reply<Tokens>> {
    let (user, basis) = caller.person_logged_in()?;
    let memberships = caller
        .state()
        .database
        .run(move |conn| tenants::of_person(conn, user))
        .await?;
    let there = memberships.iter().any(|(tenant, _)| tenant.id == id);
    if !there {
        return Err(ApiError::not_found());
    }
    let client = client_address::client(&request, caller.state());
    Ok(Reply::created(
        start_session(caller.state(), user, basis, id, client).await?,
    ))
}
