//! How a webhook knows its senders: one file for each kind, a closed enum, and one exhaustive match in [`Verifier`].
//!
//! Settings ([`Authentication`]) are stored with the webhook and shown in the API as they are. They name secrets by id;
//! [`Verifier::compile`] takes the secrets' bytes once, and [`Verifier::verify`] then decides each request: pure, without I/O
//! or clock, over the exact bytes, in constant time with respect to what is secret.
//!
//! Who receives requests
//! 1. compiles a `Verifier` when the webhook is loaded, with the secrets of [`Authentication::secret_ids`];
//! 2. asks [`Verifier::verify_head`] before the body is read. `None` means that it takes the body;
//! 3. reads the body and asks [`Verifier::verify`];
//! 4. on [`Verdict::NeedsKeys`] fetches them (egress rules apply, results are kept) and asks again, at most once for each
//!    request; when they cannot be had, [`KeyRequest::denial`] says what to answer.
//!
//! Who saves settings refuses them with [`Authentication::problems`], then with what [`Verifier::compile`] finds once the
//! secrets are at hand (a secret that is no base64 where the settings say so).

pub mod api_key;
mod app_key_sign;
mod basic;
mod content;
mod digest;
mod hashing;
mod hmac;
mod json;
mod jwt;
mod jwt_check;
mod jwt_keys;
mod jwt_token;
mod keys;
mod pairs;
mod place;
mod problem;
mod public_key;
mod public_key_text;
mod redaction;
mod request;
mod secret_set;
mod sender;
mod signature;
mod signed;
mod signed_content;
mod source;
mod static_token;
#[cfg(test)]
mod testing;
mod timestamp;
mod trace;
mod verdict;
mod verifier;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use api_key::{ApiKeySettings, StoredKey};
pub use app_key_sign::{AppKeyPair, AppKeySignSettings, PairPlace};
pub use basic::{BasicSettings, BasicUser};
pub use content::{Encoding, Hash, Part, UrlForm};
pub use digest::DigestSettings;
pub use hmac::{HmacSettings, KeyEncoding, KeySettings};
pub use jwt::{BodyHashClaim, JwtAlgorithm, JwtKeys, JwtSettings};
pub use keys::{CERTIFICATE_BYTES, Certificate, ExternalKeys, JWKS_BYTES, JwkSet, NoKeys, UnreadableKeys};
pub use place::{HeaderName, InvalidPlace, ParameterName, Place, Pointer};
pub use problem::{Problem, ProblemCode};
pub use public_key::{CertificateSettings, PublicKeyAlgorithm, PublicKeySettings};
pub use request::{Headers, Request, StoredHeaders};
pub use sender::SenderSettings;
pub use signature::SignatureSettings;
pub use static_token::{BesideSettings, StaticTokenSettings};
pub use timestamp::{TimestampSettings, TimestampUnit};
pub use trace::{Step, Trace};
pub use verdict::{Accepted, Denial, DenialCode, KeyKind, KeyRequest, Verdict};
pub use verifier::{Material, Verifier};

use crate::ids::SecretId;
use crate::senders;

/// How deep `all_of` and `any_of` may be nested.
const MAX_NESTING: usize = 3;
/// How many checks there may be altogether.
const MAX_CHECKS: usize = 10;

/// What a sender must present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"kind": "api_key"}))]
pub enum Authentication {
    /// Nothing: the unguessable URL is the credential.
    None {},
    /// One of the webhook's API keys.
    ApiKey(ApiKeySettings),
    /// An application's key and its sign, as HAP (Mingdao) sends them.
    AppKeySign(AppKeySignSettings),
    /// A user name and a password.
    Basic(BasicSettings),
    /// A long-lived token.
    StaticToken(StaticTokenSettings),
    /// A signature with a shared secret.
    Hmac(HmacSettings),
    /// A signature with a private key.
    PublicKey(PublicKeySettings),
    /// A signed token.
    Jwt(JwtSettings),
    /// A hash without a key.
    Digest(DigestSettings),
    /// What a known sender does.
    Sender(SenderSettings),
    /// Each of these.
    AllOf {
        /// Up to 10 altogether, nested up to 3 deep.
        #[schema(no_recursion, min_items = 1, max_items = 10)]
        of: Vec<Self>,
    },
    /// One of these.
    AnyOf {
        /// Up to 10 altogether, nested up to 3 deep.
        #[schema(no_recursion, min_items = 1, max_items = 10)]
        of: Vec<Self>,
    },
}

impl Default for Authentication {
    fn default() -> Self {
        Self::None {}
    }
}

impl Authentication {
    /// Every secret that the settings name, each once.
    pub fn secret_ids(&self) -> Vec<SecretId> {
        let mut ids: Vec<SecretId> = Vec::new();
        for (_, id) in self.secret_places() {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// Where the settings name secrets, as pointers relative to them.
    pub fn secret_places(&self) -> Vec<(String, SecretId)> {
        let list = |at: &str, ids: &[SecretId]| -> Vec<_> {
            let places = ids.iter().enumerate();
            places.map(|(index, id)| (format!("{at}/{index}"), *id)).collect()
        };
        match self {
            Self::None {} | Self::ApiKey(_) | Self::PublicKey(_) => Vec::new(),
            Self::AppKeySign(settings) => {
                let pairs = settings.pairs.iter().enumerate();
                pairs
                    .flat_map(|(index, pair)| list(&format!("/pairs/{index}/signs"), &pair.signs))
                    .collect()
            }
            Self::Basic(settings) => {
                let users = settings.users.iter().enumerate();
                users
                    .flat_map(|(index, user)| list(&format!("/users/{index}/passwords"), &user.passwords))
                    .collect()
            }
            Self::StaticToken(settings) => list("/secrets", &settings.secrets),
            Self::Hmac(settings) => list("/secrets", &settings.secrets),
            Self::Jwt(settings) => match &settings.keys {
                JwtKeys::Secrets { secrets, .. } => list("/keys/secrets", secrets),
                JwtKeys::Url { .. } | JwtKeys::Inline { .. } | JwtKeys::Pem { .. } => Vec::new(),
            },
            Self::Digest(settings) => list("/secrets", &settings.secrets),
            Self::Sender(settings) => settings.secret_places().collect(),
            Self::AllOf { of } | Self::AnyOf { of } => {
                let of = of.iter().enumerate();
                of.flat_map(|(index, one)| {
                    let places = one.secret_places().into_iter();
                    places.map(move |(at, id)| (format!("/of/{index}{at}"), id))
                })
                .collect()
            }
        }
    }

    /// Everything in the settings that cannot work, with pointers relative to them.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.check(0, &mut problems);
        let checks = self.count();
        if checks > MAX_CHECKS {
            problems.push(Problem::new(
                "/of",
                ProblemCode::TooLong,
                format!("may have at most {MAX_CHECKS} checks altogether, not {checks}"),
            ));
        }
        problems
    }

    fn count(&self) -> usize {
        match self {
            Self::AllOf { of } | Self::AnyOf { of } => of.iter().map(Self::count).sum(),
            _ => 1,
        }
    }

    fn check(&self, depth: usize, problems: &mut Vec<Problem>) {
        match self {
            Self::None {} => {}
            Self::ApiKey(settings) => settings.check(problems),
            Self::AppKeySign(settings) => settings.check(problems),
            Self::Basic(settings) => settings.check(problems),
            Self::StaticToken(settings) => settings.check(problems),
            Self::Hmac(settings) => settings.check(problems),
            Self::PublicKey(settings) => settings.check(problems),
            Self::Jwt(settings) => settings.check(problems),
            Self::Digest(settings) => settings.check(problems),
            Self::Sender(settings) => problems.extend(senders::authentication(settings).err()),
            Self::AllOf { .. } | Self::AnyOf { .. } if depth == MAX_NESTING => problems.push(Problem::new(
                "",
                ProblemCode::Invalid,
                format!("may be nested at most {MAX_NESTING} deep"),
            )),
            Self::AllOf { of } | Self::AnyOf { of } => {
                problem::check_count(problems, "/of", of.len(), MAX_CHECKS);
                for (index, one) in of.iter().enumerate() {
                    let mut below = Vec::new();
                    one.check(depth + 1, &mut below);
                    let parent = format!("/of/{index}");
                    problems.extend(below.into_iter().map(|problem| problem.below(&parent)));
                }
            }
        }
    }
}
