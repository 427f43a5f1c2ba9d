//! API keys: 256 random bits that a sender presents in `x-api-key` or `authorization`.
//!
//! A key is stored as its SHA-256 only. A slow hash would buy nothing against 256 random bits, and would cost every
//! request.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use utoipa::ToSchema;

use super::pairs::{self, Found};
use super::place::{HeaderName, ParameterName};
use super::problem::{Problem, check_count};
use super::request::Request;
use super::trace::Trace;
use super::verdict::{Accepted, Denial, DenialCode};
use super::verifier::Outcome;
use crate::ids::ApiKeyId;

/// The beginning of every API key, by which people and secret scanners know it.
pub const PREFIX: &str = "hgk_";
/// The headers in which a key is looked for unless the webhook names others, in this order.
const HEADERS: [&str; 2] = ["x-api-key", "authorization"];
/// How many headers can be named.
const MAX_HEADERS: usize = 5;

/// One of the webhook's API keys, in a header: bare, or after `Bearer `.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyAuthentication, example = json!({"headers": ["x-api-key", "authorization"]}))]
pub struct ApiKeySettings {
    /// The headers in which it may stand; the first that is there counts.
    #[serde(default = "default_headers")]
    #[schema(default = json!(["x-api-key", "authorization"]), max_items = 5)]
    pub headers: Vec<HeaderName>,
    /// A query parameter in which it may stand, for senders that cannot set headers. URLs end up in logs: give such a
    /// sender a key of its own. By default no parameter is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_parameter: Option<ParameterName>,
}

impl Default for ApiKeySettings {
    fn default() -> Self {
        Self {
            headers: default_headers(),
            query_parameter: None,
        }
    }
}

fn default_headers() -> Vec<HeaderName> {
    HEADERS
        .iter()
        .filter_map(|name| HeaderName::parse(name).ok())
        .collect()
}

impl ApiKeySettings {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if self.query_parameter.is_none() || self.headers.len() > MAX_HEADERS {
            check_count(problems, "/headers", self.headers.len(), MAX_HEADERS);
        }
    }
}

/// A stored key, as far as checking needs it.
#[derive(Clone)]
pub struct StoredKey {
    /// Which key it is.
    pub id: ApiKeyId,
    /// The SHA-256 of its text.
    pub digest: [u8; 32],
    /// From when it is not valid any more.
    pub expires_at: Option<DateTime<Utc>>,
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKey")
            .field("id", &self.id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Makes the text of a key from random bytes of a cryptographically secure generator.
pub fn text(random: [u8; 32]) -> String {
    use base64::Engine;
    format!(
        "{PREFIX}{}",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)
    )
}

/// The stored form of a key.
pub fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// The check of a webhook's keys.
pub(super) struct ApiKeys {
    settings: ApiKeySettings,
    keys: Vec<StoredKey>,
}

impl ApiKeys {
    pub fn new(settings: &ApiKeySettings, keys: &[StoredKey]) -> Self {
        Self {
            settings: settings.clone(),
            keys: keys.to_vec(),
        }
    }

    /// Every stored key is compared in constant time, so that timing tells nothing of them.
    pub fn verify(&self, request: &Request<'_>, trace: &mut Trace) -> Outcome {
        let key = self.presented(request)?;
        trace.passed("presented", || format!("a key of {} characters", key.len()));
        let digest = digest(&key);
        let mut found = None;
        for key in &self.keys {
            let equal: Choice = key.digest.ct_eq(&digest);
            if bool::from(equal) {
                found = Some(key);
            }
        }
        let Some(key) = found else {
            let detail = "The API key is not valid for this webhook.";
            return Err(Denial::new(DenialCode::ApiKeyWrong, detail).into());
        };
        if key.expires_at.is_some_and(|end| end <= request.now) {
            return Err(Denial::new(DenialCode::ApiKeyExpired, "The API key has expired.").into());
        }
        trace.passed("api_key", || {
            format!("it is {}, one of the webhook's keys", key.id)
        });
        Ok(Accepted {
            api_key: Some(key.id),
            ..Accepted::default()
        })
    }

    fn presented<'a>(&self, request: &Request<'a>) -> Result<Cow<'a, [u8]>, Denial> {
        for name in &self.settings.headers {
            if let Some(value) = request.headers.combined(name.as_str()) {
                return Ok(without_scheme(value));
            }
        }
        if let Some(name) = &self.settings.query_parameter {
            match pairs::find(request.query.as_bytes(), name.as_str()) {
                Found::One(value) => return Ok(value),
                Found::Several => {
                    return Err(Denial::new(
                        DenialCode::ApiKeyWrong,
                        format!("The query parameter `{name}` may be given once."),
                    ));
                }
                Found::Missing => {}
            }
        }
        Err(Denial::new(DenialCode::ApiKeyMissing, self.how_to_send()))
    }

    fn how_to_send(&self) -> String {
        let headers = self
            .settings
            .headers
            .iter()
            .map(|name| format!("header `{name}`"));
        let query = self.settings.query_parameter.iter();
        let places: Vec<String> = headers
            .chain(query.map(|name| format!("query parameter `{name}`")))
            .collect();
        format!(
            "This webhook requires an API key: send it in the {}.",
            places.join(" or the ")
        )
    }
}

/// A value without a leading `Bearer `; the scheme's case does not matter (RFC 9110, section 11.1).
fn without_scheme(value: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    fn bare(value: &[u8]) -> &[u8] {
        match value.split_at_checked(7) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest.trim_ascii(),
            _ => value.trim_ascii(),
        }
    }
    match value {
        Cow::Borrowed(value) => Cow::Borrowed(bare(value)),
        Cow::Owned(value) => Cow::Owned(bare(&value).to_vec()),
    }
}

#[cfg(test)]
mod tests;
