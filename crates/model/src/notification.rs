//! Notifications: what a tenant is told of its own flows, as calls to a destination of its choice, in the form of the Standard
//! Webhooks.
//!
//! What a notification causes has its [`Mark`], so that notifications make no circle.

mod mark;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::base32;
use crate::flow::definition::{HttpMethod, Retry};
use crate::flow::step::callback::Callback;
use crate::flow::step::http::HttpCall;
use crate::ids::{DestinationId, JobId};
use crate::webhook::text_enum;

pub use mark::{Mark, are_marks, mark, marks};

/// The header of a notification: its [`Mark`]. What the flow of an event with marks sends has them, too.
pub const HEADER: &str = "hookgate-notification";

/// How long a notification may take to be taken, in milliseconds.
const TIMEOUT_MS: u32 = 10_000;

text_enum! {
    /// What a tenant is told of.
    #[derive(PartialOrd, Ord)]
    Kind {
        /// A run failed, or was given up, after all its retries.
        RunFailed = "run.failed",
        /// A call that a run left behind did not arrive, after all its retries.
        CallbackFailed = "callback.failed",
        /// A destination answered 410 Gone, and is paused.
        DestinationPaused = "destination.paused",
    }
}

/// The notifications of the running minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When the minute began.
    pub started_at: DateTime<Utc>,
    /// How many there were in it.
    pub sent: u32,
    /// How many were left out since the last one that was sent.
    pub suppressed: u64,
}

impl Window {
    /// How many of those that are wanted are to be sent. The others are counted; the next one that is sent tells how many.
    pub fn take(&mut self, wanted: usize, per_minute: u32, now: DateTime<Utc>) -> usize {
        if now - self.started_at >= TimeDelta::minutes(1) {
            (self.started_at, self.sent) = (now, 0);
        }
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let taken = wanted.min(per_minute.saturating_sub(self.sent));
        self.sent += taken;
        self.suppressed += u64::from(wanted - taken);
        usize::try_from(taken).unwrap_or(usize::MAX)
    }
}

/// The call that tells it.
pub fn call(
    kind: Kind,
    id: JobId,
    destination: DestinationId,
    at: DateTime<Utc>,
    data: &Map<String, Value>,
    suppressed: u64,
    marks: &[Mark],
) -> Callback {
    let timestamp = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let body = json!({ "type": kind, "timestamp": timestamp, "data": data, "suppressed": suppressed });
    Callback::new(
        HttpCall {
            step: kind.as_str().to_owned(),
            attempt: 1,
            destination,
            method: HttpMethod::Post,
            path: String::new(),
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                (HEADER.to_owned(), mark::value(marks)),
            ],
            body: body.to_string().into_bytes(),
            timeout_ms: TIMEOUT_MS,
            idempotency_key: message(id),
        },
        Retry::over_days(),
    )
}

/// Whether a call is a notification itself: it is named like its kind, and no step has a name with a dot.
pub fn is_notification(call: &HttpCall) -> bool {
    call.step.contains('.')
}

/// How a notification is called at its receiver.
fn message(id: JobId) -> String {
    format!("msg_{}", base32::to_string(id.uuid().as_u128()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    #[test]
    fn what_goes_beyond_the_minute_is_counted() {
        let mut window = Window {
            started_at: at(0),
            sent: 0,
            suppressed: 0,
        };
        assert_eq!(window.take(2, 3, at(1)), 2);
        assert_eq!(window.take(2, 3, at(59)), 1);
        assert_eq!(window.take(5, 3, at(59)), 0);
        assert_eq!(window.suppressed, 6);
        assert_eq!(window.take(1, 3, at(60)), 1);
        assert_eq!(
            (window.started_at, window.sent, window.suppressed),
            (at(60), 1, 6)
        );
        assert_eq!(window.take(1, 0, at(200)), 0, "none at all");
    }

    #[test]
    fn a_call_tells_everything() {
        let id = JobId::new(at(0), [1; 8]);
        let destination = DestinationId::new(at(0), [2; 8]);
        let data = Map::from_iter([("reason".to_owned(), json!("it answered 410 Gone"))]);
        let mark = Mark {
            kind: Kind::DestinationPaused,
            id,
            mac: [7; 32],
        };
        let told = call(mark.kind, id, destination, at(0), &data, 2, &[mark]).call;
        let body: Value = serde_json::from_slice(&told.body).expect("JSON");
        assert_eq!(
            body,
            json!({ "type": "destination.paused", "timestamp": "2027-01-15T08:00:00.000Z",
                "data": { "reason": "it answered 410 Gone" }, "suppressed": 2 })
        );
        assert!(is_notification(&told));
        assert_eq!(told.headers[1], (HEADER.to_owned(), mark.to_string()));

        let mut caused = told;
        caused.step = "notify".to_owned();
        assert!(!is_notification(&caused));
        caused.headers.clear();
        super::mark(&mut caused, b"Hookgate-Notification: run.failed\r\n");
        assert_eq!(caused.headers, []);
        super::mark(
            &mut caused,
            format!("Hookgate-Notification: x, {mark}\r\n").as_bytes(),
        );
        assert_eq!(caused.headers, [(HEADER.to_owned(), mark.to_string())]);
    }
}
