//! The live values of a credential, compared in constant time whatever their lengths.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::problem::Problem;
use super::verifier::Material;
use crate::ids::SecretId;

/// The most live secrets of one credential.
pub(super) const MAX_SECRETS: usize = 10;

/// The values that count. Only their hashes are kept, so that texts of different lengths compare alike.
pub(super) struct SecretSet(Vec<(SecretId, [u8; 32])>);

impl SecretSet {
    pub fn compile(ids: &[SecretId], material: &Material, parent: &str) -> Result<Self, Problem> {
        let secrets = ids.iter().enumerate().map(|(index, id)| {
            let secret = material.secret(*id, &format!("{parent}/{index}"))?;
            Ok((*id, hash(secret)))
        });
        Ok(Self(secrets.collect::<Result<_, Problem>>()?))
    }

    /// Which of the values is presented. Each is looked at, found or not.
    pub fn find(&self, presented: &[u8]) -> Option<SecretId> {
        let presented = hash(presented);
        let mut found: u64 = u64::MAX;
        for (index, (_, secret)) in (0u64..).zip(&self.0) {
            found.conditional_assign(&index, secret.ct_eq(&presented));
        }
        self.0.get(usize::try_from(found).ok()?).map(|(id, _)| *id)
    }
}

/// A value that is no secret itself, compared like one.
pub(super) struct Known([u8; 32]);

impl Known {
    pub fn new(value: &str) -> Self {
        Self(hash(value.as_bytes()))
    }

    pub fn equals(&self, presented: &[u8]) -> Choice {
        self.0.ct_eq(&hash(presented))
    }
}

fn hash(value: &[u8]) -> [u8; 32] {
    Sha256::digest(value).into()
}
