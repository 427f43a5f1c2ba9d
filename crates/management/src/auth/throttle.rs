//! Slows down the guessing of passwords and the making of accounts.
//!
//! Both are counted in Redis, over all nodes. Without Redis, failed logins are not counted, and logins go on: argon2 and the
//! bound on hashing still hold. Registrations are counted by each node for itself then, since every one makes a tenant.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hookgate_domain::crypto;
use hookgate_domain::redis::counters::Counted;

use crate::error::{ApiError, ApiResult};
use crate::state::State;

const WAIT_MOST: Duration = Duration::from_millis(500);

/// Counts an attempt to log in.
///
/// # Errors
/// 429 when there were too many that failed.
pub async fn attempt(state: &State, email: &str, address: Option<IpAddr>) -> ApiResult<()> {
    let window = state.settings.login_failure_window_seconds;
    match count(state, "logins", &login(email, address), window).await {
        Some(counted) if counted.count > u64::from(state.settings.login_failures) => Err(ApiError::too_many(
            "too many failed logins with this e-mail address; wait",
            counted.seconds_left.max(1),
        )),
        Some(_) => Ok(()),
        None => {
            tracing::warn!("failed logins are not counted");
            Ok(())
        }
    }
}

/// Forgets the failures after a login that worked.
pub async fn succeeded(state: &State, email: &str, address: Option<IpAddr>) {
    let key = login(email, address);
    let forgotten = tokio::time::timeout(WAIT_MOST, state.redis.forget("logins", &key)).await;
    if !matches!(forgotten, Ok(Ok(()))) {
        tracing::debug!("failed logins were not forgotten; they expire");
    }
}

/// Counts an attempt to register, whatever comes of it.
///
/// # Errors
/// 429 when there were too many from this address, or in all.
pub async fn registration(state: &State, address: Option<IpAddr>) -> ApiResult<()> {
    let settings = &state.settings;
    let of_address = address
        .map(neighbourhood)
        .map(|key| digest(&key.to_string()))
        .unwrap_or_default();
    // The address first: one that is over its share takes nothing from the others'.
    for (key, most, detail) in [
        (
            of_address.as_str(),
            settings.registrations_per_address,
            "too many registrations from this address; wait",
        ),
        (
            "all",
            settings.registrations,
            "too many registrations at present; wait",
        ),
    ] {
        let window = settings.registration_window_seconds;
        let counted = match count(state, "registrations", key, window).await {
            Some(counted) => counted,
            None => state.registrations.count(key, window, most),
        };
        if counted.count > u64::from(most) {
            metrics::counter!("hookgate_registrations_throttled_total").increment(1);
            return Err(ApiError::too_many(detail, counted.seconds_left.max(1)));
        }
    }
    Ok(())
}

/// Counts in Redis; `None` without it.
async fn count(state: &State, kind: &str, key: &str, window: u32) -> Option<Counted> {
    match tokio::time::timeout(WAIT_MOST, state.redis.count(kind, key, window)).await {
        Ok(Ok(counted)) => Some(counted),
        Ok(Err(error)) => {
            tracing::debug!(%error, kind, "Redis does not count");
            None
        }
        Err(_) => {
            tracing::debug!(kind, "Redis does not count: it is slow");
            None
        }
    }
}

fn login(email: &str, address: Option<IpAddr>) -> String {
    digest(&format!(
        "{email}|{}",
        address.map(|address| address.to_string()).unwrap_or_default()
    ))
}

/// Who counts as one: whoever has an address of IPv6 has 2^64 of them.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

fn digest(who: &str) -> String {
    crypto::digest(who.as_bytes())[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The most keys that a node counts by itself; a further one counts as too many.
const LOCAL_KEYS: usize = 10_000;

/// What this node counts while Redis is away.
#[derive(Debug, Default)]
pub struct LocalCounters(Mutex<HashMap<String, (Instant, u64)>>);

impl LocalCounters {
    fn count(&self, key: &str, window_seconds: u32, most: u32) -> Counted {
        let window = Duration::from_secs(window_seconds.into());
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counters.len() >= LOCAL_KEYS {
            counters.retain(|_, (began, _)| began.elapsed() < window);
        }
        if counters.len() >= LOCAL_KEYS && !counters.contains_key(key) {
            return Counted {
                count: u64::from(most) + 1,
                seconds_left: window.as_secs(),
            };
        }
        let (began, count) = counters.entry(key.to_owned()).or_insert((Instant::now(), 0));
        if began.elapsed() >= window {
            (*began, *count) = (Instant::now(), 0);
        }
        *count += 1;
        Counted {
            count: *count,
            seconds_left: window.saturating_sub(began.elapsed()).as_secs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_count_as_one() {
        let of = |text: &str| neighbourhood(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2::9"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_ne!(of("203.0.113.7"), of("203.0.113.8"));
        assert_eq!(of("::ffff:203.0.113.7"), of("203.0.113.7"));
    }

    #[test]
    fn a_node_counts_by_itself_within_bounds() {
        let counters = LocalCounters::default();
        assert_eq!(counters.count("a", 3600, 2).count, 1);
        assert_eq!(counters.count("a", 3600, 2).count, 2);
        assert_eq!(counters.count("a", 0, 2).count, 1);
        for key in 0..LOCAL_KEYS {
            counters.count(&key.to_string(), 3600, 2);
        }
        assert_eq!(counters.count("one more", 3600, 2).count, 3);
        assert_eq!(counters.count("a", 3600, 2).count, 2);
        assert_eq!(counters.count("one more", 0, 2).count, 1);
    }
}
