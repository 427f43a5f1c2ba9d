//! Signatures with a shared secret: HMAC (RFC 2104) over parts of the request.

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::content::{self, Around, Hash, Part};
use super::hashing::KeyedHasher;
use super::place::Pointer;
use super::problem::{Problem, ProblemCode, check_count, check_some_text};
use super::secret_set::MAX_SECRETS;
use super::signature::{Bounds, SignatureSettings};
use super::signed::{Signed, wrong};
use super::signed_content::Beside;
use super::source::Source;
use super::timestamp::TimestampSettings;
use super::trace::Trace;
use super::verdict::Accepted;
use super::verifier::{Look, Material, Outcome, Stop};
use crate::ids::SecretId;

/// How many signatures of one request are looked at: DocuSign sends up to 100.
pub(super) const MAX_SIGNATURES: usize = 100;
/// The longest prefix of a secret, in characters.
const MAX_PREFIX: usize = 100;

/// An HMAC over parts of the request: any of its signatures under any of the secrets is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"hash": "sha256", "content": [{"part": "body"}], "secrets": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"],
    "signature": {"at": {"in": "header", "name": "x-hub-signature-256"}, "prefix": "sha256="}}))]
pub struct HmacSettings {
    /// The hash function.
    #[serde(default)]
    pub hash: Hash,
    /// How a secret becomes the key.
    #[serde(default)]
    pub key: KeySettings,
    /// What is signed.
    #[serde(default = "body")]
    #[schema(min_items = 1, max_items = 32)]
    pub content: Vec<Part>,
    /// Where the signatures are.
    pub signature: SignatureSettings,
    /// The time of signing, if it is signed.
    #[serde(default)]
    pub timestamp: Option<TimestampSettings>,
    /// A list in a JSON body of which each item is signed for itself: pointers start at the item, and one wrong item
    /// refuses the whole request.
    #[serde(default)]
    pub items: Option<Pointer>,
    /// The live secrets.
    #[schema(min_items = 1, max_items = 10)]
    pub secrets: Vec<SecretId>,
}

pub(super) fn body() -> Vec<Part> {
    vec![Part::Body {}]
}

/// How a secret's text becomes the key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HmacKeySettings, example = json!({"encoding": "base64", "strip_prefix": "whsec_"}))]
pub struct KeySettings {
    /// What its text is.
    #[serde(default)]
    pub encoding: KeyEncoding,
    /// What is taken away from its beginning first, if it is there.
    #[serde(default)]
    #[schema(example = "whsec_")]
    pub strip_prefix: Option<String>,
}

/// What the text of a secret is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyEncoding {
    /// The key itself.
    #[default]
    Utf8,
    /// The key in base64 (either alphabet, padded or not).
    Base64,
    /// The key in hexadecimal digits.
    Hex,
}

impl HmacSettings {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        check_count(problems, "/secrets", self.secrets.len(), MAX_SECRETS);
        let around = Around {
            timestamp: self.timestamp.as_ref().map(|timestamp| &timestamp.at),
            takes_secret: false,
        };
        content::check(problems, &self.content, around);
        self.signature.check(problems, "/signature");
        if let Some(timestamp) = &self.timestamp {
            timestamp.check(problems);
        }
        if let Some(prefix) = &self.key.strip_prefix {
            check_some_text(problems, "/key/strip_prefix", prefix, MAX_PREFIX);
        }
    }
}

impl KeySettings {
    /// The key in a secret's text.
    pub(super) fn decode(
        &self,
        secret: &[u8],
        id: SecretId,
        pointer: &str,
    ) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let prefix = self.strip_prefix.as_deref().unwrap_or_default();
        let text = secret.strip_prefix(prefix.as_bytes()).unwrap_or(secret);
        let key = match self.encoding {
            KeyEncoding::Utf8 => Ok(text.to_vec()),
            KeyEncoding::Hex => base16ct::mixed::decode_vec(text).map_err(|_| "hexadecimal digits"),
            KeyEncoding::Base64 => ANY_BASE64
                .decode(text)
                .or_else(|_| ANY_BASE64URL.decode(text))
                .map_err(|_| "base64"),
        };
        match key {
            Ok(key) if key.is_empty() => {
                let detail = format!("the secret {id} is empty after its prefix");
                Err(Problem::new(pointer, ProblemCode::Invalid, detail))
            }
            Ok(key) => Ok(Zeroizing::new(key)),
            Err(form) => {
                let detail =
                    format!("the secret {id} is not {form}, as `key` says: compare what the sender shows");
                Err(Problem::new(pointer, ProblemCode::Invalid, detail))
            }
        }
    }
}

/// Base64 of whatever padding.
const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
pub(super) const ANY_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const ANY_BASE64URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

/// The check of signatures with shared secrets.
pub(super) struct HmacCheck {
    signed: Signed,
    keys: Vec<(SecretId, KeyedHasher)>,
}

impl HmacCheck {
    pub fn compile(settings: &HmacSettings, material: &Material) -> Result<Self, Problem> {
        let mut keys = Vec::with_capacity(settings.secrets.len());
        for (index, id) in settings.secrets.iter().enumerate() {
            let pointer = format!("/secrets/{index}");
            let key = settings
                .key
                .decode(material.secret(*id, &pointer)?, *id, &pointer)?;
            keys.extend(settings.hash.keyed(&key).map(|keyed| (*id, keyed)));
        }
        Ok(Self {
            signed: Signed::compile(
                &settings.content,
                &settings.signature,
                settings.timestamp.as_ref(),
                settings.items.as_ref(),
                Bounds {
                    most: MAX_SIGNATURES,
                    length: Some(settings.hash.length()),
                },
            ),
            keys,
        })
    }

    pub fn needs_body(&self) -> bool {
        self.signed.needs_body()
    }

    pub fn verify(&self, look: &Look<'_>, trace: &mut Trace) -> Outcome {
        let mut used = None;
        let signed_at = self.signed.verify(look, trace, |source, beside, trace| {
            used = Some(self.verify_one(source, beside, trace)?);
            Ok(())
        })?;
        Ok(Accepted {
            secret: used,
            signed_at,
            ..Accepted::default()
        })
    }

    /// Every signature is held against every key, so that timing tells nothing of which it was.
    fn verify_one(
        &self,
        source: &Source<'_>,
        beside: Beside<'_>,
        trace: &mut Trace,
    ) -> Result<SecretId, Stop> {
        let signatures = &self.signed.signatures;
        let count = signatures.each(source, &mut |_| {})?;
        trace.passed("signature", || {
            format!("{} holds {count} of the right length", signatures.place())
        });
        let mut used = None;
        for (id, key) in &self.keys {
            let mut mac = key.clone();
            self.signed
                .content
                .write(source, beside, &mut |bytes| mac.update(bytes))?;
            let expected = mac.finish();
            let mut matches = Choice::from(0);
            signatures.each(source, &mut |candidate| {
                matches |= expected.as_bytes().ct_eq(candidate);
            })?;
            if bool::from(matches) {
                used = Some(*id);
            }
        }
        let outcome = used.ok_or_else(|| wrong(&signatures.place()));
        trace.step("hmac", outcome.is_ok(), || {
            let content = self.signed.content.describe(source, beside);
            match &outcome {
                Ok(id) => format!("the signature belongs to {content} under {id}"),
                Err(_) => format!(
                    "no signature belongs to {content} under any of {} secrets",
                    self.keys.len()
                ),
            }
        });
        Ok(outcome?)
    }
}

#[cfg(test)]
mod tests;
