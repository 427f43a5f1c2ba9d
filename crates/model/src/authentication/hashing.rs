//! Hashes, keyed and not, and how their bytes are written. What is secret is compared in constant time.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::content::{Encoding, Hash};

/// The longest signature, in bytes: RSA with 8192 bits.
pub(super) const SIGNATURE_BYTES: usize = 1024;
/// The longest hash, in bytes.
const HASH_BYTES: usize = 64;

/// A hash in the making.
#[derive(Clone)]
pub(super) enum Hasher {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

/// An HMAC in the making; the key is in already, so that cloning saves two blocks.
#[derive(Clone)]
pub(super) enum KeyedHasher {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

/// The bytes of a hash.
pub(super) struct Hashed {
    bytes: [u8; HASH_BYTES],
    length: usize,
}

impl Hashed {
    fn new(bytes: &[u8]) -> Self {
        let mut all = [0; HASH_BYTES];
        let length = bytes.len().min(HASH_BYTES);
        all[..length].copy_from_slice(&bytes[..length]);
        Self { bytes: all, length }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Hash {
    /// The length of a hash, in bytes.
    pub(super) fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub(super) fn hasher(self) -> Hasher {
        match self {
            Self::Sha1 => Hasher::Sha1(Sha1::new()),
            Self::Sha256 => Hasher::Sha256(Sha256::new()),
            Self::Sha384 => Hasher::Sha384(Sha384::new()),
            Self::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    /// `None` never happens: HMAC takes keys of any length.
    pub(super) fn keyed(self, key: &[u8]) -> Option<KeyedHasher> {
        Some(match self {
            Self::Sha1 => KeyedHasher::Sha1(Hmac::new_from_slice(key).ok()?),
            Self::Sha256 => KeyedHasher::Sha256(Hmac::new_from_slice(key).ok()?),
            Self::Sha384 => KeyedHasher::Sha384(Hmac::new_from_slice(key).ok()?),
            Self::Sha512 => KeyedHasher::Sha512(Hmac::new_from_slice(key).ok()?),
        })
    }
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => Digest::update(hasher, bytes),
            Self::Sha256(hasher) => Digest::update(hasher, bytes),
            Self::Sha384(hasher) => Digest::update(hasher, bytes),
            Self::Sha512(hasher) => Digest::update(hasher, bytes),
        }
    }

    pub fn finish(self) -> Hashed {
        match self {
            Self::Sha1(hasher) => Hashed::new(&hasher.finalize()),
            Self::Sha256(hasher) => Hashed::new(&hasher.finalize()),
            Self::Sha384(hasher) => Hashed::new(&hasher.finalize()),
            Self::Sha512(hasher) => Hashed::new(&hasher.finalize()),
        }
    }
}

impl KeyedHasher {
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(mac) => mac.update(bytes),
            Self::Sha256(mac) => mac.update(bytes),
            Self::Sha384(mac) => mac.update(bytes),
            Self::Sha512(mac) => mac.update(bytes),
        }
    }

    pub fn finish(self) -> Hashed {
        match self {
            Self::Sha1(mac) => Hashed::new(&mac.finalize().into_bytes()),
            Self::Sha256(mac) => Hashed::new(&mac.finalize().into_bytes()),
            Self::Sha384(mac) => Hashed::new(&mac.finalize().into_bytes()),
            Self::Sha512(mac) => Hashed::new(&mac.finalize().into_bytes()),
        }
    }
}

impl Encoding {
    /// Reads bytes, into a buffer. `None` when the text is not exactly of this form, or too long.
    pub(super) fn decode<'b>(self, text: &[u8], buffer: &'b mut [u8; SIGNATURE_BYTES]) -> Option<&'b [u8]> {
        let length = match self {
            Self::Hex => return base16ct::mixed::decode(text, buffer).ok(),
            Self::Base64 => STANDARD.decode_slice(text, buffer).ok()?,
            Self::Base64url if text.contains(&b'=') => URL_SAFE.decode_slice(text, buffer).ok()?,
            Self::Base64url => URL_SAFE_NO_PAD.decode_slice(text, buffer).ok()?,
        };
        buffer.get(..length)
    }

    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => base16ct::lower::encode_string(bytes),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64url => URL_SAFE_NO_PAD.encode(bytes),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hex => "hexadecimal digits",
            Self::Base64 => "base64",
            Self::Base64url => "base64url",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_exactly() {
        let bytes = |encoding: Encoding, text: &str| {
            let mut buffer = [0; SIGNATURE_BYTES];
            encoding.decode(text.as_bytes(), &mut buffer).map(<[u8]>::to_vec)
        };
        let fb = Some(vec![0xfb, 0xff, 0x01]);
        let table = [
            (Encoding::Hex, "fbff01", fb.clone()),
            (Encoding::Hex, "FBfF01", fb.clone()),
            (Encoding::Hex, "fbff0", None),
            (Encoding::Hex, "fbff0g", None),
            (Encoding::Hex, " fbff01", None),
            (Encoding::Base64, "+/8B", fb.clone()),
            (Encoding::Base64, "-_8B", None),
            (Encoding::Base64, "+/8B\n", None),
            (Encoding::Base64, "+/8=", Some(vec![0xfb, 0xff])),
            (Encoding::Base64, "+/8", None),
            (Encoding::Base64, "+/9=", None),
            (Encoding::Base64url, "-_8B", fb),
            (Encoding::Base64url, "-_8", Some(vec![0xfb, 0xff])),
            (Encoding::Base64url, "-_8=", Some(vec![0xfb, 0xff])),
            (Encoding::Base64url, "+/8", None),
        ];
        for (encoding, text, expected) in table {
            assert_eq!(bytes(encoding, text), expected, "{encoding:?} {text}");
        }
        assert_eq!(bytes(Encoding::Hex, &"00".repeat(SIGNATURE_BYTES + 1)), None);
        assert_eq!(bytes(Encoding::Base64, &"AAAA".repeat(SIGNATURE_BYTES)), None);
    }
}
