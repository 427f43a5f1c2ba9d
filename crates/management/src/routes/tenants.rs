//! The tenants of a person.

use actix_web::{get, post};
use hookgate_domain::tenants;
use hookgate_model::access::Role;
use hookgate_model::ids::TenantId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::auth::{Tokens, start_session};
use super::tenant::Tenant;
use crate::auth::{Actor, Caller};
use crate::body::Reply;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(list).service(switch);
}

/// A tenant of the person, with what they are in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"role": "owner", "tenant": {"id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Analytical Engines",
    "status": "active", "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"}}))]
struct TenantMembership {
    tenant: Tenant,
    role: Role,
}

/// The tenants of a person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"data": [{"role": "owner", "tenant": {"id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "name": "Analytical Engines", "status": "active", "created_at": "2026-11-21T12:00:00Z",
    "updated_at": "2026-11-21T12:00:00Z"}}]}))]
struct TenantMemberships {
    /// All of them, those joined first in front.
    data: Vec<TenantMembership>,
}

/// List the tenants of the person who calls
#[utoipa::path(tag = "account", operation_id = "listTenants", security(("bearer" = [])),
    responses((status = 200, description = "The person's tenants", body = TenantMemberships),
              (status = 403, description = "forbidden")))]
#[get("/tenants")]
async fn list(caller: Caller) -> ApiResult<Reply<TenantMemberships>> {
    let user = person(&caller)?;
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

/// Log in to another tenant of the person who calls
///
/// The tokens given are for that tenant; those in use stay as they are.
#[utoipa::path(tag = "account", operation_id = "switchTenant", security(("bearer" = [])),
    responses((status = 201, description = "Tokens for the other tenant", body = Tokens),
              (status = 403, description = "forbidden")))]
#[post("/tenants/{id}/switch")]
async fn switch(caller: Caller, Path((id,)): Path<(TenantId,)>) -> ApiResult<Reply<Tokens>> {
    let user = person(&caller)?;
    let memberships = caller
        .state()
        .database
        .run(move |conn| tenants::of_person(conn, user))
        .await?;
    let there = memberships.iter().any(|(tenant, _)| tenant.id == id);
    if !there {
        return Err(ApiError::not_found());
    }
    Ok(Reply::created(start_session(caller.state(), user, id).await?))
}

fn person(caller: &Caller) -> ApiResult<hookgate_model::ids::UserId> {
    match caller.actor {
        Actor::Person { user, .. } => Ok(user),
        Actor::Key { .. } => Err(ApiError::new(
            ErrorCode::Forbidden,
            "a management key belongs to one tenant",
        )),
    }
}
