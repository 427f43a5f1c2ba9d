//! Signatures with a sender's private key, checked with its public key.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};
use utoipa::ToSchema;

use super::content::{self, Around, Part};
use super::hmac::body;
use super::json::Wanted;
use super::keys::Certificate;
use super::place::Place;
use super::problem::{Problem, ProblemCode, check_count, check_some_text};
use super::public_key_text::PublicKey;
use super::signature::{Bounds, SignatureSettings};
use super::signed::{Signed, wrong};
use super::signed_content::Beside;
use super::source::{Source, Spot};
use super::static_token::presented;
use super::timestamp::TimestampSettings;
use super::trace::Trace;
use super::verdict::{Accepted, Denial, DenialCode, KeyKind, KeyRequest};
use super::verifier::{Look, Outcome, Stop};

/// How many keys there may be.
const MAX_KEYS: usize = 10;
/// The longest key, in characters.
const MAX_KEY_TEXT: usize = 10_000;
/// How many hosts of certificates there may be.
const MAX_HOSTS: usize = 10;
/// The longest name of a host, in characters (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 253;
/// How many signatures of one request are looked at: verifying one costs a hundred times what an HMAC costs.
const MAX_SIGNATURES: usize = 10;
/// The longest URL of a certificate, in bytes.
const MAX_URL: usize = 2000;

/// A signature over parts of the request: any of its signatures under any of the keys is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"algorithm": "ed25519", "keys": ["1b3a5c7e9f0d2b4a6c8e0f1a3b5d7f9e1b3a5c7e9f0d2b4a6c8e0f1a3b5d7f9e"],
    "content": [{"part": "header", "name": "x-signature-timestamp"}, {"part": "body"}],
    "signature": {"at": {"in": "header", "name": "x-signature-ed25519"}}}))]
pub struct PublicKeySettings {
    /// The algorithm.
    pub algorithm: PublicKeyAlgorithm,
    /// The sender's public keys: PEM (a public key or a certificate), or DER or the bare key in hexadecimal digits or base64.
    #[serde(default)]
    #[schema(max_items = 10, example = json!(["-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----"]))]
    pub keys: Vec<String>,
    /// Where the request names its certificate, for senders that change it.
    #[serde(default)]
    pub certificate: Option<CertificateSettings>,
    /// What is signed.
    #[serde(default = "body")]
    #[schema(min_items = 1, max_items = 32)]
    pub content: Vec<Part>,
    /// Where the signatures are.
    pub signature: SignatureSettings,
    /// The time of signing, if it is signed.
    #[serde(default)]
    pub timestamp: Option<TimestampSettings>,
}

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PublicKeyAlgorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA with P-256 and SHA-256; the signature is DER.
    EcdsaP256Sha256,
    /// ECDSA with P-256 and SHA-256; the signature is the two numbers of 32 bytes.
    EcdsaP256Sha256Raw,
    /// RSA PKCS#1 v1.5 with SHA-1, for the first version of Amazon SNS' signatures.
    RsaSha1,
    /// RSA PKCS#1 v1.5 with SHA-256.
    RsaSha256,
    /// RSA-PSS with SHA-256.
    RsaPssSha256,
}

/// Where a request names the certificate of its signature, and from where it may come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": {"in": "header", "name": "paypal-cert-url"}, "hosts": ["api.paypal.com"]}))]
pub struct CertificateSettings {
    /// Where its URL is.
    pub url: Place,
    /// The hosts that are the sender's: `api.paypal.com`, or `sns.*.amazonaws.com`, where `*` is one label. From anywhere
    /// else no certificate counts, since anybody can make one.
    #[schema(min_items = 1, max_items = 10, example = json!(["api.paypal.com"]))]
    pub hosts: Vec<String>,
}

impl PublicKeyAlgorithm {
    /// How many bytes each signature has, where that is fixed.
    fn signature_length(self) -> Option<usize> {
        match self {
            Self::Ed25519 | Self::EcdsaP256Sha256Raw => Some(64),
            Self::EcdsaP256Sha256 | Self::RsaSha1 | Self::RsaSha256 | Self::RsaPssSha256 => None,
        }
    }
}

impl PublicKeySettings {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if self.certificate.is_none() || self.keys.len() > MAX_KEYS {
            check_count(problems, "/keys", self.keys.len(), MAX_KEYS);
        }
        for (index, key) in self.keys.iter().enumerate() {
            let at = format!("/keys/{index}");
            check_some_text(problems, &at, key, MAX_KEY_TEXT);
            if let Err(error) = PublicKey::parse(key, self.algorithm) {
                problems.push(Problem::new(at, ProblemCode::Invalid, error.to_string()));
            }
        }
        if let Some(certificate) = &self.certificate {
            certificate.check(problems);
        }
        let around = Around {
            timestamp: self.timestamp.as_ref().map(|timestamp| &timestamp.at),
            takes_secret: false,
        };
        content::check(problems, &self.content, around);
        self.signature.check(problems, "/signature");
        if let Some(timestamp) = &self.timestamp {
            timestamp.check(problems);
        }
    }
}

impl CertificateSettings {
    fn check(&self, problems: &mut Vec<Problem>) {
        check_count(problems, "/certificate/hosts", self.hosts.len(), MAX_HOSTS);
        for (index, host) in self.hosts.iter().enumerate() {
            let at = format!("/certificate/hosts/{index}");
            check_some_text(problems, &at, host, MAX_HOST);
            let labels: Vec<&str> = host.split('.').collect();
            let is_label = |label: &&str| {
                !label.is_empty()
                    && label
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            // The last two labels say whose the host is; a pattern for these would let anybody in.
            let is_pinned = labels.iter().rev().take(2).all(is_label) && labels.len() >= 2;
            let fits = labels.iter().all(|label| *label == "*" || is_label(label));
            if !is_pinned || !fits || host.parse::<IpAddr>().is_ok() {
                let detail = "must be a host such as `api.paypal.com` or `sns.*.amazonaws.com`";
                problems.push(Problem::new(at, ProblemCode::Invalid, detail));
            }
        }
    }

    /// A URL from a request, if a certificate may come from there.
    fn allow(&self, url: &[u8]) -> Option<Url> {
        let text = std::str::from_utf8(url).ok().filter(|url| url.len() <= MAX_URL)?;
        let url = Url::parse(text).ok()?;
        let Some(Host::Domain(host)) = url.host() else {
            return None;
        };
        let is_plain = url.scheme() == "https"
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none();
        let is_pinned = self.hosts.iter().any(|pattern| matches_host(pattern, host));
        (is_plain && is_pinned).then_some(url)
    }
}

fn matches_host(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.split('.'), host.split('.'));
    pattern.clone().count() == host.clone().count()
        && pattern
            .zip(host)
            .all(|(wanted, label)| wanted == "*" && !label.is_empty() || wanted.eq_ignore_ascii_case(label))
}

/// The check of signatures with public keys.
pub(super) struct PublicKeyCheck {
    signed: Signed,
    algorithm: PublicKeyAlgorithm,
    keys: Vec<PublicKey>,
    certificate: Option<(CertificateSettings, Wanted, Spot)>,
}

impl PublicKeyCheck {
    pub fn compile(settings: &PublicKeySettings) -> Result<Self, Problem> {
        let keys = settings.keys.iter().enumerate().map(|(index, key)| {
            let at = || format!("/keys/{index}");
            PublicKey::parse(key, settings.algorithm)
                .map_err(|error| Problem::new(at(), ProblemCode::Invalid, error.to_string()))
        });
        Ok(Self {
            keys: keys.collect::<Result<_, Problem>>()?,
            signed: Signed::compile(
                &settings.content,
                &settings.signature,
                settings.timestamp.as_ref(),
                None,
                Bounds {
                    most: MAX_SIGNATURES,
                    length: settings.algorithm.signature_length(),
                },
            ),
            algorithm: settings.algorithm,
            certificate: settings.certificate.as_ref().map(|certificate| {
                let mut wanted = Wanted::default();
                let spot = Spot::compile(&certificate.url, &mut wanted);
                (certificate.clone(), wanted, spot)
            }),
        })
    }

    pub fn needs_body(&self) -> bool {
        self.signed.needs_body()
            || self
                .certificate
                .as_ref()
                .is_some_and(|(_, _, spot)| spot.is_in_body())
    }

    pub fn verify(&self, look: &Look<'_>, trace: &mut Trace) -> Outcome {
        let signed_at = self.signed.verify(look, trace, |source, beside, trace| {
            let signatures = &self.signed.signatures;
            let count = signatures.each(source, &mut |_| {})?;
            trace.passed("signature", || format!("{} holds {count}", signatures.place()));
            let certified = self.certified_key(look, trace)?;
            let is_right = self.verify_one(source, beside, certified.as_ref())?;
            trace.step("public_key", is_right, || {
                let belongs = if is_right {
                    "the signature belongs"
                } else {
                    "no signature belongs"
                };
                let content = self.signed.content.describe(source, beside);
                let keys = self.keys.len() + usize::from(certified.is_some());
                format!("{belongs} to {content} under {keys} keys")
            });
            if is_right {
                Ok(())
            } else {
                Err(wrong(&signatures.place()).into())
            }
        })?;
        Ok(Accepted {
            signed_at,
            ..Accepted::default()
        })
    }

    fn verify_one(
        &self,
        source: &Source<'_>,
        beside: Beside<'_>,
        certified: Option<&PublicKey>,
    ) -> Result<bool, Denial> {
        let mut content = Vec::new();
        self.signed
            .content
            .write(source, beside, &mut |bytes| content.extend_from_slice(bytes))?;
        let mut is_right = false;
        self.signed.signatures.each(source, &mut |signature| {
            // Keys and signatures are public: there is nothing to hide in how long this takes.
            is_right = is_right
                || self
                    .keys
                    .iter()
                    .chain(certified)
                    .any(|key| key.verify(&content, signature));
        })?;
        Ok(is_right)
    }

    /// The key of the certificate that the request names.
    fn certified_key(&self, look: &Look<'_>, trace: &mut Trace) -> Result<Option<PublicKey>, Stop> {
        let Some((settings, wanted, spot)) = &self.certificate else {
            return Ok(None);
        };
        if spot.is_in_body() && !look.has_body {
            return Err(Stop::NeedsBody);
        }
        let refuse = |detail: String| Denial::new(DenialCode::KeysUnavailable, detail);
        let source = Source::whole(look.request, wanted)?;
        let named = presented(&source, spot)
            .map_err(|_| refuse(format!("There is no certificate: {spot} must be there, once.")))?;
        let url = settings.allow(&named).ok_or_else(|| {
            refuse(format!(
                "The certificate in {spot} is not at one of the allowed hosts, over https."
            ))
        })?;
        trace.passed("certificate_url", || format!("{spot} is {url}"));
        let Some(certificate) = look.keys.certificate(url.as_str()) else {
            return Err(Stop::NeedsKeys(KeyRequest {
                kind: KeyKind::Certificate,
                url: url.into(),
                is_refresh: false,
            }));
        };
        let key = self.key_of(&certificate, look)?;
        trace.passed("certificate", || {
            "it is valid now, and its key is of the right type".to_owned()
        });
        Ok(Some(key))
    }

    fn key_of(&self, certificate: &Certificate, look: &Look<'_>) -> Result<PublicKey, Denial> {
        if !certificate.is_valid_at(look.request.now) {
            let detail = "The sender's certificate is not valid at this time.";
            return Err(Denial::new(DenialCode::KeysUnavailable, detail));
        }
        PublicKey::from_info(&certificate.public_key, self.algorithm)
            .map_err(|error| Denial::new(DenialCode::KeysUnavailable, error.to_string()))
    }
}

#[cfg(test)]
mod tests;
