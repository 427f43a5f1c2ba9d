//! Public keys, as people copy them from senders' pages, and verification with them.

use base64::Engine;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::hmac::ANY_BASE64;
use super::keys::Certificate;
use super::public_key::PublicKeyAlgorithm;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ELLIPTIC_CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// What Standard Webhooks puts before an Ed25519 key.
const STANDARD_WEBHOOKS_PREFIX: &str = "whpk_";
/// How long the modulus of an RSA key may be, in bytes.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// A public key that verifies signatures of one algorithm.
pub(super) struct PublicKey(UnparsedPublicKey<Vec<u8>>);

/// Why a text is no key for an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidKey {
    #[error("is a private key: give the public one, and consider this one lost")]
    Private,
    #[error("must be a public key in PEM, or its bytes in hexadecimal digits or base64")]
    Unreadable,
    #[error("must be an Ed25519 key, as the algorithm says")]
    NotEd25519,
    #[error("must be a P-256 key (prime256v1) with an uncompressed point, as the algorithm says")]
    NotP256,
    #[error("must be an RSA key of 2048 to 8192 bits, as the algorithm says")]
    NotRsa,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Ed25519,
    P256,
    Rsa,
}

impl Family {
    fn error(self) -> InvalidKey {
        match self {
            Self::Ed25519 => InvalidKey::NotEd25519,
            Self::P256 => InvalidKey::NotP256,
            Self::Rsa => InvalidKey::NotRsa,
        }
    }

    /// Whether bare bytes can be such a key.
    fn fits(self, key: &[u8]) -> bool {
        match self {
            Self::Ed25519 => key.len() == 32,
            Self::P256 => key.len() == 65 && key.first() == Some(&4),
            Self::Rsa => modulus_length(key).is_some_and(|length| RSA_BYTES.contains(&length)),
        }
    }
}

impl PublicKeyAlgorithm {
    fn family(self) -> Family {
        match self {
            Self::Ed25519 => Family::Ed25519,
            Self::EcdsaP256Sha256 | Self::EcdsaP256Sha256Raw => Family::P256,
            Self::RsaSha1 | Self::RsaSha256 | Self::RsaPssSha256 => Family::Rsa,
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Ed25519 => &signature::ED25519,
            Self::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP256Sha256Raw => &signature::ECDSA_P256_SHA256_FIXED,
            Self::RsaSha1 => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Self::RsaSha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
        }
    }
}

impl PublicKey {
    /// Reads PEM (a public key or a certificate), or hexadecimal digits or base64 of DER or of the bare key.
    pub fn parse(text: &str, algorithm: PublicKeyAlgorithm) -> Result<Self, InvalidKey> {
        let text = text.trim();
        if text.starts_with("-----BEGIN") {
            let block = pem::parse(text).map_err(|_| InvalidKey::Unreadable)?;
            return match block.tag() {
                "PUBLIC KEY" => Self::from_info(block.contents(), algorithm),
                "RSA PUBLIC KEY" => Self::from_bare(block.contents(), algorithm),
                "CERTIFICATE" => {
                    let certificate =
                        Certificate::from_der(block.contents()).ok_or(InvalidKey::Unreadable)?;
                    Self::from_info(&certificate.public_key, algorithm)
                }
                tag if tag.contains("PRIVATE") => Err(InvalidKey::Private),
                _ => Err(InvalidKey::Unreadable),
            };
        }
        let text: String = text.split_whitespace().collect();
        let text = text.strip_prefix(STANDARD_WEBHOOKS_PREFIX).unwrap_or(&text);
        let bytes = match base16ct::mixed::decode_vec(text) {
            Ok(bytes) => bytes,
            Err(_) => ANY_BASE64.decode(text).map_err(|_| InvalidKey::Unreadable)?,
        };
        match SubjectPublicKeyInfoRef::from_der(&bytes) {
            Ok(_) => Self::from_info(&bytes, algorithm),
            Err(_) => Self::from_bare(&bytes, algorithm),
        }
    }

    /// Reads a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) in DER.
    pub fn from_info(der: &[u8], algorithm: PublicKeyAlgorithm) -> Result<Self, InvalidKey> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| InvalidKey::Unreadable)?;
        let family = algorithm.family();
        let is_right = match family {
            Family::Rsa => info.algorithm.oid == RSA,
            Family::Ed25519 => info.algorithm.oid == ED25519,
            Family::P256 => info.algorithm.assert_oids(ELLIPTIC_CURVE, P256).is_ok(),
        };
        match info.subject_public_key.as_bytes() {
            Some(key) if is_right => Self::from_bare(key, algorithm),
            _ => Err(family.error()),
        }
    }

    fn from_bare(key: &[u8], algorithm: PublicKeyAlgorithm) -> Result<Self, InvalidKey> {
        let family = algorithm.family();
        if family.fits(key) {
            Ok(Self(UnparsedPublicKey::new(
                algorithm.verification(),
                key.to_vec(),
            )))
        } else {
            Err(family.error())
        }
    }

    /// Whether a signature belongs to what is signed.
    pub fn verify(&self, content: &[u8], signature: &[u8]) -> bool {
        self.0.verify(content, signature).is_ok()
    }
}

/// The length of the modulus of an RSAPublicKey (RFC 8017, appendix A.1.1) in DER, in bytes.
fn modulus_length(der: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(der).ok()?;
    let length = reader.sequence(|reader| -> x509_cert::der::Result<usize> {
        let modulus = UintRef::decode(reader)?;
        UintRef::decode(reader)?;
        Ok(modulus.as_bytes().len())
    });
    reader.is_finished().then_some(())?;
    length.ok()
}
