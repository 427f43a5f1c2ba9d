//! The keys of signed tokens: which of them may verify which token.
//!
//! A key takes only the algorithms of its own type, whatever a token says: a public key never becomes a shared secret.

use std::sync::Arc;

use jsonwebtoken::{DecodingKey, Header};
use serde_json::{Map, Value};

use super::jwt::{JwtAlgorithm, JwtKeys};
use super::jwt_token::Token;
use super::keys::{ExternalKeys, JwkSet, PublishedKey};
use super::problem::{Problem, ProblemCode};
use super::verdict::{Denial, DenialCode, KeyKind, KeyRequest};
use super::verifier::{Material, Stop};
use crate::ids::SecretId;

/// How many keys are tried for one token that names none.
const TRIED_KEYS: usize = 10;

/// Where keys come from.
pub(super) enum KeySource {
    Published(String),
    Given(Vec<PublishedKey>),
    Secrets(Vec<(SecretId, DecodingKey)>),
}

/// What a token was verified with.
pub(super) enum Verified {
    With(Option<SecretId>),
    No,
}

impl KeySource {
    pub fn compile(
        keys: &JwtKeys,
        algorithms: &[JwtAlgorithm],
        material: &Material,
    ) -> Result<Self, Problem> {
        match keys {
            JwtKeys::Url { url } => Ok(Self::Published(url.clone())),
            JwtKeys::Inline { keys } => Self::inline(keys, algorithms),
            JwtKeys::Pem { keys } => Self::pem(keys, algorithms),
            JwtKeys::Secrets { secrets, key } => {
                let secrets = secrets.iter().enumerate().map(|(index, id)| {
                    let pointer = format!("/keys/secrets/{index}");
                    let key = key.decode(material.secret(*id, &pointer)?, *id, &pointer)?;
                    Ok((*id, DecodingKey::from_secret(&key)))
                });
                Ok(Self::Secrets(secrets.collect::<Result<_, Problem>>()?))
            }
        }
    }

    /// Reads JSON Web Keys; each must be of use.
    pub fn inline(keys: &[Map<String, Value>], algorithms: &[JwtAlgorithm]) -> Result<Self, Problem> {
        let keys = keys.iter().enumerate().map(|(index, key)| {
            let is_private = key.contains_key("d") || key.contains_key("k");
            let read = (!is_private)
                .then(|| PublishedKey::read(Value::Object(key.clone())))
                .flatten();
            let read = read.filter(|key| {
                algorithms
                    .iter()
                    .any(|algorithm| key.takes(algorithm.to_library()))
            });
            read.ok_or_else(|| {
                let detail = if is_private {
                    "is a private key or a secret: give the public one, and consider this one lost"
                } else {
                    "must be a public JSON Web Key (RFC 7517) for signatures with one of the `algorithms`"
                };
                Problem::new(format!("/keys/keys/{index}"), ProblemCode::Invalid, detail)
            })
        });
        Ok(Self::Given(keys.collect::<Result<_, _>>()?))
    }

    /// Reads public keys in PEM; each must be of use.
    pub fn pem(keys: &[String], algorithms: &[JwtAlgorithm]) -> Result<Self, Problem> {
        let mut all = Vec::new();
        for (index, pem) in keys.iter().enumerate() {
            let before = all.len();
            let read = algorithms
                .iter()
                .filter_map(|algorithm| PublishedKey::from_pem(pem, algorithm.to_library()));
            all.extend(read);
            if all.len() == before || pem.contains("PRIVATE") {
                return Err(Problem::new(
                    format!("/keys/keys/{index}"),
                    ProblemCode::Invalid,
                    "must be a public key in PEM (`-----BEGIN PUBLIC KEY-----`) for one of the `algorithms`",
                ));
            }
        }
        Ok(Self::Given(all))
    }

    /// Whether a key verifies a token's signature.
    pub fn verify(&self, token: &Token<'_>, keys: &dyn ExternalKeys) -> Result<Verified, Stop> {
        let Token { header, .. } = token;
        let verifies = |key: &DecodingKey| {
            jsonwebtoken::crypto::verify(token.signature, token.message, key, header.alg).unwrap_or(false)
        };
        match self {
            Self::Secrets(secrets) => {
                let mut used = Verified::No;
                for (id, key) in secrets {
                    if verifies(key) {
                        used = Verified::With(Some(*id));
                    }
                }
                Ok(used)
            }
            Self::Given(given) => {
                let keys = fitting(given, header).ok_or_else(unknown)?;
                Ok(any(keys.iter().any(|key| verifies(&key.key))))
            }
            Self::Published(url) => {
                let request = |is_refresh| {
                    Stop::NeedsKeys(KeyRequest {
                        kind: KeyKind::Jwks,
                        url: url.clone(),
                        is_refresh,
                    })
                };
                let set: Arc<JwkSet> = keys.jwks(url).ok_or_else(|| request(false))?;
                let keys = fitting(set.keys(), header).ok_or_else(|| request(true))?;
                Ok(any(keys.iter().any(|key| verifies(&key.key))))
            }
        }
    }
}

fn any(is_verified: bool) -> Verified {
    if is_verified {
        Verified::With(None)
    } else {
        Verified::No
    }
}

fn unknown() -> Denial {
    Denial::new(
        DenialCode::KeyUnknown,
        "The token names a key, or an algorithm, that is not among the configured keys.",
    )
}

/// The keys that may have signed a token: with its key id, if it has one and the keys have ids. `None` when there is none.
fn fitting<'k>(keys: &'k [PublishedKey], header: &Header) -> Option<Vec<&'k PublishedKey>> {
    let may = |key: &&PublishedKey| match (&header.kid, &key.id) {
        (Some(wanted), Some(id)) => wanted == id,
        _ => true,
    };
    let takes = |key: &&PublishedKey| key.takes(header.alg);
    let fitting: Vec<&PublishedKey> = keys.iter().filter(may).filter(takes).take(TRIED_KEYS).collect();
    (!fitting.is_empty()).then_some(fitting)
}
