//! Rates, decided by the generic cell rate algorithm (GCRA, ITU-T I.371): a limit's whole state is one moment.
//!
//! That moment is when the limit would be unused again if nothing more came: every request moves it on by the emission
//! interval, and it may lie at most one window (`burst` intervals) ahead. So at most `burst + t × rate` requests pass in
//! any time `t`, whatever their order. Moments are nanoseconds since any fixed point.

use std::num::NonZeroU32;
use std::time::Duration;

/// So many requests a second, and so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Requests per second, in the long run.
    pub per_second: NonZeroU32,
    /// Requests that may come at once.
    pub burst: NonZeroU32,
}

/// What a limit says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// How many of the wanted requests may pass.
    pub granted: u32,
    /// The limit's state afterwards.
    pub unused_at: u64,
}

impl Rate {
    /// The time that one request takes of the limit, in nanoseconds.
    pub const fn interval(self) -> u64 {
        1_000_000_000 / self.per_second.get() as u64
    }

    /// The time in which a limit that is used up is whole again, in nanoseconds.
    pub const fn window(self) -> u64 {
        self.interval() * self.burst.get() as u64
    }

    /// Grants as many of the wanted requests as may pass now.
    pub fn take(self, unused_at: u64, now: u64, wanted: u32) -> Decision {
        let granted = self.remaining(unused_at, now).min(wanted);
        // A state from before a limit was lowered may lie too far ahead.
        let begin = unused_at.clamp(now, now.saturating_add(self.window()));
        Decision {
            granted,
            unused_at: begin.saturating_add(self.interval() * u64::from(granted)),
        }
    }

    /// The value of `RateLimit-Policy` for a limit of this name (draft-ietf-httpapi-ratelimit-headers-10, section 3).
    pub fn policy(self, name: &str) -> String {
        let window = whole_seconds(Duration::from_nanos(self.window()));
        format!("\"{name}\";q={};w={window}", self.burst)
    }

    /// How many requests may pass now.
    pub fn remaining(self, unused_at: u64, now: u64) -> u32 {
        let ahead = unused_at.saturating_sub(now);
        let free = self.window().saturating_sub(ahead) / self.interval();
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    /// How long until a request may pass; zero when one may pass now.
    pub fn retry_after(self, unused_at: u64, now: u64) -> Duration {
        let ahead = unused_at.clamp(now, now.saturating_add(self.window())) - now;
        Duration::from_nanos((ahead + self.interval()).saturating_sub(self.window()))
    }
}

/// So many seconds as a header tells them: at least one, since whoever comes back at once would be refused again.
pub fn whole_seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1000))
        .unwrap_or(u64::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate {
            per_second: NonZeroU32::new(per_second).expect("not zero"),
            burst: NonZeroU32::new(burst).expect("not zero"),
        }
    }

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let limit = rate(10, 3);
        // When (in milliseconds), how many are wanted, how many pass, and when the next may.
        let table = [
            (1_000, 1, 1, 0),
            (1_000, 5, 2, 100),
            (1_050, 1, 0, 50),
            (1_099, 1, 0, 1),
            (1_100, 1, 1, 100),
            (1_150, 1, 0, 50),
            (1_300, 9, 2, 100),
            (9_000, 9, 3, 100),
        ];
        let mut unused_at = 0;
        for (at, wanted, passing, retry) in table {
            let now = at * 1_000_000;
            let decision = limit.take(unused_at, now, wanted);
            unused_at = decision.unused_at;
            assert_eq!(decision.granted, passing, "at {at} ms");
            assert_eq!(
                limit.retry_after(unused_at, now),
                Duration::from_millis(retry),
                "at {at} ms"
            );
        }
    }

    #[test]
    fn a_lowered_limit_forgets_what_it_could_not_have_allowed() {
        let before = rate(1, 1000).take(0, SECOND, 1000).unused_at;
        let lowered = rate(1, 2);
        assert_eq!(lowered.remaining(before, SECOND), 0);
        assert_eq!(lowered.retry_after(before, SECOND), Duration::from_secs(1));
        assert_eq!(lowered.take(before, SECOND, 1).unused_at, 3 * SECOND);
        assert_eq!(lowered.take(before, 1001 * SECOND, 9).granted, 2);
    }

    #[test]
    fn extreme_rates_keep_their_meaning() {
        let fastest = rate(1_000_000, 1_000_000);
        assert_eq!(fastest.take(0, SECOND, u32::MAX).granted, 1_000_000);
        let slowest = rate(1, u32::MAX);
        assert_eq!(slowest.take(0, SECOND, u32::MAX).granted, u32::MAX);
    }

    proptest! {
        /// In any stretch of time, no more pass than the burst and what the rate allows in that time.
        #[test]
        fn no_window_exceeds_the_rate(
            per_second in 1..2000_u32,
            burst in 1..50_u32,
            arrivals in proptest::collection::vec((0..SECOND / 20, 1..10_u32), 1..200),
        ) {
            let limit = rate(per_second, burst);
            let (mut now, mut unused_at) = (SECOND, 0);
            let mut passed = Vec::new();
            for (pause, wanted) in arrivals {
                now += pause;
                let decision = limit.take(unused_at, now, wanted);
                unused_at = decision.unused_at;
                passed.push((now, u64::from(decision.granted)));
            }
            for from in 0..passed.len() {
                let mut sum = 0;
                for (at, granted) in &passed[from..] {
                    sum += granted;
                    let allowed = u64::from(burst) + (at - passed[from].0) / limit.interval();
                    prop_assert!(sum <= allowed, "{sum} passed where {allowed} may");
                }
            }
        }

        /// Whoever waits as long as they are told may pass.
        #[test]
        fn retry_after_is_honest(per_second in 1..100_000_u32, burst in 1..1000_u32, taken in 0..2000_u32, later in 0..SECOND) {
            let limit = rate(per_second, burst);
            let unused_at = limit.take(0, SECOND, taken).unused_at;
            let now = SECOND + later;
            let wait = u64::try_from(limit.retry_after(unused_at, now).as_nanos()).expect("short");
            prop_assert!(limit.remaining(unused_at, now + wait) >= 1);
            prop_assert!(wait == 0 || limit.remaining(unused_at, now + wait - 1) == 0);
        }
    }
}
