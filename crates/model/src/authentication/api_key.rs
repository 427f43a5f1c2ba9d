//! API keys: 256 random bits that a sender presents in `x-api-key` or `authorization`.
//!
//! A key is stored as its SHA-256 only. A slow hash would buy nothing against 256 random bits, and would cost every
//! request.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::ids::ApiKeyId;

/// The beginning of every API key, by which people and secret scanners know it.
pub const PREFIX: &str = "hgk_";
/// The headers in which a key is looked for, in this order.
pub const HEADERS: [&str; 2] = ["x-api-key", "authorization"];

/// A stored key, as far as checking needs it.
#[derive(Debug, Clone)]
pub struct StoredKey {
    /// Which key it is.
    pub id: ApiKeyId,
    /// The SHA-256 of its text.
    pub digest: [u8; 32],
    /// From when it is not valid any more.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a check of a request's key found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// The request presents this key.
    Valid(ApiKeyId),
    /// The request presents no key.
    Missing,
    /// What it presents is no live key of this webhook.
    Wrong,
    /// It presents a key whose time is over.
    Expired,
}

/// Makes the text of a key from random bytes of a cryptographically secure generator.
pub fn text(random: [u8; 32]) -> String {
    use base64::Engine;
    format!(
        "{PREFIX}{}",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)
    )
}

/// The stored form of a key.
pub fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Checks what a request presents: `header` gives a header's value by its lower-case name. Every stored key is compared
/// in constant time, so that timing tells nothing of them.
pub fn check<'a>(
    keys: &[StoredKey],
    header: impl Fn(&str) -> Option<&'a [u8]>,
    now: DateTime<Utc>,
) -> Checked {
    let Some(presented) = HEADERS.into_iter().find_map(&header).map(without_scheme) else {
        return Checked::Missing;
    };
    let digest = digest(presented);
    let mut found = None;
    for key in keys {
        let equal: Choice = key.digest.ct_eq(&digest);
        if bool::from(equal) {
            found = Some(key);
        }
    }
    match found {
        None => Checked::Wrong,
        Some(key) if key.expires_at.is_some_and(|end| end <= now) => Checked::Expired,
        Some(key) => Checked::Valid(key.id),
    }
}

/// A value without a leading `Bearer `; the scheme's case does not matter (RFC 9110, section 11.1).
fn without_scheme(value: &[u8]) -> &[u8] {
    match value.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest.trim_ascii(),
        _ => value.trim_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8, expires_at: Option<DateTime<Utc>>) -> (String, StoredKey) {
        let text = text([seed; 32]);
        let id = ApiKeyId::new(DateTime::UNIX_EPOCH, [seed; 10]);
        let digest = digest(text.as_bytes());
        (
            text,
            StoredKey {
                id,
                digest,
                expires_at,
            },
        )
    }

    #[test]
    fn a_live_key_is_found_in_either_header() {
        let now = DateTime::from_timestamp_secs(1_000).expect("a time");
        let (first, first_stored) = key(1, None);
        let (old, old_stored) = key(2, Some(now));
        let keys = [first_stored.clone(), old_stored];
        let table = [
            (
                Some(("x-api-key", first.clone())),
                Checked::Valid(first_stored.id),
            ),
            (
                Some(("authorization", first.clone())),
                Checked::Valid(first_stored.id),
            ),
            (
                Some(("authorization", format!("Bearer {first}"))),
                Checked::Valid(first_stored.id),
            ),
            (
                Some(("authorization", format!("bearer  {first} "))),
                Checked::Valid(first_stored.id),
            ),
            (Some(("authorization", format!("Basic {first}"))), Checked::Wrong),
            (Some(("x-api-key", format!("{first}x"))), Checked::Wrong),
            (Some(("x-api-key", String::new())), Checked::Wrong),
            (Some(("x-api-key", old)), Checked::Expired),
            (None, Checked::Missing),
        ];
        for (presented, expected) in table {
            let header = |name: &str| {
                presented
                    .as_ref()
                    .filter(|(header, _)| *header == name)
                    .map(|(_, value)| value.as_bytes())
            };
            assert_eq!(check(&keys, header, now), expected, "{presented:?}");
        }
        assert_eq!(check(&[], |_| Some(b"x"), now), Checked::Wrong);
    }
}
