//! Hashes without a key. They prove that the body came unchanged, and who sent it only when a secret is hashed along.

use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::content::{self, Around, Hash, Part};
use super::hmac::{MAX_SIGNATURES, body};
use super::problem::{Problem, ProblemCode, check_count};
use super::secret_set::MAX_SECRETS;
use super::signature::{Bounds, SignatureSettings};
use super::signed::{Signed, wrong};
use super::signed_content::Beside;
use super::source::Source;
use super::trace::Trace;
use super::verdict::{Accepted, Denial};
use super::verifier::{Look, Material, Outcome};
use crate::ids::SecretId;

/// A hash over parts of the request. Without a `secret` among the parts anybody can make one: combine it with another
/// kind by `all_of`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"hash": "sha256", "content": [{"part": "secret"}, {"part": "body"}],
    "value": {"at": {"in": "header", "name": "x-hubspot-signature"}}, "secrets": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}))]
pub struct DigestSettings {
    /// The hash function.
    #[serde(default)]
    pub hash: Hash,
    /// What is hashed.
    #[serde(default = "body")]
    #[schema(min_items = 1, max_items = 32)]
    pub content: Vec<Part>,
    /// Where the hash is.
    pub value: SignatureSettings,
    /// The live secrets, of which one is put for the part `secret`.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub secrets: Vec<SecretId>,
}

impl DigestSettings {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        let around = Around {
            timestamp: None,
            takes_secret: true,
        };
        content::check(problems, &self.content, around);
        self.value.check(problems, "/value");
        let hashes_secret = self.content.contains(&Part::Secret {});
        if hashes_secret {
            check_count(problems, "/secrets", self.secrets.len(), MAX_SECRETS);
        } else if !self.secrets.is_empty() {
            problems.push(Problem::new(
                "/secrets",
                ProblemCode::Invalid,
                "are not hashed: put a part `secret` into `content`",
            ));
        }
    }
}

/// The check of a hash.
pub(super) struct DigestCheck {
    signed: Signed,
    hash: Hash,
    /// The secrets, one after the other put into what is hashed; none when no secret is hashed.
    secrets: Vec<(SecretId, Zeroizing<Vec<u8>>)>,
    hashes_secret: bool,
}

impl DigestCheck {
    pub fn compile(settings: &DigestSettings, material: &Material) -> Result<Self, Problem> {
        let secrets = settings.secrets.iter().enumerate().map(|(index, id)| {
            let secret = material.secret(*id, &format!("/secrets/{index}"))?;
            Ok((*id, Zeroizing::new(secret.to_vec())))
        });
        Ok(Self {
            signed: Signed::compile(
                &settings.content,
                &settings.value,
                None,
                None,
                Bounds {
                    most: MAX_SIGNATURES,
                    length: Some(settings.hash.length()),
                },
            ),
            hash: settings.hash,
            secrets: secrets.collect::<Result<_, Problem>>()?,
            hashes_secret: settings.content.contains(&Part::Secret {}),
        })
    }

    pub fn needs_body(&self) -> bool {
        self.signed.needs_body()
    }

    pub fn verify(&self, look: &Look<'_>, trace: &mut Trace) -> Outcome {
        let mut used = None;
        self.signed.verify(look, trace, |source, _, trace| {
            used = self.verify_one(source)?;
            trace.passed("digest", || {
                format!("{} is the hash of what is hashed", self.signed.signatures.place())
            });
            Ok(())
        })?;
        Ok(Accepted {
            secret: used,
            ..Accepted::default()
        })
    }

    fn verify_one(&self, source: &Source<'_>) -> Result<Option<SecretId>, Denial> {
        let mut found = None;
        let mut is_right = Choice::from(0);
        let none = (!self.hashes_secret).then_some((None, &b""[..]));
        let secrets = self
            .secrets
            .iter()
            .map(|(id, secret)| (Some(*id), secret.as_slice()));
        self.signed.signatures.each(source, &mut |_| {})?;
        for (id, secret) in secrets.chain(none) {
            let beside = Beside {
                secret,
                ..Beside::default()
            };
            let mut hasher = self.hash.hasher();
            self.signed
                .content
                .write(source, beside, &mut |bytes| hasher.update(bytes))?;
            let expected = hasher.finish();
            let mut matches = Choice::from(0);
            self.signed.signatures.each(source, &mut |candidate| {
                matches |= expected.as_bytes().ct_eq(candidate);
            })?;
            is_right |= matches;
            if bool::from(matches) {
                found = id;
            }
        }
        if bool::from(is_right) {
            Ok(found)
        } else {
            Err(wrong(&self.signed.signatures.place()))
        }
    }
}

#[cfg(test)]
mod tests;
