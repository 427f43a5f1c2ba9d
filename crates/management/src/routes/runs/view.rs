//! A run as the API shows it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hookgate_domain::runs::{CallbackState, Run, RunContent};
use hookgate_model::answer::Answer;
use hookgate_model::flow::state::{StepOutcome, StepRecord};
use hookgate_model::ids::{EventId, RevisionId, RunId, WebhookId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{ApiError, ApiResult};
use crate::request_view::{HeaderView, text};

/// What a flow did for one event, without its steps.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// The event that it ran for.
    pub event_id: EventId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The revision that ran.
    pub revision_id: RevisionId,
    /// How it ended.
    #[schema(example = "succeeded")]
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
    /// When a worker first took it up.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

/// What a flow did for one event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub struct RunView {
    /// What a list shows too.
    #[serde(flatten)]
    pub summary: RunSummary,
    /// A record for each step that ran, in order.
    pub steps: Vec<StepRecord>,
    /// What became of the calls that its `callback` steps left behind.
    pub callbacks: Vec<CallbackView>,
    /// What the caller got, or would have got.
    pub answer: Option<AnswerView>,
    /// Whether there was an answer that is not shown because it holds what data protection masks.
    pub answer_withheld: bool,
}

/// What became of a call that a run left behind.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunCallback, example = json!({"step": "notify", "outcome": "succeeded", "attempts": 1, "status": 200}))]
pub struct CallbackView {
    /// The step that made it.
    #[schema(example = "notify")]
    pub step: String,
    /// `pending`, `succeeded` or `failed`. Its attempts are among those of the run.
    #[schema(example = "succeeded")]
    pub outcome: &'static str,
    /// How many attempts there were.
    pub attempts: i32,
    /// The status that the last one got.
    pub status: Option<i16>,
}

impl From<CallbackState> for CallbackView {
    fn from(state: CallbackState) -> Self {
        Self {
            step: state.step,
            outcome: state.outcome,
            attempts: state.attempts,
            status: state.status,
        }
    }
}

/// The records of a run's steps.
///
/// # Errors
/// 500 when they cannot be read.
pub fn steps(content: &RunContent) -> ApiResult<Vec<StepRecord>> {
    serde_json::from_slice(&content.steps).map_err(ApiError::internal)
}

/// The names of the steps that left calls behind.
pub fn callers_back(steps: &[StepRecord]) -> Vec<&str> {
    let left = |step: &&StepRecord| step.kind == "callback" && step.outcome == StepOutcome::Succeeded;
    steps.iter().filter(left).map(|step| step.name.as_str()).collect()
}

/// An answer to a caller.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunAnswer)]
pub struct AnswerView {
    /// The status code.
    #[schema(example = 200)]
    pub status: u16,
    /// The headers.
    pub headers: Vec<HeaderView>,
    /// The length of the body, in bytes.
    pub body_bytes: usize,
    /// The body, when it is text.
    pub body: Option<String>,
    /// The body in base64, when it is no text.
    #[schema(example = json!(null))]
    pub body_base64: Option<String>,
}

impl From<Run> for RunSummary {
    fn from(run: Run) -> Self {
        Self {
            id: run.id,
            event_id: run.id.into(),
            webhook_id: run.webhook_id,
            revision_id: run.revision_id,
            outcome: run.outcome,
            error: run.error,
            started_at: run.started_at,
            finished_at: run.finished_at,
        }
    }
}

impl RunView {
    /// Shows a run with its content.
    pub fn new(run: Run, content: RunContent, steps: Vec<StepRecord>, callbacks: Vec<CallbackState>) -> Self {
        Self {
            summary: run.into(),
            steps,
            callbacks: callbacks.into_iter().map(CallbackView::from).collect(),
            answer: content.answer.map(AnswerView::from),
            answer_withheld: content.answer_withheld,
        }
    }
}

impl From<Answer> for AnswerView {
    fn from(answer: Answer) -> Self {
        let body = text(&answer.body);
        Self {
            status: answer.status,
            body_bytes: answer.body.len(),
            body_base64: body.is_none().then(|| STANDARD.encode(&answer.body)),
            body,
            headers: answer
                .headers
                .into_iter()
                .map(|(name, value)| HeaderView { name, value })
                .collect(),
        }
    }
}
