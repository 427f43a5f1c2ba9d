//! What the caller gets back, as it is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{default_status, default_timeout_ms};

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
    /// How the body's text becomes bytes.
    #[serde(skip_serializing_if = "BodyEncoding::is_text")]
    #[schema(required = false)]
    pub body_encoding: BodyEncoding,
    /// The answers to other outcomes.
    pub on: OutcomeAnswers,
}

impl Response {
    /// The answer to a caller whose request is stored, or whose flow succeeded.
    pub fn own(&self) -> OutcomeAnswer {
        OutcomeAnswer {
            status: self.status,
            status_override: self.status_override.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            body_encoding: self.body_encoding,
        }
    }
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
            body_encoding: BodyEncoding::Text,
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
    /// How the body's text becomes bytes.
    #[serde(default, skip_serializing_if = "BodyEncoding::is_text")]
    #[schema(required = false)]
    pub body_encoding: BodyEncoding,
}

/// How the text that a body's template gives becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodyEncoding {
    /// In UTF-8.
    #[default]
    Text,
    /// The text is base64 (RFC 4648, section 4): what it stands for is sent, as `application/octet-stream` unless a header says
    /// otherwise.
    Base64,
}

impl BodyEncoding {
    pub(in crate::flow) fn is_text(&self) -> bool {
        *self == Self::Text
    }
}
