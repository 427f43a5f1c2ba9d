//! Whether an address is a person's: the one that they have, or the one that they want.

use actix_web::web::Data;
use actix_web::{HttpRequest, post};
use hookgate_domain::database::PgConnection;
use hookgate_domain::mailed_tokens::{self, Purpose};
use hookgate_domain::{clock, crypto, scope, users};
use hookgate_model::email::Email;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::passwords::{AccountAddress, ask_for, invalid_token, prove};
use crate::auth::passwords::any_password;
use crate::auth::{Caller, throttle};
use crate::body::{Accepted, Json, NoContent};
use crate::error::{ApiError, ApiResult};
use crate::fields::{Fields, FromFields, parsed, text};
use crate::mail;
use crate::mail::letter::Letter;
use crate::mail::notice::Notice;
use crate::state::State;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(resend).service(verify).service(change);
}

/// Ask for another mail that verifies one's address
///
/// Registering sends the first. The token works for three days. The answer, and how long it takes, is the same for any address.
#[utoipa::path(tag = "authentication", operation_id = "resendVerification",
    responses((status = 202, description = "If there is an account that is to be verified, a mail is on its way"),
              (status = 429, description = "too_many_requests"),
              (status = 503, description = "mail_unavailable")))]
#[post("/auth/email-verification")]
async fn resend(
    state: Data<State>,
    request: HttpRequest,
    Json(given): Json<AccountAddress>,
) -> ApiResult<Accepted> {
    ask_for(&state, &request, given, Letter::EmailVerification).await
}

/// The token of a mail.
#[derive(ToSchema)]
#[schema(example = json!({"token": "hgv_9wq2ZmFrZS12ZXJpZmljYXRpb24tdG9rZW4tZm9yLWRvY3M"}))]
struct MailedToken {
    /// From the mail.
    token: String,
}

impl FromFields for MailedToken {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let token = fields.required("token", text(1..=200));
        Some(Self { token: token? })
    }
}

/// Verify one's address
///
/// With the token of the mail, once. If it went to a new address, that is the account's from now on.
#[utoipa::path(tag = "authentication", operation_id = "verifyEmail",
    responses((status = 204, description = "The address is verified"),
              (status = 401, description = "invalid_token"),
              (status = 409, description = "email_taken")))]
#[post("/auth/verify-email")]
async fn verify(state: Data<State>, Json(given): Json<MailedToken>) -> ApiResult<NoContent> {
    let digest = crypto::digest(given.token.as_bytes());
    let outbox = state.outbox();
    let verify = move |conn: &mut PgConnection| {
        scope::transaction(conn, |conn| {
            let now = clock::now();
            let (user, email) =
                mailed_tokens::redeem(conn, &digest, Purpose::VerifyEmail, now).map_err(invalid_token)?;
            if !users::verify_email(conn, user, &email, now)? {
                let outbox = outbox.as_ref();
                let new = email.clone();
                mail::notify(conn, outbox, user, Notice::EmailChanged { new })?;
                users::set_email(conn, user, &email, now)?;
                mailed_tokens::delete_all(conn, user)?;
            }
            Ok::<_, ApiError>(())
        })
    };
    state.database.run(verify).await?;
    state.mail.posted();
    Ok(NoContent)
}

/// The address that one wants.
#[derive(ToSchema)]
#[schema(example = json!({"email": "ada@engines.example.com", "password": "three plain words"}))]
struct AddressChange {
    /// The new address. Its case does not matter.
    #[schema(value_type = String, format = Email, max_length = 254)]
    email: Email,
    /// The password of the account.
    #[schema(format = Password)]
    password: String,
}

impl FromFields for AddressChange {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email", parsed);
        let password = fields.required("password", any_password);
        Some(Self {
            email: email?,
            password: password?,
        })
    }
}

/// Change one's address
///
/// A mail goes to the new address, unless somebody else has it; the change is made when its token is verified, unless the password
/// is changed before. The present address is told, too. For people only, not for management keys.
#[utoipa::path(tag = "account", operation_id = "changeEmail", security(("bearer" = [])),
    responses((status = 202, description = "A mail is on its way to the new address"),
              (status = 401, description = "invalid_credentials"),
              (status = 403, description = "forbidden"),
              (status = 429, description = "too_many_requests"),
              (status = 503, description = "mail_unavailable")))]
#[post("/me/email")]
async fn change(caller: Caller, Json(given): Json<AddressChange>) -> ApiResult<Accepted> {
    let state = caller.state();
    state.mail.required()?;
    let person = prove(&caller, given.password).await?;
    let letter = Letter::EmailChange {
        user: person.user,
        password: crypto::digest(person.hash.as_bytes()),
    };
    throttle::mail(
        state,
        letter.kind(),
        given.email.as_str(),
        caller.origin().address,
    )
    .await?;
    let master_key = state.master_key.clone();
    let post = move |conn: &mut PgConnection| {
        scope::transaction(conn, |conn| {
            let new = given.email.as_str();
            mail::post(conn, &master_key, new, &letter)?;
            let new = new.to_owned();
            mail::notify(
                conn,
                Some(&master_key),
                person.user,
                Notice::EmailChangeAsked { new },
            )
        })
    };
    state.database.run(post).await?;
    state.mail.posted();
    Ok(Accepted)
}
