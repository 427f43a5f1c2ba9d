//! Every answer that can come back, by its status.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::LiveWebhook;
use super::template_schema::{is_template, of_template};
use crate::authentication::Authentication;
use crate::expected_data::Mode;
use crate::flow::definition::{BodyEncoding, OutcomeAnswer, ResponseMode, Step};

/// Answers with these statuses have no body (RFC 9110, section 15).
const WITHOUT_BODY: [u16; 3] = [204, 205, 304];

/// What a refused sender gets.
pub(super) fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": "Why a request was refused (RFC 9457).",
        "properties": {
            "type": { "type": "string", "examples": ["about:blank"] },
            "title": { "type": "string", "examples": ["Unauthorized"] },
            "status": { "type": "integer", "examples": [401] },
            "code": { "type": "string", "description": "Stable, for programs.", "examples": ["credentials_missing"] },
            "detail": { "type": "string", "description": "In words, for people." },
        },
        "required": ["type", "title", "status", "code", "detail"],
    })
}

/// What the sender of a request gets that is not what the webhook enforces.
pub(super) fn invalid_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "msg": { "type": "string", "examples": ["Missing required parameter"] },
            "errors": { "type": "array", "items": {
                "type": "object",
                "properties": {
                    "place": { "type": "string", "enum": ["headers", "query", "path", "body"] },
                    "path": { "type": "string", "examples": ["order.id"] },
                    "code": { "type": "string", "examples": ["missing"] },
                    "msg": { "type": "string", "examples": ["Missing required parameter"] },
                },
                "required": ["place", "path", "code", "msg"],
            } },
        },
        "required": ["msg", "errors"],
    })
}

/// What a caller gets whose answer takes longer.
pub(super) fn processing_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "status": { "type": "string", "examples": ["processing"] },
            "event_id": { "type": "string", "examples": ["evt_01k9z3v8e5f2q8r7w6t5y4x3m2"] },
            "status_url": { "type": ["string", "null"], "description": "A GET has the answer once there is one, for a day." },
        },
        "required": ["status", "event_id", "status_url"],
    })
}

#[derive(Default)]
struct Described {
    descriptions: Vec<String>,
    headers: Map<String, Value>,
    /// Schemas by media type.
    content: BTreeMap<String, Vec<Value>>,
}

impl Described {
    fn into_value(self) -> Value {
        let mut value = json!({ "description": self.descriptions.join(" Or: ") });
        if !self.headers.is_empty() {
            value["headers"] = self.headers.into();
        }
        if !self.content.is_empty() {
            let content = self.content.into_iter().map(|(media_type, mut schemas)| {
                let schema = match schemas.len() {
                    1 => schemas.remove(0),
                    _ => json!({ "anyOf": schemas }),
                };
                (media_type, json!({ "schema": schema }))
            });
            value["content"] = Value::Object(content.collect());
        }
        value
    }
}

/// The answers of one operation.
#[derive(Default)]
struct Answers {
    by_status: BTreeMap<u16, Described>,
    is_overridden: bool,
}

/// Every answer that a webhook's caller can get.
pub(super) fn responses(webhook: &LiveWebhook, has_body: bool) -> Value {
    let mut answers = Answers::default();
    answers.of_revision(webhook);
    answers.of_admission(webhook, has_body);
    let mut responses: Map<String, Value> = answers
        .by_status
        .into_iter()
        .map(|(status, described)| (status.to_string(), described.into_value()))
        .collect();
    if answers.is_overridden {
        let description =
            "Another status, which the webhook chooses by the request or by what its flow finds.";
        responses.insert("default".into(), json!({ "description": description }));
    }
    responses.into()
}

impl Answers {
    fn of_revision(&mut self, webhook: &LiveWebhook) {
        let revision = &webhook.revision;
        let response = &revision.response;
        let own = response.own();
        if response.mode == ResponseMode::Immediate {
            self.outcome("The request is stored.", &own);
        } else {
            self.of_flow(webhook, &own);
        }
        if let Some(duplicate) = &response.on.duplicate {
            self.outcome("The delivery came before.", duplicate);
        }
        if revision.expected_data.mode == Mode::Enforce {
            let description = "The request is not what the webhook expects; nothing is stored.";
            match &response.on.invalid {
                Some(invalid) => self.outcome(description, invalid),
                None => self.known(422, description, "InvalidRequest"),
            }
        }
    }

    /// The answers of a webhook whose callers wait for its flow.
    fn of_flow(&mut self, webhook: &LiveWebhook, own: &OutcomeAnswer) {
        let flow = &webhook.revision.flow;
        let on = &webhook.revision.response.on;
        let mut answers_always = false;
        let mut filters = flow.only_if.is_some();
        for step in &flow.steps {
            match step {
                Step::Respond {
                    when,
                    status,
                    status_override,
                    headers,
                    body,
                    body_encoding,
                    ..
                } => {
                    let answer = OutcomeAnswer {
                        status: *status,
                        status_override: status_override.clone(),
                        headers: headers.clone(),
                        body: body.clone(),
                        body_encoding: *body_encoding,
                    };
                    self.outcome("The flow's answer.", &answer);
                    answers_always |= when.is_none();
                }
                Step::Filter { answer, .. } => {
                    match answer {
                        Some(answer) => self.outcome("The flow does not take the request further.", answer),
                        None => filters = true,
                    };
                }
                _ => {}
            }
        }
        if !answers_always {
            self.outcome("The flow has ended.", own);
        }
        if filters {
            let default = answer(200, json!({ "status": "filtered" }));
            let filtered = on.filtered.as_ref().unwrap_or(&default);
            self.outcome("The flow does not take the request further.", filtered);
        }
        let failed = answer(500, json!({ "status": "failed" }));
        self.outcome(
            "The request is stored, but its flow failed.",
            on.failed.as_ref().unwrap_or(&failed),
        );
        let later =
            "The request is stored, and its flow takes longer; a GET of the status URL has its answer later.";
        match &on.timed_out {
            Some(timed_out) => self.outcome(later, timed_out),
            None => {
                self.known(202, later, "Processing");
                let location = json!({ "description": "The status URL.", "schema": { "type": "string" } });
                let described = self.by_status.entry(202).or_default();
                described.headers.insert("location".into(), location);
            }
        }
    }

    fn of_admission(&mut self, webhook: &LiveWebhook, has_body: bool) {
        if webhook.authentication != (Authentication::None {}) {
            self.refusal(401, "Credentials are missing, wrong or too old.");
        }
        let addresses = if webhook.has_allowlist {
            "The sender's address is not allowed, or the webhook is disabled."
        } else {
            "The webhook is disabled."
        };
        self.refusal(403, addresses);
        self.refusal(404, "The URL does not work any more.");
        if has_body {
            self.refusal(400, "The body broke off, or is not what its content type says.");
            self.refusal(408, "The body did not arrive in time.");
            let limit = format!("The body is longer than {} bytes.", webhook.body_limit_bytes);
            self.refusal(413, &limit);
            self.refusal(415, "The body's encoding or charset is not known.");
        }
        self.refusal(429, "Too many requests; try again when `Retry-After` says.");
        self.refusal(
            503,
            "The request cannot be stored at present; try again when `Retry-After` says.",
        );
        for status in [429, 503] {
            let described = self.by_status.entry(status).or_default();
            described.headers.insert(
                "retry-after".into(),
                json!({ "description": "In seconds.", "schema": { "type": "integer" } }),
            );
        }
    }

    /// An answer that the tenant wrote.
    fn outcome(&mut self, description: &str, answer: &OutcomeAnswer) {
        self.is_overridden |= answer.status_override.is_some();
        let described = self.by_status.entry(answer.status).or_default();
        note(&mut described.descriptions, description.to_owned());
        let mut media_type = match (answer.body_encoding, &answer.body) {
            (BodyEncoding::Base64, _) => "application/octet-stream",
            (BodyEncoding::Text, Value::String(_)) => "text/plain",
            (BodyEncoding::Text, _) => "application/json",
        };
        for (name, value) in &answer.headers {
            if name.eq_ignore_ascii_case("content-type") {
                media_type = value.split(';').next().unwrap_or_default().trim();
                continue;
            }
            let mut schema = json!({ "type": "string" });
            if !is_template(value) {
                schema["examples"] = json!([value]);
            }
            described
                .headers
                .insert(name.to_ascii_lowercase(), json!({ "schema": schema }));
        }
        if is_template(media_type) {
            media_type = "*/*";
        }
        if !answer.body.is_null() && !WITHOUT_BODY.contains(&answer.status) {
            let schemas = described
                .content
                .entry(media_type.to_ascii_lowercase())
                .or_default();
            // Bytes have no schema (OpenAPI 3.1, section 4.8.14.3).
            let schema = match answer.body_encoding {
                BodyEncoding::Base64 => json!({}),
                BodyEncoding::Text => of_template(&answer.body),
            };
            note(schemas, schema);
        }
    }

    fn refusal(&mut self, status: u16, description: &str) {
        self.known(status, description, "Problem");
    }

    /// An answer whose body is a schema of the document.
    fn known(&mut self, status: u16, description: &str, schema: &str) {
        let described = self.by_status.entry(status).or_default();
        note(&mut described.descriptions, description.to_owned());
        let media_type = match schema {
            "Problem" => "application/problem+json",
            _ => "application/json",
        };
        let schemas = described.content.entry(media_type.into()).or_default();
        note(
            schemas,
            json!({ "$ref": format!("#/components/schemas/{schema}") }),
        );
    }
}

fn answer(status: u16, body: Value) -> OutcomeAnswer {
    OutcomeAnswer {
        status,
        status_override: None,
        headers: BTreeMap::new(),
        body,
        body_encoding: BodyEncoding::Text,
    }
}

/// Adds what is not there yet.
fn note<T: PartialEq>(list: &mut Vec<T>, one: T) {
    if !list.contains(&one) {
        list.push(one);
    }
}
