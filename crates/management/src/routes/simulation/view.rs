//! What a flow would do, as the API shows it.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hookgate_model::answer::Answer;
use hookgate_model::egress;
use hookgate_model::expected_data::{Violation, describe};
use hookgate_model::flow::advance::RunOutcome;
use hookgate_model::flow::simulate::{Simulated, SimulatedCall};
use hookgate_model::flow::state::StepOutcome;
use hookgate_model::flow::step::http::HttpOutcome;
use hookgate_model::ids::DestinationId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::request_view::{HeaderView, text};
use crate::routes::runs::AnswerView;

/// The most bytes of a body that are shown.
const SHOWN: usize = 64 * 1024;

/// What would happen.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Simulation, example = json!({"outcome": "succeeded", "differences": [], "error": null,
    "answer": {"status": 201, "headers": [], "body_bytes": 10, "body": "{\"crm\":7}"},
    "steps": [{"name": "crm", "kind": "http", "outcome": "succeeded", "error": null,
        "output": {"status": 201, "headers": {}, "body": {"id": 7}, "error": null},
        "calls": [{"attempt": 1, "method": "POST", "url": "https://crm.example.com/contacts", "headers": [], "body": "{}",
            "body_bytes": 2, "source": "given", "status": 201, "error": null, "again_at": null}]}],
    "duration_us": 310}))]
pub struct SimulationView {
    /// How the run would end; `refused` when there would be none.
    pub outcome: SimulatedOutcome,
    /// How the request differs from what is expected.
    pub differences: Vec<Violation>,
    /// Why it would fail.
    pub error: Option<String>,
    /// What the caller would get.
    pub answer: AnswerView,
    /// Every step that would be come to, in order.
    pub steps: Vec<SimulatedStepView>,
    /// How long the flow's own evaluation took, in microseconds: without calls and waiting.
    #[schema(example = 310)]
    pub duration_us: u64,
}

/// What would become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SimulatedOutcome {
    /// Every step that had to succeed would.
    Succeeded,
    /// A step would fail, or the answer could not be made.
    Failed,
    /// `only_if` or the condition of a `filter` step would not hold.
    Filtered,
    /// It would be refused, because it is not what is expected.
    Refused,
}

impl From<RunOutcome> for SimulatedOutcome {
    fn from(outcome: RunOutcome) -> Self {
        match outcome {
            RunOutcome::Succeeded => Self::Succeeded,
            RunOutcome::Filtered => Self::Filtered,
            // Nothing can crash here that would not be an error of this service.
            RunOutcome::Failed | RunOutcome::Crashed => Self::Failed,
        }
    }
}

/// What would become of a step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SimulatedStep)]
pub struct SimulatedStepView {
    /// The step's name.
    #[schema(example = "crm")]
    pub name: String,
    /// The step's kind.
    #[schema(example = "http")]
    pub kind: String,
    /// What it would come to.
    pub outcome: StepOutcome,
    /// Why it would fail.
    pub error: Option<String>,
    /// What later steps would see under its name.
    #[schema(value_type = Value)]
    pub output: Value,
    /// The calls that it would make.
    pub calls: Vec<SimulatedCallView>,
}

/// A call that was not made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SimulatedCall)]
pub struct SimulatedCallView {
    /// Which attempt it is, from 1.
    #[schema(example = 1)]
    pub attempt: u32,
    /// The HTTP method.
    #[schema(example = "POST")]
    pub method: String,
    /// The URL; null when it could not be called, which `error` explains.
    #[schema(example = "https://crm.example.com/contacts")]
    pub url: Option<String>,
    /// The headers of the step. Those for signatures and keys come on top.
    pub headers: Vec<HeaderView>,
    /// The body, or its first 65536 bytes, when it is text.
    #[schema(example = "{}")]
    pub body: Option<String>,
    /// The length of the body, in bytes.
    #[schema(example = 2)]
    pub body_bytes: usize,
    /// Where the response comes from.
    pub source: ResponseSource,
    /// The status of the response.
    #[schema(example = 201)]
    pub status: Option<u16>,
    /// What would be wrong, in words.
    pub error: Option<String>,
    /// When it would be tried again at the latest, if it would.
    pub again_at: Option<DateTime<Utc>>,
}

/// Where a simulated call's response comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseSource {
    /// It was given with the question.
    Given,
    /// It is what the call came to in the event's run.
    Recorded,
    /// Nothing is known of it: an empty 200.
    Assumed,
}

impl SimulationView {
    /// Shows a simulation; `sources` belong to its calls.
    pub fn new(
        simulated: Simulated,
        sources: &[ResponseSource],
        destinations: &HashMap<DestinationId, String>,
        differences: Vec<Violation>,
        took: Duration,
    ) -> Self {
        let Simulated {
            finished,
            answer,
            records,
            mut results,
            calls,
        } = simulated;
        let mut of_steps: HashMap<String, Vec<SimulatedCallView>> = HashMap::new();
        for (call, source) in calls.into_iter().zip(sources) {
            let step = call.call.step.clone();
            let view = SimulatedCallView::new(call, *source, destinations);
            of_steps.entry(step).or_default().push(view);
        }
        let steps = records.into_iter().map(|record| SimulatedStepView {
            calls: of_steps.remove(&record.name).unwrap_or_default(),
            output: results.remove(&record.name).unwrap_or_default(),
            name: record.name,
            kind: record.kind,
            outcome: record.outcome,
            error: record.error,
        });
        Self {
            steps: steps.collect(),
            outcome: finished.outcome.into(),
            differences,
            error: finished.error,
            answer: answer.into(),
            duration_us: micros(took),
        }
    }

    /// Shows that a request would be refused.
    pub fn refused(answer: Answer, differences: Vec<Violation>, took: Duration) -> Self {
        Self {
            outcome: SimulatedOutcome::Refused,
            error: Some(describe(&differences)),
            differences,
            answer: answer.into(),
            steps: Vec::new(),
            duration_us: micros(took),
        }
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

impl SimulatedCallView {
    fn new(
        simulated: SimulatedCall,
        source: ResponseSource,
        destinations: &HashMap<DestinationId, String>,
    ) -> Self {
        let SimulatedCall {
            call,
            outcome,
            again_at,
        } = simulated;
        let url = match destinations.get(&call.destination) {
            Some(base) => egress::join(base, &call.path).map(|url| url.to_string()),
            None => Err("the destination was deleted".to_owned()),
        };
        let (url, unreachable) = match url {
            Ok(url) => (Some(url), None),
            Err(reason) => (None, Some(reason)),
        };
        let status = match &outcome {
            HttpOutcome::Response { status, .. } => Some(*status),
            HttpOutcome::Failed { .. } => None,
        };
        let failed = outcome.verdict() != hookgate_model::retry::Verdict::Success;
        Self {
            attempt: call.attempt,
            method: call.method.as_str().to_owned(),
            url,
            body: text(&call.body[..call.body.len().min(SHOWN)]),
            body_bytes: call.body.len(),
            headers: call
                .headers
                .into_iter()
                .map(|(name, value)| HeaderView { name, value })
                .collect(),
            source,
            status,
            error: unreachable.or_else(|| failed.then(|| outcome.error())),
            again_at,
        }
    }
}
