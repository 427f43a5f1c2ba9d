//! Keys that senders publish, fetched by whoever may do I/O, and looked up here.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use x509_cert::der::{Decode, Encode};

/// The longest key set, in bytes.
pub const JWKS_BYTES: usize = 256 * 1024;
/// The longest certificate with its chain, in bytes.
pub const CERTIFICATE_BYTES: usize = 64 * 1024;
/// How many keys of a set are looked at.
const MAX_KEYS: usize = 100;

/// Keys that were fetched before. `None`: not at hand, so that the verdict says which to fetch.
pub trait ExternalKeys {
    /// The key set at a URL.
    fn jwks(&self, url: &str) -> Option<Arc<JwkSet>>;
    /// The certificate at a URL.
    fn certificate(&self, url: &str) -> Option<Arc<Certificate>>;
}

/// No keys at all.
#[derive(Debug, Clone, Copy)]
pub struct NoKeys;

impl ExternalKeys for NoKeys {
    fn jwks(&self, _: &str) -> Option<Arc<JwkSet>> {
        None
    }
    fn certificate(&self, _: &str) -> Option<Arc<Certificate>> {
        None
    }
}

/// What a sender publishes is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableKeys {
    /// No JSON Web Key Set, or none with a usable key.
    #[error("expected a JSON Web Key Set (RFC 7517) with a key for signatures")]
    Jwks,
    /// No certificate.
    #[error("expected an X.509 certificate in PEM")]
    Certificate,
}

/// The keys of a JSON Web Key Set that can verify signatures. Shared secrets and keys for encryption are left out.
pub struct JwkSet {
    keys: Vec<PublishedKey>,
}

/// A key of a set.
pub(super) struct PublishedKey {
    pub id: Option<String>,
    /// The algorithms that the key can verify.
    algorithms: Vec<Algorithm>,
    pub key: DecodingKey,
}

impl JwkSet {
    /// Reads a set.
    ///
    /// # Errors
    /// When it is longer than [`JWKS_BYTES`], is no set, or has no key that can be used.
    pub fn parse(json: &[u8]) -> Result<Self, UnreadableKeys> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        if json.len() > JWKS_BYTES {
            return Err(UnreadableKeys::Jwks);
        }
        let set: Set = serde_json::from_slice(json).map_err(|_| UnreadableKeys::Jwks)?;
        let keys: Vec<PublishedKey> = set
            .keys
            .into_iter()
            .take(MAX_KEYS)
            .filter_map(PublishedKey::read)
            .collect();
        if keys.is_empty() {
            return Err(UnreadableKeys::Jwks);
        }
        Ok(Self { keys })
    }

    pub(super) fn keys(&self) -> &[PublishedKey] {
        &self.keys
    }
}

impl PublishedKey {
    pub(super) fn read(key: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let fitting: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms(),
            AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => &[],
            },
            AlgorithmParameters::OctetKeyPair(parameters) => match parameters.curve {
                EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
                _ => &[],
            },
            // A shared secret has no place among public keys.
            _ => &[],
        };
        let meant: Option<Algorithm> = match jwk.common.key_algorithm {
            None => None,
            Some(meant) => Some(meant.to_string().parse().ok()?),
        };
        let algorithms: Vec<Algorithm> = fitting
            .iter()
            .copied()
            .filter(|algorithm| meant.is_none_or(|meant| meant == *algorithm))
            .collect();
        (!algorithms.is_empty()).then_some(())?;
        Some(Self {
            key: DecodingKey::from_jwk(&jwk).ok()?,
            id: jwk.common.key_id,
            algorithms,
        })
    }

    /// A key from PEM, for one algorithm.
    pub(super) fn from_pem(pem: &str, algorithm: Algorithm) -> Option<Self> {
        let key = match algorithm.family() {
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem.as_bytes()),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem.as_bytes()),
            AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem.as_bytes()),
            AlgorithmFamily::Hmac => return None,
        };
        Some(Self {
            id: None,
            algorithms: vec![algorithm],
            key: key.ok()?,
        })
    }

    /// Whether the key may verify a signature of an algorithm.
    pub(super) fn takes(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }
}

impl fmt::Debug for JwkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| &key.id))
            .finish()
    }
}

/// A sender's certificate. Where it came from is what makes it trusted: an allowed host, over https.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The key, as a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) in DER.
    pub(super) public_key: Vec<u8>,
    not_before: i64,
    not_after: i64,
}

impl Certificate {
    /// Reads a certificate in PEM; of a chain, the first one.
    ///
    /// # Errors
    /// When it is longer than [`CERTIFICATE_BYTES`] or is no certificate.
    pub fn parse(pem: &[u8]) -> Result<Self, UnreadableKeys> {
        Self::read(pem).ok_or(UnreadableKeys::Certificate)
    }

    fn read(text: &[u8]) -> Option<Self> {
        if text.len() > CERTIFICATE_BYTES {
            return None;
        }
        let blocks = pem::parse_many(text).ok()?;
        let first = blocks.iter().find(|block| block.tag() == "CERTIFICATE")?;
        Self::from_der(first.contents())
    }

    /// Reads a certificate in DER.
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let certificate = certificate.tbs_certificate();
        let seconds = |time: &x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).ok();
        let validity = certificate.validity();
        Some(Self {
            public_key: certificate.subject_public_key_info().to_der().ok()?,
            not_before: seconds(&validity.not_before)?,
            not_after: seconds(&validity.not_after)?,
        })
    }

    /// Whether the time is within the certificate's.
    pub fn is_valid_at(&self, now: DateTime<Utc>) -> bool {
        (self.not_before..=self.not_after).contains(&now.timestamp())
    }
}
