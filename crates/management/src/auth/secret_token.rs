//! Credentials of 256 random bits that are shown once and kept as digests: management keys,
//! refresh tokens, and the tokens of links and invitations.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hookgate_domain::{clock, crypto};

/// What a management key begins with.
pub const MANAGEMENT_KEY: &str = "hgm_";
/// What a refresh token begins with.
pub const REFRESH_TOKEN: &str = "hgr_";
/// What the token of an invitation begins with.
pub const INVITATION: &str = "hgi_";
/// What the token that verifies an address begins with.
pub const EMAIL_VERIFICATION: &str = "hgv_";
/// What the token that resets a password begins with.
pub const PASSWORD_RESET: &str = "hgp_";
/// What the token of a link to the public API's document begins with.
pub const PUBLIC_API_LINK: &str = "hgl_";

/// A new credential.
pub struct SecretToken {
    /// What the holder presents; kept nowhere.
    pub text: String,
    /// SHA-256 of the text; what is kept.
    pub digest: [u8; 32],
}

impl SecretToken {
    /// Makes one.
    pub fn new(prefix: &str) -> Self {
        let text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(clock::secret_bytes::<32>()));
        let digest = crypto::digest(text.as_bytes());
        Self { text, digest }
    }

    /// Its beginning, by which people recognise it.
    pub fn hint(&self) -> String {
        self.text.chars().take(8).collect()
    }
}
