//! The tenant of the caller.

use actix_web::{get, patch};
use chrono::{DateTime, Utc};
use hookgate_domain::{clock, limits, tenants};
use hookgate_model::ids::TenantId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Guarded;
use crate::auth::permissions::{TenantRead, TenantWrite};
use crate::body::{Patch, Reply};
use crate::error::{ApiError, ApiResult};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, text};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(read).service(update);
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Analytical Engines", "status": "active",
    "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"}))]
pub struct Tenant {
    id: TenantId,
    name: String,
    /// `active` or `suspended`.
    status: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<tenants::Tenant> for Tenant {
    fn from(tenant: tenants::Tenant) -> Self {
        let tenants::Tenant {
            id,
            name,
            status,
            created_at,
            updated_at,
            version: _,
        } = tenant;
        Self {
            id,
            name,
            status,
            created_at,
            updated_at,
        }
    }
}

/// What can be changed of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"name": "Analytical Engines"}))]
pub struct TenantSettings {
    /// What it is called.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
}

impl FromFields for TenantSettings {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        Some(Self { name: name? })
    }
}

type TenantPatch = Patch<TenantSettings>;

/// Read the tenant
#[utoipa::path(tag = "account", operation_id = "getTenant", security(("bearer" = ["tenant:read"])),
    responses((status = 200, description = "The tenant", body = Tenant)))]
#[get("/tenant")]
async fn read(caller: Guarded<TenantRead>) -> ApiResult<Reply<Tenant>> {
    let tenant = caller.run(tenants::find).await?;
    let version = tenant.version;
    Ok(Reply::ok(Tenant::from(tenant)).version(version))
}

/// Change the tenant
#[utoipa::path(tag = "account", operation_id = "updateTenant", security(("bearer" = ["tenant:write"])),
    request_body(content = TenantPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The tenant as it is now", body = Tenant)))]
#[patch("/tenant")]
async fn update(
    caller: Guarded<TenantWrite>,
    if_match: IfMatch,
    patch: TenantPatch,
) -> ApiResult<Reply<Tenant>> {
    let tenant = caller
        .run(move |conn, scope| {
            let current = tenants::lock(conn, scope)?;
            if_match.check(current.version)?;
            let settings = patch.apply(&TenantSettings { name: current.name })?;
            Ok::<_, ApiError>(tenants::update(conn, scope, &settings.name, clock::now())?)
        })
        .await?;
    let version = tenant.version;
    Ok(Reply::ok(Tenant::from(tenant)).version(version))
}
