//! Sealing of secrets at rest: AES-256-GCM under a master key from the environment.
//!
//! The stored form begins with a version byte, which names the algorithm and the layout, and the key's id, so that both can
//! change while old rows stay readable: `1 | key id (4 bytes) | nonce (12 bytes) | ciphertext and tag`. What a secret belongs
//! to is bound in as associated data: a row copied into another tenant or table does not open. The columns that hold such
//! values are listed in [`crate::sealed`].

use std::fmt;
use std::sync::Arc;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use hmac::{Hmac, Mac};
use hookgate_model::deduplication::KeySecret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::clock;
use crate::error::{Error, Result};

/// AES-256-GCM with a random nonce.
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;

/// Names a master key without telling anything of it: in stored values, and to operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    /// The id of the key that sealed a value; `None` for what is no sealed value of a known form.
    pub fn of(stored: &[u8]) -> Option<Self> {
        let (version, rest) = stored.split_first()?;
        let id = rest.first_chunk().filter(|_| *version == VERSION)?;
        Some(Self(*id))
    }

    /// What the values that this key sealed begin with.
    pub(crate) fn prefix(self) -> Vec<u8> {
        [&[VERSION], &self.0[..]].concat()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The key that seals secrets, with those that only open what they sealed before it took over.
#[derive(Clone)]
pub struct MasterKey {
    current: Key,
    previous: Arc<[Key]>,
}

#[derive(Clone)]
struct Key {
    id: KeyId,
    secret: Zeroizing<[u8; 32]>,
    cipher: Aes256Gcm,
}

impl Key {
    fn new(id: KeyId, secret: [u8; 32]) -> Self {
        Self {
            id,
            cipher: Aes256Gcm::new(&secret.into()),
            secret: Zeroizing::new(secret),
        }
    }

    fn derived(&self, context: &str) -> Self {
        let mac = self
            .hmac()
            .chain_update(b"hookgate derived key\0")
            .chain_update(context);
        Self::new(self.id, mac.finalize().into_bytes().into())
    }

    fn mac(&self, context: &str, message: &[u8]) -> Hmac<Sha256> {
        self.derived(context).hmac().chain_update(message)
    }

    #[allow(clippy::expect_used)]
    fn hmac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&*self.secret).expect("a key of any length")
    }
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
            current: Key::new(KeyId(id), *key),
            previous: Arc::default(),
        }
    }

    /// Opens what other keys sealed, too.
    #[must_use]
    pub fn with_previous(self, others: impl IntoIterator<Item = Self>) -> Self {
        Self {
            current: self.current,
            previous: others.into_iter().map(|other| other.current).collect(),
        }
    }

    /// The id of the key that seals.
    pub fn id(&self) -> KeyId {
        self.current.id
    }

    /// Whether what a key sealed can be opened.
    pub fn knows(&self, id: KeyId) -> bool {
        self.keys().any(|key| key.id == id)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(self.previous.iter())
    }

    /// The key of a context, for what is sealed so often that one key's random nonces would begin to repeat (NIST
    /// SP 800-38D, section 8.3). It names the master key as its origin.
    pub fn derived(&self, context: &str) -> Self {
        Self {
            current: self.current.derived(context),
            previous: self.previous.iter().map(|key| key.derived(context)).collect(),
        }
    }

    /// Authenticates a message of a context (HMAC-SHA-256).
    pub fn authenticate(&self, context: &str, message: &[u8]) -> [u8; 32] {
        self.current.mac(context, message).finalize().into_bytes().into()
    }

    /// Whether this key or a previous one made this of the same.
    pub fn has_authenticated(&self, context: &str, message: &[u8], mac: &[u8; 32]) -> bool {
        self.keys()
            .any(|key| key.mac(context, message).verify_slice(mac).is_ok())
    }

    /// What the keys of deliveries are made with, the current one first: without it nobody finds out by trying what they were
    /// made of.
    pub fn delivery_secrets(&self) -> Vec<KeySecret> {
        let secret = |key: &Key| KeySecret::new(key.derived("deliveries").secret);
        self.keys().map(secret).collect()
    }

    /// Seals a secret that belongs to `context` (such as `destinations/<tenant>/<id>`).
    ///
    /// # Errors
    /// [`Error::Query`] for a secret of more than 64 GiB.
    pub fn seal(&self, context: &str, secret: &[u8]) -> Result<Vec<u8>> {
        let nonce = clock::secret_bytes::<NONCE_BYTES>();
        let sealed = self
            .current
            .cipher
            .encrypt(
                &Nonce::from(nonce),
                Payload {
                    msg: secret,
                    aad: context.as_bytes(),
                },
            )
            .map_err(|_| Error::Query("a secret is too long to seal".into()))?;
        Ok([&self.current.id.prefix(), &nonce[..], &sealed[..]].concat())
    }

    /// Opens what [`Self::seal`] sealed for the same context, under this key or a previous one.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for another key, another context, or a damaged value.
    pub fn open(&self, context: &str, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let unreadable = Error::Unreadable { what: "secret" };
        let Some(id) = KeyId::of(stored) else {
            return Err(unreadable);
        };
        let Some((nonce, sealed)) = stored[1 + KEY_ID_BYTES..].split_first_chunk::<NONCE_BYTES>() else {
            return Err(unreadable);
        };
        let Some(key) = self.keys().find(|key| key.id == id) else {
            return Err(unreadable);
        };
        key.cipher
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
    fn previous_keys_open_and_do_not_seal() {
        let (old, new) = (MasterKey::from_bytes(&[7; 32]), MasterKey::from_bytes(&[8; 32]));
        let (before, derived) = (
            old.seal("a", b"x").expect("sealed"),
            old.derived("d").seal("a", b"y").expect("sealed"),
        );
        let both = new.clone().with_previous([old.clone()]);
        assert_eq!(both.open("a", &before).expect("opened").as_slice(), b"x");
        assert_eq!(
            both.derived("d").open("a", &derived).expect("opened").as_slice(),
            b"y"
        );
        assert!(both.open("a", &derived).is_err() && both.open("b", &before).is_err());
        let after = both.seal("a", b"z").expect("sealed");
        assert_eq!(KeyId::of(&after), Some(new.id()));
        assert_eq!(new.open("a", &after).expect("opened").as_slice(), b"z");
        assert!(old.open("a", &after).is_err() && new.open("a", &before).is_err());
        assert!(both.knows(old.id()) && both.knows(new.id()) && !new.knows(old.id()));
        assert_eq!(both.delivery_secrets().len(), 2);
        assert!(
            KeyId::of(b"{}").is_none() && KeyId::of(&[]).is_none() && KeyId::of(&[2, 0, 0, 0, 0]).is_none()
        );
        assert_eq!(old.id().to_string().len(), 8);
    }

    #[test]
    fn what_a_key_or_a_previous_one_authenticated_is_recognised() {
        let (old, new) = (MasterKey::from_bytes(&[7; 32]), MasterKey::from_bytes(&[8; 32]));
        let mac = old.authenticate("a", b"x");
        let both = new.clone().with_previous([old.clone()]);
        assert!(old.has_authenticated("a", b"x", &mac) && both.has_authenticated("a", b"x", &mac));
        assert!(!new.has_authenticated("a", b"x", &mac));
        assert!(!old.has_authenticated("b", b"x", &mac) && !old.has_authenticated("a", b"y", &mac));
        assert_eq!(both.authenticate("a", b"x"), new.authenticate("a", b"x"));
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
