//! The second factor of the person who calls: codes of an authenticator app (RFC 6238), and recovery codes.

use actix_web::{get, post};
use hookgate_domain::clock;
use hookgate_domain::database::PgConnection;
use hookgate_domain::{scope, totp, users};
use hookgate_model::totp::{SECRET_BYTES, otpauth_url, secret_text};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::passwords::{prove, prove_with};
use crate::auth::Caller;
use crate::auth::passwords::any_password;
use crate::auth::second_factor::{self, Shown};
use crate::body::{Json, NoContent, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::fields::{Fields, FromFields, text};
use crate::mail;
use crate::mail::notice::Notice;

/// What apps show beside the codes.
const ISSUER: &str = "Hookgate";

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(read)
        .service(enrol)
        .service(confirm)
        .service(disable);
}

/// The second factor.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"enabled": true, "recovery_codes_left": 10}))]
struct SecondFactor {
    /// Whether logins ask for a code.
    enabled: bool,
    /// How many recovery codes are unused.
    recovery_codes_left: i64,
}

/// Read one's second factor
///
/// For people only, not for management keys.
#[utoipa::path(tag = "account", operation_id = "getTotp", security(("bearer" = [])),
    responses((status = 200, description = "The second factor", body = SecondFactor),
              (status = 403, description = "forbidden")))]
#[get("/me/totp")]
async fn read(caller: Caller) -> ApiResult<Reply<SecondFactor>> {
    let user = caller.person()?;
    let read = move |conn: &mut PgConnection| {
        Ok::<_, ApiError>(SecondFactor {
            enabled: totp::find(conn, user)?.is_some_and(|secret| secret.is_confirmed),
            recovery_codes_left: totp::recovery_codes_left(conn, user)?,
        })
    };
    Ok(Reply::ok(caller.state().database.run(read).await?))
}

/// The password of the account.
#[derive(ToSchema)]
#[schema(example = json!({"password": "three plain words"}))]
struct Password {
    /// The password of the account.
    #[schema(format = Password)]
    password: String,
}

impl FromFields for Password {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let password = fields.required("password", any_password);
        Some(Self { password: password? })
    }
}

/// A secret for an authenticator app, which is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    "otpauth_url": "otpauth://totp/Hookgate:ada%40example%2Ecom?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Hookgate"}))]
struct Enrolment {
    /// To be typed into the app.
    secret: String,
    /// The same as a URL, for a QR code.
    otpauth_url: String,
}

/// Begin with a second factor
///
/// It is asked for once a code of it is confirmed; doing this again before that gives another secret. For people only, not for
/// management keys.
#[utoipa::path(tag = "account", operation_id = "enrolTotp", security(("bearer" = [])),
    responses((status = 201, description = "The secret", body = Enrolment),
              (status = 401, description = "invalid_credentials"),
              (status = 403, description = "forbidden"),
              (status = 409, description = "already_exists"),
              (status = 429, description = "too_many_requests")))]
#[post("/me/totp")]
async fn enrol(caller: Caller, Json(given): Json<Password>) -> ApiResult<Reply<Enrolment>> {
    let id = prove(&caller, given.password).await?.user;
    let secret = clock::secret_bytes::<SECRET_BYTES>();
    let sealed = second_factor::seal(caller.state(), id, &secret)?;
    let enrol = move |conn: &mut PgConnection| {
        scope::transaction(conn, |conn| {
            if totp::enrol(conn, id, &sealed)? {
                Ok(users::find(conn, id)?)
            } else {
                Err(ApiError::new(
                    ErrorCode::AlreadyExists,
                    "there is a second factor: disable it before you take another one",
                ))
            }
        })
    };
    let user = caller.state().database.run(enrol).await?;
    Ok(Reply::created(Enrolment {
        secret: secret_text(&secret),
        otpauth_url: otpauth_url(&secret, ISSUER, &user.email),
    }))
}

/// A code of the app.
#[derive(ToSchema)]
#[schema(example = json!({"code": "287082"}))]
struct Code {
    /// Six digits.
    #[schema(min_length = 6, max_length = 6)]
    code: String,
}

impl FromFields for Code {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let code = fields.required("code", text(6..=6));
        Some(Self { code: code? })
    }
}

/// Codes for whoever has lost their app, which are shown this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"recovery_codes": ["k3x9-7m2p-q8r4-v6t1"]}))]
struct RecoveryCodes {
    /// Each logs in once instead of a code of the app.
    recovery_codes: Vec<String>,
}

/// Confirm the second factor
///
/// With a code of the app. Logins ask for one from now on, and a mail tells of it. For people only, not for management keys.
#[utoipa::path(tag = "account", operation_id = "confirmTotp", security(("bearer" = [])),
    responses((status = 200, description = "Recovery codes", body = RecoveryCodes),
              (status = 401, description = "invalid_totp_code"),
              (status = 403, description = "forbidden"),
              (status = 409, description = "wrong_state")))]
#[post("/me/totp/confirm")]
async fn confirm(caller: Caller, Json(given): Json<Code>) -> ApiResult<Reply<RecoveryCodes>> {
    let user = caller.person()?;
    let state = caller.state();
    let found = state.database.run(move |conn| totp::find(conn, user)).await?;
    let secret = found.filter(|secret| !secret.is_confirmed).ok_or_else(|| {
        ApiError::new(
            ErrorCode::WrongState,
            "there is no second factor to confirm: begin with one",
        )
    })?;
    second_factor::use_up(state, user, &secret, Shown::Code(given.code)).await?;
    let (recovery_codes, digests) = second_factor::recovery_codes(user);
    let outbox = state.outbox();
    let confirm = move |conn: &mut PgConnection| {
        scope::transaction(conn, |conn| {
            totp::confirm(conn, user, &digests)?;
            mail::notify(conn, outbox.as_ref(), user, Notice::SecondFactorEnabled)
        })
    };
    state.database.run(confirm).await?;
    state.mail.posted();
    Ok(Reply::ok(RecoveryCodes { recovery_codes }))
}

/// The password, and what is shown for the second factor.
#[derive(ToSchema)]
#[schema(example = json!({"password": "three plain words", "totp_code": "287082"}))]
struct Proof {
    /// The password of the account.
    #[schema(format = Password)]
    password: String,
    /// Six digits of the app.
    totp_code: Option<String>,
    /// A recovery code instead.
    recovery_code: Option<String>,
}

impl FromFields for Proof {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let password = fields.required("password", any_password);
        let totp_code = fields.optional("totp_code", text(1..=20));
        let recovery_code = fields.optional("recovery_code", text(1..=50));
        Some(Self {
            password: password?,
            totp_code: totp_code?,
            recovery_code: recovery_code?,
        })
    }
}

/// Disable the second factor
///
/// With the password, and a code or a recovery code. A mail tells of it. For people only, not for management keys.
#[utoipa::path(tag = "account", operation_id = "disableTotp", security(("bearer" = [])),
    responses((status = 204, description = "Logins ask for no code any more"),
              (status = 401, description = "invalid_credentials, totp_required, invalid_totp_code"),
              (status = 403, description = "forbidden"),
              (status = 429, description = "too_many_requests")))]
#[post("/me/totp/disable")]
async fn disable(caller: Caller, Json(given): Json<Proof>) -> ApiResult<NoContent> {
    let shown = second_factor::shown(given.totp_code, given.recovery_code);
    let user = prove_with(&caller, given.password, shown).await?.user;
    let state = caller.state();
    let outbox = state.outbox();
    let delete = move |conn: &mut PgConnection| {
        scope::transaction(conn, |conn| {
            totp::delete(conn, user)?;
            mail::notify(conn, outbox.as_ref(), user, Notice::SecondFactorDisabled)
        })
    };
    state.database.run(delete).await?;
    state.mail.posted();
    Ok(NoContent)
}
