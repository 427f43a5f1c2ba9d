//! Passwords: argon2id with the parameters that OWASP's Password Storage Cheat Sheet gives (19 MiB, 2 iterations, 1
//! lane), off the async threads, and only a few at once: each takes memory and a processor for some 20 ms.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode};
use crate::fields::{self, Read};

/// Ten characters is more than the least that NIST SP 800-63B allows (8) and still memorable; that standard also says
/// why there are no rules about digits and signs. The upper bound keeps the hashing of a password cheap.
const CHARACTERS_LEAST: usize = 10;
const CHARACTERS_MOST: usize = 128;
const WAIT_MOST: Duration = Duration::from_secs(5);

/// Reads a new password.
pub fn new_password(value: Value) -> Read<String> {
    let Value::String(password) = value else {
        return fields::wrong(FieldCode::WrongType, "must be a string");
    };
    match password.chars().count() {
        ..CHARACTERS_LEAST => fields::wrong(
            FieldCode::TooShort,
            format!("must have at least {CHARACTERS_LEAST} characters; a few words are a good password"),
        ),
        CHARACTERS_LEAST..=CHARACTERS_MOST => Ok(password),
        _ => fields::wrong(
            FieldCode::TooLong,
            format!("may have at most {CHARACTERS_MOST} characters"),
        ),
    }
}

/// Reads a password that is there already, as it is: rules and trimming are for new ones.
pub fn any_password(value: Value) -> Read<String> {
    fields::json(value)
}

/// Hashes and checks passwords. Cloning shares the bound.
#[derive(Clone)]
pub struct Passwords {
    at_once: Arc<Semaphore>,
}

impl Passwords {
    /// Hashes at most so many at once.
    pub fn new(at_once: NonZeroUsize) -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(at_once.get())),
        }
    }

    /// The hash of a new password, as a PHC string.
    ///
    /// # Errors
    /// 503 when too many are being hashed.
    pub async fn hash(&self, password: String) -> ApiResult<String> {
        self.run(move || hash(&password)).await
    }

    /// Whether a password is the one that was hashed. Without a hash (an unknown e-mail) it takes as long, and says no.
    ///
    /// # Errors
    /// 503 when too many are being hashed.
    pub async fn verify(&self, password: String, stored: Option<String>) -> ApiResult<bool> {
        self.run(move || {
            let known = stored.is_some();
            let stored = match stored {
                Some(stored) => stored,
                None => nobodys_hash()?,
            };
            let parsed = PasswordHash::new(&stored).map_err(|error| error.to_string())?;
            Ok(argon2()?.verify_password(password.as_bytes(), &parsed).is_ok() && known)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> ApiResult<T> {
        let busy = || {
            ApiError::new(
                ErrorCode::Unavailable,
                "too many logins at this moment; try again",
            )
        };
        let permit = tokio::time::timeout(WAIT_MOST, Arc::clone(&self.at_once).acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        // The permit goes along: a caller who hangs up does not make room for more work than is bounded.
        let outcome = tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(permit);
            outcome
        });
        match outcome.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(reason)) => Err(ApiError::internal(format!(
                "a password cannot be hashed: {reason}"
            ))),
            Err(stopped) => Err(ApiError::internal(stopped)),
        }
    }
}

fn argon2() -> Result<Argon2<'static>, String> {
    let params = Params::new(19_456, 2, 1, None).map_err(|error| error.to_string())?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<String, String> {
    argon2()?
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| error.to_string())
}

fn nobodys_hash() -> Result<String, String> {
    static HASH: OnceLock<String> = OnceLock::new();
    match HASH.get() {
        Some(hash) => Ok(hash.clone()),
        None => hash("nobody's password").map(|hash| HASH.get_or_init(|| hash).clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn only_the_same_password_is_right_and_nobody_has_one() {
        let passwords = Passwords::new(NonZeroUsize::MIN);
        let hash = passwords.hash("correct horse".into()).await.expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(
            passwords
                .verify("correct horse".into(), Some(hash.clone()))
                .await
                .expect("checked")
        );
        assert!(
            !passwords
                .verify("Correct horse".into(), Some(hash))
                .await
                .expect("checked")
        );
        assert!(
            !passwords
                .verify("nobody's password".into(), None)
                .await
                .expect("checked")
        );
    }

    #[test]
    fn a_password_has_ten_to_128_characters_of_any_kind() {
        for (password, code) in [
            (json!("123456789"), FieldCode::TooShort),
            (json!("x".repeat(129)), FieldCode::TooLong),
            (json!(1_234_567_890), FieldCode::WrongType),
        ] {
            assert_eq!(new_password(password).expect_err("refused")[0].code, code);
        }
        assert!(new_password(json!("пароль пароль")).is_ok());
    }
}
