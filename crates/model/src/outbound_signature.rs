//! Signatures of outgoing calls: Standard Webhooks, version 1 (<https://www.standardwebhooks.com>).
//!
//! The signed content is `<webhook-id>.<webhook-timestamp>.<body>`, under HMAC-SHA256 with the secret's bytes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a secret begins with, before its base64.
pub const PREFIX: &str = "whsec_";
/// How many bytes a secret may have; the specification asks for 24 to 64, older secrets may be shorter.
pub const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// The header that carries the idempotency key.
pub const ID_HEADER: &str = "webhook-id";
/// The header that carries the time of the attempt, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header that carries the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// A secret that signs calls.
#[derive(Clone)]
pub struct SigningSecret(Vec<u8>);

/// The text is no signing secret. The text itself is never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `whsec_` and the base64 of 16 to 64 bytes")]
pub struct InvalidSigningSecret;

impl SigningSecret {
    /// Takes 16 to 64 random bytes.
    ///
    /// # Errors
    /// For another length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSigningSecret> {
        if SECRET_BYTES.contains(&bytes.len()) {
            Ok(Self(bytes.to_vec()))
        } else {
            Err(InvalidSigningSecret)
        }
    }

    /// Reads the `whsec_…` form.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn parse(text: &str) -> Result<Self, InvalidSigningSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSigningSecret)?;
        Self::from_bytes(&STANDARD.decode(encoded).map_err(|_| InvalidSigningSecret)?)
    }

    /// The `whsec_…` form, which its owner sees once.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// The value of [`SIGNATURE_HEADER`] for a body.
    pub fn sign(&self, id: &str, timestamp: DateTime<Utc>, body: &[u8]) -> String {
        // HMAC takes a key of any length, so this cannot fail; an empty signature would be refused by any receiver.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        mac.update(format!("{id}.{}.", timestamp.timestamp()).as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
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

    /// The example of the specification and of its reference libraries.
    #[test]
    fn the_published_vector_is_reproduced() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let time = DateTime::from_timestamp(1_614_265_330, 0).expect("a time");
        assert_eq!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time, br#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(secret.expose(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    }

    #[test]
    fn other_texts_are_refused_and_never_shown() {
        for text in [
            "",
            "whsec_",
            "whsec_c2hvcnQ=",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_!",
        ] {
            assert!(SigningSecret::parse(text).is_err(), "{text}");
        }
        let secret = SigningSecret::from_bytes(&[7; 32]).expect("a secret");
        assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
    }
}
