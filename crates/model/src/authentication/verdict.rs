//! What a verification ends in.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use crate::ids::{ApiKeyId, SecretId};

/// What a verification ends in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The request comes from who it must come from.
    Accepted(Accepted),
    /// It does not, or nobody can tell.
    Denied(Denial),
    /// Keys must be fetched first; then ask again.
    NeedsKeys(KeyRequest),
}

/// How a request was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// The API key that it presents.
    pub api_key: Option<ApiKeyId>,
    /// The secret that it was verified with: the one to keep when secrets are rotated.
    pub secret: Option<SecretId>,
    /// The time that the sender signed.
    pub signed_at: Option<DateTime<Utc>>,
}

impl Accepted {
    /// What two verifications of one request found together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            api_key: self.api_key.or(other.api_key),
            secret: self.secret.or(other.secret),
            signed_at: self.signed_at.or(other.signed_at),
        }
    }
}

/// Why a request is denied. It holds no secret, and may be shown to the webhook's tenant; its sender should see the code
/// and no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The stable code.
    pub code: DenialCode,
    /// What was found, and what to do.
    pub detail: Cow<'static, str>,
}

impl Denial {
    /// A denial.
    pub fn new(code: DenialCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

macro_rules! denial_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// Every reason for which a request is denied.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DenialCode {
            $($(#[$doc])* $variant,)*
        }
        impl DenialCode {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable text.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

denial_codes! {
    /// The webhook requires an API key, and the request has none.
    ApiKeyMissing = "api_key_missing",
    /// The API key is not one of the webhook's.
    ApiKeyWrong = "api_key_wrong",
    /// The API key has expired.
    ApiKeyExpired = "api_key_expired",
    /// A user name, password, token or pair is not there.
    CredentialsMissing = "credentials_missing",
    /// A user name, password, token or pair is there, but not the one that is wanted.
    CredentialsWrong = "credentials_wrong",
    /// There is no signature.
    SignatureMissing = "signature_missing",
    /// What stands where the signature is expected cannot be one.
    SignatureMalformed = "signature_malformed",
    /// The signature does not belong to this request and key.
    SignatureWrong = "signature_wrong",
    /// The time of signing is not there.
    TimestampMissing = "timestamp_missing",
    /// The time of signing cannot be read.
    TimestampMalformed = "timestamp_malformed",
    /// It was signed too long ago.
    TimestampTooOld = "timestamp_too_old",
    /// It was signed too far in the future.
    TimestampInFuture = "timestamp_in_future",
    /// Something that is signed is not there, or is there twice.
    SignedContentMissing = "signed_content_missing",
    /// The body is not of the form that its verification needs.
    BodyUnreadable = "body_unreadable",
    /// There is no token (JWT).
    TokenMissing = "token_missing",
    /// What is presented is no token (JWT) of an allowed kind.
    TokenMalformed = "token_malformed",
    /// The token's time is over.
    TokenExpired = "token_expired",
    /// A claim of the token is missing or not the wanted one.
    TokenClaimWrong = "token_claim_wrong",
    /// There is no such key among those that the sender publishes.
    KeyUnknown = "key_unknown",
    /// The sender's keys cannot be had at present, or not from there.
    KeysUnavailable = "keys_unavailable",
}

impl DenialCode {
    /// Whether nothing was presented at all.
    pub const fn is_missing(self) -> bool {
        matches!(
            self,
            Self::ApiKeyMissing | Self::CredentialsMissing | Self::SignatureMissing | Self::TokenMissing
        )
    }
}

/// Keys that are not at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRequest {
    /// What there is at the URL.
    pub kind: KeyKind,
    /// Where they are. Its scheme is https and, for a certificate, its host is one that the settings allow.
    pub url: String,
    /// Whether [`super::ExternalKeys`] gave keys, but not the one that the request names: fetching again helps if the
    /// sender has changed keys meanwhile. Anybody can name an unknown key, so fetch again only now and then.
    pub is_refresh: bool,
}

/// What there is at a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// A JSON Web Key Set (RFC 7517): see [`super::JwkSet::parse`].
    Jwks,
    /// A certificate in PEM: see [`super::Certificate::parse`].
    Certificate,
}

impl KeyRequest {
    /// The denial when the keys cannot be had, or may not be fetched again yet.
    pub fn denial(&self) -> Denial {
        if self.is_refresh {
            Denial::new(
                DenialCode::KeyUnknown,
                "The request names a key that its sender does not publish.",
            )
        } else {
            Denial::new(
                DenialCode::KeysUnavailable,
                "The sender's keys cannot be had at present.",
            )
        }
    }
}
