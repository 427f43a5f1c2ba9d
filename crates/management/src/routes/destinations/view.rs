//! A destination as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::destinations::{Destination, Pause};
use hookgate_model::ids::DestinationId;
use hookgate_model::outbound_authentication::{ClientCertificate, OutboundAuthentication};
use hookgate_model::outbound_signature::{SignatureVersion, SigningSecret};
use serde::Serialize;
use utoipa::ToSchema;

use super::settings::CallLimits;

/// A named outbound target of flows, without its signing secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Destination, example = json!({"id": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "CRM",
    "base_url": "https://crm.example.com/api", "authentication": {"kind": "none"}, "client_certificate": null,
    "limits": {"calls_per_second": null, "calls_at_once": null}, "pauses_on_gone": true, "status": "active",
    "paused_at": null, "paused_reason": null, "signed": true, "signature_version": "v1", "public_key": null, "previous_secret_expires_at": null,
    "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"}))]
pub struct DestinationView {
    /// Its id.
    pub id: DestinationId,
    /// A name, unique in the tenant.
    #[schema(example = "CRM")]
    pub name: String,
    /// What the URL of every call begins with.
    #[schema(example = "https://crm.example.com/api")]
    pub base_url: String,
    /// What is presented with every call.
    pub authentication: OutboundAuthentication,
    /// The certificate that is presented when a connection is made.
    pub client_certificate: Option<ClientCertificate>,
    /// How much it takes.
    pub limits: CallLimits,
    /// Whether an answer of 410 Gone pauses it.
    pub pauses_on_gone: bool,
    /// `active`, or `paused`: no call goes there, and what was to call waits.
    #[schema(example = "active")]
    pub status: &'static str,
    /// Since when it is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// Whether calls are signed per Standard Webhooks.
    pub signed: bool,
    /// The kind of the signatures, of which a receiver must know at least this one.
    pub signature_version: Option<SignatureVersion>,
    /// What a receiver verifies signatures of version 1a with.
    #[schema(example = "whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=")]
    pub public_key: Option<String>,
    /// Until when calls carry the signature of the secret before, too.
    pub previous_secret_expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A destination with its new signing secret, which is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"signing_secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "id": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "name": "CRM", "base_url": "https://crm.example.com/api", "authentication": {"kind": "none"},
    "client_certificate": null, "limits": {"calls_per_second": null, "calls_at_once": null}, "pauses_on_gone": true,
    "status": "active", "paused_at": null, "paused_reason": null, "signed": true, "signature_version": "v1", "public_key": null,
    "previous_secret_expires_at": null, "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"}))]
pub struct DestinationWithSecret {
    /// What the receiver verifies signatures with; null when calls are not signed. It cannot be shown again.
    signing_secret: Option<String>,
    #[serde(flatten)]
    about: DestinationView,
}

impl DestinationWithSecret {
    /// Shows a destination with its new secret.
    pub fn new(about: Destination, pause: Option<Pause>, secret: Option<&SigningSecret>) -> Self {
        Self {
            signing_secret: secret.map(SigningSecret::expose),
            about: DestinationView::new(about, pause),
        }
    }
}

impl DestinationView {
    /// Shows a destination, and whether it is paused.
    pub fn new(destination: Destination, pause: Option<Pause>) -> Self {
        let status = if pause.is_some() { "paused" } else { "active" };
        let (paused_at, paused_reason) = pause.map(|pause| (pause.paused_at, pause.reason)).unzip();
        let version = match destination.public_key {
            Some(_) => SignatureVersion::V1a,
            None => SignatureVersion::V1,
        };
        Self {
            limits: CallLimits::from(&destination),
            pauses_on_gone: destination.pauses_on_gone,
            status,
            paused_at,
            paused_reason,
            signed: destination.is_signed(),
            signature_version: destination.is_signed().then_some(version),
            public_key: destination.public_key,
            previous_secret_expires_at: destination.previous_secret_expires_at,
            authentication: destination.authentication,
            client_certificate: destination.client_certificate,
            id: destination.id,
            name: destination.name,
            base_url: destination.base_url,
            created_at: destination.created_at,
            updated_at: destination.updated_at,
        }
    }
}
