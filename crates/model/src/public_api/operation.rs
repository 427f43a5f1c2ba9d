//! One URL and method of a webhook, as an OpenAPI operation.

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::security::{self, Schemes};
use super::{LiveUrl, LiveWebhook, answers, callbacks};
use crate::expected_data::{Mode, made_up, to_json_schema};
use crate::webhook::Status;

/// Headers that OpenAPI describes elsewhere than among the parameters.
const ELSEWHERE: [&str; 3] = ["accept", "authorization", "content-type"];

/// The operationId: the method and the webhook's name, and the URL's name where the webhook has several.
pub(super) fn id(webhook: &LiveWebhook, url: &LiveUrl, method: &str) -> String {
    let mut id = method.to_ascii_lowercase();
    let name = camel_case(&webhook.name);
    id.push_str(if name.is_empty() { "Webhook" } else { &name });
    if webhook.urls.len() > 1 {
        id.push_str(&camel_case(&url.name));
    }
    id
}

/// The ASCII words of a text, joined, each with a capital.
fn camel_case(text: &str) -> String {
    let words = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words
        .map(|word| {
            let (first, rest) = word.split_at(1);
            format!("{}{rest}", first.to_ascii_uppercase())
        })
        .collect()
}

/// The operation.
pub(super) fn describe(
    webhook: &LiveWebhook,
    url: &LiveUrl,
    method: &str,
    id: &str,
    schemes: &mut Schemes,
) -> Value {
    let has_body = !matches!(method, "GET" | "DELETE");
    let schema = to_json_schema(&webhook.revision.expected_data);
    let mut operation = json!({
        "operationId": id,
        "tags": [webhook.name],
        "summary": summary(webhook, url),
        "description": description(webhook, url),
        "parameters": parameters(webhook, url, &schema),
        "security": schemes.requirements(&webhook.authentication),
        "responses": answers::responses(webhook, has_body),
    });
    if has_body {
        operation["requestBody"] = request_body(webhook, &schema);
    }
    if let Some(callbacks) = callbacks::describe(webhook) {
        operation["callbacks"] = callbacks;
    }
    operation
}

fn summary(webhook: &LiveWebhook, url: &LiveUrl) -> String {
    match webhook.urls.len() {
        1 => webhook.name.clone(),
        _ => format!("{} ({})", webhook.name, url.name),
    }
}

fn description(webhook: &LiveWebhook, url: &LiveUrl) -> String {
    let mut sentences = Vec::new();
    sentences.extend(security::in_words(&webhook.authentication));
    if webhook.has_allowlist {
        sentences.push("Only requests from allowed addresses are taken.".into());
    }
    let mode = webhook.revision.expected_data.mode;
    if mode != Mode::Enforce && !webhook.revision.expected_data.is_empty() {
        sentences.push(
            "What is described of the request is what is expected; other requests are taken, too.".into(),
        );
    }
    if webhook.status == Status::Paused {
        sentences.push("Paused at present: requests are stored, and their flows run later.".into());
    }
    if let Some(end) = url.expires_at {
        let end = end.to_rfc3339_opts(SecondsFormat::Secs, true);
        sentences.push(format!("The URL works until {end}."));
    }
    sentences.join(" ")
}

/// The schema of one place of the request, and which of its names must be there.
fn place<'s>(schema: &'s Value, name: &str) -> (Option<&'s Map<String, Value>>, Vec<&'s str>) {
    let place = &schema["properties"][name];
    let required = place["required"].as_array().into_iter().flatten();
    (
        place["properties"].as_object(),
        required.filter_map(Value::as_str).collect(),
    )
}

fn parameters(webhook: &LiveWebhook, url: &LiveUrl, schema: &Value) -> Value {
    let mut parameters = Vec::new();
    let (described, _) = place(schema, "path");
    for name in url.suffix.parameter_names() {
        let own = described.and_then(|fields| fields.get(name)).cloned();
        let schema = own.unwrap_or_else(|| json!({ "type": "string" }));
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    for (in_schema, in_parameter) in [("query", "query"), ("headers", "header")] {
        let (fields, required) = place(schema, in_schema);
        for (name, field) in fields.into_iter().flatten() {
            if in_parameter == "header" && is_told_elsewhere(webhook, name) {
                continue;
            }
            parameters.push(
                json!({ "name": name, "in": in_parameter, "required": required.contains(&name.as_str()),
                "schema": field }),
            );
        }
    }
    parameters.into()
}

/// Whether a header is described by something else: OpenAPI leaves such parameters out, and credentials are schemes.
fn is_told_elsewhere(webhook: &LiveWebhook, header: &str) -> bool {
    let mut schemes = Schemes::default();
    schemes.requirements(&webhook.authentication);
    let schemes = schemes.into_components();
    let mut named = schemes.as_object().into_iter().flat_map(Map::values);
    ELSEWHERE.iter().any(|name| name.eq_ignore_ascii_case(header))
        || named.any(|scheme| {
            scheme["in"] == "header"
                && scheme["name"]
                    .as_str()
                    .is_some_and(|name| name.eq_ignore_ascii_case(header))
        })
}

fn request_body(webhook: &LiveWebhook, schema: &Value) -> Value {
    let expected = &webhook.revision.expected_data;
    let required = schema["required"]
        .as_array()
        .is_some_and(|names| names.contains(&json!("body")));
    match schema["properties"].get("body") {
        Some(body) => {
            let mut content = json!({ "schema": body });
            if let Some(example) = made_up(expected).body {
                content["examples"] = json!({ "request": { "value": example } });
            }
            json!({ "required": required || !expected.at_least_one_of.is_empty(), "content": { "application/json": content } })
        }
        None => json!({
            "description": "Anything: JSON, a form, XML, text or bytes.",
            "content": { "application/json": { "schema": {} } },
        }),
    }
}
