//! Registering, logging in and out.

use actix_web::web::Data;
use actix_web::{HttpRequest, post};
use chrono::TimeDelta;
use hookgate_domain::database::PgConnection;
use hookgate_domain::login_sessions::{self, Basis, NewLoginSession, NewRefreshToken, Rotation};
use hookgate_domain::users::{self, NewUser};
use hookgate_domain::{clock, limits, scope, tenants};
use hookgate_model::email::Email;
use hookgate_model::ids::{LoginSessionId, TenantId, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::me::User;
use super::tenant::Tenant;
use crate::auth::access_tokens::Claims;
use crate::auth::origin_of;
use crate::auth::passwords::{any_password, new_password};
use crate::auth::second_factor;
use crate::auth::secret_token::{REFRESH_TOKEN, SecretToken};
use crate::auth::throttle::{self, Attempt};
use crate::body::{Json, NoContent, Reply};
use crate::client_address::{self, Client};
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::fields::{Fields, FromFields, parsed, text};
use crate::mail;
use crate::mail::letter::Letter;
use crate::state::State;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(sign_up)
        .service(login)
        .service(refresh)
        .service(logout);
}

/// What a new account needs.
#[derive(ToSchema)]
#[schema(example = json!({"email": "ada@example.com", "password": "three plain words", "name": "Ada",
    "tenant_name": "Analytical Engines"}))]
struct Registration {
    /// The address to log in with. Its case does not matter.
    #[schema(value_type = String, format = Email, max_length = 254)]
    email: Email,
    /// Any 10 to 128 characters.
    #[schema(min_length = 10, max_length = 128, format = Password)]
    password: String,
    /// What to call the person.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What to call the tenant that is made with the account.
    #[schema(min_length = 1, max_length = 200)]
    tenant_name: String,
}

impl FromFields for Registration {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email", parsed);
        let password = fields.required("password", new_password);
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        let tenant_name = fields.required("tenant_name", text(1..=limits::NAME_CHARACTERS));
        Some(Self {
            email: email?,
            password: password?,
            name: name?,
            tenant_name: tenant_name?,
        })
    }
}

/// An e-mail address and a password.
#[derive(ToSchema)]
#[schema(example = json!({"email": "ada@example.com", "password": "three plain words"}))]
struct Credentials {
    /// The address of the account.
    #[schema(value_type = String, format = Email)]
    email: Email,
    /// The password of the account.
    #[schema(format = Password)]
    password: String,
    /// The tenant to log in to; absent for the one joined first of those that can be used.
    tenant_id: Option<TenantId>,
    /// Six digits of the person's app, where the account has a second factor.
    totp_code: Option<String>,
    /// A recovery code instead.
    recovery_code: Option<String>,
}

impl FromFields for Credentials {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email", parsed);
        let password = fields.required("password", any_password);
        let tenant_id = fields.optional("tenant_id", parsed);
        let totp_code = fields.optional("totp_code", text(1..=20));
        let recovery_code = fields.optional("recovery_code", text(1..=50));
        Some(Self {
            email: email?,
            password: password?,
            tenant_id: tenant_id?,
            totp_code: totp_code?,
            recovery_code: recovery_code?,
        })
    }
}

/// A refresh token.
#[derive(ToSchema)]
#[schema(example = json!({"refresh_token": "hgr_9wq2ZmFrZS1yZWZyZXNoLXRva2VuLWZvci10aGUtZG9jcw"}))]
struct Refresh {
    /// The newest refresh token of the login.
    refresh_token: String,
}

impl FromFields for Refresh {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let refresh_token = fields.required("refresh_token", text(1..=200));
        Some(Self {
            refresh_token: refresh_token?,
        })
    }
}

/// What a login gives.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9…", "token_type": "Bearer", "expires_in": 900,
    "refresh_token": "hgr_9wq2ZmFrZS1yZWZyZXNoLXRva2VuLWZvci10aGUtZG9jcw", "tenant_id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2"}))]
pub(super) struct Tokens {
    /// Send it as `Authorization: Bearer`.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// How long the access token works, in seconds.
    expires_in: u32,
    /// Gives the next tokens, once: using it again ends the login.
    refresh_token: String,
    /// The tenant that the tokens are for.
    tenant_id: TenantId,
}

/// A new account, logged in.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"user": {"id": "usr_01k9z3v8e5f2q8r7w6t5y4x3m2", "email": "ada@example.com", "name": "Ada",
    "email_verified": true, "created_at": "2026-11-21T12:00:00Z"}, "tenant": {"id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Analytical Engines",
    "status": "active", "suspended_at": null, "suspension_reason": null, "delete_at": null, "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"},
    "tokens": {"access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9…", "token_type": "Bearer", "expires_in": 900,
    "refresh_token": "hgr_9wq2ZmFrZS1yZWZyZXNoLXRva2VuLWZvci10aGUtZG9jcw", "tenant_id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2"}}))]
pub(super) struct Registered {
    user: User,
    tenant: Tenant,
    /// Null where the address has to be verified before the first login.
    tokens: Option<Tokens>,
}

impl Registered {
    pub(super) fn new(user: users::User, tenant: tenants::Tenant, tokens: Option<Tokens>) -> Self {
        Self {
            user: user.into(),
            tenant: tenant.into(),
            tokens,
        }
    }
}

/// Register
///
/// Makes a person and a tenant that they own, and logs them in. Where the installation sends mail, one goes to the address with a
/// token that verifies it. Too many attempts from one address, or in all, make further
/// ones wait.
#[utoipa::path(tag = "authentication", operation_id = "register",
    responses((status = 201, description = "The account", body = Registered),
              (status = 409, description = "email_taken"),
              (status = 429, description = "too_many_requests")))]
#[post("/auth/register")]
async fn sign_up(
    state: Data<State>,
    request: HttpRequest,
    Json(new): Json<Registration>,
) -> ApiResult<Reply<Registered>> {
    let address = client_address::of(&request, &state);
    throttle::registration(&state, address).await?;
    let password_hash = state.passwords.hash(new.password).await?;
    let outbox = state.outbox();
    let hash = password_hash.clone();
    let plan = state.settings.plan_of_new_tenants.clone();
    let create = move |conn: &mut PgConnection| {
        scope::transaction(conn, |conn| {
            let user = NewUser {
                id: clock::new_id(),
                email: new.email.as_str(),
                name: &new.name,
                password_hash: &hash,
            };
            let user = users::create(conn, user)?;
            origin_of(user.id, address).enter(conn)?;
            let (_, tenant) =
                tenants::create(conn, clock::new_id(), &new.tenant_name, user.id, plan.as_deref())?;
            if let Some(master_key) = outbox {
                mail::post(conn, &master_key, &user.email, &Letter::EmailVerification)?;
            }
            Ok::<_, hookgate_domain::Error>((user, tenant))
        })
    };
    let (user, tenant) = state.database.run(create).await?;
    state.mail.posted();
    let client = client_address::client(&request, &state);
    let tokens = first_session(&state, &user, password_hash, tenant.id, client).await?;
    Ok(Reply::created(Registered::new(user, tenant, tokens)))
}

/// Logs a new account in, unless its address has to be verified first.
pub(super) async fn first_session(
    state: &State,
    user: &users::User,
    password_hash: String,
    tenant: TenantId,
    client: Client,
) -> ApiResult<Option<Tokens>> {
    if may_log_in(state, user) {
        let basis = Basis::Password(password_hash);
        start_session(state, user.id, basis, tenant, client)
            .await
            .map(Some)
    } else {
        Ok(None)
    }
}

/// Log in
///
/// Too many failures with one address in a quarter of an hour make further ones wait.
#[utoipa::path(tag = "authentication", operation_id = "login",
    responses((status = 200, description = "Tokens", body = Tokens),
              (status = 401, description = "invalid_credentials, totp_required, invalid_totp_code"),
              (status = 403, description = "email_not_verified"),
              (status = 429, description = "too_many_requests")))]
#[post("/auth/login")]
async fn login(
    state: Data<State>,
    request: HttpRequest,
    Json(given): Json<Credentials>,
) -> ApiResult<Reply<Tokens>> {
    let address = client_address::of(&request, &state);
    let attempt = Attempt::begin(&state, given.email.as_str(), address).await?;
    let email = given.email.clone();
    let found = state
        .database
        .run(move |conn| users::find_by_email(conn, email.as_str()))
        .await?;
    let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), Some(hash)));
    let right = state.passwords.verify(given.password, hash.clone()).await?;
    let refused = |detail: &str| ApiError::new(ErrorCode::InvalidCredentials, detail);
    let (user, hash) = user
        .zip(hash)
        .filter(|_| right)
        .ok_or_else(|| refused("no account has this address and password"))?;
    let memberships = state
        .database
        .run(move |conn| tenants::of_person(conn, user.id))
        .await?;
    // One that is deleted or suspended only if it is asked for, or there is no other.
    let usable = |tenant: &tenants::Tenant| tenant.standing().is_usable();
    let (first, others): (Vec<_>, Vec<_>) = memberships.iter().partition(|(tenant, _)| usable(tenant));
    let tenant = first
        .into_iter()
        .chain(others)
        .map(|(tenant, _)| tenant.id)
        .find(|id| given.tenant_id.is_none_or(|wanted| wanted == *id))
        .ok_or_else(|| refused("the person is not a member of this tenant"))?;
    // Whoever has only the password has failed, so that codes cannot be tried without end.
    let shown = second_factor::shown(given.totp_code, given.recovery_code);
    second_factor::check(&state, user.id, shown).await?;
    attempt.succeeded(&state).await;
    if !may_log_in(&state, &user) {
        return Err(ApiError::new(
            ErrorCode::EmailNotVerified,
            "use the token that was mailed to it, or ask for another mail",
        ));
    }
    let client = client_address::client(&request, &state);
    let tokens = start_session(&state, user.id, Basis::Password(hash), tenant, client).await?;
    Ok(Reply::ok(tokens))
}

/// Refresh the tokens
///
/// Each refresh token works once. Using one again ends the login, because someone else may hold its successor.
#[utoipa::path(tag = "authentication", operation_id = "refreshTokens",
    responses((status = 200, description = "New tokens", body = Tokens),
              (status = 401, description = "invalid_refresh_token")))]
#[post("/auth/refresh")]
async fn refresh(state: Data<State>, Json(given): Json<Refresh>) -> ApiResult<Reply<Tokens>> {
    let presented = hookgate_domain::crypto::digest(given.refresh_token.as_bytes());
    let next = SecretToken::new(REFRESH_TOKEN);
    let now = clock::now();
    let new = NewRefreshToken {
        digest: next.digest,
        expires_at: now + TimeDelta::seconds(state.settings.refresh_token_seconds.into()),
    };
    let rotation = state
        .database
        .run(move |conn| login_sessions::rotate(conn, &presented, &new, now))
        .await?;
    let refused = |detail: &str| ApiError::new(ErrorCode::InvalidRefreshToken, detail);
    match rotation {
        Rotation::Rotated(session) => {
            let claims = Claims {
                user: session.user_id,
                tenant: session.tenant_id,
                session: session.id,
            };
            Ok(Reply::ok(tokens(&state, claims, next).await?))
        }
        Rotation::Reused(session) => {
            tracing::warn!(%session, "a used refresh token was presented; the login is ended");
            Err(refused(
                "the token was used before; the login is ended, log in again",
            ))
        }
        Rotation::Refused => Err(refused("the token is unknown or expired, or its login has ended")),
    }
}

/// Log out
///
/// Ends the login of the refresh token: neither it nor the access tokens of that login work any more. An unknown token
/// is no error.
#[utoipa::path(tag = "authentication", operation_id = "logout",
    responses((status = 204, description = "The login has ended")))]
#[post("/auth/logout")]
async fn logout(state: Data<State>, Json(given): Json<Refresh>) -> ApiResult<NoContent> {
    let presented = hookgate_domain::crypto::digest(given.refresh_token.as_bytes());
    state
        .database
        .run(move |conn| login_sessions::revoke_by_token(conn, &presented, clock::now()))
        .await?;
    Ok(NoContent)
}

/// Whether the address of the account is verified as far as this installation demands it.
pub(super) fn may_log_in(state: &State, user: &users::User) -> bool {
    user.email_verified_at.is_some() || !state.settings.require_verified_email
}

/// What is answered when a password that was right is so no more.
pub(super) fn password_changed() -> ApiError {
    ApiError::new(
        ErrorCode::InvalidCredentials,
        "the password was changed meanwhile: log in again",
    )
}

/// Starts a login of a person, who is a member of the tenant.
pub(super) async fn start_session(
    state: &State,
    user: UserId,
    basis: Basis,
    tenant: TenantId,
    client: Client,
) -> ApiResult<Tokens> {
    let now = clock::now();
    let token = SecretToken::new(REFRESH_TOKEN);
    let session: LoginSessionId = clock::new_id();
    let new = NewLoginSession {
        id: session,
        user,
        tenant,
        expires_at: now + TimeDelta::seconds(state.settings.login_seconds.into()),
        network: client.network,
        user_agent: client.user_agent,
        token: NewRefreshToken {
            digest: token.digest,
            expires_at: now + TimeDelta::seconds(state.settings.refresh_token_seconds.into()),
        },
    };
    let create = move |conn: &mut PgConnection| {
        scope::transaction(conn, |conn| login_sessions::create(conn, &new, &basis, now)).map_err(|error| {
            match (error, basis) {
                (hookgate_domain::Error::NotFound, Basis::Password(_)) => password_changed(),
                (hookgate_domain::Error::NotFound, Basis::Login(_)) => {
                    ApiError::new(ErrorCode::Unauthenticated, "the login has ended: log in again")
                }
                (other, _) => other.into(),
            }
        })
    };
    state.database.run(create).await?;
    let claims = Claims {
        user,
        tenant,
        session,
    };
    tokens(state, claims, token).await
}

async fn tokens(state: &State, claims: Claims, refresh_token: SecretToken) -> ApiResult<Tokens> {
    let expires_in = state.settings.access_token_seconds;
    Ok(Tokens {
        access_token: state.access_tokens.sign(claims, expires_in).await?,
        token_type: "Bearer",
        expires_in,
        refresh_token: refresh_token.text,
        tenant_id: claims.tenant,
    })
}
