//! What is stored of runs and calls.

use hookgate_domain::clock;
use hookgate_domain::jobs::{FinishedRun, NewAttempt};
use hookgate_model::answer::Answer;
use hookgate_model::flow::advance::{Finished, RunOutcome};
use hookgate_model::flow::state::State;
use hookgate_model::flow::step::http::{HttpCall, HttpOutcome};
use hookgate_model::ids::EventId;
use hookgate_model::retry::Verdict;

use crate::effects::http::Made;
use crate::protection::Protected;

/// How much of a response's body is kept with an attempt.
const PREVIEW_BYTES: usize = 2_048;

/// A call that was made, as it is stored.
pub fn attempt(event: EventId, call: &HttpCall, made: &Made, protected: Option<&Protected>) -> NewAttempt {
    let outcome = if made.outcome.verdict() == Verdict::Success {
        "succeeded"
    } else {
        "failed"
    };
    metrics::counter!("hookgate_attempts_total", "outcome" => outcome).increment(1);
    let (status, error, response_preview) = match &made.outcome {
        HttpOutcome::Response { status, body, .. } => {
            let preview = body.get(..PREVIEW_BYTES).unwrap_or(body);
            (i16::try_from(*status).ok(), None, Some(preview.to_vec()))
        }
        HttpOutcome::Failed { failure, detail } => {
            (None, Some(format!("{}: {detail}", failure.as_str())), None)
        }
    };
    let attempt = NewAttempt {
        id: clock::new_id(),
        event_id: event,
        destination_id: call.destination,
        step: call.step.clone(),
        number: i32::try_from(call.attempt).unwrap_or(i32::MAX),
        method: call.method.as_str(),
        url: storable(&made.url),
        outcome,
        status,
        error: error.as_deref().map(storable),
        started_at: made.started_at,
        duration_us: made.duration_us(),
        timing: made.timing.clone(),
        response_preview,
    };
    match protected {
        Some(protected) => protected.attempt(attempt),
        None => attempt,
    }
}

/// Whether somebody waits for a run's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    Waits,
    None,
}

impl Caller {
    /// Of a job that is to be answered to a node.
    pub fn of(answer_to: Option<&str>) -> Self {
        if answer_to.is_some() {
            Self::Waits
        } else {
            Self::None
        }
    }
}

/// A finished run as it is stored.
pub fn finished_run(
    event: EventId,
    state: &State,
    finished: Finished,
    caller: Caller,
    protected: Option<&Protected>,
) -> FinishedRun {
    tracing::debug!(%event, outcome = finished.outcome.as_str(), "a run is over");
    metrics::counter!("hookgate_runs_total", "outcome" => finished.outcome.as_str()).increment(1);
    let (error, records, answer) = (
        finished.error.as_deref(),
        state.records(),
        finished.answer.as_ref(),
    );
    let (error, steps, answer) = match protected {
        None => (
            error.map(str::to_owned),
            serde_json::to_vec(records),
            answer.map(Answer::encode),
        ),
        Some(protected) => (
            error.map(|error| protected.error(error)),
            serde_json::to_vec(&protected.records(records)),
            answer.and_then(|answer| protected.answer(answer, caller == Caller::Waits)),
        ),
    };
    // What a masked event's flow would need is gone with its job.
    let is_over = matches!(finished.outcome, RunOutcome::Succeeded | RunOutcome::Filtered);
    let is_kept = !is_over && protected.is_none();
    let kept = is_kept
        .then(|| state.rewound())
        .flatten()
        .map(|state| state.encode());
    FinishedRun {
        state: kept,
        event_id: event,
        outcome: finished.outcome,
        error: error.as_deref().map(storable),
        started_at: state.started_at,
        finished_at: clock::now(),
        steps: steps.unwrap_or_default(),
        answer,
    }
}

/// Postgres keeps no NUL in text.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
