//! Invitations into the tenant, and their acceptance. An invitation works as long as whoever made it may still give its role.

use actix_web::web::Data;
use actix_web::{HttpRequest, delete, get, post};
use chrono::{DateTime, TimeDelta, Utc};
use hookgate_domain::database::PgConnection;
use hookgate_domain::invitations::{self, NewInvitation};
use hookgate_domain::scope::{self, TenantScope};
use hookgate_domain::users::{self, NewUser};
use hookgate_domain::{Error, clock, crypto, limits, members, tenants};
use hookgate_model::access::{MembershipChange, Role};
use hookgate_model::email::Email;
use hookgate_model::ids::{InvitationId, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::auth::{Registered, Tokens, first_session, start_session};
use super::members::check;
use super::tenant::Tenant;
use crate::auth::passwords::new_password;
use crate::auth::permissions::{MembersRead, MembersWrite};
use crate::auth::secret_token::{INVITATION, SecretToken};
use crate::auth::{Caller, Guarded, origin_of, throttle, usable};
use crate::body::{Json, NoContent, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::fields::{Fields, FromFields, parsed, text};
use crate::mail::letter::Letter;
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;
use crate::state::State;
use crate::{client_address, mail};

/// As what mails of invitations are counted.
const INVITATION_MAIL: &str = "invitation";

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(accept)
        .service(register_invited)
        .service(create)
        .service(index)
        .service(resend)
        .service(revoke);
}

/// An invitation that was not accepted yet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "inv_01k9z3v8e5f2q8r7w6t5y4x3m2", "email": "grace@example.com", "role": "editor",
    "invited_by": "usr_01k9z3v8e5f2q8r7w6t5y4x3m2", "created_at": "2026-11-21T12:00:00Z",
    "expires_at": "2026-11-28T12:00:00Z"}))]
struct Invitation {
    id: InvitationId,
    /// Whom it is for.
    email: String,
    /// What they become.
    role: Role,
    /// Who invited them, or sent it again.
    invited_by: UserId,
    created_at: DateTime<Utc>,
    /// Until when it can be accepted.
    expires_at: DateTime<Utc>,
}

impl TryFrom<invitations::Invitation> for Invitation {
    type Error = Error;
    fn try_from(invitation: invitations::Invitation) -> Result<Self, Error> {
        Ok(Self {
            role: invitation.role()?,
            id: invitation.id,
            email: invitation.email,
            invited_by: invitation.invited_by,
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
        })
    }
}

/// Whom to invite.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"email": "grace@example.com", "role": "editor"}))]
struct InvitationRequest {
    /// The address. Its case does not matter.
    #[schema(value_type = String, format = Email, max_length = 254)]
    email: Email,
    /// What they become.
    role: Role,
}

impl FromFields for InvitationRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email", parsed);
        let role = fields.required("role", parsed);
        Some(Self {
            email: email?,
            role: role?,
        })
    }
}

/// An invitation. Where the installation sends no mail it has its token, which is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"token": "hgi_9wq2ZmFrZS1pbnZpdGF0aW9uLXRva2VuLWZvci1kb2Nz", "link": null, "id": "inv_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "email": "grace@example.com", "role": "editor", "invited_by": "usr_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "created_at": "2026-11-21T12:00:00Z", "expires_at": "2026-11-28T12:00:00Z"}))]
struct SentInvitation {
    /// What accepts it: whoever has it and is, or registers as, this address can join. Null when it was mailed.
    token: Option<String>,
    /// Where the application for people takes it; null when it was mailed, or there is no application.
    #[schema(
        example = "https://app.example.com/accept-invitation#token=hgi_9wq2ZmFrZS1pbnZpdGF0aW9uLXRva2VuLWZvci1kb2Nz"
    )]
    link: Option<String>,
    #[serde(flatten)]
    about: Invitation,
}

/// Invite somebody into the tenant
///
/// An address has one invitation at a time. Admins invite as all but owners. For people only, not for management keys.
#[utoipa::path(tag = "members", operation_id = "createInvitation", security(("bearer" = [])),
    responses((status = 201, description = "The invitation", body = SentInvitation),
              (status = 403, description = "forbidden, tenant_suspended, tenant_deleted"),
              (status = 409, description = "already_exists, limit_reached"),
              (status = 429, description = "too_many_requests")))]
#[post("/invitations")]
async fn create(
    request: HttpRequest,
    caller: Guarded<MembersWrite>,
    Json(new): Json<InvitationRequest>,
) -> ApiResult<Reply<SentInvitation>> {
    let by = caller.person()?;
    let token = SecretToken::new(INVITATION);
    let now = clock::now();
    let settings = &caller.state().settings;
    let most = settings.invitations_per_tenant;
    let is_mailed = caller.state().mail.is_on();
    if is_mailed {
        let address = client_address::of(&request, caller.state());
        throttle::mail(caller.state(), INVITATION_MAIL, new.email.as_str(), address).await?;
    }
    let new = NewInvitation {
        id: clock::new_id(),
        email: new.email,
        role: new.role,
        digest: token.digest,
        invited_by: by,
        expires_at: now + TimeDelta::seconds(settings.invitation_seconds.into()),
        is_mailed,
    };
    let posted = posted(&caller, &token);
    let invitation = caller
        .run(move |conn, scope| {
            members::lock(conn, scope)?;
            check(conn, scope, by, joining(new.role))?;
            if members::has_email(conn, scope, new.email.as_str())? {
                return Err(ApiError::new(
                    ErrorCode::AlreadyExists,
                    "somebody with this address is a member already",
                ));
            }
            let invitation = invitations::create(conn, scope, &new, most, now)?;
            posted(conn, scope, &invitation)?;
            Ok(invitation)
        })
        .await?;
    Ok(Reply::created(sent(&caller, invitation, token)?))
}

/// What mails an invitation in the transaction that makes it, where this installation sends mails.
fn posted(
    caller: &Caller,
    token: &SecretToken,
) -> impl FnOnce(&mut PgConnection, &TenantScope, &invitations::Invitation) -> ApiResult<()> + use<> {
    let master_key = caller.state().master_key.clone();
    let token = token.text.clone();
    move |conn, scope, invitation| {
        if !invitation.is_mailed {
            return Ok(());
        }
        let letter = Letter::Invitation {
            token,
            tenant: tenants::find(conn, scope)?.name,
            inviter: members::find(conn, scope, invitation.invited_by)?.user.name,
            role: invitation.role()?,
            expires_at: invitation.expires_at,
        };
        Ok(mail::post(conn, &master_key, &invitation.email, &letter)?)
    }
}

/// The answer after that: whoever invites gets the token only if it was not mailed.
fn sent(
    caller: &Caller,
    invitation: invitations::Invitation,
    token: SecretToken,
) -> ApiResult<SentInvitation> {
    let outbox = &caller.state().mail;
    outbox.posted();
    let token = (!invitation.is_mailed).then_some(token.text);
    Ok(SentInvitation {
        link: token.as_deref().and_then(|token| outbox.invitation_link(token)),
        token,
        about: invitation.try_into()?,
    })
}

fn joining(role: Role) -> MembershipChange {
    MembershipChange {
        from: None,
        to: Some(role),
        of_oneself: false,
    }
}

/// List invitations that were not accepted yet
///
/// Without their tokens, which only the mail or the answer of their creation holds.
#[utoipa::path(tag = "members", operation_id = "listInvitations", security(("bearer" = ["members:read"])),
    params(PagingParams),
    responses((status = 200, description = "A page of invitations, newest first", body = Page<Invitation>)))]
#[get("/invitations")]
async fn index(caller: Guarded<MembersRead>, paging: Paging) -> ApiResult<Reply<Page<Invitation>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .run(move |conn, scope| {
            let found = invitations::list(conn, scope, rows)?;
            found
                .into_iter()
                .map(Invitation::try_from)
                .collect::<Result<Vec<_>, Error>>()
        })
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |invitation| invitation.id.uuid(),
        |invitation| invitation,
    )?))
}

/// Send an invitation again
///
/// It gets a new token and a new end; the old token does not work any more. For people only, not for management keys.
#[utoipa::path(tag = "members", operation_id = "resendInvitation", security(("bearer" = [])),
    responses((status = 200, description = "The invitation", body = SentInvitation),
              (status = 403, description = "forbidden, tenant_suspended, tenant_deleted"),
              (status = 429, description = "too_many_requests")))]
#[post("/invitations/{id}/resend")]
async fn resend(
    request: HttpRequest,
    caller: Guarded<MembersWrite>,
    Path((id,)): Path<(InvitationId,)>,
) -> ApiResult<Reply<SentInvitation>> {
    let by = caller.person()?;
    let token = SecretToken::new(INVITATION);
    let (digest, is_mailed) = (token.digest, caller.state().mail.is_on());
    if is_mailed {
        let address = client_address::of(&request, caller.state());
        let known = caller
            .run(move |conn, scope| invitations::find(conn, scope, id))
            .await?;
        throttle::mail(caller.state(), INVITATION_MAIL, &known.email, address).await?;
    }
    let posted = posted(&caller, &token);
    let expires_at = clock::now() + TimeDelta::seconds(caller.state().settings.invitation_seconds.into());
    let invitation = caller
        .run(move |conn, scope| {
            members::lock(conn, scope)?;
            let role = invitations::find(conn, scope, id)?.role()?;
            check(conn, scope, by, joining(role))?;
            let invitation = invitations::renew(conn, scope, id, by, &digest, expires_at, is_mailed)?;
            posted(conn, scope, &invitation)?;
            Ok::<_, ApiError>(invitation)
        })
        .await?;
    Ok(Reply::ok(sent(&caller, invitation, token)?))
}

/// Take an invitation back
///
/// Its token stops working at once. For people only, not for management keys.
#[utoipa::path(tag = "members", operation_id = "deleteInvitation", security(("bearer" = [])),
    responses((status = 204, description = "The invitation is gone"),
              (status = 403, description = "forbidden, tenant_suspended, tenant_deleted")))]
#[delete("/invitations/{id}")]
async fn revoke(caller: Guarded<MembersWrite>, Path((id,)): Path<(InvitationId,)>) -> ApiResult<NoContent> {
    let by = caller.person()?;
    caller
        .run(move |conn, scope| {
            members::lock(conn, scope)?;
            let role = invitations::find(conn, scope, id)?.role()?;
            check(conn, scope, by, joining(role))?;
            Ok::<_, ApiError>(invitations::delete(conn, scope, id)?)
        })
        .await?;
    Ok(NoContent)
}

/// The token of an invitation.
#[derive(ToSchema)]
#[schema(example = json!({"token": "hgi_9wq2ZmFrZS1pbnZpdGF0aW9uLXRva2VuLWZvci1kb2Nz"}))]
struct Acceptance {
    /// The invitation's newest token.
    token: String,
}

impl FromFields for Acceptance {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let token = fields.required("token", text(1..=200));
        Some(Self { token: token? })
    }
}

/// The tenant that a person has joined, with a login to it.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"role": "editor", "tenant": {"id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Analytical Engines",
    "status": "active", "suspended_at": null, "suspension_reason": null, "delete_at": null, "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"},
    "tokens": {"access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9…", "token_type": "Bearer", "expires_in": 900,
    "refresh_token": "hgr_9wq2ZmFrZS1yZWZyZXNoLXRva2VuLWZvci10aGUtZG9jcw", "tenant_id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2"}}))]
struct JoinedTenant {
    role: Role,
    tenant: Tenant,
    tokens: Tokens,
}

/// Accept an invitation
///
/// By the person whose address it is for, logged in to any tenant. The tokens given are for the tenant that they join; when the answer
/// is lost, `POST /v1/tenants/{id}/switch` gives others. It takes no `Idempotency-Key`.
#[utoipa::path(tag = "members", operation_id = "acceptInvitation", security(("bearer" = [])),
    responses((status = 201, description = "The tenant, and tokens for it", body = JoinedTenant),
              (status = 403, description = "forbidden, tenant_suspended, tenant_deleted"),
              (status = 404, description = "not_found"),
              (status = 409, description = "already_exists, limit_reached")))]
#[post("/invitations/accept")]
async fn accept(
    caller: Caller,
    request: HttpRequest,
    Json(given): Json<Acceptance>,
) -> ApiResult<Reply<JoinedTenant>> {
    let (user, basis) = caller.person_logged_in()?;
    let origin = caller.origin();
    let state = caller.state();
    let most = state.settings.members_per_tenant;
    let join = move |conn: &mut PgConnection| {
        scope::transaction(conn, |conn| {
            origin.enter(conn)?;
            let opened = open(conn, &given.token, most)?;
            if users::find(conn, user)?.email != opened.email {
                return Err(ApiError::new(
                    ErrorCode::Forbidden,
                    "the invitation is for another address; log in with the account of that",
                ));
            }
            members::add(conn, &opened.scope, user, opened.role)?;
            opened.verify(conn, user)?;
            Ok((opened.role, tenants::find(conn, &opened.scope)?))
        })
    };
    let (role, tenant) = state.database.run(join).await?;
    let client = client_address::client(&request, state);
    Ok(Reply::created(JoinedTenant {
        role,
        tokens: start_session(state, user, basis, tenant.id, client).await?,
        tenant: tenant.into(),
    }))
}

/// What somebody who is invited needs for an account.
#[derive(ToSchema)]
#[schema(example = json!({"token": "hgi_9wq2ZmFrZS1pbnZpdGF0aW9uLXRva2VuLWZvci1kb2Nz", "password": "three plain words",
    "name": "Grace"}))]
struct InvitedRegistration {
    /// The invitation's newest token.
    token: String,
    /// Any 10 to 128 characters.
    #[schema(min_length = 10, max_length = 128, format = Password)]
    password: String,
    /// What to call the person.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

impl FromFields for InvitedRegistration {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let token = fields.required("token", text(1..=200));
        let password = fields.required("password", new_password);
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        Some(Self {
            token: token?,
            password: password?,
            name: name?,
        })
    }
}

/// Register with an invitation
///
/// Makes an account for the address that is invited, a member of the tenant, and logs it in. Whoever has an account accepts
/// the invitation logged in. Counts as an attempt to register.
#[utoipa::path(tag = "authentication", operation_id = "registerInvited",
    responses((status = 201, description = "The account", body = Registered),
              (status = 403, description = "forbidden, tenant_suspended, tenant_deleted"),
              (status = 404, description = "not_found"),
              (status = 409, description = "email_taken, limit_reached"),
              (status = 429, description = "too_many_requests")))]
#[post("/auth/accept-invitation")]
async fn register_invited(
    state: Data<State>,
    request: HttpRequest,
    Json(new): Json<InvitedRegistration>,
) -> ApiResult<Reply<Registered>> {
    let address = client_address::of(&request, &state);
    throttle::registration(&state, address).await?;
    let password_hash = state.passwords.hash(new.password).await?;
    let most = state.settings.members_per_tenant;
    let hash = password_hash.clone();
    let join = move |conn: &mut PgConnection| {
        scope::transaction(conn, |conn| {
            let id: UserId = clock::new_id();
            origin_of(id, address).enter(conn)?;
            let opened = open(conn, &new.token, most)?;
            let user = NewUser {
                id,
                email: &opened.email,
                name: &new.name,
                password_hash: &hash,
            };
            users::create(conn, user)?;
            members::add(conn, &opened.scope, id, opened.role)?;
            opened.verify(conn, id)?;
            let user = users::find(conn, id)?;
            Ok::<_, ApiError>((user, tenants::find(conn, &opened.scope)?))
        })
    };
    let (user, tenant) = state.database.run(join).await?;
    let client = client_address::client(&request, &state);
    let tokens = first_session(&state, &user, password_hash, tenant.id, client).await?;
    Ok(Reply::created(Registered::new(user, tenant, tokens)))
}

/// An invitation that is used up.
struct Opened {
    scope: TenantScope,
    email: String,
    role: Role,
    is_mailed: bool,
}

impl Opened {
    /// Whoever has a token that was only mailed has shown whose address it is.
    fn verify(&self, conn: &mut PgConnection, user: UserId) -> Result<(), Error> {
        if self.is_mailed {
            users::verify_email(conn, user, &self.email, clock::now())?;
        }
        Ok(())
    }
}

/// Uses an invitation up, in the running transaction, under the lock of the tenant's members.
fn open(conn: &mut PgConnection, token: &str, most: u32) -> ApiResult<Opened> {
    let unknown = |error| match error {
        Error::NotFound => ApiError::new(
            ErrorCode::NotFound,
            "no invitation has this token: it was accepted, taken back or sent again, or is over",
        ),
        other => other.into(),
    };
    let digest = crypto::digest(token.as_bytes());
    let (scope, invitation) = invitations::open(conn, &digest, clock::now()).map_err(unknown)?;
    members::lock(conn, &scope)?;
    usable(tenants::find(conn, &scope)?.standing())?;
    invitations::delete(conn, &scope, invitation.id).map_err(unknown)?;
    let role = invitation.role()?;
    check(conn, &scope, invitation.invited_by, joining(role)).map_err(|error| match error.code() {
        ErrorCode::Forbidden | ErrorCode::Unauthenticated => ApiError::new(
            ErrorCode::Forbidden,
            "who has invited you may not do so any more; ask for a new invitation",
        ),
        _ => error,
    })?;
    if members::count(conn, &scope, None)? >= u64::from(most) {
        return Err(Error::LimitReached {
            what: "members",
            most: most.into(),
        }
        .into());
    }
    Ok(Opened {
        scope,
        email: invitation.email,
        is_mailed: invitation.is_mailed,
        role,
    })
}
