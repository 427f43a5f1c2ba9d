//! Signatures of outgoing calls: Standard Webhooks (<https://www.standardwebhooks.com>).
//!
//! The signed content is `<webhook-id>.<webhook-timestamp>.<body>`: version 1 under HMAC-SHA256 with the secret's bytes,
//! version 1a under an Ed25519 key, whose public half the receiver is given.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use utoipa::ToSchema;

/// What an HMAC secret begins with, before its base64.
pub const PREFIX: &str = "whsec_";
/// What a private Ed25519 key begins with.
pub const PRIVATE_KEY_PREFIX: &str = "whsk_";
/// What a public Ed25519 key begins with.
pub const PUBLIC_KEY_PREFIX: &str = "whpk_";
/// How many bytes an HMAC secret may have; the specification asks for 24 to 64, older secrets may be shorter.
pub const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
/// The bytes from which a private Ed25519 key is made.
const SEED_BYTES: usize = 32;

/// The header that carries the idempotency key.
pub const ID_HEADER: &str = "webhook-id";
/// The header that carries the time of the attempt, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header that carries the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// The kinds of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignatureVersion {
    /// HMAC-SHA256, with a secret that both sides know.
    #[default]
    V1,
    /// Ed25519: the receiver needs the public key alone.
    V1a,
}

/// A secret that signs calls.
#[derive(Clone)]
pub struct SigningSecret(Key);

#[derive(Clone)]
enum Key {
    Hmac(Vec<u8>),
    Ed25519 {
        seed: [u8; SEED_BYTES],
        pair: Arc<Ed25519KeyPair>,
    },
}

/// The text is no signing secret. The text itself is never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `whsec_` and the base64 of 16 to 64 bytes, or `whsk_` and the base64 of an Ed25519 key (32 bytes, or 64 with its public key)"
)]
pub struct InvalidSigningSecret;

impl SigningSecret {
    /// A secret of a version, made of 32 random bytes.
    ///
    /// # Errors
    /// Never for random bytes.
    pub fn generate(version: SignatureVersion, random: &[u8; 32]) -> Result<Self, InvalidSigningSecret> {
        match version {
            SignatureVersion::V1 => Self::from_bytes(random),
            SignatureVersion::V1a => Self::from_seed(random),
        }
    }

    /// Takes 16 to 64 random bytes for HMAC.
    ///
    /// # Errors
    /// For another length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSigningSecret> {
        if SECRET_BYTES.contains(&bytes.len()) {
            Ok(Self(Key::Hmac(bytes.to_vec())))
        } else {
            Err(InvalidSigningSecret)
        }
    }

    fn from_seed(seed: &[u8; SEED_BYTES]) -> Result<Self, InvalidSigningSecret> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidSigningSecret)?;
        Ok(Self(Key::Ed25519 {
            seed: *seed,
            pair: Arc::new(pair),
        }))
    }

    /// Reads the `whsec_…` or `whsk_…` form.
    ///
    /// # Errors
    /// When it is of neither, or a private key comes with the public key of another.
    pub fn parse(text: &str) -> Result<Self, InvalidSigningSecret> {
        let decode = |encoded| STANDARD.decode(encoded).map_err(|_| InvalidSigningSecret);
        if let Some(encoded) = text.strip_prefix(PREFIX) {
            return Self::from_bytes(&decode(encoded)?);
        }
        let encoded = text
            .strip_prefix(PRIVATE_KEY_PREFIX)
            .ok_or(InvalidSigningSecret)?;
        let bytes = decode(encoded)?;
        let (seed, public) = bytes
            .split_first_chunk::<SEED_BYTES>()
            .ok_or(InvalidSigningSecret)?;
        let secret = Self::from_seed(seed)?;
        match &secret.0 {
            Key::Ed25519 { pair, .. } if public.is_empty() || public == pair.public_key().as_ref() => {
                Ok(secret)
            }
            _ => Err(InvalidSigningSecret),
        }
    }

    /// The `whsec_…` or `whsk_…` form, which its owner sees once.
    pub fn expose(&self) -> String {
        match &self.0 {
            Key::Hmac(bytes) => format!("{PREFIX}{}", STANDARD.encode(bytes)),
            Key::Ed25519 { seed, pair } => {
                let both = [&seed[..], pair.public_key().as_ref()].concat();
                format!("{PRIVATE_KEY_PREFIX}{}", STANDARD.encode(both))
            }
        }
    }

    /// The kind of its signatures.
    pub const fn version(&self) -> SignatureVersion {
        match &self.0 {
            Key::Hmac(_) => SignatureVersion::V1,
            Key::Ed25519 { .. } => SignatureVersion::V1a,
        }
    }

    /// What a receiver verifies version 1a with, in its `whpk_…` form.
    pub fn public_key(&self) -> Option<String> {
        match &self.0 {
            Key::Hmac(_) => None,
            Key::Ed25519 { pair, .. } => Some(format!(
                "{PUBLIC_KEY_PREFIX}{}",
                STANDARD.encode(pair.public_key())
            )),
        }
    }

    /// A signature in [`SIGNATURE_HEADER`], which may hold several with a space between.
    pub fn sign(&self, id: &str, timestamp: DateTime<Utc>, body: &[u8]) -> String {
        let head = format!("{id}.{}.", timestamp.timestamp());
        match &self.0 {
            Key::Hmac(bytes) => {
                // HMAC takes a key of any length, so this cannot fail; an empty signature would be refused by any receiver.
                let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(bytes) else {
                    return String::new();
                };
                mac.update(head.as_bytes());
                mac.update(body);
                format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
            }
            Key::Ed25519 { pair, .. } => {
                let signature = pair.sign(&[head.as_bytes(), body].concat());
                format!("v1a,{}", STANDARD.encode(signature))
            }
        }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn time() -> DateTime<Utc> {
        DateTime::from_timestamp(1_614_265_330, 0).expect("a time")
    }

    /// The example of the specification and of its reference libraries.
    #[test]
    fn the_published_vector_is_reproduced() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        assert_eq!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time(), BODY),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(secret.expose(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(
            (secret.version(), secret.public_key()),
            (SignatureVersion::V1, None)
        );
    }

    #[test]
    fn an_ed25519_signature_is_verified_with_the_public_key() {
        let secret = SigningSecret::generate(SignatureVersion::V1a, &[7; 32]).expect("a secret");
        let public = secret.public_key().expect("a public key");
        let public = STANDARD
            .decode(public.strip_prefix("whpk_").expect("its prefix"))
            .expect("base64");
        let signature = secret.sign("msg_1", time(), BODY);
        let signature = STANDARD
            .decode(signature.strip_prefix("v1a,").expect("its version"))
            .expect("base64");
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public);
        let signed = [b"msg_1.1614265330.", BODY].concat();
        key.verify(&signed, &signature).expect("a valid signature");
        let again = SigningSecret::parse(&secret.expose()).expect("a secret");
        assert_eq!(again.public_key(), secret.public_key());
        let seed_alone = format!("whsk_{}", STANDARD.encode([7; 32]));
        let from_seed = SigningSecret::parse(&seed_alone).expect("a secret");
        assert_eq!(from_seed.public_key(), secret.public_key());
    }

    #[test]
    fn other_texts_are_refused_and_never_shown() {
        let foreign = format!("whsk_{}", STANDARD.encode([7; 64]));
        let short = format!("whsk_{}", STANDARD.encode([7; 31]));
        for text in [
            "",
            "whsec_",
            "whsec_c2hvcnQ=",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_!",
            "whsk_",
            &foreign,
            &short,
        ] {
            assert!(SigningSecret::parse(text).is_err(), "{text}");
        }
        let secret = SigningSecret::from_bytes(&[7; 32]).expect("a secret");
        assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
    }
}
