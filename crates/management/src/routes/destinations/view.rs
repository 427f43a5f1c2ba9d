//! A destination as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::destinations::Destination;
use hookgate_model::ids::DestinationId;
use hookgate_model::outbound_signature::SigningSecret;
use serde::Serialize;
use utoipa::ToSchema;

/// A named outbound target of flows, without its signing secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Destination, example = json!({"id": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "CRM",
    "base_url": "https://crm.example.com/api", "signed": true, "created_at": "2026-11-21T12:00:00Z",
    "updated_at": "2026-11-21T12:00:00Z"}))]
pub struct DestinationView {
    /// Its id.
    pub id: DestinationId,
    /// A name, unique in the tenant.
    #[schema(example = "CRM")]
    pub name: String,
    /// What the URL of every call begins with.
    #[schema(example = "https://crm.example.com/api")]
    pub base_url: String,
    /// Whether calls are signed per Standard Webhooks.
    pub signed: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A destination with its new signing secret, which is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"signing_secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "id": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "name": "CRM", "base_url": "https://crm.example.com/api", "signed": true, "created_at": "2026-11-21T12:00:00Z",
    "updated_at": "2026-11-21T12:00:00Z"}))]
pub struct DestinationWithSecret {
    /// What the receiver verifies signatures with; null when calls are not signed. It cannot be shown again.
    signing_secret: Option<String>,
    #[serde(flatten)]
    about: DestinationView,
}

impl DestinationWithSecret {
    /// Shows a destination with its new secret.
    pub fn new(about: Destination, secret: Option<&SigningSecret>) -> Self {
        Self {
            signing_secret: secret.map(SigningSecret::expose),
            about: about.into(),
        }
    }
}

impl From<Destination> for DestinationView {
    fn from(destination: Destination) -> Self {
        Self {
            signed: destination.is_signed(),
            id: destination.id,
            name: destination.name,
            base_url: destination.base_url,
            created_at: destination.created_at,
            updated_at: destination.updated_at,
        }
    }
}
