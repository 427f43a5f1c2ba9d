//! Changing a password, and choosing a new one for the one forgotten. Both end the person's other logins.

use actix_web::web::Data;
use actix_web::{HttpRequest, post};
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::PgConnection;
use hookgate_domain::mailed_tokens::{self, Purpose};
use hookgate_domain::{Error, clock, crypto, login_sessions, scope, totp, users};
use hookgate_model::email::Email;
use hookgate_model::ids::{LoginSessionId, UserId};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::auth::password_changed;
use crate::auth::Caller;
use crate::auth::passwords::{any_password, new_password};
use crate::auth::second_factor::{self, Shown};
use crate::auth::throttle::{self, Attempt};
use crate::body::{Accepted, Json, NoContent};
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::fields::{Fields, FromFields, parsed, text};
use crate::mail::letter::Letter;
use crate::mail::notice::Notice;
use crate::state::State;
use crate::{client_address, mail};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(reset).service(confirm).service(change);
}

/// An e-mail address.
#[derive(ToSchema)]
#[schema(example = json!({"email": "ada@example.com"}))]
pub(super) struct AccountAddress {
    /// The address of the account. Its case does not matter.
    #[schema(value_type = String, format = Email, max_length = 254)]
    pub(super) email: Email,
}

impl FromFields for AccountAddress {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email", parsed);
        Some(Self { email: email? })
    }
}

/// Ask for a new password
///
/// If an account has this address, a mail goes there with a token that works once, for an hour. The answer, and how long it
/// takes, is the same for any address.
#[utoipa::path(tag = "authentication", operation_id = "resetPassword",
    responses((status = 202, description = "If there is such an account, a mail is on its way"),
              (status = 429, description = "too_many_requests"),
              (status = 503, description = "mail_unavailable")))]
#[post("/auth/password-reset")]
async fn reset(
    state: Data<State>,
    request: HttpRequest,
    Json(given): Json<AccountAddress>,
) -> ApiResult<Accepted> {
    ask_for(&state, &request, given, Letter::PasswordReset).await
}

/// Has a mail sent to an address, whether an account has it or not: that is looked at when it is sent.
pub(super) async fn ask_for(
    state: &State,
    request: &HttpRequest,
    given: AccountAddress,
    letter: Letter,
) -> ApiResult<Accepted> {
    state.mail.required()?;
    let email = given.email;
    throttle::mail(
        state,
        letter.kind(),
        email.as_str(),
        client_address::of(request, state),
    )
    .await?;
    let master_key = state.master_key.clone();
    let post = move |conn: &mut PgConnection| mail::post(conn, &master_key, email.as_str(), &letter);
    state.database.run(post).await?;
    state.mail.posted();
    Ok(Accepted)
}

/// The token of a mail, and a new password.
#[derive(ToSchema)]
#[schema(example = json!({"token": "hgp_9wq2ZmFrZS1wYXNzd29yZC10b2tlbi1mb3ItdGhlLWRvY3M", "password": "four other plain words"}))]
struct NewPassword {
    /// From the mail.
    token: String,
    /// Any 10 to 128 characters.
    #[schema(min_length = 10, max_length = 128, format = Password)]
    password: String,
}

impl FromFields for NewPassword {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let token = fields.required("token", text(1..=200));
        let password = fields.required("password", new_password);
        Some(Self {
            token: token?,
            password: password?,
        })
    }
}

/// Choose a new password
///
/// With the token of the mail, once. All logins of the person end; log in with the new password. It also shows that the address
/// is theirs: if nobody had shown that before, a second factor is taken away. A mail tells of it.
#[utoipa::path(tag = "authentication", operation_id = "confirmPasswordReset",
    responses((status = 204, description = "The password is changed, and all logins have ended"),
              (status = 401, description = "invalid_token")))]
#[post("/auth/password-reset/confirm")]
async fn confirm(state: Data<State>, Json(new): Json<NewPassword>) -> ApiResult<NoContent> {
    let digest = crypto::digest(new.token.as_bytes());
    let purpose = Purpose::ResetPassword;
    // Hashing is dear: it is done for whoever has a token, and the token is used up after it.
    let is_live = move |conn: &mut PgConnection| mailed_tokens::is_live(conn, &digest, purpose, clock::now());
    if !state.database.run(is_live).await? {
        return Err(invalid_token(Error::NotFound));
    }
    let hash = state.passwords.hash(new.password).await?;
    let outbox = state.outbox();
    let set = move |conn: &mut PgConnection| {
        scope::transaction(conn, |conn| {
            let now = clock::now();
            let (user, email) = mailed_tokens::redeem(conn, &digest, purpose, now).map_err(invalid_token)?;
            if users::find(conn, user)?.email_verified_at.is_none() {
                // Whoever registered with the address never showed that it is theirs; the second factor may not be, either.
                totp::delete(conn, user)?;
            }
            users::verify_email(conn, user, &email, now)?;
            set_password(conn, user, &hash, None, outbox.as_ref())
        })
    };
    state.database.run(set).await?;
    state.mail.posted();
    Ok(NoContent)
}

/// What a token that does not work is answered with.
pub(super) fn invalid_token(error: Error) -> ApiError {
    match error {
        Error::NotFound => ApiError::new(
            ErrorCode::InvalidToken,
            "the token is unknown, was used, or is over: ask for another mail",
        ),
        other => other.into(),
    }
}

/// Sets the password, ends the person's logins but the one that does it, and what was mailed to them; and tells them.
fn set_password(
    conn: &mut PgConnection,
    user: UserId,
    hash: &str,
    by: Option<LoginSessionId>,
    outbox: Option<&MasterKey>,
) -> ApiResult<()> {
    users::set_password(conn, user, hash)?;
    login_sessions::revoke_others(conn, user, by, clock::now())?;
    mailed_tokens::delete_all(conn, user)?;
    Ok(mail::notify(conn, outbox, user, Notice::PasswordChanged)?)
}

/// The password, and the next one.
#[derive(ToSchema)]
#[schema(example = json!({"current_password": "three plain words", "password": "four other plain words"}))]
struct PasswordChange {
    /// The password of the account.
    #[schema(format = Password)]
    current_password: String,
    /// Any 10 to 128 characters.
    #[schema(min_length = 10, max_length = 128, format = Password)]
    password: String,
}

impl FromFields for PasswordChange {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let current_password = fields.required("current_password", any_password);
        let password = fields.required("password", new_password);
        Some(Self {
            current_password: current_password?,
            password: password?,
        })
    }
}

/// Change one's password
///
/// All other logins of the person end, and a mail tells of it. For people only, not for management keys.
#[utoipa::path(tag = "account", operation_id = "changePassword", security(("bearer" = [])),
    responses((status = 204, description = "The password is changed, and all other logins have ended"),
              (status = 401, description = "invalid_credentials"),
              (status = 403, description = "forbidden"),
              (status = 429, description = "too_many_requests")))]
#[post("/me/password")]
async fn change(caller: Caller, Json(given): Json<PasswordChange>) -> ApiResult<NoContent> {
    let person = prove(&caller, given.current_password).await?;
    let state = caller.state();
    let hash = state.passwords.hash(given.password).await?;
    let (by, outbox) = (caller.login(), state.outbox());
    let set = move |conn: &mut PgConnection| {
        scope::transaction(conn, |conn| {
            person.lock(conn)?;
            set_password(conn, person.user, &hash, by, outbox.as_ref())
        })
    };
    state.database.run(set).await?;
    state.mail.posted();
    Ok(NoContent)
}

/// A person who has shown their password.
pub(super) struct Proven {
    pub(super) user: UserId,
    /// The hash of that password.
    pub(super) hash: String,
}

impl Proven {
    /// Keeps the person from being changed until the transaction ends, if the password is still theirs.
    ///
    /// # Errors
    /// 401 when it was changed meanwhile.
    pub(super) fn lock(&self, conn: &mut PgConnection) -> ApiResult<()> {
        match users::lock_with_password(conn, self.user, &self.hash) {
            Err(Error::NotFound) => Err(password_changed()),
            other => Ok(other?),
        }
    }
}

/// Has the person who calls show by their password that it is they.
///
/// # Errors
/// 401 for another password, 403 for management keys, 429 for who guesses.
pub(super) async fn prove(caller: &Caller, password: String) -> ApiResult<Proven> {
    let (person, attempt) = with_password(caller, password).await?;
    attempt.succeeded(caller.state()).await;
    Ok(person)
}

/// The same, by the second factor, too, if they have one.
///
/// # Errors
/// As above, and 401 for a code that is wrong or used, or not given.
pub(super) async fn prove_with(caller: &Caller, password: String, shown: Option<Shown>) -> ApiResult<Proven> {
    let (person, attempt) = with_password(caller, password).await?;
    second_factor::check(caller.state(), person.user, shown).await?;
    attempt.succeeded(caller.state()).await;
    Ok(person)
}

async fn with_password(caller: &Caller, password: String) -> ApiResult<(Proven, Attempt)> {
    let id = caller.person()?;
    let state = caller.state();
    let (user, hash) = state
        .database
        .run(move |conn| users::find_with_password(conn, id))
        .await?;
    let attempt = Attempt::begin(state, &user.email, caller.origin().address).await?;
    if state.passwords.verify(password, Some(hash.clone())).await? {
        Ok((Proven { user: id, hash }, attempt))
    } else {
        Err(ApiError::new(
            ErrorCode::InvalidCredentials,
            "this is not the password of the account",
        ))
    }
}
