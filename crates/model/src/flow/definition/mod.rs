//! A revision as it is written: what a webhook does with an event and what its caller gets back.
//!
//! Wherever a field says *template*, `{{ expression }}` (MiniJinja) may stand. In a JSON template each string is a
//! template of its own; one that is a single whole `{{ expression }}` keeps the type of its value, so the result is
//! always valid JSON and a value cannot change its structure.

mod response;
mod step;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use response::{BodyEncoding, OutcomeAnswer, OutcomeAnswers, Response, ResponseMode};
pub use step::{HttpMethod, OnError, RecordOperation, Retry, Step};

use crate::expected_data::ExpectedData;
use crate::ids::{DestinationId, SecretId};

/// The most steps that a flow may have.
pub const MAX_STEPS: usize = 50;
/// The most characters in a step's name.
pub const MAX_NAME_CHARS: usize = 64;
/// The most secrets that a flow may use.
pub const MAX_SECRETS: usize = 20;
/// The most headers in one request or answer.
pub const MAX_HEADERS: usize = 50;
/// The most bytes in one template.
pub const MAX_TEMPLATE_BYTES: usize = 16 * 1024;
/// The most strings with `{{ }}` or `{% %}` in one revision: bounds, with the fuel of each, what an event may cost.
pub const MAX_TEMPLATES: usize = 500;
/// How long a caller may be kept waiting for a flow's result, in milliseconds.
pub const RESPONSE_TIMEOUT_MS: std::ops::RangeInclusive<u32> = 100..=60_000;
/// How long one attempt of an HTTP call may take, from the name's resolution to the last byte, in milliseconds.
pub const HTTP_TIMEOUT_MS: std::ops::RangeInclusive<u32> = 100..=60_000;
/// How many attempts an HTTP call may have.
pub const RETRY_ATTEMPTS: std::ops::RangeInclusive<u32> = 1..=25;
/// What the first delay between attempts may be, in milliseconds.
pub const RETRY_INITIAL_DELAY_MS: std::ops::RangeInclusive<u32> = 100..=3_600_000;
/// What the longest delay between attempts may be, in milliseconds: at most a day.
pub const RETRY_MAX_DELAY_MS: std::ops::RangeInclusive<u32> = 1_000..=86_400_000;
/// How many delays a list may have: with the first attempt, as many as [`RETRY_ATTEMPTS`].
pub const RETRY_DELAYS: std::ops::RangeInclusive<usize> = 1..=24;
/// What a delay of a list may be, in seconds: at most a week.
pub const RETRY_DELAY_SECONDS: std::ops::RangeInclusive<u32> = 1..=604_800;
/// Status codes that an answer may have.
pub const ANSWER_STATUS: std::ops::RangeInclusive<u16> = 200..=599;

/// One version of a webhook's behaviour: the flow that runs for each event, and the answer to the caller.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({
    "flow": { "only_if": "{{ body.total > 0 }}", "steps": [
        { "name": "order", "kind": "set", "values": { "total": "{{ body.total | float }}" } },
        { "name": "crm", "kind": "http", "destination": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2", "method": "POST", "path": "/contacts",
          "body": { "email": "{{ body.email }}" }, "timeout_ms": 5000, "retry": { "attempts": 8 } },
        { "name": "reply", "kind": "respond", "status": 201, "body": { "crm_id": "{{ crm.body.id }}", "total": "{{ order.total }}" } }
    ] },
    "response": { "mode": "wait", "timeout_ms": 10000, "status": 200, "headers": {}, "body": null,
        "on": { "failed": { "status": 500, "body": { "error": "the order was not taken" } }, "timed_out": { "status": 202 } } }
}))]
pub struct RevisionDocument {
    /// What its requests are expected to hold.
    #[serde(skip_serializing_if = "ExpectedData::is_default")]
    #[schema(required = false)]
    pub expected_data: ExpectedData,
    /// Which events belong together: they run one at a time, in their order, and share a state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionSettings>,
    /// What runs for each event.
    pub flow: Flow,
    /// What the caller gets back.
    pub response: Response,
}

/// Which events belong together. Those of one key run one at a time, in the order of their receipt; what `session` steps keep
/// of them is `{{ session.<name> }}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionSettings {
    /// A template of the request. An event whose key is empty or null has no session.
    #[schema(max_length = 16384, example = "{{ body.sessionId }}")]
    pub key: String,
    /// How long the state is kept after the last event, in seconds.
    #[serde(default = "default_ttl_seconds")]
    #[schema(minimum = 1, maximum = 34560000)]
    pub ttl_seconds: u32,
}

/// The steps that run for each event, in order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Flow {
    /// A condition, `{{ expression }}`: when it does not hold, nothing runs and the run's outcome is `filtered`.
    pub only_if: Option<String>,
    /// The secrets that `http` and `callback` steps can send, each by a word of its own, at most 20: `{{ secrets.<word> }}` in
    /// their path, headers and body, and nowhere else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({ "erp": "sec_01k9z3v8e5f2q8r7w6t5y4x3m2" }))]
    pub secrets: BTreeMap<String, SecretId>,
    /// At most 50 steps.
    #[schema(max_items = 50)]
    pub steps: Vec<Step>,
}

const fn default_timeout_ms() -> u32 {
    10_000
}
const fn default_ttl_seconds() -> u32 {
    86_400
}
const fn default_status() -> u16 {
    200
}

impl RevisionDocument {
    /// Whether an event has no work behind it: no step runs and nobody waits, so it needs no job and no run.
    /// The column `revisions.has_work` says the opposite by the same rule.
    pub fn is_idle(&self) -> bool {
        self.flow.steps.is_empty() && self.response.mode == ResponseMode::Immediate
    }

    /// The destinations that its steps call.
    pub fn destinations(&self) -> Vec<DestinationId> {
        let called = self.flow.steps.iter().filter_map(|step| match step {
            Step::Http { destination, .. } | Step::Callback { destination, .. } => Some(*destination),
            Step::Set { .. }
            | Step::Filter { .. }
            | Step::Record { .. }
            | Step::Session { .. }
            | Step::Respond { .. } => None,
        });
        called.collect()
    }

    /// Whether each event needs a job of its own: its session has turns, or its progress must be kept from one effect to the next:
    /// a row is written once, and what was called successfully is not called again when the next step is all that is left.
    pub fn keeps_progress(&self) -> bool {
        let is_record = |step: &Step| matches!(step, Step::Record { .. });
        let is_call = |step: &&Step| matches!(step, Step::Http { .. });
        self.session.is_some()
            || self.flow.steps.iter().any(is_record)
            || self.flow.steps.iter().filter(is_call).count() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_empty_document_is_the_default_and_idle() {
        let document: RevisionDocument = serde_json::from_value(json!({})).expect("a document");
        assert_eq!(document, RevisionDocument::default());
        assert!(document.is_idle());
    }

    #[test]
    fn unknown_fields_are_refused_everywhere() {
        let http = json!({ "name": "a", "kind": "http", "destination": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2" });
        let mut with_typo = http.clone();
        with_typo["timeout"] = json!(3);
        for (document, good) in [
            (json!({ "expected_data": { "mode": "warn" } }), true),
            (json!({ "expected_data": { "modes": "warn" } }), false),
            (json!({ "session": { "key": "x" } }), true),
            (json!({ "session": { "key": "x", "ttl": 1 } }), false),
            (json!({ "flow": { "step": [] } }), false),
            (json!({ "flow": { "steps": [http] } }), true),
            (json!({ "flow": { "steps": [with_typo] } }), false),
            (
                json!({ "flow": { "steps": [{ "name": "a", "kind": "teleport" }] } }),
                false,
            ),
            (
                json!({ "response": { "on": { "exploded": { "status": 500 } } } }),
                false,
            ),
            (
                json!({ "response": { "on": { "failed": { "status": 500, "text": "x" } } } }),
                false,
            ),
        ] {
            let parsed = serde_json::from_value::<RevisionDocument>(document.clone());
            assert_eq!(parsed.is_ok(), good, "{document}: {parsed:?}");
        }
    }

    #[test]
    fn a_document_reads_back() {
        let document: RevisionDocument = serde_json::from_value(json!({
            "flow": { "only_if": "{{ body.total > 0 }}", "steps": [
                { "name": "order", "kind": "set", "values": { "total": "{{ body.total | float }}" } },
                { "name": "crm", "kind": "http", "destination": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2", "retry": { "attempts": 3 } },
                { "name": "reply", "kind": "respond", "status": 201 },
            ] },
            "response": { "mode": "wait", "body": null, "on": { "filtered": { "status": 204 } } },
        }))
        .expect("a document");
        let stored = serde_json::to_value(&document).expect("json");
        assert_eq!(
            serde_json::from_value::<RevisionDocument>(stored).expect("a document"),
            document
        );
        assert_eq!(document.flow.steps[1].kind(), "http");
    }
}
