//! The headers and the body of a stored request, as far as JSON can show them.

use bytes::Bytes;
use hookgate_model::body::{Body, BodyError, BodyKind};
use hookgate_model::headers;
use ipnet::IpNet;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// The most bytes of a body that JSON shows.
const PREVIEW_BYTES: usize = 64 * 1024;

/// Headers that hold a sender's credentials: their values are kept for verification, but not shown.
const CREDENTIALS: [&str; 4] = ["authorization", "proxy-authorization", "x-api-key", "cookie"];

/// A header.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Header)]
pub struct HeaderView {
    /// Its name, in lower case.
    #[schema(example = "content-type")]
    pub name: String,
    /// Its value; `[redacted]` for a credential. Bytes that are not UTF-8 are shown as `\u{FFFD}`.
    #[schema(example = "application/json")]
    pub value: String,
}

impl HeaderView {
    /// Shows stored headers in their order.
    pub fn all(stored: &[u8]) -> Vec<Self> {
        headers::read(stored)
            .map(|(name, value)| Self {
                value: if CREDENTIALS
                    .iter()
                    .any(|credential| name.eq_ignore_ascii_case(credential))
                {
                    "[redacted]".to_owned()
                } else {
                    String::from_utf8_lossy(value).into_owned()
                },
                name: name.to_owned(),
            })
            .collect()
    }
}

/// An address, or the network that is left of a masked one.
pub fn address(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// A body, and the beginning of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct BodyPreview {
    /// The length of the whole body as it was sent, in bytes.
    #[schema(example = 512)]
    pub bytes: usize,
    /// The `content-type` that the sender gave.
    #[schema(example = "application/json")]
    pub content_type: Option<String>,
    /// The `content-encoding` that the sender gave. What is shown here is decoded.
    #[schema(example = "gzip")]
    pub content_encoding: Option<String>,
    /// What it is, or what the sender says that it is.
    pub kind: BodyKind,
    /// Why it cannot be read, or not without doubt.
    pub error: Option<BodyProblem>,
    /// What templates see as `body`, when all of the decoded body has at most 65536 bytes: JSON as it was sent, forms and XML as
    /// JSON.
    #[schema(required = false, value_type = Value)]
    pub json: Option<Box<RawValue>>,
    /// The decoded body's first 65536 bytes as text, when it is text and not JSON that is shown as such.
    #[schema(example = "a=1&b=2")]
    pub text: Option<String>,
    /// Whether the body goes on after `text`.
    pub truncated: bool,
}

/// Why a body cannot be read, or not without doubt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BodyError)]
pub struct BodyProblem {
    /// The reason, for programs: `unknown_encoding`, `malformed_encoding`, `decodes_to_too_much`, `unknown_charset`,
    /// `malformed`, `too_deep`, `too_many_values`, `too_many_parts`, or `repeated_name`, with which the body is read all the
    /// same, and the last value counts.
    #[schema(example = "malformed")]
    pub code: &'static str,
    /// The reason, for people.
    #[schema(example = "the body is no valid JSON: EOF while parsing a value at line 1 column 6")]
    pub detail: String,
}

impl From<BodyError> for BodyProblem {
    fn from(error: BodyError) -> Self {
        Self {
            code: error.code(),
            detail: error.to_string(),
        }
    }
}

impl BodyPreview {
    /// Shows a body that came with these headers. Takes a while for a long one.
    pub fn new(stored_headers: &[u8], sent: Bytes) -> Self {
        let header = |name| {
            let value = headers::find(stored_headers, name);
            value.map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let bytes = sent.len();
        let body = Body::new(stored_headers, sent);
        let decoded = body.decoded().cloned().unwrap_or_default();
        let truncated = decoded.len() > PREVIEW_BYTES;
        let json = if truncated {
            None
        } else {
            shown_json(&body, &decoded)
        };
        let is_shown = json.is_some() && body.kind() == BodyKind::Json;
        Self {
            bytes,
            content_type: header("content-type"),
            content_encoding: header("content-encoding"),
            kind: body.kind(),
            error: body.error().map(BodyProblem::from),
            text: if is_shown { None } else { shown_text(&body) },
            json,
            truncated,
        }
    }
}

/// JSON as it was sent, where that is possible: its numbers stay as they were written.
fn shown_json(body: &Body, decoded: &[u8]) -> Option<Box<RawValue>> {
    let document = body.document()?;
    let as_sent = || serde_json::from_slice(decoded).ok();
    let as_read = || serde_json::value::to_raw_value(&document.root()).ok();
    match body.kind() {
        BodyKind::Json => as_sent().or_else(as_read),
        _ => as_read(),
    }
}

fn shown_text(body: &Body) -> Option<String> {
    let text = body.text()?;
    let end = (0..=PREVIEW_BYTES.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end))?;
    text.get(..end)
        .filter(|text| !text.contains('\0'))
        .map(str::to_owned)
}

/// Bytes as text, if they are text; a character that was cut at the end is left out.
pub fn text(bytes: &[u8]) -> Option<String> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    (!valid.contains('\0')).then(|| valid.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        let stored = b"x-api-key: hgk_secret\r\nAuthorization: Bearer secret\r\nx-github-event: push\r\n";
        let shown = serde_json::to_string(&HeaderView::all(stored)).expect("json");
        assert!(!shown.contains("secret") && shown.contains("push"), "{shown}");
    }

    #[test]
    fn a_body_is_shown_as_what_it_is() {
        let shown = |body: &[u8]| {
            let preview = BodyPreview::new(b"content-type: a/b\r\n", Bytes::copy_from_slice(body));
            serde_json::to_value(preview).expect("json")
        };
        let json = shown(br#"{"id": 12345678901234567890123}"#);
        assert!(
            json["json"].to_string().contains("12345678901234567890123") || json["json"]["id"].is_number()
        );
        assert_eq!(json["text"], serde_json::Value::Null);
        assert_eq!(json["content_type"], "a/b");
        assert_eq!(shown("größe".as_bytes())["text"], "größe");
        assert_eq!(shown(b"\xff\x00")["text"], serde_json::Value::Null);
        assert_eq!(shown(b"")["text"], "");
        let long = shown("ä".repeat(40_000).as_bytes());
        assert_eq!(long["truncated"], true);
        assert_eq!(long["text"].as_str().map(str::len), Some(65_536));
    }
}
