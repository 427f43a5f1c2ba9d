//! The time of signing, and how far it may be from the time of receipt, to both sides.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json::Wanted;
use super::pairs::Found;
use super::place::Place;
use super::problem::{Problem, ProblemCode};
use super::source::{Source, Spot};
use super::trace::Trace;
use super::verdict::{Denial, DenialCode};

/// The tolerance of settings that name none, in seconds.
const DEFAULT_TOLERANCE: u32 = 300;
/// The greatest tolerance, in seconds: a day.
const MAX_TOLERANCE: u32 = 86_400;
/// The most digits of a number that is a time.
const MAX_DIGITS: usize = 16;

/// Where the time of signing is, and how far it may be from the time of receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"at": {"in": "header", "name": "x-slack-request-timestamp"}, "unit": "seconds", "tolerance_seconds": 300}))]
pub struct TimestampSettings {
    /// Where it is.
    pub at: Place,
    /// In which form.
    #[serde(default)]
    pub unit: TimestampUnit,
    /// How far it may be from the time of receipt, into the past and into the future.
    #[serde(default = "default_tolerance")]
    #[schema(default = 300, minimum = 1, maximum = 86_400)]
    pub tolerance_seconds: u32,
}

fn default_tolerance() -> u32 {
    DEFAULT_TOLERANCE
}

/// The form of a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    /// Seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// A date and time such as `2026-11-21T12:00:00Z`.
    Rfc3339,
}

impl TimestampSettings {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if !(1..=MAX_TOLERANCE).contains(&self.tolerance_seconds) {
            problems.push(Problem::new(
                "/timestamp/tolerance_seconds",
                ProblemCode::OutOfRange,
                format!("must be from 1 to {MAX_TOLERANCE}"),
            ));
        }
    }
}

/// The time of signing, compiled.
pub(super) struct Timestamp {
    spot: Spot,
    unit: TimestampUnit,
    tolerance_millis: i64,
}

/// A time of signing that is near enough.
pub(super) struct SigningTime<'r> {
    /// As it was sent.
    pub text: Cow<'r, [u8]>,
    pub time: DateTime<Utc>,
}

impl Timestamp {
    pub fn compile(settings: &TimestampSettings, wanted: &mut Wanted) -> Self {
        Self {
            spot: Spot::compile(&settings.at, wanted),
            unit: settings.unit,
            tolerance_millis: i64::from(settings.tolerance_seconds) * 1000,
        }
    }

    pub fn is_in_body(&self) -> bool {
        self.spot.is_in_body()
    }

    /// Finds the time and holds it against the time of receipt.
    pub fn verify<'r>(&self, source: &Source<'r>, trace: &mut Trace) -> Result<SigningTime<'r>, Denial> {
        let found = self.find(source);
        trace.step("timestamp", found.is_ok(), || match &found {
            Ok(found) => {
                let age = source.request.now.timestamp() - found.time.timestamp();
                let when = found.time.format("%Y-%m-%dT%H:%M:%SZ");
                format!(
                    "{} is {when}, {} of the tolerated {} s",
                    self.spot,
                    distance(age),
                    self.tolerance_millis / 1000
                )
            }
            Err(denial) => denial.detail.clone().into_owned(),
        });
        found
    }

    fn find<'r>(&self, source: &Source<'r>) -> Result<SigningTime<'r>, Denial> {
        let spot = &self.spot;
        let text = match source.find(spot)? {
            Found::One(text) => text,
            Found::Missing => {
                let detail = format!("There is no time of signing: no {spot}.");
                return Err(Denial::new(DenialCode::TimestampMissing, detail));
            }
            Found::Several => {
                let detail = format!("The time of signing, {spot}, is there more than once.");
                return Err(Denial::new(DenialCode::TimestampMalformed, detail));
            }
        };
        let time = self.unit.parse(&text).ok_or_else(|| {
            let detail = format!("The time of signing, {spot}, is not {}.", self.unit.name());
            Denial::new(DenialCode::TimestampMalformed, detail)
        })?;
        // A sender that counts in seconds cannot be nearer than a second.
        let age = match self.unit {
            TimestampUnit::Seconds => {
                (source.request.now.timestamp() - time.timestamp()).saturating_mul(1000)
            }
            TimestampUnit::Milliseconds | TimestampUnit::Rfc3339 => {
                source.request.now.timestamp_millis() - time.timestamp_millis()
            }
        };
        let (code, what) = if age > self.tolerance_millis {
            (DenialCode::TimestampTooOld, "too long ago")
        } else if age < -self.tolerance_millis {
            (DenialCode::TimestampInFuture, "in the future")
        } else {
            return Ok(SigningTime { text, time });
        };
        let detail = format!(
            "The request was signed {what}: {}, and {} s are tolerated.",
            distance(age / 1000),
            self.tolerance_millis / 1000
        );
        Err(Denial::new(code, detail))
    }
}

fn distance(seconds: i64) -> String {
    if seconds < 0 {
        format!("{} s ahead", -seconds)
    } else {
        format!("{seconds} s ago")
    }
}

impl TimestampUnit {
    /// Reads a time. Numbers are digits alone: what else parsers take, senders do not send.
    fn parse(self, text: &[u8]) -> Option<DateTime<Utc>> {
        let text = std::str::from_utf8(text).ok()?;
        let number = || {
            let is_number =
                (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse::<i64>().ok()).flatten()
        };
        match self {
            Self::Seconds => DateTime::from_timestamp_secs(number()?),
            Self::Milliseconds => DateTime::from_timestamp_millis(number()?),
            Self::Rfc3339 => Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "a number of seconds since 1970",
            Self::Milliseconds => "a number of milliseconds since 1970",
            Self::Rfc3339 => "a time such as 2026-11-21T12:00:00Z (RFC 3339)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::request::{Request, StoredHeaders};
    use crate::headers;

    fn verify(unit: TimestampUnit, sent: Option<&str>) -> Result<i64, DenialCode> {
        let settings = TimestampSettings {
            at: serde_json::from_str(r#"{"in": "header", "name": "x-time"}"#).expect("a place"),
            unit,
            tolerance_seconds: 300,
        };
        let mut stored = Vec::new();
        if let Some(value) = sent {
            headers::write(&mut stored, b"x-time", value.as_bytes());
        }
        let request = Request {
            method: "POST",
            public_url: "",
            path: "",
            query: "",
            headers: &StoredHeaders(&stored),
            body: b"",
            now: DateTime::from_timestamp_millis(1_700_000_000_900).expect("a time"),
        };
        let mut wanted = Wanted::default();
        let timestamp = Timestamp::compile(&settings, &mut wanted);
        let found = timestamp.verify(&Source::head(&request), &mut Trace::off());
        found
            .map(|found| found.time.timestamp())
            .map_err(|denial| denial.code)
    }

    #[test]
    fn times_are_bounded_on_both_sides() {
        use TimestampUnit::{Milliseconds, Rfc3339, Seconds};
        let old = Err(DenialCode::TimestampTooOld);
        let future = Err(DenialCode::TimestampInFuture);
        let malformed = Err(DenialCode::TimestampMalformed);
        let table = [
            (Seconds, Some("1700000000"), Ok(1_700_000_000)),
            (Seconds, Some("1699999700"), Ok(1_699_999_700)),
            (Seconds, Some("1699999699"), old),
            (Seconds, Some("1700000300"), Ok(1_700_000_300)),
            (Seconds, Some("1700000301"), future),
            (Seconds, Some("0"), old),
            (Seconds, Some("9999999999999999"), malformed),
            (Seconds, Some("99999999999999999999"), malformed),
            (Seconds, Some(""), malformed),
            (Seconds, Some("+1700000000"), malformed),
            (Seconds, Some("-1700000000"), malformed),
            (Seconds, Some("1700000000.0"), malformed),
            (Seconds, Some("1700000000 "), malformed),
            (Seconds, Some("1.7e9"), malformed),
            (Seconds, None, Err(DenialCode::TimestampMissing)),
            (Milliseconds, Some("1700000000900"), Ok(1_700_000_000)),
            (Milliseconds, Some("1699999700900"), Ok(1_699_999_700)),
            (Milliseconds, Some("1699999700899"), old),
            (Milliseconds, Some("1700000300900"), Ok(1_700_000_300)),
            (Milliseconds, Some("1700000300901"), future),
            (Milliseconds, Some("1700000000"), old),
            (Rfc3339, Some("2023-11-14T22:13:20Z"), Ok(1_700_000_000)),
            (Rfc3339, Some("2023-11-14T23:13:20+01:00"), Ok(1_700_000_000)),
            (Rfc3339, Some("2023-11-14T22:18:22Z"), future),
            (Rfc3339, Some("2023-11-14"), malformed),
        ];
        for (unit, sent, expected) in table {
            assert_eq!(verify(unit, sent), expected, "{unit:?} {sent:?}");
        }
    }
}
