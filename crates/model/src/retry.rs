//! When a failed call is repeated, and when it is not.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::flow::definition::Retry;
use crate::flow::step::http::HttpOutcome;

/// How much longer the bound of each delay is than that of the one before.
pub const GROWTH: u32 = 3;
/// How much is added at most to a delay of a list, as a part of it.
pub const LIST_JITTER: f64 = 0.1;
/// A destination's `Retry-After` is honoured up to this, or the policy's longest delay if that is more.
pub const RETRY_AFTER_MOST: Duration = Duration::from_secs(3600);

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Done: 2xx.
    Success,
    /// It may work later.
    Retryable,
    /// It will not work later either.
    Final,
}

/// Classifies a status code: 2xx is success; 408, 425, 429 and 5xx may pass; redirects are not followed and final, as is
/// any other 4xx.
pub const fn classify(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Success,
        408 | 425 | 429 | 500..=599 => Verdict::Retryable,
        _ => Verdict::Final,
    }
}

/// How long to wait after the `finished`-th attempt failed; `None` when it was the last.
///
/// Exponential backoff with full jitter: `random` (0 to 1) of the bound, which grows with each attempt; or the next delay of
/// the list, and up to a tenth more. A `Retry-After` is a lower bound, itself bounded.
pub fn delay_after(
    finished: u32,
    policy: &Retry,
    retry_after: Option<Duration>,
    random: f64,
) -> Option<Duration> {
    let most = RETRY_AFTER_MOST.max(Duration::from_millis(u64::from(policy.max_delay_ms)));
    let asked = retry_after.unwrap_or_default().min(most);
    let random = random.clamp(0.0, 1.0);
    if let Some(delays) = &policy.delays_seconds {
        let place = usize::try_from(finished.saturating_sub(1)).ok()?;
        let delay = Duration::from_secs(u64::from(*delays.get(place)?));
        return Some((delay + delay.mul_f64(random * LIST_JITTER)).max(asked));
    }
    if finished >= policy.attempts {
        return None;
    }
    let growth = u64::from(GROWTH).saturating_pow(finished.saturating_sub(1));
    let bound = u64::from(policy.initial_delay_ms)
        .saturating_mul(growth)
        .min(u64::from(policy.max_delay_ms));
    let bound = Duration::from_millis(bound);
    Some(bound.mul_f64(random).max(asked))
}

/// How long to wait after the `finished`-th attempt failed like this; `None` when it was the last.
pub fn delay_of(
    finished: u32,
    policy: &Retry,
    outcome: &HttpOutcome,
    now: DateTime<Utc>,
    random: f64,
) -> Option<Duration> {
    let after = outcome
        .header("retry-after")
        .and_then(|value| retry_after(value, now));
    delay_after(finished, policy, after, random)
}

/// Reads a `Retry-After` field (RFC 9110, section 10.2.3): seconds, or a date, of which the rest from `now` is given.
pub fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    Some(
        date.with_timezone(&Utc)
            .signed_duration_since(now)
            .to_std()
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statuses_are_classified() {
        for (status, verdict) in [
            (200, Verdict::Success),
            (204, Verdict::Success),
            (301, Verdict::Final),
            (304, Verdict::Final),
            (400, Verdict::Final),
            (404, Verdict::Final),
            (408, Verdict::Retryable),
            (410, Verdict::Final),
            (425, Verdict::Retryable),
            (429, Verdict::Retryable),
            (500, Verdict::Retryable),
            (503, Verdict::Retryable),
            (599, Verdict::Retryable),
            (100, Verdict::Final),
            (999, Verdict::Final),
        ] {
            assert_eq!(classify(status), verdict, "{status}");
        }
    }

    #[test]
    fn delays_grow_to_their_bound_and_end() {
        let policy = Retry {
            attempts: 5,
            initial_delay_ms: 1_000,
            max_delay_ms: 10_000,
            delays_seconds: None,
        };
        let delays: Vec<_> = (1..=5)
            .map(|n| delay_after(n, &policy, None, 1.0).map(|d| d.as_secs()))
            .collect();
        assert_eq!(delays, [Some(1), Some(3), Some(9), Some(10), None]);
        assert_eq!(delay_after(1, &policy, None, 0.0), Some(Duration::ZERO));
        assert_eq!(
            delay_after(1, &policy, Some(Duration::from_secs(7)), 0.5),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            delay_after(1, &policy, Some(Duration::MAX), 0.5),
            Some(RETRY_AFTER_MOST)
        );
        assert_eq!(delay_after(5, &policy, Some(Duration::from_secs(7)), 0.5), None);
    }

    #[test]
    fn a_list_of_delays_is_gone_through_once() {
        let policy = Retry {
            delays_seconds: Some(vec![5, 300, 86_400]),
            attempts: 1,
            ..Retry::default()
        };
        let delays = |random, after| -> Vec<_> {
            (1..=4)
                .map(|n| delay_after(n, &policy, after, random).map(|delay| delay.as_secs()))
                .collect()
        };
        assert_eq!(delays(0.0, None), [Some(5), Some(300), Some(86_400), None]);
        assert_eq!(delays(1.0, None), [Some(5), Some(330), Some(95_040), None]);
        let after = Some(Duration::from_secs(600));
        assert_eq!(delays(0.0, after), [Some(600), Some(600), Some(86_400), None]);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::from_timestamp(1_445_412_470, 0).expect("a time");
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(10)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(
                retry_after(value, now).map(|delay| delay.as_secs()),
                seconds,
                "{value}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_delay_never_passes_its_bounds(
            finished in 0u32..100, attempts in 1u32..=25, initial in 100u32..=3_600_000, most in 1_000u32..=86_400_000,
            after in proptest::option::of(any::<u64>()), random in 0.0f64..=1.0,
        ) {
            let policy = Retry { attempts, initial_delay_ms: initial, max_delay_ms: most, delays_seconds: None };
            let delay = delay_after(finished, &policy, after.map(Duration::from_secs), random);
            prop_assert_eq!(delay.is_none(), finished >= attempts);
            let bound = Duration::from_millis(most.into()).max(RETRY_AFTER_MOST);
            prop_assert!(delay.unwrap_or_default() <= bound);
        }
    }
}
