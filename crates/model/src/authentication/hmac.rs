//! Signatures with a shared secret: HMAC (RFC 2104) over parts of the request.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content::{Hash, Part};
use super::place::Pointer;
use super::signature::SignatureSettings;
use super::timestamp::TimestampSettings;
use crate::ids::SecretId;

/// An HMAC over parts of the request: any of its signatures under any of the secrets is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"hash": "sha256", "content": [{"part": "body"}], "secrets": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"],
    "signature": {"at": {"in": "header", "name": "x-hub-signature-256"}, "prefix": "sha256="}}))]
pub struct HmacSettings {
    /// The hash function.
    #[serde(default)]
    pub hash: Hash,
    /// How a secret becomes the key.
    #[serde(default)]
    pub key: KeySettings,
    /// What is signed.
    #[serde(default = "body")]
    #[schema(min_items = 1, max_items = 32)]
    pub content: Vec<Part>,
    /// Where the signatures are.
    pub signature: SignatureSettings,
    /// The time of signing, if it is signed.
    #[serde(default)]
    pub timestamp: Option<TimestampSettings>,
    /// A list in a JSON body of which each item is signed for itself: pointers start at the item, and one wrong item
    /// refuses the whole request.
    #[serde(default)]
    pub items: Option<Pointer>,
    /// The live secrets.
    #[schema(min_items = 1, max_items = 10)]
    pub secrets: Vec<SecretId>,
}

pub(super) fn body() -> Vec<Part> {
    vec![Part::Body]
}

/// How a secret's text becomes the key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HmacKeySettings, example = json!({"encoding": "base64", "strip_prefix": "whsec_"}))]
pub struct KeySettings {
    /// What its text is.
    #[serde(default)]
    pub encoding: KeyEncoding,
    /// What is taken away from its beginning first, if it is there.
    #[serde(default)]
    #[schema(example = "whsec_")]
    pub strip_prefix: Option<String>,
}

/// What the text of a secret is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyEncoding {
    /// The key itself.
    #[default]
    Utf8,
    /// The key in base64 (either alphabet, padded or not).
    Base64,
    /// The key in hexadecimal digits.
    Hex,
}
