//! What a tenant may want to be told of, from what happened.

use hookgate_domain::jobs::{FinishedRun, JobResult};
use hookgate_domain::notifications::Notice;
use hookgate_model::flow::advance::RunOutcome;
use hookgate_model::flow::step::http::{HttpCall, HttpOutcome};
use hookgate_model::ids::{DestinationId, EventId, RevisionId, RunId, WebhookId};
use hookgate_model::notification::Kind;
use serde_json::{Map, Value, json};

/// The most characters of an error that is told.
const ERROR_CHARACTERS: usize = 1_000;

/// The runs that failed.
pub fn of_runs(result: &JobResult) -> Vec<Notice> {
    let has_failed = |run: &&FinishedRun| match run.outcome {
        RunOutcome::Failed | RunOutcome::Crashed => true,
        RunOutcome::Succeeded | RunOutcome::Filtered => false,
    };
    let told = |run: &FinishedRun| {
        let error: Option<String> = run
            .error
            .as_ref()
            .map(|error| error.chars().take(ERROR_CHARACTERS).collect());
        notice(
            Kind::RunFailed,
            run.event_id,
            (result.webhook_id, result.revision_id),
            json!({ "outcome": run.outcome, "error": error, "can_be_retried": run.state.is_some() }),
        )
    };
    result.finished.iter().filter(has_failed).map(told).collect()
}

/// A call that a run left behind, and that did not arrive.
pub fn of_callback(call: &HttpCall, outcome: &HttpOutcome, event: EventId, result: &JobResult) -> Notice {
    let status = match outcome {
        HttpOutcome::Response { status, .. } => Some(*status),
        HttpOutcome::Failed { .. } => None,
    };
    let notice = notice(
        Kind::CallbackFailed,
        event,
        (result.webhook_id, result.revision_id),
        json!({ "step": call.step, "destination_id": call.destination, "attempts": call.attempt, "status": status }),
    );
    Notice {
        about: Some(call.destination),
        ..notice
    }
}

/// A destination that no more calls go to.
pub fn of_pause(
    id: DestinationId,
    reason: &str,
    event: EventId,
    webhook: WebhookId,
    revision: RevisionId,
) -> Notice {
    let data = json!({ "destination_id": id, "reason": reason });
    Notice {
        about: Some(id),
        ..notice(Kind::DestinationPaused, event, (webhook, revision), data)
    }
}

fn notice(kind: Kind, event_id: EventId, of: (WebhookId, RevisionId), told: Value) -> Notice {
    let (webhook_id, revision_id) = of;
    let mut data = Map::from_iter([
        ("run_id".to_owned(), json!(RunId::from(event_id))),
        ("event_id".to_owned(), json!(event_id)),
        ("webhook_id".to_owned(), json!(webhook_id)),
        ("revision_id".to_owned(), json!(revision_id)),
    ]);
    if let Value::Object(told) = told {
        data.extend(told);
    }
    Notice {
        kind,
        webhook_id,
        revision_id,
        event_id,
        about: None,
        data,
    }
}
