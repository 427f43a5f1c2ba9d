//! A revision as it is written: what a webhook does with an event and what its caller gets back.
//!
//! Wherever a field says *template*, `{{ expression }}` (MiniJinja) may stand. In a JSON template each string is a
//! template of its own; one that is a single whole `{{ expression }}` keeps the type of its value, so the result is
//! always valid JSON and a value cannot change its structure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::expected_data::ExpectedData;
use crate::ids::DestinationId;

/// The most steps that a flow may have.
pub const MAX_STEPS: usize = 50;
/// The most characters in a step's name.
pub const MAX_NAME_CHARS: usize = 64;
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
    /// At most 50 steps.
    #[schema(max_items = 50)]
    pub steps: Vec<Step>,
}

/// One step of a flow. Its result is a variable of the steps after it, by the step's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FlowStep)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Computes values: `{{ <name>.<value> }}` afterwards.
    Set {
        /// A word of a-z, 0-9 and `_`, beginning with a letter, unique in the flow.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$", example = "order")]
        name: String,
        /// A condition, `{{ expression }}`: when it does not hold, the step is skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        when: Option<String>,
        /// What an error means for the flow.
        #[serde(default)]
        on_error: OnError,
        /// JSON templates by name.
        #[schema(value_type = Object, example = json!({ "total": "{{ body.total | float }}" }))]
        values: Map<String, Value>,
    },
    /// Ends the run as `filtered` unless its condition holds; what the steps before it did stays done.
    Filter {
        /// A word of a-z, 0-9 and `_`, beginning with a letter, unique in the flow.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$", example = "paid")]
        name: String,
        /// A condition, `{{ expression }}`: when it does not hold, the step is skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        when: Option<String>,
        /// What an error means for the flow.
        #[serde(default)]
        on_error: OnError,
        /// What must hold, `{{ expression }}`, for the flow to go on.
        #[schema(example = "{{ crm.body.status == 'paid' }}")]
        condition: String,
        /// The answer to the caller who waits when it does not hold; by default that of `response.on.filtered`. It sees
        /// what the steps before this one gave.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<OutcomeAnswer>,
    },
    /// Calls a destination: `{{ <name>.status }}`, `{{ <name>.headers }}` and `{{ <name>.body }}` afterwards. The call is
    /// repeated until it succeeds or its attempts are used up, with the same idempotency key each time.
    Http {
        /// A word of a-z, 0-9 and `_`, beginning with a letter, unique in the flow.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$", example = "crm")]
        name: String,
        /// A condition, `{{ expression }}`: when it does not hold, the step is skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        when: Option<String>,
        /// What it means for the flow when the last attempt failed too.
        #[serde(default)]
        on_error: OnError,
        /// Where to: the destination's base URL begins the URL, and its secret signs the call.
        destination: DestinationId,
        /// The request method.
        #[serde(default)]
        method: HttpMethod,
        /// A template, appended to the destination's base URL; may end in a query. Inserted values are percent-encoded.
        #[serde(default)]
        #[schema(example = "/contacts/{{ body.id }}")]
        path: String,
        /// Templates by header name.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// A JSON template. A result that is text is sent as it is, `null` as no body, anything else as JSON.
        #[serde(default)]
        #[schema(example = json!({ "email": "{{ body.email }}" }))]
        body: Value,
        /// How long one attempt may take, in milliseconds.
        #[serde(default = "default_timeout_ms")]
        #[schema(minimum = 100, maximum = 60000)]
        timeout_ms: u32,
        /// When a failed call is repeated.
        #[serde(default)]
        retry: Retry,
    },
    /// Writes a row of a collection: `{{ <name>.id }}`, `{{ <name>.key }}`, `{{ <name>.change }}` (`created`, `updated`,
    /// `deleted`, `absent`) and `{{ <name>.data }}` afterwards. It is written once, whatever happens to the worker.
    Record {
        /// A word of a-z, 0-9 and `_`, beginning with a letter, unique in the flow.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$", example = "save")]
        name: String,
        /// A condition, `{{ expression }}`: when it does not hold, the step is skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        when: Option<String>,
        /// What it means for the flow when the row cannot be written.
        #[serde(default)]
        on_error: OnError,
        /// The collection's name.
        #[schema(example = "orders")]
        collection: String,
        /// What to do.
        #[serde(default)]
        operation: RecordOperation,
        /// A template: which row.
        #[schema(max_length = 16384, example = "{{ path.order_id }}")]
        key: String,
        /// What the row is to hold: JSON templates by name. For `update` what changes: objects go into objects, `null`
        /// removes a field. None for `delete`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Object>, example = json!({ "total": "{{ order.total }}" }))]
        data: Option<Map<String, Value>>,
    },
    /// Changes what the event's session holds: `{{ session.<value> }}` afterwards, also in later events. It is stored once,
    /// when the run is over, whatever happens to the worker.
    Session {
        /// A word of a-z, 0-9 and `_`, beginning with a letter, unique in the flow.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$", example = "remember")]
        name: String,
        /// A condition, `{{ expression }}`: when it does not hold, the step is skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        when: Option<String>,
        /// What an error means for the flow.
        #[serde(default)]
        on_error: OnError,
        /// Whether everything is forgotten first.
        #[serde(default)]
        clear: bool,
        /// JSON templates by name; `null` forgets a value. Together at most 64 KiB.
        #[serde(default)]
        #[schema(value_type = Object, example = json!({ "count": "{{ session.count | default(0) + 1 }}" }))]
        values: Map<String, Value>,
    },
    /// Posts a result to a destination, without holding up the flow or its answer: the request is made from what is known at
    /// this step, and sent when the run ends or has to wait, however the run ends then. It is repeated like an `http` step's,
    /// by default for three days. The run shows what became of it, and so do its attempts.
    Callback {
        /// A word of a-z, 0-9 and `_`, beginning with a letter, unique in the flow.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$", example = "notify")]
        name: String,
        /// A condition, `{{ expression }}`: when it does not hold, the step is skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        when: Option<String>,
        /// What it means for the flow when the request cannot be made. That it does not arrive means nothing for the flow.
        #[serde(default)]
        on_error: OnError,
        /// Where to: the destination's base URL begins the URL, and its secret signs the call.
        destination: DestinationId,
        /// The request method.
        #[serde(default)]
        method: HttpMethod,
        /// A template, appended to the destination's base URL; may end in a query. Inserted values are percent-encoded.
        #[serde(default)]
        #[schema(example = "/results/{{ body.id }}")]
        path: String,
        /// Templates by header name.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// A JSON template. A result that is text is sent as it is, `null` as no body, anything else as JSON.
        #[serde(default)]
        #[schema(example = json!({ "done": true }))]
        body: Value,
        /// How long one attempt may take, in milliseconds.
        #[serde(default = "default_timeout_ms")]
        #[schema(minimum = 100, maximum = 60000)]
        timeout_ms: u32,
        /// When a failed call is repeated.
        #[serde(default = "Retry::over_days")]
        retry: Retry,
    },
    /// Answers the caller, who waits (`response.mode` is `wait`), and goes on with the steps after it.
    Respond {
        /// A word of a-z, 0-9 and `_`, beginning with a letter, unique in the flow.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$", example = "reply")]
        name: String,
        /// A condition, `{{ expression }}`: when it does not hold, the step is skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        when: Option<String>,
        /// What an error means for the flow.
        #[serde(default)]
        on_error: OnError,
        /// The status code.
        #[serde(default = "default_status")]
        #[schema(minimum = 200, maximum = 599)]
        status: u16,
        /// A template, `{{ expression }}`, that gives another status code, or `none` to keep `status`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "{{ 404 if crm.status == 404 else none }}")]
        status_override: Option<String>,
        /// Templates by header name.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// A JSON template. A result that is text is sent as it is, `null` as no body, anything else as JSON.
        #[serde(default)]
        body: Value,
    },
}

/// What an error in a step means for the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The run ends as `failed`.
    #[default]
    Fail,
    /// The next step runs; `{{ <name>.error }}` tells what happened.
    Continue,
}

/// What a `record` step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordOperation {
    /// Makes a row; an error when the key is taken.
    Insert,
    /// Makes a row, or replaces what it holds.
    #[default]
    Upsert,
    /// Changes fields of a row; an error when there is none.
    Update,
    /// Deletes a row, if there is one.
    Delete,
}

/// The method of an outbound call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum HttpMethod {
    Get,
    #[default]
    Post,
    Put,
    Patch,
    Delete,
}

impl HttpMethod {
    /// As it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// When a failed call is repeated: after a network error, a timeout, or status 408, 425, 429 or 5xx. The delay grows
/// exponentially with full jitter, or is the next one of a list; a `Retry-After` of the destination is honoured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// All attempts, the first included.
    #[schema(minimum = 1, maximum = 25)]
    pub attempts: u32,
    /// The bound of the first delay, in milliseconds.
    #[schema(minimum = 100, maximum = 3600000)]
    pub initial_delay_ms: u32,
    /// The bound of every delay, in milliseconds.
    #[schema(minimum = 1000, maximum = 86400000)]
    pub max_delay_ms: u32,
    /// The delays, in seconds, each from 1 to 604,800; a little is added, so that not all calls come at the same time. There
    /// is one attempt more than there are delays, and the other settings do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 24, example = json!([5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]))]
    pub delays_seconds: Option<Vec<u32>>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 8,
            initial_delay_ms: 2_000,
            max_delay_ms: 3_600_000,
            delays_seconds: None,
        }
    }
}

impl Retry {
    /// What the Standard Webhooks recommend: ten attempts over three days.
    pub fn over_days() -> Self {
        Self {
            delays_seconds: Some(vec![5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]),
            ..Self::default()
        }
    }
}

/// What the caller gets back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Response {
    /// Whether the caller waits for the flow.
    pub mode: ResponseMode,
    /// How long the caller is kept waiting, in milliseconds.
    #[schema(minimum = 100, maximum = 60000)]
    pub timeout_ms: u32,
    /// The status code, at once (`immediate`) or when the flow succeeded without a `respond` step (`wait`).
    #[schema(minimum = 200, maximum = 599)]
    pub status: u16,
    /// A template, `{{ expression }}`, that gives another status code, or `none` to keep `status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "{{ 201 if crm.status == 201 else none }}")]
    pub status_override: Option<String>,
    /// Templates by header name.
    pub headers: BTreeMap<String, String>,
    /// A JSON template. A result that is text is sent as it is, `null` as no body, anything else as JSON.
    pub body: Value,
    /// The answers to other outcomes.
    pub on: OutcomeAnswers,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            mode: ResponseMode::Immediate,
            timeout_ms: default_timeout_ms(),
            status: default_status(),
            status_override: None,
            headers: BTreeMap::new(),
            body: serde_json::json!({ "status": "accepted" }),
            on: OutcomeAnswers::default(),
        }
    }
}

/// Whether the caller waits for the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// The answer is given as soon as the event is durable, from the request alone.
    #[default]
    Immediate,
    /// The answer is given at the `respond` step or the flow's end, at the latest after `timeout_ms`.
    Wait,
}

/// The answers to outcomes other than success.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutcomeAnswers {
    /// The request is not what `expected_data` enforces, and becomes no event; `error` is a variable of the templates, with
    /// `message` and `errors`. By default 422 with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid: Option<OutcomeAnswer>,
    /// The flow failed; `error` is a variable of the templates. By default 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<OutcomeAnswer>,
    /// `only_if` did not hold, or the condition of a `filter` step without an answer of its own. By default 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filtered: Option<OutcomeAnswer>,
    /// The delivery came before (`deduplication`). By default the first one's answer. `event.id` is the first's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<OutcomeAnswer>,
    /// The flow goes on, but the caller has waited for `timeout_ms`. `status_url` is a variable of the templates: a GET there
    /// has the answer of the flow once it is over, for a day. By default 202, with the URL in `Location` and in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timed_out: Option<OutcomeAnswer>,
}

/// The answer to one outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutcomeAnswer {
    /// The status code.
    #[schema(minimum = 200, maximum = 599, example = 500)]
    pub status: u16,
    /// A template, `{{ expression }}`, that gives another status code, or `none` to keep `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "{{ 503 if error.step == 'crm' else none }}")]
    pub status_override: Option<String>,
    /// Templates by header name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A JSON template. A result that is text is sent as it is, `null` as no body, anything else as JSON.
    #[serde(default)]
    pub body: Value,
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

impl Step {
    /// The step's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Set { name, .. }
            | Self::Filter { name, .. }
            | Self::Http { name, .. }
            | Self::Callback { name, .. }
            | Self::Record { name, .. }
            | Self::Session { name, .. }
            | Self::Respond { name, .. } => name,
        }
    }

    /// The kind, as the document writes it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Set { .. } => "set",
            Self::Filter { .. } => "filter",
            Self::Http { .. } => "http",
            Self::Callback { .. } => "callback",
            Self::Record { .. } => "record",
            Self::Session { .. } => "session",
            Self::Respond { .. } => "respond",
        }
    }

    /// The condition under which it runs.
    pub fn when(&self) -> Option<&str> {
        match self {
            Self::Set { when, .. }
            | Self::Filter { when, .. }
            | Self::Http { when, .. }
            | Self::Callback { when, .. }
            | Self::Record { when, .. }
            | Self::Session { when, .. }
            | Self::Respond { when, .. } => when.as_deref(),
        }
    }

    /// What an error in it means.
    pub const fn on_error(&self) -> OnError {
        match self {
            Self::Set { on_error, .. }
            | Self::Filter { on_error, .. }
            | Self::Http { on_error, .. }
            | Self::Callback { on_error, .. }
            | Self::Record { on_error, .. }
            | Self::Session { on_error, .. }
            | Self::Respond { on_error, .. } => *on_error,
        }
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
