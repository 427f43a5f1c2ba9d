//! Hashes without a key. They prove that the body came unchanged, and who sent it only when a secret is hashed along.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content::{Hash, Part};
use super::hmac::body;
use super::signature::SignatureSettings;
use crate::ids::SecretId;

/// A hash over parts of the request. Without a `secret` among the parts anybody can make one: combine it with another
/// kind by `all_of`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"hash": "sha256", "content": [{"part": "secret"}, {"part": "body"}],
    "value": {"at": {"in": "header", "name": "x-hubspot-signature"}}, "secrets": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}))]
pub struct DigestSettings {
    /// The hash function.
    #[serde(default)]
    pub hash: Hash,
    /// What is hashed.
    #[serde(default = "body")]
    #[schema(min_items = 1, max_items = 32)]
    pub content: Vec<Part>,
    /// Where the hash is.
    pub value: SignatureSettings,
    /// The live secrets, of which one is put for the part `secret`.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub secrets: Vec<SecretId>,
}
