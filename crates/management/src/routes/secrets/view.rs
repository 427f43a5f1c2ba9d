//! A secret as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::secrets::Secret;
use hookgate_model::ids::SecretId;
use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// A secret, without its value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Secret, example = json!({"id": "sec_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "GitHub, orders",
    "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z",
    "value_changed_at": "2026-11-21T12:00:00Z"}))]
pub struct SecretView {
    /// Its id.
    pub id: SecretId,
    /// A name, unique in the tenant.
    #[schema(example = "GitHub, orders")]
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its name or value last changed.
    pub updated_at: DateTime<Utc>,
    /// When its value last changed.
    pub value_changed_at: DateTime<Utc>,
}

/// A secret that was made or changed, with its value if that was generated just now.
#[derive(Serialize, ToSchema)]
#[schema(as = SecretWithValue, example = json!({"value": "4f2e9c0b7a1d83e65cf0a9b2d4e6817735c8fe01ab92d47e6f5031c8a7b9de24",
    "id": "sec_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "GitHub, orders", "created_at": "2026-11-21T12:00:00Z",
    "updated_at": "2026-11-21T12:00:00Z", "value_changed_at": "2026-11-21T12:00:00Z"}))]
pub struct NewSecretView {
    /// The value that was generated, to be given to the sender; null otherwise. It cannot be shown again.
    value: Option<String>,
    #[serde(flatten)]
    about: SecretView,
}

impl NewSecretView {
    /// Shows a secret with a value that was generated for it.
    pub fn new(about: Secret, generated: Option<Zeroizing<String>>) -> Self {
        Self {
            value: generated.map(|value| value.to_string()),
            about: about.into(),
        }
    }
}

impl From<Secret> for SecretView {
    fn from(secret: Secret) -> Self {
        Self {
            id: secret.id,
            name: secret.name,
            created_at: secret.created_at,
            updated_at: secret.updated_at,
            value_changed_at: secret.value_changed_at,
        }
    }
}
