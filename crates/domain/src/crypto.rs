//! Sealing of secrets at rest: AES-256-GCM under a master key from the environment.
//!
//! The stored form begins with a version byte and the key's id, so that algorithms and keys can change while old rows
//! stay readable: `1 | key id (4 bytes) | nonce (12 bytes) | ciphertext and tag`. What a secret belongs to is bound in
//! as associated data: a row copied into another tenant or table does not open.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine;
use hmac::{Hmac, Mac};
use hookgate_model::deduplication::KeySecret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::clock;
use crate::error::{Error, Result};

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;

/// The key that seals secrets.
#[derive(Clone)]
pub struct MasterKey {
    id: [u8; KEY_ID_BYTES],
    secret: Zeroizing<[u8; 32]>,
    cipher: Aes256Gcm,
}

impl MasterKey {
    /// Reads a key of 32 bytes from base64.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text, never the text itself.
    pub fn from_base64(text: &str) -> Result<Self, &'static str> {
        let bytes = Zeroizing::new(
            base64::engine::general_purpose::STANDARD
                .decode(text.trim())
                .map_err(|_| "the master key must be base64 (make one with `openssl rand -base64 32`)")?,
        );
        let key: &[u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| "the master key must be 32 bytes (make one with `openssl rand -base64 32`)")?;
        Ok(Self::from_bytes(key))
    }

    /// Takes a key of 32 bytes.
    pub fn from_bytes(key: &[u8; 32]) -> Self {
        let digest = Sha256::digest([b"hookgate master key id", &key[..]].concat());
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        Self {
            id,
            secret: Zeroizing::new(*key),
            cipher: Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key)),
        }
    }

    /// The key of a context, for what is sealed so often that one key's random nonces would begin to repeat (NIST
    /// SP 800-38D, section 8.3). It names the master key as its origin.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length.
    #[allow(clippy::expect_used)]
    pub fn derived(&self, context: &str) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.secret).expect("a key of any length");
        mac.update(b"hookgate derived key\0");
        mac.update(context.as_bytes());
        let secret: [u8; 32] = mac.finalize().into_bytes().into();
        Self {
            id: self.id,
            ..Self::from_bytes(&secret)
        }
    }

    /// What the keys of deliveries are made with: without it nobody finds out by trying what they were made of.
    pub fn delivery_secret(&self) -> KeySecret {
        KeySecret::new(self.derived("deliveries").secret)
    }

    /// Seals a secret that belongs to `context` (such as `destinations/<tenant>/<id>`).
    ///
    /// # Errors
    /// [`Error::Query`] for a secret of more than 64 GiB.
    pub fn seal(&self, context: &str, secret: &[u8]) -> Result<Vec<u8>> {
        let nonce = clock::secret_bytes::<NONCE_BYTES>();
        let sealed = self
            .cipher
            .encrypt(
                &Nonce::from(nonce),
                Payload {
                    msg: secret,
                    aad: context.as_bytes(),
                },
            )
            .map_err(|_| Error::Query("a secret is too long to seal".into()))?;
        Ok([&[VERSION], &self.id[..], &nonce[..], &sealed[..]].concat())
    }

    /// Opens what [`Self::seal`] sealed for the same context.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for another key, another context, or a damaged value.
    pub fn open(&self, context: &str, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let unreadable = Error::Unreadable { what: "secret" };
        let Some((&VERSION, rest)) = stored.split_first() else {
            return Err(unreadable);
        };
        let Some((id, rest)) = rest.split_first_chunk::<KEY_ID_BYTES>() else {
            return Err(unreadable);
        };
        let Some((nonce, sealed)) = rest.split_first_chunk::<NONCE_BYTES>() else {
            return Err(unreadable);
        };
        if *id != self.id {
            return Err(unreadable);
        }
        self.cipher
            .decrypt(
                &Nonce::from(*nonce),
                Payload {
                    msg: sealed,
                    aad: context.as_bytes(),
                },
            )
            .map(Zeroizing::new)
            .map_err(|_| unreadable)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// The key of one run whose event is stored masked. It is random, travels in the job's payload and in the memory of the node
/// whose caller waits, and is gone with them: what it sealed cannot be opened any more then.
#[derive(Clone)]
pub struct RunKey(Zeroizing<[u8; 32]>);

/// What stands before everything that a [`RunKey`] sealed. Neither JSON nor a stored answer begins with it.
const SEALED: u8 = 0xff;

impl RunKey {
    /// A new key.
    pub fn random() -> Self {
        Self(Zeroizing::new(clock::secret_bytes()))
    }

    /// A key that was read from a payload.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals what is recorded of the run: its state, or its answer.
    ///
    /// # Errors
    /// [`Error::Query`] for more than 64 GiB.
    pub fn seal(&self, what: &str, value: &[u8]) -> Result<Vec<u8>> {
        let sealed = MasterKey::from_bytes(&self.0).seal(what, value)?;
        Ok([&[SEALED], &sealed[..]].concat())
    }

    /// Opens what [`Self::seal`] sealed as the same.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for another key, something else, or a damaged value.
    pub fn open(&self, what: &str, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let unreadable = Error::Unreadable { what: "record" };
        let (_, sealed) = stored
            .split_first()
            .filter(|_| Self::has_sealed(stored))
            .ok_or(unreadable)?;
        MasterKey::from_bytes(&self.0).open(what, sealed)
    }

    /// Whether a stored value was sealed by the key of a run.
    pub fn has_sealed(stored: &[u8]) -> bool {
        stored.first() == Some(&SEALED)
    }
}

impl fmt::Debug for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunKey(…)")
    }
}

/// SHA-256, under which keys and refresh tokens of 256 random bits are stored.
pub fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_where_it_belongs() {
        let key = MasterKey::from_bytes(&[7; 32]);
        let sealed = key.seal("destinations/a", b"whsec_x").expect("sealed");
        assert_eq!(
            key.open("destinations/a", &sealed).expect("opened").as_slice(),
            b"whsec_x"
        );
        assert!(key.open("destinations/b", &sealed).is_err());
        assert!(
            MasterKey::from_bytes(&[8; 32])
                .open("destinations/a", &sealed)
                .is_err()
        );
        for cut in 0..sealed.len() {
            assert!(key.open("destinations/a", &sealed[..cut]).is_err());
        }
    }

    #[test]
    fn derived_keys_are_each_their_own() {
        let key = MasterKey::from_bytes(&[7; 32]);
        let sealed = key.derived("jobs/a").seal("jobs/a", b"x").expect("sealed");
        assert_eq!(
            key.derived("jobs/a")
                .open("jobs/a", &sealed)
                .expect("opened")
                .as_slice(),
            b"x"
        );
        assert!(key.open("jobs/a", &sealed).is_err());
        assert!(key.derived("jobs/b").open("jobs/a", &sealed).is_err());
    }

    #[test]
    fn the_key_of_a_run_opens_what_it_sealed() {
        let (key, other) = (RunKey::random(), RunKey::random());
        let sealed = key.seal("answer", b"{}").expect("sealed");
        assert!(RunKey::has_sealed(&sealed) && !RunKey::has_sealed(b"{}") && !RunKey::has_sealed(b""));
        assert_eq!(key.open("answer", &sealed).expect("opened").as_slice(), b"{}");
        assert!(key.open("state", &sealed).is_err() && other.open("answer", &sealed).is_err());
        assert!(key.open("answer", b"{}").is_err());
    }

    #[test]
    fn a_bad_key_is_explained_without_showing_it() {
        let error = MasterKey::from_base64("c2hvcnQ=").expect_err("too short");
        assert!(error.contains("32 bytes") && !error.contains("c2hvcnQ"));
    }
}
