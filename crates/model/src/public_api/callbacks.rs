//! The requests that come back to the sender's side later, as OpenAPI callbacks.

use serde_json::{Map, Value, json};

use super::LiveWebhook;
use super::template_schema::of_template;
use crate::flow::definition::Step;

/// The callbacks of a webhook; `None` without any.
pub(super) fn describe(webhook: &LiveWebhook) -> Option<Value> {
    let callbacks: Map<String, Value> = webhook
        .revision
        .flow
        .steps
        .iter()
        .filter_map(|step| callback(webhook, step))
        .collect();
    (!callbacks.is_empty()).then(|| callbacks.into())
}

fn callback(webhook: &LiveWebhook, step: &Step) -> Option<(String, Value)> {
    let Step::Callback {
        name,
        destination,
        method,
        path,
        body,
        ..
    } = step
    else {
        return None;
    };
    let target = webhook.destinations.get(destination)?;
    let url = format!(
        "{}{}",
        target.base_url.trim_end_matches('/'),
        runtime_expressions(path)
    );
    let mut operation = json!({
        "summary": format!("What comes back: {name}"),
        "description": "Sent when the flow has come so far, and again until it is answered with a 2xx status, with the same \
            `webhook-id` every time.",
        "parameters": headers(target.is_signed),
        "responses": {
            "2XX": { "description": "It has arrived." },
            "410": { "description": "It shall not be sent there any more." },
            "default": { "description": "It is sent again later." },
        },
    });
    if !body.is_null() {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": of_template(body) } },
        });
    }
    let method = method.as_str().to_ascii_lowercase();
    Some((name.clone(), json!({ url: { method: operation } })))
}

fn headers(is_signed: bool) -> Value {
    let header = |name: &str, description: &str| {
        json!({ "name": name, "in": "header", "required": true, "description": description,
            "schema": { "type": "string" } })
    };
    let mut headers = vec![header(
        "webhook-id",
        "The same for every attempt: an idempotency key.",
    )];
    if is_signed {
        headers.push(header(
            "webhook-timestamp",
            "When the attempt was made, in seconds since 1970.",
        ));
        headers.push(header("webhook-signature", "As the Standard Webhooks prescribe."));
    }
    headers.into()
}

/// Expressions of a template as runtime expressions of OpenAPI (3.1, "Runtime Expressions"), as far as there are any for them;
/// others are told by name.
fn runtime_expressions(template: &str) -> String {
    let mut url = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((expression, tail)) = after.split_once("}}") else {
            break;
        };
        url.push_str(before);
        url.push_str(&runtime_expression(expression));
        rest = tail;
    }
    url.push_str(rest);
    url
}

fn runtime_expression(expression: &str) -> String {
    let name = expression.split('|').next().unwrap_or_default().trim();
    let is_plain = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
    };
    match name.split_once('.') {
        Some(("body", field)) if is_plain(field) => format!("{{$request.body#/{}}}", field.replace('.', "/")),
        Some(("query", field)) if is_plain(field) => format!("{{$request.query.{field}}}"),
        Some(("path", field)) if is_plain(field) => format!("{{$request.path.{field}}}"),
        Some(("headers", field)) if is_plain(field) => {
            format!("{{$request.header.{}}}", field.replace('_', "-"))
        }
        _ => {
            let told: String = name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
                .collect();
            format!("{{{told}}}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::runtime_expressions;

    #[test]
    fn templates_become_runtime_expressions() {
        for (template, told) in [
            ("", ""),
            (
                "/results/{{ body.order.id }}",
                "/results/{$request.body#/order/id}",
            ),
            (
                "/{{ path.a }}/{{ query.b | int }}?c={{ headers.x_c }}",
                "/{$request.path.a}/{$request.query.b}?c={$request.header.x-c}",
            ),
            ("/{{ crm.body['id'] }}", "/{crm_body__id__}"),
            ("/{{ open", "/{{ open"),
        ] {
            assert_eq!(runtime_expressions(template), told);
        }
    }
}
