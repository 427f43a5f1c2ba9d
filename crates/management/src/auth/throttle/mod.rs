//! Slows down the guessing of passwords and codes, the making of accounts, and the asking for mails.
//!
//! Who guesses waits where they are: failures are counted for a person in a network, and for a network whomever it tries, and
//! each begins a pause that doubles. Of a person over all networks it is only counted whether they are under attack: then each
//! network has fewer free tries. So nobody can make a person wait who logs in from another network, but by codes: those are
//! counted over all networks, for who has shown the right password.
//!
//! All is counted in Redis, over all nodes; without Redis each node counts for itself.

mod local;

use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use hookgate_domain::crypto;
use hookgate_domain::redis::counters::Counted;
use hookgate_model::ids::UserId;

use crate::error::{ApiError, ApiResult};
use crate::state::State;
pub use local::{LocalCounters, LocalFailures};

const WAIT_MOST: Duration = Duration::from_millis(500);
/// Free failures in each network, of a person who is under attack.
const FREE_UNDER_ATTACK: u32 = 3;
/// What counts a person in a network, and a network.
const PERSON_THERE: &str = "there";
const NETWORK: &str = "network";
/// What counts wrong tokens of the operator in a network.
const OPERATOR: &str = "operator";
/// What counts wrong codes of a person.
const CODES: &str = "codes";

/// An attempt to log in, or to show again who one is. It counts as failed until it [`succeeded`](Attempt::succeeded).
#[must_use]
pub struct Attempt {
    person_there: String,
    network: String,
}

impl Attempt {
    /// Begins one for an account by its address, whether there is such an account or not.
    ///
    /// # Errors
    /// 429 while the person or the network has to wait.
    pub async fn begin(state: &State, email: &str, address: Option<IpAddr>) -> ApiResult<Self> {
        let settings = &state.settings;
        let network = address.map(neighbourhood).map(|network| network.to_string());
        let network = network.unwrap_or_default();
        let attempt = Self {
            person_there: digest(&format!("{email}|{network}")),
            network: digest(&network),
        };
        let window = settings.login_failure_window_seconds;
        let of_person = count(
            state,
            "logins",
            &digest(email),
            window,
            settings.login_failures_per_account,
        )
        .await;
        let free = if of_person.count > u64::from(settings.login_failures_per_account) {
            settings.login_failures.min(FREE_UNDER_ATTACK)
        } else {
            settings.login_failures
        };
        let wait = fail(state, PERSON_THERE, &attempt.person_there, free).await;
        if let Some(wait) = wait {
            return Err(too_many(
                "too many failed logins with this e-mail address; wait",
                wait,
            ));
        }
        let wait = fail(
            state,
            NETWORK,
            &attempt.network,
            settings.login_failures_per_network,
        )
        .await;
        if let Some(wait) = wait {
            take_back(state, PERSON_THERE, &attempt.person_there).await;
            return Err(too_many("too many failed logins from this network; wait", wait));
        }
        Ok(attempt)
    }

    /// Forgets the failures of the person there, and this one of the network.
    pub async fn succeeded(self, state: &State) {
        state.failures.forget(PERSON_THERE, &self.person_there);
        let _ = in_time(state.redis.forget_failures(PERSON_THERE, &self.person_there)).await;
        take_back(state, NETWORK, &self.network).await;
    }
}

/// Counts a wrong token of the operator. Whoever has a right one never waits: it is looked at first, since it cannot be guessed.
///
/// # Errors
/// 429 while the network has to wait.
pub async fn operator_failed(state: &State, address: Option<IpAddr>) -> ApiResult<()> {
    let network = network_key(address);
    let free = state.settings.login_failures_per_network;
    match fail(state, OPERATOR, &network, free).await {
        Some(wait) => Err(too_many("too many wrong tokens from this network; wait", wait)),
        None => Ok(()),
    }
}

fn too_many(detail: &str, wait: Duration) -> ApiError {
    metrics::counter!("hookgate_logins_throttled_total").increment(1);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    ApiError::too_many(detail, seconds.max(1))
}

async fn fail(state: &State, kind: &str, key: &str, free: u32) -> Option<Duration> {
    let window = Duration::from_secs(state.settings.login_failure_window_seconds.into());
    match in_time(state.redis.fail(kind, key, free, window)).await {
        Some(wait) => wait,
        None => state.failures.fail(kind, key, free, window),
    }
}

async fn take_back(state: &State, kind: &str, key: &str) {
    state.failures.take_back(kind, key);
    let _ = in_time(state.redis.take_failure_back(kind, key)).await;
}

/// Counts a code of somebody who has shown the right password, as wrong until [`code_was_right`]. Whatever network it comes from:
/// only who has the password can make a person wait so.
///
/// # Errors
/// 429 while the person has to wait.
pub async fn code(state: &State, user: UserId) -> ApiResult<()> {
    match fail(
        state,
        CODES,
        &digest(&user.to_string()),
        state.settings.login_failures,
    )
    .await
    {
        Some(wait) => Err(too_many("too many wrong codes for this account; wait", wait)),
        None => Ok(()),
    }
}

/// Forgets the wrong codes of a person.
pub async fn code_was_right(state: &State, user: UserId) {
    let key = digest(&user.to_string());
    state.failures.forget(CODES, &key);
    let _ = in_time(state.redis.forget_failures(CODES, &key)).await;
}

/// Counts an attempt to register, whatever comes of it.
///
/// # Errors
/// 429 when there were too many from this address, or in all.
pub async fn registration(state: &State, address: Option<IpAddr>) -> ApiResult<()> {
    let settings = &state.settings;
    let of_address = network_key(address);
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
        let counted = count(
            state,
            "registrations",
            key,
            settings.registration_window_seconds,
            most,
        )
        .await;
        if counted.count > u64::from(most) {
            metrics::counter!("hookgate_registrations_throttled_total").increment(1);
            return Err(ApiError::too_many(detail, counted.seconds_left.max(1)));
        }
    }
    Ok(())
}

/// Counts a mail that somebody asks for, whether it will be sent or not.
///
/// # Errors
/// 429 when there were too many from this network, or of this kind to this recipient: so strangers who ask for one kind keep
/// nobody from another.
pub async fn mail(state: &State, kind: &str, recipient: &str, address: Option<IpAddr>) -> ApiResult<()> {
    let settings = &state.settings;
    let (of_network, of_recipient) = (network_key(address), digest(&format!("{kind}/{recipient}")));
    for (kind, key, most) in [
        ("mails-from", of_network, settings.mails_per_network),
        ("mails-to", of_recipient, settings.mails_per_recipient),
    ] {
        let counted = count(state, kind, &key, settings.mail_window_seconds, most).await;
        if counted.count > u64::from(most) {
            return Err(ApiError::too_many(
                "too many mails were asked for; wait",
                counted.seconds_left.max(1),
            ));
        }
    }
    Ok(())
}

/// Counts in Redis, or here without it.
async fn count(state: &State, kind: &str, key: &str, window: u32, most: u32) -> Counted {
    match in_time(state.redis.count(kind, key, window)).await {
        Some(counted) => counted,
        None => state.counters.count(&format!("{kind}:{key}"), window, most),
    }
}

/// What Redis answers; `None` when it does not, or not soon.
async fn in_time<T>(asked: impl Future<Output = hookgate_domain::Result<T>>) -> Option<T> {
    match tokio::time::timeout(WAIT_MOST, asked).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::debug!(%error, "Redis does not count");
            None
        }
        Err(_) => {
            tracing::debug!("Redis does not count: it is slow");
            None
        }
    }
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

fn network_key(address: Option<IpAddr>) -> String {
    address
        .map(neighbourhood)
        .map(|network| digest(&network.to_string()))
        .unwrap_or_default()
}

fn digest(who: &str) -> String {
    crypto::digest(who.as_bytes())[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
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
}
