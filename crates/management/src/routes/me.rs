//! Who the caller is.

use actix_web::get;
use hookgate_domain::{management_keys, tenants, users};
use hookgate_model::access::{Permission, Role, Scope};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::management_keys::ManagementKey;
use super::tenant::Tenant;
use crate::auth::{Actor, Caller};
use crate::body::Reply;
use crate::error::ApiResult;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(read);
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "usr_01k9z3v8e5f2q8r7w6t5y4x3m2", "email": "ada@example.com", "name": "Ada",
    "email_verified": true, "created_at": "2026-11-21T12:00:00Z"}))]
pub struct User {
    id: hookgate_model::ids::UserId,
    email: String,
    name: String,
    /// Whether they have shown that the address is theirs.
    email_verified: bool,
    created_at: chrono::DateTime<chrono::Utc>,
}

impl From<users::User> for User {
    fn from(user: users::User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            email_verified: user.email_verified_at.is_some(),
            created_at: user.created_at,
        }
    }
}

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "user": {"id": "usr_01k9z3v8e5f2q8r7w6t5y4x3m2", "email": "ada@example.com", "name": "Ada", "email_verified": true, "created_at": "2026-11-21T12:00:00Z"},
    "role": "owner", "management_key": null,
    "tenant": {"id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Analytical Engines", "status": "active", "suspended_at": null, "suspension_reason": null, "delete_at": null,
        "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"},
    "permissions": ["tenant:read", "webhooks:read"]}))]
struct Me {
    /// The person; null when a management key calls.
    user: Option<User>,
    /// The person's role in the tenant; null when a management key calls.
    role: Option<Role>,
    /// The management key; null when a person calls.
    management_key: Option<ManagementKey>,
    /// The tenant that the credential is for.
    tenant: Tenant,
    /// What the caller may do.
    permissions: Vec<Permission>,
}

/// Read who calls
///
/// Works with every credential, whatever it allows.
#[utoipa::path(tag = "account", operation_id = "getMe", security(("bearer" = [])),
    responses((status = 200, description = "The caller", body = Me)))]
#[get("/me")]
async fn read(caller: Caller) -> ApiResult<Reply<Me>> {
    let actor = caller.actor.clone();
    let (user, key, tenant) = caller
        .run(move |conn, scope| {
            let tenant = tenants::find(conn, scope)?;
            Ok::<_, hookgate_domain::Error>(match actor {
                Actor::Person { user, .. } => (Some(users::find(conn, user)?), None, tenant),
                Actor::Key { id, .. } => (None, Some(management_keys::find(conn, scope, id)?), tenant),
            })
        })
        .await?;
    let role = match caller.actor {
        Actor::Person { role, .. } => Some(role),
        Actor::Key { .. } => None,
    };
    let may = |permission: &Permission| caller.actor.may(*permission);
    Ok(Reply::ok(Me {
        user: user.map(User::from),
        role,
        management_key: key.map(ManagementKey::from),
        tenant: Tenant::from(tenant),
        permissions: Permission::ALL.iter().copied().filter(may).collect(),
    }))
}

/// The scopes that the caller can give to a key: those that allow nothing that the caller may not do.
pub(super) fn grantable(actor: &Actor) -> Vec<Scope> {
    let within = |scope: &Scope| scope.permissions().all(|permission| actor.may(permission));
    Scope::ALL.iter().copied().filter(within).collect()
}
