//! The steps of a flow, as they are written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{BodyEncoding, OutcomeAnswer, default_status, default_timeout_ms};
use crate::ids::DestinationId;

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
        /// How the body's text becomes bytes.
        #[serde(default, skip_serializing_if = "BodyEncoding::is_text")]
        #[schema(required = false)]
        body_encoding: BodyEncoding,
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
        /// How the body's text becomes bytes.
        #[serde(default, skip_serializing_if = "BodyEncoding::is_text")]
        #[schema(required = false)]
        body_encoding: BodyEncoding,
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
        /// How the body's text becomes bytes.
        #[serde(default, skip_serializing_if = "BodyEncoding::is_text")]
        #[schema(required = false)]
        body_encoding: BodyEncoding,
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
