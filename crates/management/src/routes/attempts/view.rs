//! An attempt as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::attempts::Attempt;
use hookgate_model::ids::{AttemptId, DestinationId, RunId, WebhookId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::request_view::text;

/// An outbound HTTP call of a flow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt, example = json!({"id": "att_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "run_id": "run_01k9z3v8e5f2q8r7w6t5y4x3m2", "webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "destination_id": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2", "step": "crm", "number": 1, "method": "POST",
    "url": "https://crm.example.com/api/contacts", "outcome": "succeeded", "status": 201, "error": null,
    "started_at": "2026-11-21T12:00:00Z", "duration_us": 48_210, "timing": {}, "response_preview": "{\"id\":7}"}))]
pub struct AttemptView {
    /// Its id.
    pub id: AttemptId,
    /// The run that made it.
    pub run_id: RunId,
    /// The run's webhook.
    pub webhook_id: WebhookId,
    /// Where it went.
    pub destination_id: DestinationId,
    /// The name of the step that made it.
    #[schema(example = "crm")]
    pub step: String,
    /// Counts the attempts of that step from 1.
    #[schema(example = 1)]
    pub number: i32,
    /// The HTTP method.
    #[schema(example = "POST")]
    pub method: String,
    /// The URL.
    #[schema(example = "https://crm.example.com/api/contacts")]
    pub url: String,
    /// How it ended.
    #[schema(example = "succeeded")]
    pub outcome: String,
    /// The status of the answer, if there was one.
    #[schema(example = 201)]
    pub status: Option<i16>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took, in microseconds.
    #[schema(example = 48_210)]
    pub duration_us: i64,
    /// How long its parts took.
    #[schema(value_type = Object)]
    pub timing: Value,
    /// The beginning of the answer's body, when it is text.
    pub response_preview: Option<String>,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self {
            id: attempt.id,
            run_id: attempt.run_id,
            webhook_id: attempt.webhook_id,
            destination_id: attempt.destination_id,
            step: attempt.step,
            number: attempt.number,
            method: attempt.method,
            url: attempt.url,
            outcome: attempt.outcome,
            status: attempt.status,
            error: attempt.error,
            started_at: attempt.started_at,
            duration_us: attempt.duration_us,
            timing: attempt.timing,
            response_preview: attempt.response_preview.as_deref().and_then(text),
        }
    }
}
