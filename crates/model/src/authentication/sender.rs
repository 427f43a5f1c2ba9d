//! A known sender: its preset in [`crate::senders`] says which kind it is and how it is set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::SecretId;

/// A known sender, which is verified as its documentation says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KnownSenderSettings, example = json!({"sender": "stripe", "secrets": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}))]
pub struct SenderSettings {
    /// Its name, as `GET /v1/templates` lists it.
    #[schema(min_length = 1, max_length = 50, example = "stripe")]
    pub sender: String,
    /// The live secrets, if it signs with a secret.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub secrets: Vec<SecretId>,
    /// Its public keys, if it signs with a private key: see `public_key`.
    #[serde(default)]
    #[schema(max_items = 10, example = json!(["-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----"]))]
    pub public_keys: Vec<String>,
    /// What else the sender needs, by the names that its template lists.
    #[serde(default)]
    #[schema(example = json!({"webhook_id": "1JE4291016473214C"}))]
    pub options: BTreeMap<String, String>,
    /// How far the time of signing may be from the time of receipt, into the past and into the future; by default what the
    /// sender's documentation says.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 86_400)]
    pub tolerance_seconds: Option<u32>,
}

impl SenderSettings {
    /// Where the settings name secrets: among the options, too.
    pub(super) fn secret_places(&self) -> impl Iterator<Item = (String, SecretId)> {
        let listed = self.secrets.iter().enumerate();
        let of_options = self.options.iter().filter_map(|(name, value)| {
            let id = value.parse().ok()?;
            Some((format!("/options/{name}"), id))
        });
        listed
            .map(|(index, id)| (format!("/secrets/{index}"), *id))
            .chain(of_options)
    }
}
