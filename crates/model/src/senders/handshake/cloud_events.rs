//! The abuse protection of CloudEvents' webhooks
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#4-abuse-protection>): the sender asks
//! whether it may deliver, and how often.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Fault, Outcome};
use crate::answer::Answer;
use crate::authentication::{Problem, ProblemCode, Request};

/// The most origins that can be named.
const MAX_ORIGINS: usize = 20;
/// The longest name of an origin: that of a host.
const MAX_ORIGIN_BYTES: usize = 253;

/// Who may deliver CloudEvents, and how often.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CloudEventsHandshake, example = json!({"allowed_origins": ["eventemitter.example.com"], "requests_per_minute": 600}))]
pub struct CloudEventsSettings {
    /// The origins that may deliver, as they name themselves in `WebHook-Request-Origin`; empty: any.
    #[serde(default)]
    #[schema(max_items = 20, example = json!(["eventemitter.example.com"]))]
    pub allowed_origins: Vec<String>,
    /// How many requests a minute the sender is told that it may make; by default as many as it asks for.
    #[serde(default)]
    #[schema(minimum = 1, example = 600)]
    pub requests_per_minute: Option<u32>,
}

impl CloudEventsSettings {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.allowed_origins.len() > MAX_ORIGINS {
            problems.push(Problem::new(
                "/allowed_origins",
                ProblemCode::TooLong,
                format!("may have at most {MAX_ORIGINS} entries"),
            ));
        }
        for (place, origin) in self.allowed_origins.iter().enumerate() {
            if !is_origin(origin) {
                problems.push(Problem::new(
                    format!("/allowed_origins/{place}"),
                    ProblemCode::Invalid,
                    "must be the name of a host, such as `eventemitter.example.com`",
                ));
            }
        }
        if self.requests_per_minute == Some(0) {
            problems.push(Problem::new(
                "/requests_per_minute",
                ProblemCode::OutOfRange,
                "must be at least 1",
            ));
        }
        problems
    }

    /// Gives an allowed origin its permission.
    pub(super) fn answer(&self, request: &Request<'_>) -> Option<Outcome> {
        let origin = request.headers.value("webhook-request-origin", 0)?;
        Some(match self.permit(request, origin) {
            Ok(answer) => Outcome::Answer(answer),
            Err(fault) => Outcome::Refuse(fault),
        })
    }

    fn permit(&self, request: &Request<'_>, origin: &[u8]) -> Result<Answer, Fault> {
        let origin = std::str::from_utf8(origin)
            .ok()
            .filter(|origin| is_origin(origin))
            .ok_or(Fault::Malformed(
                "`WebHook-Request-Origin` is not the name of a host.",
            ))?;
        let is_allowed = |allowed: &String| allowed.eq_ignore_ascii_case(origin);
        if !self.allowed_origins.is_empty() && !self.allowed_origins.iter().any(is_allowed) {
            return Err(Fault::Mismatch(
                "`WebHook-Request-Origin` is none of the handshake's `allowed_origins`.",
            ));
        }
        let asked = match request.headers.value("webhook-request-rate", 0) {
            None => None,
            Some(rate) => Some(read_rate(rate).ok_or(Fault::Malformed(
                "`WebHook-Request-Rate` is not a number of requests a minute.",
            ))?),
        };
        let rate = match (self.requests_per_minute, asked) {
            (Some(most), Some(asked)) => most.min(asked).to_string(),
            (Some(rate), None) | (None, Some(rate)) => rate.to_string(),
            (None, None) => "*".to_owned(),
        };
        let headers = [
            ("allow", "POST"),
            ("webhook-allowed-origin", origin),
            ("webhook-allowed-rate", &rate),
            ("cache-control", "no-store"),
        ];
        Ok(Answer {
            status: 200,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            body: Vec::new(),
        })
    }
}

fn is_origin(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    (1..=MAX_ORIGIN_BYTES).contains(&text.len()) && text.bytes().all(fits)
}

/// A positive number.
fn read_rate(text: &[u8]) -> Option<u32> {
    let rate: u32 = std::str::from_utf8(text).ok()?.trim().parse().ok()?;
    (rate > 0).then_some(rate)
}
