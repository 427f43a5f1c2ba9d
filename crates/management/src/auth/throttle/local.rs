//! What a node counts for itself while Redis is away, within bounds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hookgate_domain::redis::counters::Counted;

/// The most keys that are counted at a time.
const KEYS: usize = 10_000;
/// The longest pause is the window; this bounds the arithmetic.
const DOUBLINGS: u32 = 30;

/// Counters over a window of time. A key for which there is no room counts as too many.
#[derive(Debug, Default)]
pub struct LocalCounters(Mutex<HashMap<String, (Instant, u64)>>);

impl LocalCounters {
    pub(super) fn count(&self, key: &str, window_seconds: u32, most: u32) -> Counted {
        let window = Duration::from_secs(window_seconds.into());
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counters.len() >= KEYS {
            counters.retain(|_, (began, _)| began.elapsed() < window);
        }
        if counters.len() >= KEYS && !counters.contains_key(key) {
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

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    until: Instant,
    forgotten_at: Instant,
}

/// Failures with their pauses, as Redis counts them. Where there is no room, somebody else's are forgotten: a full table must
/// not keep everybody out.
#[derive(Debug, Default)]
pub struct LocalFailures(Mutex<HashMap<String, Failures>>);

impl LocalFailures {
    pub(super) fn fail(&self, kind: &str, key: &str, free: u32, window: Duration) -> Option<Duration> {
        self.fail_at(&name(kind, key), free, window, Instant::now())
    }

    fn fail_at(&self, key: &str, free: u32, window: Duration, now: Instant) -> Option<Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEYS && !all.contains_key(key) {
            all.retain(|_, failures| failures.forgotten_at > now);
            if all.len() >= KEYS
                && let Some(other) = all.keys().next().cloned()
            {
                all.remove(&other);
            }
        }
        let before = all
            .get(key)
            .copied()
            .filter(|failures| failures.forgotten_at > now);
        let wait = before.map_or(Duration::ZERO, |failures| failures.until - now);
        if !wait.is_zero() {
            return Some(wait);
        }
        let count = before.map_or(0, |failures| failures.count).saturating_add(1);
        let pause = match count.checked_sub(free) {
            Some(doublings) => Duration::from_secs(1 << doublings.min(DOUBLINGS)).min(window),
            None => Duration::ZERO,
        };
        let failures = Failures {
            count,
            until: now + pause,
            forgotten_at: now + pause + window,
        };
        all.insert(key.to_owned(), failures);
        None
    }

    pub(super) fn take_back(&self, kind: &str, key: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failures) = all.get_mut(&name(kind, key)) {
            failures.count = failures.count.saturating_sub(1);
            failures.until = Instant::now();
        }
    }

    pub(super) fn forget(&self, kind: &str, key: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&name(kind, key));
    }
}

fn name(kind: &str, key: &str) -> String {
    format!("{kind}:{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_counts_by_itself_within_bounds() {
        let counters = LocalCounters::default();
        assert_eq!(counters.count("a", 3600, 2).count, 1);
        assert_eq!(counters.count("a", 3600, 2).count, 2);
        assert_eq!(counters.count("a", 0, 2).count, 1);
        for key in 0..KEYS {
            counters.count(&key.to_string(), 3600, 2);
        }
        assert_eq!(counters.count("one more", 3600, 2).count, 3);
        assert_eq!(counters.count("a", 3600, 2).count, 2);
        assert_eq!(counters.count("one more", 0, 2).count, 1);
    }

    #[test]
    fn pauses_double_up_to_the_window_and_end() {
        let failures = LocalFailures::default();
        let (window, mut now) = (Duration::from_secs(60), Instant::now());
        let mut fail = |after: u64| {
            now += Duration::from_secs(after);
            failures
                .fail_at("a", 3, window, now)
                .map_or(0, |wait| wait.as_secs())
        };
        assert_eq!([fail(0), fail(0), fail(0)], [0, 0, 0]);
        assert_eq!([fail(0), fail(1), fail(0)], [1, 0, 2]);
        assert_eq!([fail(2), fail(0), fail(4), fail(0)], [0, 4, 0, 8]);
        assert_eq!([fail(8), fail(16), fail(32), fail(0)], [0, 0, 0, 60]);
        // Forgotten a window after the last pause.
        assert_eq!([fail(121), fail(0), fail(0), fail(0)], [0, 0, 0, 1]);
    }

    #[test]
    fn a_full_table_keeps_nobody_out() {
        let failures = LocalFailures::default();
        let now = Instant::now();
        let window = Duration::from_secs(60);
        for key in 0..KEYS + 10 {
            assert_eq!(failures.fail_at(&key.to_string(), 1, window, now), None);
        }
        assert_eq!(failures.0.lock().expect("a lock").len(), KEYS);
    }
}
