//! A user name and a password (RFC 7617).

use base64::Engine;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::hmac::ANY_BASE64;
use super::problem::{Problem, ProblemCode, check_count, check_some_text};
use super::request::Request;
use super::secret_set::{Known, MAX_SECRETS, SecretSet};
use super::static_token::strip_scheme;
use super::trace::Trace;
use super::verdict::{Accepted, Denial, DenialCode};
use super::verifier::{Material, Outcome};
use crate::ids::SecretId;

/// How many users there may be.
const MAX_USERS: usize = 10;
/// The longest user name, in characters.
const MAX_NAME: usize = 200;

/// A user name and a password in `authorization: Basic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"users": [{"name": "sender", "passwords": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}]}))]
pub struct BasicSettings {
    /// Who may come in.
    #[schema(min_items = 1, max_items = 10)]
    pub users: Vec<BasicUser>,
}

/// A user and their passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "sender", "passwords": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}))]
pub struct BasicUser {
    /// The user name; it may hold no colon.
    #[schema(min_length = 1, max_length = 200, example = "sender")]
    pub name: String,
    /// The live passwords.
    #[schema(min_items = 1, max_items = 10)]
    pub passwords: Vec<SecretId>,
}

impl BasicSettings {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        check_count(problems, "/users", self.users.len(), MAX_USERS);
        for (index, user) in self.users.iter().enumerate() {
            let at = format!("/users/{index}");
            check_some_text(problems, &format!("{at}/name"), &user.name, MAX_NAME);
            if user.name.contains([':', '\r', '\n']) {
                problems.push(Problem::new(
                    format!("{at}/name"),
                    ProblemCode::Invalid,
                    "may hold no colon and no line break: they end the name in the header",
                ));
            }
            let same = |other: &BasicUser| other.name == user.name;
            if self.users.iter().take(index).any(same) {
                problems.push(Problem::new(
                    format!("{at}/name"),
                    ProblemCode::Invalid,
                    "is there already: give that user several passwords",
                ));
            }
            check_count(
                problems,
                &format!("{at}/passwords"),
                user.passwords.len(),
                MAX_SECRETS,
            );
        }
    }
}

/// The check of user names and passwords.
pub(super) struct Basic(Vec<(Known, SecretSet)>);

impl Basic {
    pub fn compile(settings: &BasicSettings, material: &Material) -> Result<Self, Problem> {
        let users = settings.users.iter().enumerate().map(|(index, user)| {
            let passwords =
                SecretSet::compile(&user.passwords, material, &format!("/users/{index}/passwords"))?;
            Ok((Known::new(&user.name), passwords))
        });
        Ok(Self(users.collect::<Result<_, Problem>>()?))
    }

    pub fn verify(&self, request: &Request<'_>, trace: &mut Trace) -> Outcome {
        let id = self.find(request)?;
        trace.passed("basic", || {
            format!("header `authorization` holds a user's name and the password {id}")
        });
        Ok(Accepted {
            secret: Some(id),
            ..Accepted::default()
        })
    }

    fn find(&self, request: &Request<'_>) -> Result<SecretId, Denial> {
        let presented = request.headers.combined("authorization").ok_or_else(|| {
            Denial::new(
                DenialCode::CredentialsMissing,
                "This webhook requires a user name and a password: send `authorization: Basic`.",
            )
        })?;
        let encoded = strip_scheme(&presented, b"basic ").map(<[u8]>::trim_ascii);
        let pair = encoded.and_then(|encoded| ANY_BASE64.decode(encoded).ok());
        let pair = pair.as_deref().and_then(|pair| {
            let colon = pair.iter().position(|&byte| byte == b':')?;
            Some((pair.get(..colon)?, pair.get(colon + 1..)?))
        });
        let Some((name, password)) = pair else {
            return Err(Denial::new(
                DenialCode::CredentialsWrong,
                "Header `authorization` is not `Basic` and the base64 of `name:password` (RFC 7617).",
            ));
        };
        let mut found = None;
        for (known, passwords) in &self.0 {
            let is_user = known.equals(name);
            let password = passwords.find(password);
            if bool::from(is_user) {
                found = password;
            }
        }
        found.ok_or_else(|| {
            Denial::new(
                DenialCode::CredentialsWrong,
                "The user name or the password is not valid for this webhook.",
            )
        })
    }
}

#[cfg(test)]
mod tests;
