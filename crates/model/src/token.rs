//! The token of a public URL: 128 random bits, written as 26 characters. It may be the only credential of a webhook.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::base32;

/// The token of a public URL. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UrlToken(u128);

/// The text is not a URL token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a URL token")]
pub struct InvalidToken;

impl UrlToken {
    /// Makes a token from random bytes of a cryptographically secure generator.
    pub const fn from_bytes(random: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(random))
    }

    /// The token as it is stored.
    pub const fn to_uuid(self) -> Uuid {
        Uuid::from_u128(self.0)
    }

    /// A stored token.
    pub const fn from_uuid(stored: Uuid) -> Self {
        Self(stored.as_u128())
    }

    /// Reads the 26 characters of a URL's first segment.
    pub fn parse(text: &[u8]) -> Option<Self> {
        base32::decode(text).map(Self)
    }
}

impl FromStr for UrlToken {
    type Err = InvalidToken;
    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        Self::parse(text.as_bytes()).ok_or(InvalidToken)
    }
}

impl fmt::Display for UrlToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32::to_string(self.0))
    }
}

impl fmt::Debug for UrlToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UrlToken(…)")
    }
}
