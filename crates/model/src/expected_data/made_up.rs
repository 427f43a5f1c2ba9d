//! Requests that are made up from a structure: its examples first, else something plausible by type and name.

use serde_json::{Map, Value, json};

use super::tree::Tree;
use super::{ExpectedData, Field, FieldType};

/// A made-up request.
#[derive(Debug, Clone, PartialEq)]
pub struct MadeUp {
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The query parameters.
    pub query: Vec<(String, String)>,
    /// The parameters of the path.
    pub path: Vec<(String, String)>,
    /// The body, when one is expected.
    pub body: Option<Value>,
}

/// Makes a request up. Fields that are not required are in it, too.
pub fn made_up(expected: &ExpectedData) -> MadeUp {
    MadeUp {
        headers: texts(&expected.headers),
        query: texts(&expected.query),
        path: texts(&expected.path),
        body: (!expected.body.is_empty() || !expected.at_least_one_of.is_empty()).then(|| {
            let tree = Tree::of(&expected.body);
            let mut body = value(&tree, "");
            for group in &expected.at_least_one_of {
                add_one(&mut body, group);
            }
            body
        }),
    }
}

fn texts(fields: &[Field]) -> Vec<(String, String)> {
    let texts = fields.iter().filter_map(|field| {
        let name = field.path.name()?;
        let text = match of_field(field, name) {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Some((name.to_owned(), text))
    });
    texts.collect()
}

fn of_field(field: &Field, name: &str) -> Value {
    if !field.example.is_null() {
        return field.example.clone();
    }
    if let Some(first) = field.values.first() {
        return first.clone();
    }
    plausible(field.field_type, name)
}

fn value(tree: &Tree<'_>, name: &str) -> Value {
    if let Some(field) = tree.field
        && !field.example.is_null()
    {
        return field.example.clone();
    }
    match tree.field_type() {
        FieldType::Object => {
            let fields = tree
                .names
                .iter()
                .map(|(name, tree)| ((*name).to_owned(), value(tree, name)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        FieldType::Array => match &tree.items {
            Some(items) => json!([value(items, name)]),
            None => json!([]),
        },
        _ => match tree.field {
            Some(field) => of_field(field, name),
            None => Value::Object(Map::new()),
        },
    }
}

/// Of a group, one must be there: the first, if none is.
fn add_one(body: &mut Value, group: &[super::FieldPath]) {
    let Value::Object(fields) = body else { return };
    let names: Vec<&str> = group.iter().filter_map(|path| path.name()).collect();
    if !names.iter().any(|name| fields.contains_key(*name))
        && let Some(first) = names.first()
    {
        fields.insert((*first).to_owned(), plausible(FieldType::String, first));
    }
}

/// Something that a field of this type and name might hold.
fn plausible(field_type: FieldType, name: &str) -> Value {
    let lower = name.to_ascii_lowercase();
    let named = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    match field_type {
        FieldType::Integer if named(&["_at", "time", "date"]) => json!(1_795_262_400),
        FieldType::Integer if named(&["year"]) => json!(2026),
        FieldType::Integer => json!(42),
        FieldType::Number if named(&["lat"]) => json!(52.52),
        FieldType::Number if named(&["lon", "lng"]) => json!(13.4),
        FieldType::Number => json!(19.99),
        FieldType::Boolean => json!(true),
        FieldType::Array => json!([]),
        FieldType::Object => json!({}),
        FieldType::DateTime => json!("2026-11-21T12:00:00Z"),
        FieldType::Email => json!("ada@example.com"),
        FieldType::Uri => json!("https://example.com/"),
        FieldType::Uuid => json!("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        FieldType::Any => Value::Null,
        FieldType::String if named(&["email", "mail"]) => json!("ada@example.com"),
        FieldType::String if named(&["phone", "tel", "mobile"]) => json!("+49 30 1234567"),
        FieldType::String if named(&["url", "link", "href"]) => json!("https://example.com/"),
        FieldType::String if named(&["first_name", "firstname"]) => json!("Ada"),
        FieldType::String if named(&["last_name", "lastname", "surname"]) => json!("Lovelace"),
        FieldType::String if named(&["name", "user", "author"]) => json!("Ada Lovelace"),
        FieldType::String if named(&["currency"]) => json!("EUR"),
        FieldType::String if named(&["country"]) => json!("DE"),
        FieldType::String if named(&["city", "town"]) => json!("Berlin"),
        FieldType::String if named(&["zip", "postal"]) => json!("10115"),
        FieldType::String if named(&["lang", "locale"]) => json!("en"),
        FieldType::String if named(&["amount", "price", "total"]) => json!("19.99"),
        FieldType::String if named(&["status", "state"]) => json!("active"),
        FieldType::String if named(&["_at", "date", "time"]) => json!("2026-11-21T12:00:00Z"),
        FieldType::String if named(&["message", "text", "body", "description", "comment"]) => {
            json!("Hello, World!")
        }
        FieldType::String if lower == "id" || lower.ends_with("_id") || name.ends_with("Id") => {
            json!("id-42")
        }
        FieldType::String => json!(if name.is_empty() { "text" } else { name }),
    }
}
