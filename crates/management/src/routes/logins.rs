//! The logins of the person who calls: where they are logged in, and ending that.

use actix_web::{delete, get};
use chrono::{DateTime, Utc};
use hookgate_domain::{clock, login_sessions, scope};
use hookgate_model::ids::{LoginSessionId, TenantId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Caller;
use crate::body::{NoContent, Reply};
use crate::error::ApiResult;
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(index).service(end_others).service(end);
}

/// A login that goes on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "ses_01k9z3v8e5f2q8r7w6t5y4x3m2", "tenant_id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "created_at": "2026-11-21T12:00:00Z", "last_used_at": "2026-11-21T12:30:00Z", "expires_at": "2027-02-19T12:00:00Z",
    "network": "203.0.113.0/24", "user_agent": "Mozilla/5.0", "is_current": true}))]
struct Login {
    id: LoginSessionId,
    /// The tenant that it is for.
    tenant_id: TenantId,
    created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    last_used_at: DateTime<Utc>,
    /// When it ends by itself, however often it is used.
    expires_at: DateTime<Utc>,
    /// From which network it began: the /24 of IPv4, the /48 of IPv6; null when that is not known.
    network: Option<String>,
    /// The program that began it.
    user_agent: Option<String>,
    /// Whether this request came through it.
    is_current: bool,
}

/// List one's logins
///
/// Those that go on, to all tenants. For people only, not for management keys.
#[utoipa::path(tag = "account", operation_id = "listLogins", security(("bearer" = [])), params(PagingParams),
    responses((status = 200, description = "A page of logins, newest first", body = Page<Login>),
              (status = 403, description = "forbidden")))]
#[get("/me/sessions")]
async fn index(caller: Caller, paging: Paging) -> ApiResult<Reply<Page<Login>>> {
    let user = caller.person()?;
    let current = caller.login();
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .state()
        .database
        .run(move |conn| login_sessions::list_live(conn, user, rows, clock::now()))
        .await?;
    let login = |login: login_sessions::LoginSession| Login {
        id: login.id,
        tenant_id: login.tenant_id,
        created_at: login.created_at,
        last_used_at: login.last_used_at,
        expires_at: login.expires_at,
        network: login.network.map(|network| network.to_string()),
        user_agent: login.user_agent,
        is_current: current == Some(login.id),
    };
    Ok(Reply::ok(window.page(found, |login| login.id.uuid(), login)?))
}

/// End one of one's logins
///
/// Its access tokens and its refresh token stop working at once. For people only, not for management keys.
#[utoipa::path(tag = "account", operation_id = "endLogin", security(("bearer" = [])),
    responses((status = 204, description = "The login has ended"),
              (status = 403, description = "forbidden")))]
#[delete("/me/sessions/{id}")]
async fn end(caller: Caller, Path((id,)): Path<(LoginSessionId,)>) -> ApiResult<NoContent> {
    let user = caller.person()?;
    caller
        .state()
        .database
        .run(move |conn| login_sessions::revoke_own(conn, user, id, clock::now()))
        .await?;
    Ok(NoContent)
}

/// End all of one's other logins
///
/// To all tenants; the one that this request comes through goes on. For people only, not for management keys.
#[utoipa::path(tag = "account", operation_id = "endOtherLogins", security(("bearer" = [])),
    responses((status = 204, description = "All other logins have ended"),
              (status = 403, description = "forbidden")))]
#[delete("/me/sessions")]
async fn end_others(caller: Caller) -> ApiResult<NoContent> {
    let user = caller.person()?;
    let current = caller.login();
    caller
        .state()
        .database
        .run(move |conn| {
            scope::transaction(conn, |conn| {
                login_sessions::revoke_others(conn, user, current, clock::now())
            })
        })
        .await?;
    Ok(NoContent)
}
