//! A run without effects: calls are not made but answered from what is given, and waiting takes no time.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::advance::{Decision, Finished, Outcome, advance, written};
use super::compiled::CompiledRevision;
use super::definition::RecordOperation;
use super::secrets::FlowSecrets;
use super::session::Session;
use super::state::{State, StepRecord};
use super::step::callback::{Callback, Next};
use super::step::http::{HttpCall, HttpOutcome};
use super::step::record::{RecordChange, RecordWrite, RecordWritten};
use super::variables::Request;
use crate::answer::Answer;

/// What a run would do.
#[derive(Debug)]
pub struct Simulated {
    /// How it would end.
    pub finished: Finished,
    /// What the caller would get.
    pub answer: Answer,
    /// What would become of each step.
    pub records: Vec<StepRecord>,
    /// What later steps would see of each, by name.
    pub results: Map<String, Value>,
    /// The calls that it would make, in their order, with what they came to.
    pub calls: Vec<SimulatedCall>,
}

/// A call that was not made.
#[derive(Debug)]
pub struct SimulatedCall {
    /// The call.
    pub call: HttpCall,
    /// What it came to.
    pub outcome: HttpOutcome,
    /// When it would be tried again at the latest, if it would.
    pub again_at: Option<DateTime<Utc>>,
}

/// Runs a revision for a request. `answer` says what a call comes to. Secrets are not opened: their names stand for them.
pub fn simulate(
    revision: &CompiledRevision,
    request: &Arc<Request>,
    now: DateTime<Utc>,
    mut answer: impl FnMut(&HttpCall) -> HttpOutcome,
) -> Simulated {
    // A session is as if this were its first event.
    let session = revision.session_key(request).ok().flatten().map(|key| Session {
        key,
        values: Map::new(),
    });
    let secrets = FlowSecrets::placeholders(revision.secrets().keys());
    let mut state = State::new(now).in_session(session);
    let mut calls: Vec<SimulatedCall> = Vec::new();
    let (mut now, mut outcome) = (now, Outcome::Begin);
    loop {
        // The longest of the random delays: what is said of the time holds at least.
        let decision = advance(revision, request, &secrets, &mut state, outcome, now, 1.0);
        outcome = match decision {
            Decision::Call(call) => {
                let outcome = answer(&call);
                calls.push(SimulatedCall {
                    call,
                    outcome: outcome.clone(),
                    again_at: None,
                });
                Outcome::Called(outcome)
            }
            Decision::Write(write) => {
                written(revision, &mut state, &as_if_written(write), now);
                Outcome::Begin
            }
            Decision::Answer(_) => Outcome::Answered,
            Decision::Retry { due_at } => {
                if let Some(last) = calls.last_mut() {
                    last.again_at = Some(due_at);
                }
                now = due_at;
                Outcome::Begin
            }
            Decision::Done(finished) => {
                for callback in state.take_callbacks() {
                    calls.extend(deliver(callback, now, &mut answer));
                }
                let answer = match &finished.answer {
                    Some(answer) => answer.clone(),
                    None => revision.immediate_answer(request),
                };
                let State { records, results, .. } = state;
                return Simulated {
                    finished,
                    answer,
                    records,
                    results,
                    calls,
                };
            }
        };
    }
}

/// The calls that a callback would make until it is over.
fn deliver(
    mut callback: Callback,
    mut now: DateTime<Utc>,
    answer: &mut impl FnMut(&HttpCall) -> HttpOutcome,
) -> Vec<SimulatedCall> {
    let mut calls = Vec::new();
    loop {
        let call = callback.call.clone();
        let outcome = answer(&call);
        let next = callback.advance(&outcome, now, 1.0);
        let again_at = match next {
            Next::Over => None,
            Next::Again { due_at } => Some(due_at),
        };
        calls.push(SimulatedCall {
            call,
            outcome,
            again_at,
        });
        match again_at {
            Some(due_at) => now = due_at,
            None => return calls,
        }
    }
}

/// What a step would see of a row that nobody wrote: as if it were there where it must be, and new where it may be.
fn as_if_written(write: RecordWrite) -> RecordWritten {
    RecordWritten {
        id: None,
        key: write.key,
        change: match write.operation {
            RecordOperation::Insert | RecordOperation::Upsert => RecordChange::Created,
            RecordOperation::Update => RecordChange::Updated,
            RecordOperation::Delete => RecordChange::Deleted,
        },
        data: Value::Object(write.data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::advance::RunOutcome;
    use crate::flow::variables::tests::event;
    use serde_json::json;

    fn run(document: Value, answer: impl FnMut(&HttpCall) -> HttpOutcome) -> Simulated {
        let document = serde_json::from_value(document).expect("a document");
        let revision = CompiledRevision::compile(&document).expect("it compiles");
        let request = event("application/json", r#"{"n": 7}"#);
        simulate(&revision, &request, DateTime::UNIX_EPOCH, answer)
    }

    fn response(status: u16, body: &str) -> HttpOutcome {
        HttpOutcome::Response {
            status,
            headers: Vec::new(),
            body: body.into(),
            is_cut: false,
        }
    }

    fn calling() -> Value {
        let destination = "dst_01k9z3v8e5f2q8r7w6t5y4x3m2";
        json!({"flow": {"steps": [
            {"name": "double", "kind": "set", "values": {"n": "{{ body.n * 2 }}"}},
            {"name": "crm", "kind": "http", "destination": destination, "body": {"n": "{{ double.n }}"}, "retry": {"attempts": 3}},
        ]}, "response": {"mode": "wait", "body": {"id": "{{ crm.body.id }}"}}})
    }

    #[test]
    fn every_step_is_seen_and_every_call_is_answered_from_what_is_given() {
        let mut tries = 0;
        let simulated = run(calling(), |call| {
            assert_eq!(call.body, br#"{"n":14}"#);
            tries += 1;
            if tries < 3 {
                response(503, "")
            } else {
                response(200, r#"{"id": 5}"#)
            }
        });
        assert_eq!(simulated.finished.outcome, RunOutcome::Succeeded);
        assert_eq!(simulated.answer.body, br#"{"id":5}"#);
        assert_eq!(simulated.results["double"], json!({"n": 14}));
        let waits: Vec<bool> = simulated
            .calls
            .iter()
            .map(|call| call.again_at.is_some())
            .collect();
        assert_eq!(waits, [true, true, false]);
        assert_eq!(simulated.records[1].attempts, Some(3));
    }

    #[test]
    fn rows_are_as_if_they_were_written() {
        let step = json!({"name": "save", "kind": "record", "collection": "orders", "key": "{{ body.n }}", "data": {"n": "{{ body.n }}"}});
        let document = json!({"flow": {"steps": [step]}, "response": {"mode": "wait", "body": "{{ save.data.n }} {{ save.change }}"}});
        let simulated = run(document, |_| response(500, ""));
        assert_eq!(simulated.answer.body, b"7 created");
        assert_eq!(simulated.records.len(), 1);
    }

    #[test]
    fn callbacks_are_seen_with_their_retries() {
        let destination = "dst_01k9z3v8e5f2q8r7w6t5y4x3m2";
        let step = json!({"name": "notify", "kind": "callback", "destination": destination, "body": {"n": "{{ body.n }}"},
            "retry": {"delays_seconds": [60]}});
        let mut statuses = [503, 200].into_iter();
        let simulated = run(json!({"flow": {"steps": [step]}}), |call| {
            assert_eq!(call.body, br#"{"n":7}"#);
            response(statuses.next().expect("two calls"), "")
        });
        let told: Vec<_> = simulated
            .calls
            .iter()
            .map(|made| {
                (
                    made.call.step.as_str(),
                    made.call.attempt,
                    made.again_at.is_some(),
                )
            })
            .collect();
        assert_eq!(told, [("notify", 1, true), ("notify", 2, false)]);
        assert_eq!(simulated.finished.outcome, RunOutcome::Succeeded);
    }

    #[test]
    fn a_flow_that_fails_ends() {
        let simulated = run(calling(), |_| response(500, ""));
        assert_eq!(
            (simulated.finished.outcome, simulated.calls.len()),
            (RunOutcome::Failed, 3)
        );
        assert_eq!(simulated.answer.status, 500);
    }
}
