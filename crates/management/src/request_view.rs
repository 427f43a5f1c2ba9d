//! The headers and the body of a stored request, as far as JSON can show them.

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

/// The beginning of a body.
#[derive(Debug, Serialize, ToSchema)]
pub struct BodyPreview {
    /// The length of the whole body, in bytes.
    #[schema(example = 512)]
    pub bytes: usize,
    /// The `content-type` that the sender gave.
    #[schema(example = "application/json")]
    pub content_type: Option<String>,
    /// The body as JSON, when all of it is JSON of at most 65536 bytes.
    #[schema(value_type = Option<Object>)]
    pub json: Option<Box<RawValue>>,
    /// The body's first 65536 bytes as text, when it is text and not shown as JSON.
    pub text: Option<String>,
    /// Whether the body goes on after `text`.
    pub truncated: bool,
}

impl BodyPreview {
    /// Shows a body that came with these headers.
    pub fn new(stored_headers: &[u8], body: &[u8]) -> Self {
        let content_type = headers::find(stored_headers, "content-type");
        let shown = body.get(..PREVIEW_BYTES).unwrap_or(body);
        let truncated = shown.len() < body.len();
        let json = if truncated {
            None
        } else {
            serde_json::from_slice(body).ok()
        };
        Self {
            bytes: body.len(),
            content_type: content_type.map(|value| String::from_utf8_lossy(value).into_owned()),
            text: if json.is_some() { None } else { text(shown) },
            json,
            truncated,
        }
    }
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
            serde_json::to_value(BodyPreview::new(b"content-type: a/b\r\n", body)).expect("json")
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
