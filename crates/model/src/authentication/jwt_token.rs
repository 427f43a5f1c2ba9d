//! The parts of a signed token (RFC 7515, section 3.1), of which nothing is believed yet.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Header;
use serde_json::{Map, Value};

use super::jwt_check::malformed;
use super::verdict::Denial;

/// The longest token, in bytes.
const TOKEN_BYTES: usize = 16 * 1024;

/// A token, taken apart.
pub(super) struct Token<'t> {
    pub header: Header,
    /// What is signed: the header and the claims, as they were sent.
    pub message: &'t [u8],
    claims: &'t [u8],
    pub signature: &'t str,
}

impl<'t> Token<'t> {
    /// Takes a token apart. An unknown algorithm, `none` among them, makes it unreadable.
    pub fn read(text: &'t [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text)
            .ok()
            .filter(|text| text.len() <= TOKEN_BYTES)?;
        let (message, signature) = text.rsplit_once('.')?;
        let (_, claims) = message
            .split_once('.')
            .filter(|(_, claims)| !claims.contains('.'))?;
        Some(Self {
            header: jsonwebtoken::decode_header(text).ok()?,
            message: message.as_bytes(),
            claims: claims.as_bytes(),
            signature,
        })
    }

    /// What it claims.
    pub fn claims(&self) -> Result<Map<String, Value>, Denial> {
        let claims = URL_SAFE_NO_PAD.decode(self.claims).ok();
        claims
            .and_then(|claims| serde_json::from_slice(&claims).ok())
            .ok_or_else(|| malformed("The token's claims are not a JSON object."))
    }
}
