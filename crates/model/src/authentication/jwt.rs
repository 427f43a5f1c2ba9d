//! Tokens (JWT, RFC 7519) that the sender signs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::content::{Encoding, Hash};
use super::place::{HeaderName, Place};
use crate::ids::SecretId;

/// A token (JWT) that the sender signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"keys": {"from": "url", "url": "https://www.googleapis.com/oauth2/v3/certs"},
    "algorithms": ["RS256"], "issuers": ["https://accounts.google.com"], "audiences": ["https://hooks.example.com"],
    "claims": {"email": "pusher@project.iam.gserviceaccount.com", "email_verified": true}}))]
pub struct JwtSettings {
    /// Where the token is.
    #[serde(default = "authorization")]
    #[schema(default = json!({"in": "header", "name": "authorization"}))]
    pub at: Place,
    /// What stands before it; case does not matter. In `authorization` it is `Bearer ` unless this says otherwise.
    #[serde(default)]
    #[schema(example = "Bearer ")]
    pub prefix: Option<String>,
    /// The keys.
    pub keys: JwtKeys,
    /// The algorithms that may sign it. All are of the keys' type: secrets allow HS256 to HS512 only, public keys none of these.
    #[schema(min_items = 1, max_items = 12)]
    pub algorithms: Vec<JwtAlgorithm>,
    /// The allowed issuers (`iss`); empty: not looked at.
    #[serde(default)]
    #[schema(max_items = 10, example = json!(["https://accounts.google.com"]))]
    pub issuers: Vec<String>,
    /// The allowed audiences (`aud`), of which the token must name one; empty: not looked at.
    #[serde(default)]
    #[schema(max_items = 10, example = json!(["https://hooks.example.com"]))]
    pub audiences: Vec<String>,
    /// Claims that must have exactly these values.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"email_verified": true}))]
    pub claims: BTreeMap<String, Value>,
    /// A claim that holds a hash of the body.
    #[serde(default)]
    pub body_hash: Option<BodyHashClaim>,
    /// Whether `exp` must be there. If it is there, it counts in any case.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub require_expiry: bool,
    /// How old the token may be by `iat`, which must then be there, in seconds.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 86_400)]
    pub max_age_seconds: Option<u32>,
    /// How far clocks may be apart, in seconds.
    #[serde(default = "leeway")]
    #[schema(default = 60, maximum = 300)]
    pub leeway_seconds: u32,
}

fn authorization() -> Place {
    Place::Header {
        name: HeaderName::authorization(),
    }
}
fn yes() -> bool {
    true
}
fn leeway() -> u32 {
    60
}

/// The keys of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"from": "url", "url": "https://www.googleapis.com/oauth2/v3/certs"}))]
pub enum JwtKeys {
    /// A JSON Web Key Set (RFC 7517) that the sender publishes. It is fetched when it is needed, and kept.
    Url {
        /// Its address; https only.
        #[schema(max_length = 2000, example = "https://www.googleapis.com/oauth2/v3/certs")]
        url: String,
    },
    /// JSON Web Keys (RFC 7517), public ones.
    Inline {
        /// The keys.
        #[schema(value_type = Vec<Object>, min_items = 1, max_items = 10)]
        keys: Vec<Map<String, Value>>,
    },
    /// Public keys in PEM.
    Pem {
        /// The keys.
        #[schema(min_items = 1, max_items = 10, example = json!(["-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----"]))]
        keys: Vec<String>,
    },
    /// Shared secrets.
    Secrets {
        /// The live secrets.
        #[schema(min_items = 1, max_items = 10)]
        secrets: Vec<SecretId>,
    },
}

/// An algorithm that signs tokens (RFC 7518, section 3.1). There is no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum JwtAlgorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// A claim that holds a hash of the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"claim": "request_body_sha256"}))]
pub struct BodyHashClaim {
    /// Its name.
    #[schema(example = "request_body_sha256", max_length = 200)]
    pub claim: String,
    /// The hash function.
    #[serde(default)]
    pub hash: Hash,
    /// How it is written.
    #[serde(default)]
    pub encoding: Encoding,
}
