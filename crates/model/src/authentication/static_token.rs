//! A long-lived token that the sender repeats with each request.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use subtle::Choice;
use utoipa::ToSchema;

use super::json::Wanted;
use super::pairs::Found;
use super::place::Place;
use super::problem::{Problem, check_count, check_some_text};
use super::secret_set::{Known, MAX_SECRETS, SecretSet};
use super::source::{Source, Spot};
use super::trace::Trace;
use super::verdict::{Accepted, Denial, DenialCode};
use super::verifier::{Look, Material, Outcome, Stop};
use crate::ids::SecretId;

/// The longest prefix, in characters.
const MAX_PREFIX: usize = 100;
/// The longest value beside a token, in characters.
const MAX_VALUE: usize = 1000;

/// A long-lived token that the sender repeats with each request, alone or beside a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"at": {"in": "header", "name": "x-gitlab-token"}, "secrets": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}))]
pub struct StaticTokenSettings {
    /// Where the token is.
    pub at: Place,
    /// What stands before it, such as `Bearer `; case does not matter.
    #[serde(default)]
    #[schema(example = "Bearer ", max_length = 100)]
    pub prefix: Option<String>,
    /// The live tokens.
    #[schema(min_items = 1, max_items = 10)]
    pub secrets: Vec<SecretId>,
    /// The other half of a pair: a value that is no secret, such as a client's id.
    #[serde(default)]
    pub beside: Option<BesideSettings>,
}

/// A value that must stand beside a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenBeside, example = json!({"at": {"in": "header", "name": "x-client-id"}, "value": "shop-1"}))]
pub struct BesideSettings {
    /// Where it is.
    pub at: Place,
    /// What it must be.
    #[schema(min_length = 1, max_length = 1000, example = "shop-1")]
    pub value: String,
}

impl StaticTokenSettings {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        check_count(problems, "/secrets", self.secrets.len(), MAX_SECRETS);
        if let Some(prefix) = &self.prefix {
            check_some_text(problems, "/prefix", prefix, MAX_PREFIX);
        }
        if let Some(beside) = &self.beside {
            check_some_text(problems, "/beside/value", &beside.value, MAX_VALUE);
        }
    }
}

/// The check of a token.
pub(super) struct StaticToken {
    wanted: Wanted,
    at: Spot,
    prefix: Vec<u8>,
    secrets: SecretSet,
    beside: Option<(Spot, Known)>,
}

impl StaticToken {
    pub fn compile(settings: &StaticTokenSettings, material: &Material) -> Result<Self, Problem> {
        let mut wanted = Wanted::default();
        Ok(Self {
            at: Spot::compile(&settings.at, &mut wanted),
            prefix: settings.prefix.clone().unwrap_or_default().into_bytes(),
            secrets: SecretSet::compile(&settings.secrets, material, "/secrets")?,
            beside: settings
                .beside
                .as_ref()
                .map(|beside| (Spot::compile(&beside.at, &mut wanted), Known::new(&beside.value))),
            wanted,
        })
    }

    pub fn needs_body(&self) -> bool {
        self.at.is_in_body() || self.beside.as_ref().is_some_and(|(at, _)| at.is_in_body())
    }

    pub fn verify(&self, look: &Look<'_>, trace: &mut Trace) -> Outcome {
        if !look.has_body && self.needs_body() {
            return Err(Stop::NeedsBody);
        }
        let source = Source::whole(look.request, &self.wanted)?;
        let id = self.find(&source)?;
        trace.passed("token", || format!("the token in {} is {id}", self.at));
        Ok(Accepted {
            secret: Some(id),
            ..Accepted::default()
        })
    }

    fn find(&self, source: &Source<'_>) -> Result<SecretId, Denial> {
        let value = presented(source, &self.at)?;
        let token = strip_scheme(&value, &self.prefix).ok_or_else(|| {
            let prefix = String::from_utf8_lossy(&self.prefix);
            wrong(format!("The {} does not begin with `{prefix}`.", self.at))
        })?;
        let found = self.secrets.find(token);
        let stands_beside = match &self.beside {
            None => Choice::from(1),
            Some((at, known)) => known.equals(&presented(source, at)?),
        };
        match found {
            Some(id) if bool::from(stands_beside) => Ok(id),
            Some(_) | None => Err(wrong(format!(
                "The token in {} is not valid for this webhook.",
                self.at
            ))),
        }
    }
}

/// What is at a place, once.
pub(super) fn presented<'r>(source: &Source<'r>, at: &Spot) -> Result<Cow<'r, [u8]>, Denial> {
    match source.find(at)? {
        Found::One(value) => Ok(value),
        Found::Missing => Err(Denial::new(
            DenialCode::CredentialsMissing,
            format!("This webhook requires a token: there is no {at}."),
        )),
        Found::Several => Err(wrong(format!("The {at} is there more than once."))),
    }
}

/// What follows a prefix; its case does not matter, as a scheme's does not (RFC 9110, section 11.1).
pub(super) fn strip_scheme<'v>(value: &'v [u8], prefix: &[u8]) -> Option<&'v [u8]> {
    let (before, after) = value.split_at_checked(prefix.len())?;
    before.eq_ignore_ascii_case(prefix).then_some(after)
}

fn wrong(detail: String) -> Denial {
    Denial::new(DenialCode::CredentialsWrong, detail)
}

#[cfg(test)]
mod tests;
