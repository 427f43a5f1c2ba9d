//! Examples of whole bodies, put together from the examples that the schemas state for themselves or for their fields.

use serde_json::{Map, Value, json};
use utoipa::openapi::{Content, RefOr};

/// How deep a schema is followed: one that refers to itself ends there.
const DEPTH_MOST: u8 = 8;

/// The schemas by name, as JSON.
pub(super) struct Schemas(pub(super) Value);

impl Schemas {
    /// Gives a body an example, unless it states one. Texts without an example leave the body without one: only a person
    /// knows a good one.
    pub(super) fn add_example(&self, content: &mut Content) {
        if content.example.is_none() && content.examples.is_empty() {
            let schema = content
                .schema
                .as_ref()
                .and_then(|schema| serde_json::to_value(schema).ok());
            content.example = schema.and_then(|schema| self.example(&schema, 0));
        }
    }

    fn example(&self, schema: &Value, depth: u8) -> Option<Value> {
        if depth > DEPTH_MOST {
            return None;
        }
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.strip_prefix("#/components/schemas/")?;
            return self.example(self.0.get(name)?, depth + 1);
        }
        let stated = schema["examples"].get(0).or(schema.get("example"));
        let first = stated
            .or(schema["enum"].get(0))
            .or(schema.get("const"))
            .or(schema.get("default"));
        if let Some(example) = first {
            return Some(example.clone());
        }
        if let Some(items) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for item in items {
                match self.example(item, depth + 1) {
                    Some(Value::Object(part)) => whole.extend(part),
                    // A reference beside nothing but its description.
                    Some(other) => return Some(other),
                    None if item.get("properties").is_none() && item.get("$ref").is_none() => {}
                    None => return None,
                }
            }
            return Some(Value::Object(whole));
        }
        for choices in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[choices].as_array() {
                return choices
                    .iter()
                    .filter(|choice| choice["type"] != "null")
                    .find_map(|choice| self.example(choice, depth + 1));
            }
        }
        self.example_of_type(schema, depth)
    }

    fn example_of_type(&self, schema: &Value, depth: u8) -> Option<Value> {
        let kind = match &schema["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => kinds
                .iter()
                .filter_map(Value::as_str)
                .find(|kind| *kind != "null")?,
            _ => return Some(json!({})),
        };
        match kind {
            "object" => self.example_of_object(schema, depth),
            "array" => Some(json!([self.example(&schema["items"], depth + 1)?])),
            "integer" | "number" => Some(schema.get("minimum").cloned().unwrap_or(json!(1))),
            "boolean" => Some(json!(true)),
            "string" if schema["format"] == "date-time" => Some(json!("2026-11-21T12:00:00Z")),
            _ => None,
        }
    }

    fn example_of_object(&self, schema: &Value, depth: u8) -> Option<Value> {
        let mut whole = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let example = match name.as_str() {
                "next_cursor" => Value::Null,
                _ => match self.example(property, depth + 1) {
                    Some(example) => example,
                    // A field that may be null is shown so when nothing better is known.
                    None if may_be_null(property) => Value::Null,
                    None => return None,
                },
            };
            whole.insert(name.clone(), example);
        }
        Some(Value::Object(whole))
    }
}

fn may_be_null(schema: &Value) -> bool {
    let is_null = |kind: &Value| kind == "null";
    schema["type"]
        .as_array()
        .is_some_and(|kinds| kinds.iter().any(is_null))
        || schema["oneOf"]
            .as_array()
            .is_some_and(|choices| choices.iter().any(|choice| is_null(&choice["type"])))
}

/// A body of bytes has no schema in OpenAPI 3.1: its media type says it all.
pub(super) fn without_schema_of_bytes(media_type: &str, content: &mut RefOr<Content>) {
    if let RefOr::T(content) = content
        && media_type == "application/octet-stream"
    {
        content.schema = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_put_together_from_the_fields() {
        let schemas = Schemas(json!({
            "Id": {"type": "string", "examples": ["whk_1"]},
            "Part": {"type": "object", "properties": {"id": {"$ref": "#/components/schemas/Id"},
                "note": {"type": ["string", "null"]}, "at": {"type": "string", "format": "date-time"}}},
            "Whole": {"allOf": [{"$ref": "#/components/schemas/Part"}, {"type": "object", "properties":
                {"kinds": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}}}]},
            "Loop": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Loop"}}},
            "Page": {"type": "object", "properties": {"next_cursor": {"type": ["string", "null"]}, "data":
                {"type": "array", "items": {"$ref": "#/components/schemas/Id"}}}},
        }));
        let of = |name: &str| schemas.example(&json!({"$ref": format!("#/components/schemas/{name}")}), 0);
        let part = json!({"id": "whk_1", "note": null, "at": "2026-11-21T12:00:00Z"});
        assert_eq!(of("Part"), Some(part));
        let whole = json!({"id": "whk_1", "note": null, "at": "2026-11-21T12:00:00Z", "kinds": ["a"]});
        assert_eq!(of("Whole"), Some(whole));
        assert_eq!(of("Page"), Some(json!({"next_cursor": null, "data": ["whk_1"]})));
        assert_eq!(of("Loop"), None);
        assert_eq!(schemas.example(&json!({"type": "string"}), 0), None);
    }
}
