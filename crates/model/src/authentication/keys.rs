//! Keys that senders publish, fetched by whoever may do I/O, and looked up here.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;
use x509_cert::der::Encode;

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
    /// The algorithm that the key is meant for, if it says so.
    pub algorithm: Option<KeyAlgorithm>,
    pub curve: Option<EllipticCurve>,
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
        Self::from_keys(set.keys)
    }

    /// Takes the keys of a set; those that cannot be used are left out.
    pub(super) fn from_keys(keys: impl IntoIterator<Item = Value>) -> Result<Self, UnreadableKeys> {
        let keys: Vec<PublishedKey> = keys
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
    fn read(key: Value) -> Option<Self> {
        let key: Jwk = serde_json::from_value(key).ok()?;
        let is_public = !matches!(key.algorithm, AlgorithmParameters::OctetKey(_));
        let is_for_signatures = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let curve = match &key.algorithm {
            AlgorithmParameters::EllipticCurve(parameters) => Some(parameters.curve.clone()),
            AlgorithmParameters::OctetKeyPair(parameters) => Some(parameters.curve.clone()),
            _ => None,
        };
        (is_public && is_for_signatures).then_some(())?;
        Some(Self {
            key: DecodingKey::from_jwk(&key).ok()?,
            id: key.common.key_id,
            algorithm: key.common.key_algorithm,
            curve,
        })
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

    fn read(pem: &[u8]) -> Option<Self> {
        let pem = pem.get(..).filter(|pem| pem.len() <= CERTIFICATE_BYTES)?;
        let chain = x509_cert::Certificate::load_pem_chain(pem).ok()?;
        let certificate = chain.first()?.tbs_certificate();
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
