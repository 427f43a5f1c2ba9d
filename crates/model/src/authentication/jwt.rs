//! Tokens (JWT, RFC 7519) that the sender signs.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::content::{Encoding, Hash};
use super::hmac::KeySettings;
use super::jwt_keys::KeySource;
use super::place::{HeaderName, Place};
use super::problem::{Problem, ProblemCode, check_count, check_some_text, check_text};
use super::secret_set::MAX_SECRETS;
use crate::ids::SecretId;

/// How many keys, issuers or audiences there may be.
const MAX_VALUES: usize = 10;
/// How many claims can be demanded.
const MAX_CLAIMS: usize = 20;
/// The longest name of a claim, in characters.
const MAX_NAME: usize = 200;
/// The longest text elsewhere, in characters.
const MAX_TEXT: usize = 2000;
/// The greatest age, in seconds: a day.
const MAX_AGE: u32 = 86_400;
/// The greatest leeway, in seconds.
const MAX_LEEWAY: u32 = 300;

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
        /// How a secret becomes the key.
        #[serde(default)]
        key: KeySettings,
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

impl JwtAlgorithm {
    pub(super) fn to_library(self) -> Algorithm {
        match self {
            Self::HS256 => Algorithm::HS256,
            Self::HS384 => Algorithm::HS384,
            Self::HS512 => Algorithm::HS512,
            Self::RS256 => Algorithm::RS256,
            Self::RS384 => Algorithm::RS384,
            Self::RS512 => Algorithm::RS512,
            Self::PS256 => Algorithm::PS256,
            Self::PS384 => Algorithm::PS384,
            Self::PS512 => Algorithm::PS512,
            Self::ES256 => Algorithm::ES256,
            Self::ES384 => Algorithm::ES384,
            Self::EdDSA => Algorithm::EdDSA,
        }
    }

    fn is_keyed(self) -> bool {
        self.to_library().family() == AlgorithmFamily::Hmac
    }
}

impl JwtSettings {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        check_count(problems, "/algorithms", self.algorithms.len(), 12);
        let takes_secrets = matches!(self.keys, JwtKeys::Secrets { .. });
        for (index, algorithm) in self.algorithms.iter().enumerate() {
            if algorithm.is_keyed() != takes_secrets {
                // Otherwise a sender's public key could be taken for a secret, with which anybody can sign.
                problems.push(Problem::new(
                    format!("/algorithms/{index}"),
                    ProblemCode::Invalid,
                    "does not go with `keys`: HS256, HS384 and HS512 go with secrets, the others with public keys",
                ));
            }
        }
        self.check_keys(problems);
        if let Some(prefix) = &self.prefix {
            check_text(problems, "/prefix", prefix, 100);
        }
        for (at, values) in [("/issuers", &self.issuers), ("/audiences", &self.audiences)] {
            if !values.is_empty() {
                check_count(problems, at, values.len(), MAX_VALUES);
            }
            for (index, value) in values.iter().enumerate() {
                check_some_text(problems, &format!("{at}/{index}"), value, MAX_TEXT);
            }
        }
        if self.claims.len() > MAX_CLAIMS {
            check_count(problems, "/claims", self.claims.len(), MAX_CLAIMS);
        }
        for name in self.claims.keys() {
            check_some_text(problems, "/claims", name, MAX_NAME);
        }
        if let Some(body_hash) = &self.body_hash {
            check_some_text(problems, "/body_hash/claim", &body_hash.claim, MAX_NAME);
        }
        let bounds = [
            ("/max_age_seconds", self.max_age_seconds, 1..=MAX_AGE),
            ("/leeway_seconds", Some(self.leeway_seconds), 0..=MAX_LEEWAY),
        ];
        for (at, value, bounds) in bounds {
            if value.is_some_and(|value| !bounds.contains(&value)) {
                let detail = format!("must be from {} to {}", bounds.start(), bounds.end());
                problems.push(Problem::new(at, ProblemCode::OutOfRange, detail));
            }
        }
        if !self.require_expiry && self.max_age_seconds.is_none() {
            problems.push(Problem::new(
                "/require_expiry",
                ProblemCode::Invalid,
                "must be true unless `max_age_seconds` bounds the age: a token that never ends can be repeated for ever",
            ));
        }
    }

    fn check_keys(&self, problems: &mut Vec<Problem>) {
        match &self.keys {
            JwtKeys::Url { url } => {
                check_some_text(problems, "/keys/url", url, MAX_TEXT);
                let parsed = url::Url::parse(url);
                let fits = parsed.is_ok_and(|url| {
                    url.scheme() == "https"
                        && url.has_host()
                        && url.username().is_empty()
                        && url.password().is_none()
                });
                if !fits {
                    let detail = "must be an https URL without a user name or password";
                    problems.push(Problem::new("/keys/url", ProblemCode::Invalid, detail));
                }
            }
            JwtKeys::Secrets { secrets, .. } => {
                check_count(problems, "/keys/secrets", secrets.len(), MAX_SECRETS)
            }
            JwtKeys::Inline { keys } => {
                check_count(problems, "/keys/keys", keys.len(), MAX_VALUES);
                problems.extend(KeySource::inline(keys, &self.algorithms).err());
            }
            JwtKeys::Pem { keys } => {
                check_count(problems, "/keys/keys", keys.len(), MAX_VALUES);
                problems.extend(KeySource::pem(keys, &self.algorithms).err());
            }
        }
    }
}
