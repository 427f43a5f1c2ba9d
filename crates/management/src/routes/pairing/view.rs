//! A pairing as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::pairings::Pairing;
use hookgate_model::ids::SecretId;
use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// Whether a webhook takes the secret that its sender brings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pairing, example = json!({"state": "completed", "sender": "notion", "opened_at": "2026-11-21T12:00:00Z",
    "expires_at": "2026-11-21T12:10:00Z", "completed_at": "2026-11-21T12:01:00Z",
    "secret_id": "sec_01k9z3v8e5f2q8r7w6t5y4x3m2", "revealed_at": null}))]
pub struct PairingView {
    /// Where it is.
    pub state: PairingState,
    /// Whom it is with; null when the webhook never was open.
    #[schema(example = "notion")]
    pub sender: Option<String>,
    /// When it was opened.
    pub opened_at: Option<DateTime<Utc>>,
    /// Until when it is open, unless a secret comes before.
    pub expires_at: Option<DateTime<Utc>>,
    /// When a secret came.
    pub completed_at: Option<DateTime<Utc>>,
    /// The secret that came; it is among those of the webhook's `authentication`.
    pub secret_id: Option<SecretId>,
    /// When it was revealed.
    pub revealed_at: Option<DateTime<Utc>>,
}

/// Where a pairing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairingState {
    /// The webhook never was open.
    Never,
    /// The webhook takes a secret.
    Open,
    /// A secret has come.
    Completed,
    /// The time was over, or the pairing closed, before one came.
    Expired,
}

impl PairingView {
    /// Shows the latest pairing of a webhook, if there was one.
    pub fn new(pairing: Option<Pairing>, now: DateTime<Utc>) -> Self {
        let state = match &pairing {
            None => PairingState::Never,
            Some(pairing) if pairing.completed_at.is_some() => PairingState::Completed,
            Some(pairing) if pairing.expires_at <= now => PairingState::Expired,
            Some(_) => PairingState::Open,
        };
        Self {
            state,
            opened_at: pairing.as_ref().map(|pairing| pairing.opened_at),
            expires_at: pairing.as_ref().map(|pairing| pairing.expires_at),
            completed_at: pairing.as_ref().and_then(|pairing| pairing.completed_at),
            secret_id: pairing.as_ref().and_then(Pairing::secret_id),
            revealed_at: pairing.as_ref().and_then(|pairing| pairing.revealed_at),
            sender: pairing.map(|pairing| pairing.sender),
        }
    }
}

/// A secret that a sender brought, shown this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"value": "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}))]
pub struct RevealedSecret {
    /// The secret.
    #[schema(example = "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl")]
    value: String,
}

impl RevealedSecret {
    /// Shows it.
    pub fn new(secret: Zeroizing<String>) -> Self {
        Self {
            value: secret.as_str().to_owned(),
        }
    }
}
