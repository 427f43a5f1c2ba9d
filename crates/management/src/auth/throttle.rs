//! Slows down the guessing of passwords: failed logins are counted in Redis by e-mail and address. Without Redis nothing
//! is counted, and logins go on: argon2 and the bound on hashing still hold.

use std::net::IpAddr;
use std::time::Duration;

use hookgate_domain::crypto;

use crate::error::{ApiError, ApiResult};
use crate::state::State;

const WAIT_MOST: Duration = Duration::from_millis(500);

/// Counts an attempt to log in.
///
/// # Errors
/// 429 when there were too many that failed.
pub async fn attempt(state: &State, email: &str, address: Option<IpAddr>) -> ApiResult<()> {
    let window = state.settings.login_failure_window_seconds;
    let key = key(email, address);
    let counted = tokio::time::timeout(WAIT_MOST, state.redis.count("logins", &key, window)).await;
    match counted {
        Ok(Ok(counted)) if counted.count > u64::from(state.settings.login_failures) => {
            Err(ApiError::too_many(
                "too many failed logins with this e-mail address; wait",
                counted.seconds_left.max(1),
            ))
        }
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "failed logins are not counted");
            Ok(())
        }
        Err(_) => {
            tracing::warn!("failed logins are not counted: Redis is slow");
            Ok(())
        }
    }
}

/// Forgets the failures after a login that worked.
pub async fn succeeded(state: &State, email: &str, address: Option<IpAddr>) {
    let forgotten = tokio::time::timeout(WAIT_MOST, state.redis.forget("logins", &key(email, address))).await;
    if !matches!(forgotten, Ok(Ok(()))) {
        tracing::debug!("failed logins were not forgotten; they expire");
    }
}

fn key(email: &str, address: Option<IpAddr>) -> String {
    let who = format!(
        "{email}|{}",
        address.map(|address| address.to_string()).unwrap_or_default()
    );
    crypto::digest(who.as_bytes())[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
