//! Who belongs to the tenant. `hookgate_model::access` says who may change what; every change is decided under the lock of
//! the tenant's members, with the roles as they are then.

use actix_web::{delete, get, patch, post};
use chrono::{DateTime, Utc};
use hookgate_domain::database::PgConnection;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::{Error, members};
use hookgate_model::access::{MembershipChange, MembershipRefusal, Role, check_membership};
use hookgate_model::ids::UserId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::me::User;
use crate::auth::Guarded;
use crate::auth::permissions::{MembersRead, MembersWrite};
use crate::body::{Json, NoContent, Patch, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, parsed};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(index)
        .service(update)
        .service(remove)
        .service(transfer);
}

/// A person in the tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"user": {"id": "usr_01k9z3v8e5f2q8r7w6t5y4x3m2", "email": "ada@example.com", "name": "Ada",
    "email_verified": true, "created_at": "2026-11-21T12:00:00Z"}, "role": "editor", "joined_at": "2026-11-21T12:00:00Z"}))]
struct Member {
    user: User,
    role: Role,
    joined_at: DateTime<Utc>,
}

impl From<members::Member> for Member {
    fn from(member: members::Member) -> Self {
        Self {
            user: member.user.into(),
            role: member.role,
            joined_at: member.joined_at,
        }
    }
}

/// What can be changed of a member.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"role": "editor"}))]
struct MemberSettings {
    role: Role,
}

impl FromFields for MemberSettings {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let role = fields.required("role", parsed);
        Some(Self { role: role? })
    }
}

type MemberPatch = Patch<MemberSettings>;

/// Checks that a person may make of another what they want to, under the lock that this takes.
///
/// # Errors
/// 403 or 409 if they may not; 401 when they are no member any more.
pub(super) fn check(
    conn: &mut PgConnection,
    scope: &TenantScope,
    by: UserId,
    change: MembershipChange,
) -> ApiResult<()> {
    let gone = |error| match error {
        Error::NotFound => ApiError::new(ErrorCode::Unauthenticated, "you are no member any more"),
        other => other.into(),
    };
    let role = members::find(conn, scope, by).map_err(gone)?.role;
    let owners = members::count(conn, scope, Some(Role::Owner))?;
    check_membership(role, change, owners).map_err(|refusal| match refusal {
        MembershipRefusal::NotAllowed => ApiError::new(
            ErrorCode::Forbidden,
            "admins give and take the roles up to admin, owners all; everybody may leave or take a lower role",
        ),
        MembershipRefusal::LastOwner => ApiError::new(
            ErrorCode::LastOwner,
            "make another member an owner first, or transfer the ownership",
        ),
    })
}

/// List the members of the tenant
///
/// With their roles, those who joined first in front.
#[utoipa::path(tag = "members", operation_id = "listMembers", security(("bearer" = ["members:read"])),
    params(PagingParams),
    responses((status = 200, description = "A page of members, the newest accounts first", body = Page<Member>)))]
#[get("/members")]
async fn index(caller: Guarded<MembersRead>, paging: Paging) -> ApiResult<Reply<Page<Member>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .run(move |conn, scope| members::list(conn, scope, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |member| member.user.id.uuid(),
        Member::from,
    )?))
}

/// Change a member's role
///
/// It counts from their next request on. Admins change the roles of all but owners, and make no owners. The last owner stays
/// one. For people only, not for management keys.
#[utoipa::path(tag = "members", operation_id = "updateMember", security(("bearer" = [])),
    request_body(content = MemberPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The member as they are now", body = Member),
              (status = 403, description = "forbidden, tenant_suspended, tenant_deleted"),
              (status = 409, description = "last_owner")))]
#[patch("/members/{id}")]
async fn update(
    caller: Guarded<MembersRead>,
    Path((id,)): Path<(UserId,)>,
    if_match: IfMatch,
    patch: MemberPatch,
) -> ApiResult<Reply<Member>> {
    let by = caller.person()?;
    let member = caller
        .run(move |conn, scope| {
            members::lock(conn, scope)?;
            let current = members::find(conn, scope, id)?;
            if_match.check(current.version)?;
            let role = patch.apply(&MemberSettings { role: current.role })?.role;
            let change = MembershipChange {
                from: Some(current.role),
                to: Some(role),
                of_oneself: by == id,
            };
            check(conn, scope, by, change)?;
            if role != current.role {
                members::set_role(conn, scope, id, role)?;
            }
            Ok::<_, ApiError>(members::find(conn, scope, id)?)
        })
        .await?;
    let version = member.version;
    Ok(Reply::ok(Member::from(member)).version(version))
}

/// Take a member out of the tenant
///
/// Or leave it, with one's own id. Their logins to the tenant end, and their access tokens for it stop working at once; what
/// they made stays, management keys included. An account that is in no tenant any more is deleted. For people only, not for
/// management keys.
#[utoipa::path(tag = "members", operation_id = "removeMember", security(("bearer" = [])),
    responses((status = 204, description = "The person is no member any more"),
              (status = 403, description = "forbidden, tenant_suspended, tenant_deleted"),
              (status = 409, description = "last_owner")))]
#[delete("/members/{id}")]
async fn remove(caller: Guarded<MembersRead>, Path((id,)): Path<(UserId,)>) -> ApiResult<NoContent> {
    let by = caller.person()?;
    caller
        .run(move |conn, scope| {
            members::lock(conn, scope)?;
            let change = MembershipChange {
                from: Some(members::find(conn, scope, id)?.role),
                to: None,
                of_oneself: by == id,
            };
            check(conn, scope, by, change)?;
            Ok::<_, ApiError>(members::remove(conn, scope, id)?)
        })
        .await?;
    Ok(NoContent)
}

/// Whom the ownership goes to.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"user_id": "usr_01k9z3v8e5f2q8r7w6t5y4x3m2"}))]
struct OwnershipTransfer {
    /// A member of the tenant.
    user_id: UserId,
}

impl FromFields for OwnershipTransfer {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let user_id = fields.required("user_id", parsed);
        Some(Self { user_id: user_id? })
    }
}

/// Transfer the ownership of the tenant
///
/// The member becomes an owner, and the owner who calls an admin, both or neither. For people only, not for management keys.
#[utoipa::path(tag = "members", operation_id = "transferOwnership", security(("bearer" = [])),
    responses((status = 200, description = "The new owner", body = Member),
              (status = 403, description = "forbidden, tenant_suspended, tenant_deleted")))]
#[post("/tenant/transfer-ownership")]
async fn transfer(
    caller: Guarded<MembersWrite>,
    Json(to): Json<OwnershipTransfer>,
) -> ApiResult<Reply<Member>> {
    let by = caller.person()?;
    let member = caller
        .run(move |conn, scope| {
            members::lock(conn, scope)?;
            let heir = members::find(conn, scope, to.user_id).map_err(|error| match error {
                Error::NotFound => ApiError::field(
                    "/user_id",
                    FieldCode::NotFound,
                    "no member of the tenant has this id",
                ),
                other => other.into(),
            })?;
            let heir_rises = MembershipChange {
                from: Some(heir.role),
                to: Some(Role::Owner),
                of_oneself: false,
            };
            check(conn, scope, by, heir_rises)?;
            if to.user_id != by {
                members::set_role(conn, scope, to.user_id, Role::Owner)?;
                members::set_role(conn, scope, by, Role::Admin)?;
            }
            Ok::<_, ApiError>(members::find(conn, scope, to.user_id)?)
        })
        .await?;
    Ok(Reply::ok(member.into()))
}
