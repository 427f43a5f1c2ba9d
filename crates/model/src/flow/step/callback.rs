//! `callback`: a call that a run leaves behind. It has a life of its own, with its own attempts.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::http::{HttpCall, HttpOutcome};
use crate::flow::definition::Retry;
use crate::retry::{self, Verdict};

/// A call that is to be made, and when it is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// The next attempt.
    pub call: HttpCall,
    /// When it is repeated.
    pub retry: Retry,
    /// The attempts before somebody let it go on; they do not count for `retry`.
    #[serde(default)]
    pub earlier_attempts: u32,
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it arrived, or will not.
    Over,
    /// Another one.
    Again {
        /// When.
        due_at: DateTime<Utc>,
    },
}

impl Callback {
    /// A call that is made for the first time.
    pub const fn new(call: HttpCall, retry: Retry) -> Self {
        Self {
            call,
            retry,
            earlier_attempts: 0,
        }
    }

    /// One that did not arrive, as it is when somebody lets it go on: with all its retries before it.
    #[must_use]
    pub fn renewed(mut self) -> Self {
        self.earlier_attempts = self.call.attempt;
        self.call.attempt += 1;
        self
    }

    /// Takes the outcome of an attempt, and counts on. `random` is from 0 to 1.
    pub fn advance(&mut self, outcome: &HttpOutcome, now: DateTime<Utc>, random: f64) -> Next {
        if outcome.verdict() != Verdict::Retryable {
            return Next::Over;
        }
        let attempts = self.call.attempt.saturating_sub(self.earlier_attempts);
        match retry::delay_of(attempts, &self.retry, outcome, now, random) {
            None => Next::Over,
            Some(delay) => {
                self.call.attempt += 1;
                let delay = TimeDelta::from_std(delay).unwrap_or(TimeDelta::days(1));
                Next::Again { due_at: now + delay }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::definition::HttpMethod;

    fn callback() -> Callback {
        Callback::new(
            HttpCall {
                step: "notify".into(),
                attempt: 1,
                destination: "dst_01k9z3v8e5f2q8r7w6t5y4x3m2".parse().expect("an id"),
                method: HttpMethod::Post,
                path: "/x".into(),
                headers: vec![("a".into(), "b".into())],
                body: vec![0, 255],
                timeout_ms: 1_000,
                idempotency_key: "msg_1".into(),
            },
            Retry {
                delays_seconds: Some(vec![5]),
                ..Retry::default()
            },
        )
    }

    fn answered(status: u16) -> HttpOutcome {
        HttpOutcome::Response {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            is_cut: false,
        }
    }

    #[test]
    fn it_is_repeated_until_it_arrives_or_its_attempts_are_used_up() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        for status in [200, 404, 410] {
            assert_eq!(
                callback().advance(&answered(status), now, 0.0),
                Next::Over,
                "{status}"
            );
        }
        let mut failing = callback();
        let due_at = now + TimeDelta::seconds(5);
        assert_eq!(failing.advance(&answered(503), now, 0.0), Next::Again { due_at });
        assert_eq!(failing.call.attempt, 2);
        assert_eq!(failing.advance(&answered(503), now, 0.0), Next::Over);
        let mut renewed = failing.renewed();
        assert_eq!(renewed.call.attempt, 3, "attempts are counted on");
        assert_eq!(renewed.advance(&answered(503), now, 0.0), Next::Again { due_at });
        assert_eq!(renewed.advance(&answered(503), now, 0.0), Next::Over);
    }

    #[test]
    fn it_reads_back_byte_for_byte() {
        let stored = serde_json::to_vec(&callback()).expect("JSON");
        assert_eq!(
            serde_json::from_slice::<Callback>(&stored).expect("a callback"),
            callback()
        );
    }
}
