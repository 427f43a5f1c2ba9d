//! JSON Schema, draft 2020-12, as tenants use it: what it may take is bounded before it is used.
//!
//! A schema whose parts refer to each other can describe far more than it has bytes, or itself without end. So `$ref` leads
//! to a place in the same document alone, never in a circle, and what all references unfold to is counted.

use std::collections::HashMap;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// The most bytes of a schema, as JSON.
pub const MAX_BYTES: usize = 64 * 1024;
/// The most values in a schema once every reference is followed.
const MAX_UNFOLDED: usize = 5_000;
/// How deep a schema may be nested, references included.
const MAX_DEPTH: usize = 32;
/// The most violations that are told at once.
const MAX_TOLD: usize = 20;
/// The most bytes of a regular expression, compiled.
const MAX_PATTERN: usize = 128 * 1024;
/// Keywords that lead elsewhere by other means than a place in the document.
const REFUSED: [&str; 6] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveRef",
    "$recursiveAnchor",
    "$vocabulary",
];

/// A schema, ready to be used.
#[derive(Debug)]
pub struct JsonSchema(Validator);

/// Something wrong at a place: with a schema, or with a value that does not fit one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Where, as a JSON Pointer.
    pub pointer: String,
    /// What.
    pub detail: String,
}

impl Misfit {
    fn at(pointer: &str, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.to_owned(),
            detail: detail.into(),
        }
    }
}

impl JsonSchema {
    /// Makes a schema of a document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(schema: &Value) -> Result<Self, Misfit> {
        if schema.to_string().len() > MAX_BYTES {
            return Err(Misfit::at("", format!("a schema has at most {MAX_BYTES} bytes")));
        }
        let mut check = Check {
            document: schema,
            sizes: HashMap::new(),
        };
        check.size("", schema, 0)?;
        let patterns = PatternOptions::regex()
            .size_limit(MAX_PATTERN)
            .dfa_size_limit(8 * MAX_PATTERN);
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(patterns)
            .should_validate_formats(true)
            .offline()
            .build(schema)
            .map(Self)
            .map_err(|error| Misfit::at(&error.instance_path().to_string(), error.to_string()))
    }

    /// How a value does not fit; empty when it does. The values themselves are not told.
    pub fn misfits(&self, value: &Value) -> Vec<Misfit> {
        let errors = self.0.iter_errors(value).take(MAX_TOLD);
        let told = errors.map(|error| Misfit {
            pointer: error.instance_path().to_string(),
            detail: error.masked().to_string(),
        });
        told.collect()
    }
}

/// Counts what a schema unfolds to.
struct Check<'a> {
    document: &'a Value,
    /// The sizes of what was referred to; `None` while it is being counted.
    sizes: HashMap<&'a str, Option<usize>>,
}

impl<'a> Check<'a> {
    fn size(&mut self, pointer: &str, part: &'a Value, depth: usize) -> Result<usize, Misfit> {
        if depth > MAX_DEPTH {
            return Err(Misfit::at(
                pointer,
                format!("a schema is nested at most {MAX_DEPTH} deep"),
            ));
        }
        let mut size = 1_usize;
        match part {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    size += self.size(&format!("{pointer}/{index}"), item, depth + 1)?;
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields {
                    let place = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                    size += self.size(&place, field, depth + 1)?;
                    size += self.keyword(&place, name, field, depth)?;
                }
            }
            _ => {}
        }
        if size > MAX_UNFOLDED {
            let detail = format!("with its references followed, a schema has at most {MAX_UNFOLDED} values");
            return Err(Misfit::at(pointer, detail));
        }
        Ok(size)
    }

    /// What a keyword adds by leading elsewhere. A property may have such a name, and is refused with it.
    fn keyword(&mut self, place: &str, name: &str, value: &'a Value, depth: usize) -> Result<usize, Misfit> {
        if REFUSED.contains(&name) || (name == "$id" && depth > 0) {
            return Err(Misfit::at(place, format!("`{name}` is not supported here")));
        }
        let ("$ref", Value::String(reference)) = (name, value) else {
            return Ok(0);
        };
        let target = reference
            .strip_prefix('#')
            .filter(|target| target.is_empty() || target.starts_with('/'));
        let target = target
            .ok_or_else(|| Misfit::at(place, "a reference leads to a place in this schema: `#/$defs/…`"))?;
        match self.sizes.get(target) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(Misfit::at(place, "references lead in a circle")),
            None => {}
        }
        let referred = self.document.pointer(target);
        let referred =
            referred.ok_or_else(|| Misfit::at(place, format!("there is nothing at {reference}")))?;
        self.sizes.insert(target, None);
        let size = self.size(place, referred, depth + 1)?;
        self.sizes.insert(target, Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compile(schema: Value) -> Result<JsonSchema, String> {
        JsonSchema::compile(&schema).map_err(|misfit| format!("{} {}", misfit.pointer, misfit.detail))
    }

    #[test]
    fn values_fit_or_are_told_how_not() {
        let schema = compile(json!({
            "type": "object", "required": ["id", "mail"], "additionalProperties": false,
            "properties": { "id": { "type": "integer" }, "mail": { "format": "email" }, "tags": { "items": { "$ref": "#/$defs/tag" } } },
            "$defs": { "tag": { "type": "string", "pattern": "^[a-z]+$" } },
        }))
        .expect("a schema");
        assert_eq!(
            schema.misfits(&json!({ "id": 1, "mail": "a@b.example", "tags": ["x"] })),
            []
        );
        let misfits =
            schema.misfits(&json!({ "id": "top secret", "mail": "no", "tags": ["x", "1"], "more": 1 }));
        let pointers: Vec<_> = misfits.iter().map(|misfit| misfit.pointer.as_str()).collect();
        assert_eq!(pointers.len(), 4, "{misfits:?}");
        for pointer in ["/id", "/mail", "/tags/1", ""] {
            assert!(pointers.contains(&pointer), "{misfits:?}");
        }
        assert!(!format!("{misfits:?}").contains("secret"), "{misfits:?}");
        assert!(schema.misfits(&json!({}))[0].detail.contains("id"));
    }

    #[test]
    fn what_could_take_very_much_is_refused() {
        let doubling: serde_json::Map<String, Value> = (0..40)
            .map(|n| {
                let next = json!({ "$ref": format!("#/$defs/a{}", n + 1) });
                (format!("a{n}"), json!({ "allOf": [next, next] }))
            })
            .chain([("a40".to_owned(), json!({ "type": "string" }))])
            .collect();
        let nested = (0..50).fold(json!({}), |inner, _| json!({ "not": inner }));
        for (schema, part) in [
            (json!({ "$ref": "#/$defs/a0", "$defs": doubling }), "at most"),
            (json!({ "$ref": "#" }), "circle"),
            (
                json!({ "properties": { "x": { "$ref": "#/properties/x" } } }),
                "circle",
            ),
            (json!({ "$ref": "https://example.com/schema" }), "this schema"),
            (json!({ "$ref": "#/$defs/none" }), "nothing at"),
            (json!({ "items": { "$dynamicRef": "#x" } }), "not supported"),
            (
                json!({ "items": { "$id": "https://example.com/" } }),
                "not supported",
            ),
            (nested, "deep"),
            (json!({ "pattern": "(a{1000}){1000}" }), "pattern"),
            (json!({ "pattern": "(?=a)" }), "pattern"),
            (json!({ "type": "text" }), "text"),
            (json!("a".repeat(MAX_BYTES)), "bytes"),
            (json!(7), ""),
        ] {
            let error = compile(schema.clone()).expect_err("refused");
            assert!(error.contains(part), "{schema}: {error}");
        }
    }
}
