//! The second factor at a login: a code of the person's app, or a recovery code. Each works once.

use hookgate_domain::database::PgConnection;
use hookgate_domain::totp::{self, TotpSecret};
use hookgate_domain::{Error, clock, crypto};
use hookgate_model::base32;
use hookgate_model::ids::UserId;

use super::throttle;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::state::State;

/// Recovery codes of a person.
const RECOVERY_CODES: usize = 10;

/// What somebody shows.
#[derive(Debug, Clone)]
pub enum Shown {
    /// Six digits of their app.
    Code(String),
    /// One of their recovery codes.
    RecoveryCode(String),
}

/// Checks what somebody shows for the second factor, if they have one, and uses it up.
///
/// # Errors
/// 401 when nothing is shown that is needed, or it is wrong or used; 429 after too many of those.
pub async fn check(state: &State, user: UserId, shown: Option<Shown>) -> ApiResult<()> {
    let found = state.database.run(move |conn| totp::find(conn, user)).await?;
    let Some(secret) = found.filter(|secret| secret.is_confirmed) else {
        return Ok(());
    };
    let Some(shown) = shown else {
        return Err(ApiError::new(
            ErrorCode::TotpRequired,
            "send totp_code, or recovery_code, too",
        ));
    };
    throttle::code(state, user).await?;
    use_up(state, user, &secret, shown).await?;
    throttle::code_was_right(state, user).await;
    Ok(())
}

/// Uses up what somebody shows.
///
/// # Errors
/// 401 when it is wrong or used.
pub async fn use_up(state: &State, user: UserId, secret: &TotpSecret, shown: Shown) -> ApiResult<()> {
    let passes = match shown {
        Shown::Code(code) => {
            let secret = state.master_key.open(&totp::context(user), &secret.sealed)?;
            match hookgate_model::totp::step_of(&secret, &code, clock::now()) {
                Some(step) => {
                    let used = move |conn: &mut PgConnection| totp::use_step(conn, user, step);
                    state.database.run(used).await?
                }
                None => false,
            }
        }
        Shown::RecoveryCode(code) => {
            let digest = digest(user, &code);
            let used = move |conn: &mut PgConnection| totp::use_recovery_code(conn, user, &digest);
            state.database.run(used).await?
        }
    };
    if passes {
        Ok(())
    } else {
        Err(ApiError::new(
            ErrorCode::InvalidTotpCode,
            "each code works once: wait for the next one",
        ))
    }
}

/// New recovery codes, which are shown once, with what is kept of them.
pub fn recovery_codes(user: UserId) -> (Vec<String>, Vec<[u8; 32]>) {
    (0..RECOVERY_CODES)
        .map(|_| {
            let text = base32::to_string(u128::from_be_bytes(clock::secret_bytes()));
            // 26 characters of 5 bits but for the first; these are 80 random bits.
            let digits: Vec<char> = text.chars().skip(10).collect();
            let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
            let code = groups.join("-");
            let digest = digest(user, &code);
            (code, digest)
        })
        .unzip()
}

/// However it is typed: in capitals, with or without dashes. 80 random bits cannot be found out from it.
fn digest(user: UserId, code: &str) -> [u8; 32] {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    crypto::digest(format!("{user}/{}", plain.to_ascii_lowercase()).as_bytes())
}

/// Seals a new secret of a person.
///
/// # Errors
/// None that could come.
pub fn seal(state: &State, user: UserId, secret: &[u8]) -> Result<Vec<u8>, Error> {
    state.master_key.seal(&totp::context(user), secret)
}

/// What of two fields somebody shows; a code of the app goes before.
pub fn shown(code: Option<String>, recovery_code: Option<String>) -> Option<Shown> {
    code.map(Shown::Code).or(recovery_code.map(Shown::RecoveryCode))
}
