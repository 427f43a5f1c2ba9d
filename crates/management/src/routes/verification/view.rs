//! What decides about a request, as the API shows it.

use hookgate_model::authentication::Step;
use serde::Serialize;
use utoipa::ToSchema;

use crate::verification::{Judgement, Refused};

/// Whether a request would be accepted, and what decides that.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verification, example = json!({"accepted": false,
    "refusal": {"reason": "signature_wrong", "detail": "None of the signatures fits this request and the webhook's secrets."},
    "steps": [{"name": "method", "passed": true, "detail": "POST is among POST."},
        {"name": "signature", "passed": true, "detail": "header `x-hub-signature-256` holds 1 signature of 32 bytes"},
        {"name": "authentication", "passed": false,
            "detail": "None of the signatures fits this request and the webhook's secrets."}]}))]
pub struct JudgementView {
    /// Whether it would be accepted.
    pub accepted: bool,
    /// Why not, first of all; null when it would be.
    pub refusal: Option<RefusedView>,
    /// Everything that was looked at, in the order of admission. Where a webhook accepts one of several ways to
    /// authenticate, the steps of those that fail are among them.
    pub steps: Vec<Step>,
}

/// Why a request would be refused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WouldBeRefused, example = json!({"reason": "signature_wrong",
    "detail": "None of the signatures fits this request and the webhook's secrets."}))]
pub struct RefusedView {
    /// The stable code, as refusals have it.
    #[schema(example = "signature_wrong")]
    pub reason: &'static str,
    /// In words.
    #[schema(example = "None of the signatures fits this request and the webhook's secrets.")]
    pub detail: String,
}

impl From<Judgement> for JudgementView {
    fn from(judgement: Judgement) -> Self {
        Self {
            accepted: judgement.refusal.is_none(),
            refusal: judgement.refusal.map(RefusedView::from),
            steps: judgement.steps,
        }
    }
}

impl From<Refused> for RefusedView {
    fn from(refused: Refused) -> Self {
        Self {
            reason: refused.reason,
            detail: refused.detail,
        }
    }
}
