//! A request that somebody captured, as the API takes it.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hookgate_domain::clock;
use hookgate_model::authentication::HeaderName;
use hookgate_model::headers;
use hookgate_model::ids::{EventId, UrlId};
use hookgate_model::token::UrlToken;
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::FieldCode;
use crate::fields::{Fields, FromFields, Read, list, object, parsed, text, time, wrong};
use crate::verification::Candidate;

/// The most headers, and the longest value of one, in bytes.
const HEADERS: usize = 200;
const HEADER_BYTES: usize = 32 * 1024;
/// The longest URL, in characters.
const URL_CHARACTERS: usize = 8000;

/// Which request to verify: give one of the fields.
#[derive(ToSchema)]
#[schema(as = VerificationQuestion, example = json!({"request": {"method": "POST",
    "url": "https://hooks.example.com/5x3k9z3v8e5f2q8r7w6t5y4x3m/orders/42",
    "headers": [{"name": "x-hub-signature-256",
        "value": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}],
    "body": "Hello, World!"}}))]
pub struct Question {
    /// A request that was captured somewhere.
    pub(super) request: Option<CapturedRequest>,
    /// An event of the webhook. What of it is stored masked cannot be verified.
    pub(super) event_id: Option<EventId>,
}

impl FromFields for Question {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let request = fields.optional("request", object);
        let event_id = fields.optional("event_id", parsed);
        let question = Self {
            request: request?,
            event_id: event_id?,
        };
        let given = usize::from(question.request.is_some()) + usize::from(question.event_id.is_some());
        if given == 1 {
            return Some(question);
        }
        fields.error("", FieldCode::Invalid, "must hold either `request` or `event_id`");
        None
    }
}

/// A request as it was sent.
#[derive(ToSchema)]
#[schema(example = json!({"method": "POST", "url": "https://hooks.example.com/5x3k9z3v8e5f2q8r7w6t5y4x3m/orders/42",
    "headers": [{"name": "content-type", "value": "application/json"}], "body": "{}", "address": "203.0.113.7",
    "received_at": "2026-11-21T12:00:00Z"}))]
pub struct CapturedRequest {
    /// The HTTP method.
    #[schema(min_length = 1, max_length = 20, example = "POST")]
    method: String,
    /// The public URL that was called, with its query; what stands before the path does not matter.
    #[schema(value_type = String, max_length = 8_000,
        example = "https://hooks.example.com/5x3k9z3v8e5f2q8r7w6t5y4x3m/orders/42")]
    url: Target,
    /// The headers, in the order in which they were sent.
    #[schema(value_type = Vec<CapturedHeader>, required = false, max_items = 200)]
    headers: Vec<CapturedHeader>,
    /// The body as text, character by character as it was sent. Give either this or `body_base64`, or none of them for an
    /// empty body.
    #[schema(example = "{}")]
    body: Option<String>,
    /// The body in base64, when it is no text.
    #[schema(value_type = Option<String>, example = "e30=")]
    body_base64: Option<Vec<u8>>,
    /// The address that it came from; without one the allowlists decide nothing.
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    address: Option<IpAddr>,
    /// When it was received; by default now.
    received_at: Option<DateTime<Utc>>,
}

impl FromFields for CapturedRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let method = fields.required("method", text(1..=20));
        let url = fields.required("url", target);
        let headers = fields.or("headers", Vec::new(), list(0..=HEADERS, object));
        let body = fields.optional("body", any_text);
        let body_base64 = fields.optional("body_base64", base64);
        let address = fields.optional("address", parsed);
        let received_at = fields.optional("received_at", time);
        let (body, body_base64) = (body?, body_base64?);
        if body.is_some() && body_base64.is_some() {
            fields.error("/body_base64", FieldCode::Invalid, "give the body once");
            return None;
        }
        Some(Self {
            method: method?,
            url: url?,
            headers: headers?,
            body,
            body_base64,
            address: address?,
            received_at: received_at?,
        })
    }
}

impl CapturedRequest {
    /// The token of its URL.
    pub const fn token(&self) -> UrlToken {
        self.url.token
    }

    /// The request, at the URL that its token leads to.
    pub fn into_candidate(self, url: Option<UrlId>) -> Candidate {
        let body = self.body.map(String::into_bytes);
        Candidate {
            method: self.method,
            url,
            target: Some(self.url.target),
            path: self.url.path,
            query: self.url.query,
            address: self.address,
            headers: CapturedHeader::stored(&self.headers),
            body: body.or(self.body_base64).unwrap_or_default(),
            received_at: self.received_at.unwrap_or_else(clock::now),
        }
    }
}

/// A header as it was sent.
#[derive(ToSchema)]
#[schema(example = json!({"name": "content-type", "value": "application/json"}))]
pub struct CapturedHeader {
    /// Its name; case does not matter.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "content-type")]
    name: HeaderName,
    /// Its value.
    #[schema(max_length = 32_768, example = "application/json")]
    value: String,
}

impl CapturedHeader {
    /// Headers in the form of [`hookgate_model::headers`].
    pub fn stored(headers: &[Self]) -> Vec<u8> {
        let mut stored = Vec::new();
        for header in headers {
            headers::write(
                &mut stored,
                header.name.as_str().as_bytes(),
                header.value.as_bytes(),
            );
        }
        stored
    }
}

impl FromFields for CapturedHeader {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", |value| {
            HeaderName::parse(&any_text(value)?).or_else(|error| wrong(FieldCode::Invalid, error.to_string()))
        });
        let value = fields.required("value", header_value);
        Some(Self {
            name: name?,
            value: value?,
        })
    }
}

/// What a sender called, from the token on.
struct Target {
    token: UrlToken,
    /// `/`, the token, and what follows.
    target: String,
    /// The path after the token.
    path: String,
    /// The query after the `?`.
    query: String,
}

fn target(value: Value) -> Read<Target> {
    let written = text(1..=URL_CHARACTERS)(value)?;
    let after_host = match written.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => &written,
    };
    let called = after_host.split('#').next().unwrap_or_default();
    let (path, query) = called.split_once('?').unwrap_or((called, ""));
    // What the public URLs begin with may have a path of its own.
    let mut rest = path;
    while let Some((_, from_segment)) = rest.split_once('/') {
        let (segment, after) = from_segment.split_once('/').unwrap_or((from_segment, ""));
        if let Some(token) = UrlToken::parse(segment.as_bytes()) {
            let start = path.len() - from_segment.len() - 1;
            return Ok(Target {
                token,
                target: called[start..].to_owned(),
                path: after.to_owned(),
                query: query.to_owned(),
            });
        }
        rest = from_segment;
    }
    wrong(
        FieldCode::Invalid,
        "must be a public URL of the webhook, or its path: there is no token in it",
    )
}

fn any_text(value: Value) -> Read<String> {
    match value {
        Value::String(text) => Ok(text),
        _ => wrong(FieldCode::WrongType, "must be a string"),
    }
}

fn base64(value: Value) -> Read<Vec<u8>> {
    STANDARD
        .decode(any_text(value)?)
        .or_else(|_| wrong(FieldCode::Invalid, "must be base64 (RFC 4648, section 4)"))
}

fn header_value(value: Value) -> Read<String> {
    let text = any_text(value)?;
    if text.len() > HEADER_BYTES {
        wrong(
            FieldCode::TooLong,
            format!("may have at most {HEADER_BYTES} bytes"),
        )
    } else if text.chars().any(|c| c.is_control() && c != '\t') {
        wrong(FieldCode::Invalid, "may not hold control characters")
    } else {
        Ok(text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_from_its_token_on() {
        let token = UrlToken::from_bytes([7; 16]);
        for (url, path, query) in [
            (
                format!("https://hooks.example.com/{token}/orders/42?a=b&c"),
                "orders/42",
                "a=b&c",
            ),
            (
                format!("http://127.0.0.1:8080/below/this/{token}/orders"),
                "orders",
                "",
            ),
            (format!("/{token}/a%2Fb/?"), "a%2Fb/", ""),
            (format!("/{token}#part"), "", ""),
        ] {
            let read = target(Value::from(url.as_str())).expect("a target");
            assert_eq!(
                (read.token, read.path.as_str(), read.query.as_str()),
                (token, path, query),
                "{url}"
            );
            assert!(
                read.target.starts_with(&format!("/{token}")) && url.contains(&read.target),
                "{url}"
            );
        }
        for url in [
            "https://hooks.example.com",
            "orders/42",
            "/orders/42",
            "?",
            "https://",
        ] {
            assert!(target(Value::from(url)).is_err(), "{url}");
        }
    }
}
