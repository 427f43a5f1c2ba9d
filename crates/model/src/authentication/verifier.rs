//! An authentication, compiled: pre-keyed, pure, and shared by every request of a webhook.

use std::collections::HashMap;
use std::fmt;

use zeroize::Zeroizing;

use super::Authentication;
use super::api_key::{ApiKeys, StoredKey};
use super::app_key_sign::AppKeySign;
use super::basic::Basic;
use super::digest::DigestCheck;
use super::hmac::HmacCheck;
use super::jwt_check::JwtCheck;
use super::keys::ExternalKeys;
use super::problem::{Problem, ProblemCode};
use super::public_key::PublicKeyCheck;
use super::request::Request;
use super::static_token::StaticToken;
use super::trace::Trace;
use super::verdict::{Accepted, Denial, KeyRequest, Verdict};
use crate::ids::SecretId;
use crate::senders;

/// What is secret in an authentication: the webhook's API keys, and the secrets that it names.
#[derive(Default)]
pub struct Material {
    /// The webhook's keys that are not revoked.
    pub api_keys: Vec<StoredKey>,
    /// The secrets of [`Authentication::secret_ids`].
    pub secrets: HashMap<SecretId, Zeroizing<Vec<u8>>>,
}

impl Material {
    /// A secret that the settings name at a place.
    pub(super) fn secret(&self, id: SecretId, pointer: &str) -> Result<&[u8], Problem> {
        match self.secrets.get(&id) {
            Some(secret) if secret.is_empty() => Err(Problem::new(
                pointer,
                ProblemCode::Invalid,
                format!("the secret {id} is empty"),
            )),
            Some(secret) => Ok(secret),
            None => Err(Problem::new(
                pointer,
                ProblemCode::NotFound,
                format!("there is no secret {id}"),
            )),
        }
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material")
            .field("api_keys", &self.api_keys)
            .field("secrets", &self.secrets.keys())
            .finish()
    }
}

/// An authentication, ready to verify requests.
pub struct Verifier {
    check: Check,
    needs_body: bool,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// A check that is not decided.
pub(super) enum Stop {
    /// The request is denied.
    Denied(Denial),
    /// Keys must be fetched first.
    NeedsKeys(KeyRequest),
    /// The body must be read first.
    NeedsBody,
}

impl From<Denial> for Stop {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

pub(super) type Outcome = Result<Accepted, Stop>;

/// What a check has to go by.
pub(super) struct Look<'r> {
    pub request: &'r Request<'r>,
    /// Whether the body is there.
    pub has_body: bool,
    pub keys: &'r dyn ExternalKeys,
}

/// One arm for each kind.
enum Check {
    None,
    ApiKey(ApiKeys),
    AppKeySign(AppKeySign),
    Basic(Basic),
    StaticToken(StaticToken),
    Hmac(Box<HmacCheck>),
    PublicKey(Box<PublicKeyCheck>),
    Jwt(Box<JwtCheck>),
    Digest(Box<DigestCheck>),
    AllOf(Vec<Check>),
    AnyOf(Vec<Check>),
}

impl Verifier {
    /// Compiles settings with what is secret in them.
    ///
    /// # Errors
    /// When a secret is missing or is not of the form that the settings say. What [`Authentication::problems`] finds is found
    /// here, too.
    pub fn compile(authentication: &Authentication, material: &Material) -> Result<Self, Problem> {
        if let Some(problem) = authentication.problems().into_iter().next() {
            return Err(problem);
        }
        let check = Check::compile(authentication, material)?;
        Ok(Self {
            needs_body: check.needs_body(),
            check,
        })
    }

    /// Whether some requests can only be decided with their body.
    pub fn needs_body(&self) -> bool {
        self.needs_body
    }

    /// What can be said before the body is read; `None` when that takes the body. A request without a signature, or with an
    /// old one, is denied here, so that nobody has to read its body.
    pub fn verify_head(
        &self,
        request: &Request<'_>,
        keys: &dyn ExternalKeys,
        trace: &mut Trace,
    ) -> Option<Verdict> {
        self.run(request, false, keys, trace)
    }

    /// Verifies a whole request.
    pub fn verify(&self, request: &Request<'_>, keys: &dyn ExternalKeys, trace: &mut Trace) -> Verdict {
        // With the body there is nothing to wait for.
        self.run(request, true, keys, trace).unwrap_or_else(|| {
            Verdict::Denied(Denial::new(
                super::DenialCode::BodyUnreadable,
                "The request cannot be verified.",
            ))
        })
    }

    fn run(
        &self,
        request: &Request<'_>,
        has_body: bool,
        keys: &dyn ExternalKeys,
        trace: &mut Trace,
    ) -> Option<Verdict> {
        let look = Look {
            request,
            has_body,
            keys,
        };
        match self.check.verify(&look, trace) {
            Ok(accepted) => Some(Verdict::Accepted(accepted)),
            Err(Stop::Denied(denial)) => Some(Verdict::Denied(denial)),
            Err(Stop::NeedsKeys(request)) => Some(Verdict::NeedsKeys(request)),
            Err(Stop::NeedsBody) => None,
        }
    }
}

impl Check {
    fn compile(authentication: &Authentication, material: &Material) -> Result<Self, Problem> {
        Ok(match authentication {
            Authentication::None {} => Self::None,
            Authentication::ApiKey(settings) => Self::ApiKey(ApiKeys::new(settings, &material.api_keys)),
            Authentication::AppKeySign(settings) => {
                Self::AppKeySign(AppKeySign::compile(settings, material)?)
            }
            Authentication::Basic(settings) => Self::Basic(Basic::compile(settings, material)?),
            Authentication::StaticToken(settings) => {
                Self::StaticToken(StaticToken::compile(settings, material)?)
            }
            Authentication::Hmac(settings) => Self::Hmac(Box::new(HmacCheck::compile(settings, material)?)),
            Authentication::PublicKey(settings) => {
                Self::PublicKey(Box::new(PublicKeyCheck::compile(settings)?))
            }
            Authentication::Jwt(settings) => Self::Jwt(Box::new(JwtCheck::compile(settings, material)?)),
            Authentication::Digest(settings) => {
                Self::Digest(Box::new(DigestCheck::compile(settings, material)?))
            }
            Authentication::Sender(settings) => Self::compile(&senders::authentication(settings)?, material)?,
            Authentication::AllOf { of } => Self::AllOf(Self::compile_each(of, material)?),
            Authentication::AnyOf { of } => Self::AnyOf(Self::compile_each(of, material)?),
        })
    }

    fn compile_each(of: &[Authentication], material: &Material) -> Result<Vec<Self>, Problem> {
        of.iter()
            .enumerate()
            .map(|(index, one)| {
                Self::compile(one, material).map_err(|problem| problem.below(&format!("/of/{index}")))
            })
            .collect()
    }

    fn needs_body(&self) -> bool {
        match self {
            Self::None | Self::ApiKey(_) | Self::Basic(_) => false,
            Self::AppKeySign(check) => check.needs_body(),
            Self::StaticToken(check) => check.needs_body(),
            Self::Hmac(check) => check.needs_body(),
            Self::PublicKey(check) => check.needs_body(),
            Self::Jwt(check) => check.needs_body(),
            Self::Digest(check) => check.needs_body(),
            Self::AllOf(of) | Self::AnyOf(of) => of.iter().any(Self::needs_body),
        }
    }

    fn verify(&self, look: &Look<'_>, trace: &mut Trace) -> Outcome {
        let (kind, outcome) = match self {
            Self::None => return Ok(Accepted::default()),
            Self::AllOf(of) => return all_of(of, look, trace),
            Self::AnyOf(of) => return any_of(of, look, trace),
            Self::ApiKey(check) => ("api_key", check.verify(look.request, trace)),
            Self::AppKeySign(check) => ("app_key_sign", check.verify(look, trace)),
            Self::Basic(check) => ("basic", check.verify(look.request, trace)),
            Self::StaticToken(check) => ("static_token", check.verify(look, trace)),
            Self::Hmac(check) => ("hmac", check.verify(look, trace)),
            Self::PublicKey(check) => ("public_key", check.verify(look, trace)),
            Self::Jwt(check) => ("jwt", check.verify(look, trace)),
            Self::Digest(check) => ("digest", check.verify(look, trace)),
        };
        if let Err(Stop::Denied(denial)) = &outcome {
            trace.denied(kind, denial);
        }
        outcome
    }
}

/// Each must accept. One that denies decides at once, so that a stranger cannot have keys fetched or a body read.
fn all_of(of: &[Check], look: &Look<'_>, trace: &mut Trace) -> Outcome {
    let mut together = Ok(Accepted::default());
    for check in of {
        match check.verify(look, trace) {
            Ok(accepted) => together = together.map(|before: Accepted| before.and(accepted)),
            Err(Stop::Denied(denial)) => return Err(Stop::Denied(denial)),
            Err(Stop::NeedsBody) => together = Err(Stop::NeedsBody),
            Err(Stop::NeedsKeys(keys)) => {
                if !matches!(together, Err(Stop::NeedsBody)) {
                    together = Err(Stop::NeedsKeys(keys));
                }
            }
        }
    }
    together
}

/// One must accept. When none does, the denial is told of a check whose credential was presented, if there is one.
fn any_of(of: &[Check], look: &Look<'_>, trace: &mut Trace) -> Outcome {
    let mut told: Option<Stop> = None;
    for check in of {
        let stop = match check.verify(look, trace) {
            Ok(accepted) => return Ok(accepted),
            Err(stop) => stop,
        };
        if told.as_ref().is_none_or(|told| rank(&stop) > rank(told)) {
            told = Some(stop);
        }
    }
    Err(told.unwrap_or_else(|| {
        Stop::Denied(Denial::new(
            super::DenialCode::CredentialsMissing,
            "No way to authenticate is configured.",
        ))
    }))
}

/// What goes before what when several checks of `any_of` do not accept.
fn rank(stop: &Stop) -> u8 {
    match stop {
        Stop::Denied(denial) if denial.code.is_missing() => 0,
        Stop::Denied(_) => 1,
        Stop::NeedsKeys(_) => 2,
        Stop::NeedsBody => 3,
    }
}

#[cfg(test)]
mod tests;
