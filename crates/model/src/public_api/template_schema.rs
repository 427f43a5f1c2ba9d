//! What a JSON template gives, as a schema: what is written is known, what an expression gives is not.

use serde_json::{Map, Value, json};

/// Whether a text is evaluated.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Whether a text is one whole expression, whose value can be of any type.
fn is_whole_expression(text: &str) -> bool {
    let inner = text
        .trim()
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"));
    inner.is_some_and(|inner| !inner.contains("{{") && !inner.contains("}}"))
}

/// The schema of what a template gives.
pub(super) fn of_template(template: &Value) -> Value {
    match template {
        Value::Null => json!({ "type": "null" }),
        Value::Bool(_) => json!({ "type": "boolean", "examples": [template] }),
        Value::Number(number) if number.is_f64() => json!({ "type": "number", "examples": [template] }),
        Value::Number(_) => json!({ "type": "integer", "examples": [template] }),
        Value::String(text) if is_whole_expression(text) => json!({}),
        Value::String(text) if is_template(text) => json!({ "type": "string" }),
        Value::String(_) => json!({ "type": "string", "examples": [template] }),
        Value::Array(items) => match items.as_slice() {
            [] => json!({ "type": "array", "items": {} }),
            [one] => json!({ "type": "array", "items": of_template(one) }),
            several => {
                json!({ "type": "array", "prefixItems": several.iter().map(of_template).collect::<Vec<_>>(), "items": {} })
            }
        },
        Value::Object(fields) => {
            let properties: Map<_, _> = fields
                .iter()
                .map(|(name, field)| (name.clone(), of_template(field)))
                .collect();
            let mut schema = json!({ "type": "object", "properties": properties });
            if !fields.is_empty() {
                schema["required"] = fields.keys().cloned().collect();
            }
            schema
        }
    }
}
