//! Signatures with a sender's private key, checked with its public key.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content::Part;
use super::hmac::body;
use super::place::Place;
use super::signature::SignatureSettings;
use super::timestamp::TimestampSettings;

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
