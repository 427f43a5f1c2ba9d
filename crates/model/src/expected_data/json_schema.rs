//! Structures as JSON Schema (draft 2020-12), and from it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::tree::Tree;
use super::{ExpectedData, Field, FieldPath, FieldType, MAX_FIELDS, MAX_VALUES, Segment};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// How many references to definitions may follow each other.
const MAX_REFERENCES: usize = 32;

/// Why a schema cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is none.
    #[error("a schema is an object or a boolean")]
    NotASchema,
    /// It refers to something outside itself, or that is not there.
    #[error("`{0}` is no definition of this schema; references to other documents are not followed")]
    Reference(String),
    /// It describes more than a structure can hold.
    #[error("the schema describes more than {MAX_FIELDS} fields")]
    TooMany,
}

/// The schema of a structure: an object with `headers`, `query`, `path` and `body`, as far as anything is expected there.
pub fn to_json_schema(expected: &ExpectedData) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, fields) in [
        ("headers", &expected.headers),
        ("query", &expected.query),
        ("path", &expected.path),
        ("body", &expected.body),
    ] {
        if fields.is_empty() {
            continue;
        }
        let tree = Tree::of(fields);
        if tree.is_required() {
            required.push(name);
        }
        let mut schema = of_tree(&tree);
        if name == "body" && !expected.at_least_one_of.is_empty() {
            schema.insert("allOf".into(), groups(expected));
        }
        properties.insert(name.into(), schema.into());
    }
    json!({ "$schema": DIALECT, "type": "object", "properties": properties, "required": required })
}

/// Groups of which the first step of a path can be demanded.
fn groups(expected: &ExpectedData) -> Value {
    let group = |paths: &Vec<FieldPath>| {
        let any = paths
            .iter()
            .filter_map(|path| path.name())
            .map(|name| json!({ "required": [name] }));
        json!({ "anyOf": any.collect::<Vec<_>>() })
    };
    expected.at_least_one_of.iter().map(group).collect()
}

fn of_tree(tree: &Tree<'_>) -> Map<String, Value> {
    let mut schema = Map::new();
    let field_type = tree.field_type();
    let (name, format) = match field_type {
        FieldType::Any => (None, None),
        FieldType::DateTime | FieldType::Email | FieldType::Uri | FieldType::Uuid => {
            (Some("string"), Some(field_type.as_str()))
        }
        plain => (Some(plain.as_str()), None),
    };
    let is_nullable = tree.field.is_some_and(|field| field.nullable);
    if let Some(name) = name {
        let written = if is_nullable {
            json!([name, "null"])
        } else {
            json!(name)
        };
        schema.insert("type".into(), written);
    }
    if let Some(format) = format {
        schema.insert("format".into(), format.into());
    }
    if let Some(field) = tree.field {
        if !field.values.is_empty() {
            let mut values = field.values.clone();
            if is_nullable && !values.contains(&Value::Null) {
                values.push(Value::Null);
            }
            schema.insert("enum".into(), values.into());
        }
        if !field.example.is_null() {
            schema.insert("examples".into(), json!([field.example]));
        }
    }
    if !tree.names.is_empty() {
        let properties = tree
            .names
            .iter()
            .map(|(name, tree)| ((*name).to_owned(), of_tree(tree).into()));
        schema.insert("properties".into(), Value::Object(properties.collect()));
        let required: Vec<&str> = tree
            .names
            .iter()
            .filter(|(_, tree)| tree.is_required())
            .map(|(name, _)| *name)
            .collect();
        if !required.is_empty() {
            schema.insert("required".into(), required.into());
        }
    }
    if let Some(items) = &tree.items {
        schema.insert("items".into(), of_tree(items).into());
    }
    schema
}

/// The structure that a schema describes: one made here, or that of a body alone. What a structure cannot say (patterns,
/// ranges, alternatives) is left out, so that it accepts no less.
///
/// # Errors
/// When it is no schema, too large, or refers elsewhere.
pub fn from_json_schema(schema: &Value) -> Result<ExpectedData, SchemaError> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let parts = ["headers", "query", "path", "body"];
    let is_whole = properties.is_some_and(|properties| {
        !properties.is_empty() && properties.keys().all(|name| parts.contains(&name.as_str()))
    });
    let mut expected = ExpectedData::default();
    let mut reader = Reader {
        schema,
        left: MAX_FIELDS,
    };
    match properties.filter(|_| is_whole) {
        Some(properties) => {
            for (name, part) in properties {
                let fields = match name.as_str() {
                    "headers" => &mut expected.headers,
                    "query" => &mut expected.query,
                    "path" => &mut expected.path,
                    _ => &mut expected.body,
                };
                let is_required = requires(schema, name);
                reader.read(part, &mut Vec::new(), is_required, 0, fields)?;
                if name != "body" {
                    fields.retain(|field| field.path.name().is_some());
                }
            }
        }
        None => reader.read(schema, &mut Vec::new(), true, 0, &mut expected.body)?,
    }
    let body = match properties.filter(|_| is_whole) {
        Some(properties) => properties.get("body"),
        None => Some(schema),
    };
    expected.at_least_one_of = body.map(read_groups).unwrap_or_default();
    Ok(expected)
}

fn requires(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|required| required.iter().any(|known| known == name))
}

/// `allOf: [{anyOf: [{required: [name]}, …]}, …]`.
fn read_groups(body: &Value) -> Vec<Vec<FieldPath>> {
    let groups = body.get("allOf").and_then(Value::as_array).into_iter().flatten();
    let names = groups.filter_map(|group| {
        let any = group.get("anyOf")?.as_array()?;
        any.iter()
            .map(|one| match one.get("required")?.as_array()?.as_slice() {
                [Value::String(name)] => Some(FieldPath::of_name(name)),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
    });
    names
        .filter(|group| !group.is_empty())
        .take(super::MAX_GROUPS)
        .collect()
}

struct Reader<'a> {
    schema: &'a Value,
    left: usize,
}

impl<'a> Reader<'a> {
    fn read(
        &mut self,
        schema: &'a Value,
        at: &mut Vec<Segment>,
        required: bool,
        references: usize,
        fields: &mut Vec<Field>,
    ) -> Result<(), SchemaError> {
        static ANYTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        let object = match schema {
            Value::Object(object) => object,
            Value::Bool(_) => &*ANYTHING,
            _ => return Err(SchemaError::NotASchema),
        };
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#');
            let target = pointer.and_then(|pointer| self.schema.pointer(pointer));
            let target = target.filter(|_| references < MAX_REFERENCES);
            let target = target.ok_or_else(|| SchemaError::Reference(reference.to_owned()))?;
            return self.read(target, at, required, references + 1, fields);
        }
        let (field_type, nullable) = types(object);
        let Some(path) = FieldPath::from_segments(at.clone()) else {
            // Deeper than a structure goes.
            return Ok(());
        };
        let names: BTreeMap<&String, &Value> = object
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .collect();
        // The whole as an object says nothing that its fields do not.
        if !at.is_empty() || field_type != FieldType::Object || nullable || names.is_empty() {
            self.left = self.left.checked_sub(1).ok_or(SchemaError::TooMany)?;
            let values = object
                .get("enum")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            let values: Vec<Value> = values
                .into_iter()
                .filter(|value| !(nullable && value.is_null()))
                .take(MAX_VALUES)
                .collect();
            let examples = object.get("examples").and_then(|examples| examples.get(0));
            let example = examples
                .or(object.get("example"))
                .or(object.get("default"))
                .cloned();
            fields.push(Field {
                path,
                field_type,
                required,
                nullable,
                values,
                example: example.unwrap_or_default(),
                inferred: false,
            });
        }
        for (name, below) in names {
            at.push(Segment::Name(name.clone()));
            self.read(below, at, requires(schema, name), references, fields)?;
            at.pop();
        }
        if let Some(items) = object.get("items").filter(|items| items.is_object()) {
            at.push(Segment::Items);
            self.read(items, at, false, references, fields)?;
            at.pop();
        }
        Ok(())
    }
}

/// The type that a schema names, and whether it may be null.
fn types(schema: &Map<String, Value>) -> (FieldType, bool) {
    let named: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ if schema.contains_key("properties") => vec!["object"],
        _ if schema.contains_key("items") => vec!["array"],
        _ => Vec::new(),
    };
    let nullable = named.contains(&"null");
    let mut others = named.into_iter().filter(|name| *name != "null");
    let field_type = match (others.next(), others.next()) {
        (Some("string"), None) => {
            let format = schema
                .get("format")
                .and_then(Value::as_str)
                .and_then(FieldType::parse);
            format
                .filter(|format| super::format::FORMATS.contains(format))
                .unwrap_or(FieldType::String)
        }
        (Some(name), None) => FieldType::parse(name).unwrap_or_default(),
        _ => FieldType::Any,
    };
    (field_type, nullable)
}
