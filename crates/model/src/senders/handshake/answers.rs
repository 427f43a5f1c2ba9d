//! The answers that repeat what was asked, and what may be repeated.

use serde_json::Value;

use super::{Fault, MAX_CHALLENGE_BYTES, Outcome};
use crate::answer::Answer;
use crate::authentication::Request;

/// The value of a query parameter: `None` when it is not there, a fault when it is there twice.
pub(super) fn parameter(request: &Request<'_>, name: &str) -> Option<Result<String, Fault>> {
    let pairs = url::form_urlencoded::parse(request.query.as_bytes());
    let mut values = pairs.filter(|(candidate, _)| candidate == name);
    let (_, value) = values.next()?;
    Some(match values.next() {
        None => Ok(value.into_owned()),
        Some(_) => Err(Fault::Malformed("A parameter of the handshake is there twice.")),
    })
}

/// Lets a text through that may be repeated.
pub(super) fn challenge(text: String) -> Result<String, Fault> {
    if text.is_empty() {
        Err(Fault::Malformed("The challenge is empty."))
    } else if text.len() > MAX_CHALLENGE_BYTES {
        Err(Fault::Malformed("The challenge is longer than 1,024 bytes."))
    } else if text.contains(char::is_control) {
        Err(Fault::Malformed("The challenge holds a control character."))
    } else {
        Ok(text)
    }
}

/// Repeats a query parameter, decoded, as plain text.
pub(super) fn repeat_parameter(request: &Request<'_>, name: &str) -> Option<Outcome> {
    let value = parameter(request, name)?.and_then(challenge);
    Some(value.map_or_else(Outcome::Refuse, |value| Outcome::Answer(plain_text(value))))
}

/// Repeats Okta's challenge (<https://developer.okta.com/docs/concepts/event-hooks/#one-time-verification-request>).
pub(super) fn repeat_okta_header(request: &Request<'_>) -> Option<Outcome> {
    let value = request.headers.value("x-okta-verification-challenge", 0)?;
    let text = String::from_utf8_lossy(value).into_owned();
    Some(match challenge(text) {
        Ok(text) => Outcome::Answer(json(&serde_json::json!({ "verification": text }))),
        Err(fault) => Outcome::Refuse(fault),
    })
}

/// 200 with a text that no browser takes for a page.
pub(super) fn plain_text(text: String) -> Answer {
    answer("text/plain; charset=utf-8", text.into_bytes())
}

/// 200 with JSON.
pub(super) fn json(value: &Value) -> Answer {
    answer("application/json", value.to_string().into_bytes())
}

fn answer(content_type: &str, body: Vec<u8>) -> Answer {
    let headers = [
        ("content-type", content_type),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ];
    Answer {
        status: 200,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        body,
    }
}
