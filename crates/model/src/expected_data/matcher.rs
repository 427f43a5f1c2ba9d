//! A structure, compiled, and what of a request differs from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::format::is_of;
use super::tree::Tree;
use super::violation::{Place, Violation, ViolationCode};
use super::{ExpectedData, Field, FieldPath, FieldType, Segment};
use crate::body::document::{Document, ValueKind, ValueRef};
use crate::body::{BodyKind, form};
use crate::flow::variables::Request;
use crate::headers;
use crate::suffix::UrlSuffix;

/// The most differences that are told of one request.
const MOST: usize = 100;

/// A compiled structure.
#[derive(Debug)]
pub struct Matcher {
    headers: Vec<Named>,
    query: Vec<Named>,
    path: Vec<Named>,
    body: Option<Node>,
    groups: Vec<Vec<FieldPath>>,
}

/// A header or a parameter.
#[derive(Debug)]
struct Named {
    name: String,
    expected: Expected,
}

/// What is expected of a value.
#[derive(Debug)]
struct Expected {
    field_type: FieldType,
    is_required: bool,
    is_nullable: bool,
    values: Vec<Value>,
}

/// A place in the body.
#[derive(Debug)]
struct Node {
    expected: Expected,
    /// Where it was among the fields of its object the last time: the next request may have it there, too.
    place: AtomicUsize,
    names: Vec<(String, Node)>,
    items: Option<Box<Node>>,
}

impl Matcher {
    /// Compiles a structure.
    pub fn compile(expected: &ExpectedData) -> Self {
        let tree = Tree::of(&expected.body);
        let is_empty = tree.field.is_none() && tree.names.is_empty() && tree.items.is_none();
        Self {
            headers: named(&expected.headers, str::to_ascii_lowercase),
            query: named(&expected.query, str::to_owned),
            path: named(&expected.path, str::to_owned),
            body: (!is_empty).then(|| Node::of(&tree)),
            groups: expected.at_least_one_of.clone(),
        }
    }

    /// Whether it looks at bodies.
    pub fn needs_body(&self) -> bool {
        self.body.is_some() || !self.groups.is_empty()
    }

    /// What differs: everything at once, up to a bound. Fields that are not expected are no difference.
    pub fn check(&self, request: &Arc<Request>) -> Vec<Violation> {
        let mut found = Found::default();
        self.check_headers(request, &mut found);
        let event = request.event();
        let query = if self.query.is_empty() && self.groups.is_empty() {
            None
        } else {
            form::read(event.query.as_bytes(), None).ok()
        };
        for Named { name, expected } in &self.query {
            let value = query.as_ref().and_then(|query| query.root().get(name));
            expected.check_text(Place::Query, name, value.and_then(first_text), &mut found);
        }
        if !self.path.is_empty() {
            let suffix = UrlSuffix::parse(&event.suffix).ok();
            let parameters = suffix
                .as_ref()
                .and_then(|suffix| suffix.parameters(&event.path))
                .unwrap_or_default();
            for Named { name, expected } in &self.path {
                let value = parameters.iter().find(|(known, _)| known == name);
                expected.check_text(
                    Place::Path,
                    name,
                    value.map(|(_, value)| value.as_str()),
                    &mut found,
                );
            }
        }
        if self.needs_body() {
            self.check_body(request, query.as_ref(), &mut found);
        }
        found.violations
    }

    fn check_headers(&self, request: &Arc<Request>, found: &mut Found) {
        for Named { name, expected } in &self.headers {
            let value = headers::find(&request.event().headers, name);
            let value = value.map(String::from_utf8_lossy);
            expected.check_text(Place::Headers, name, value.as_deref(), found);
        }
    }

    fn check_body(&self, request: &Arc<Request>, query: Option<&Document>, found: &mut Found) {
        let body = request.body();
        let document = body.document();
        // The fields of forms and the texts of XML have no types of their own.
        let are_texts = !matches!(body.kind(), BodyKind::Json | BodyKind::JsonLines);
        if let Some(node) = &self.body {
            match document {
                Some(document) => node.check(document.root(), are_texts, &mut Vec::new(), found),
                None if request.has_unreadable_body() => {
                    found.note(
                        Place::Body,
                        String::new(),
                        ViolationCode::Unreadable,
                        "is not of a kind that has fields",
                    );
                }
                None => node.check_absent(&mut Vec::new(), found),
            }
        }
        let (place, root) = match (document, query) {
            (Some(document), _) => (Place::Body, Some(document.root())),
            (None, Some(query)) => (Place::Query, Some(query.root())),
            (None, None) => (Place::Body, None),
        };
        for group in &self.groups {
            let is_there = |path: &FieldPath| root.is_some_and(|root| has_something(root, path.segments()));
            if !group.iter().any(is_there) {
                let names: Vec<String> = group.iter().map(ToString::to_string).collect();
                let msg = format!("Missing required parameter: at least one of {}", names.join(", "));
                found.note(place, names.join(","), ViolationCode::NoneOfGroup, msg);
            }
        }
    }
}

fn named(fields: &[Field], name: fn(&str) -> String) -> Vec<Named> {
    let named = fields.iter().filter_map(|field| {
        Some(Named {
            name: name(field.path.name()?),
            expected: Expected::of(field),
        })
    });
    named.collect()
}

/// Of a parameter that came several times, the first value counts here.
fn first_text(value: ValueRef<'_>) -> Option<&str> {
    value.as_str().or_else(|| value.item(0)?.as_str())
}

/// Whether a path leads to anything that is not null, an empty text, or an empty list or object.
fn has_something(value: ValueRef<'_>, path: &[Segment]) -> bool {
    match path.split_first() {
        None => match value.kind() {
            ValueKind::Null => false,
            ValueKind::Text => value.as_str().is_some_and(|text| !text.trim().is_empty()),
            ValueKind::Array => value.items().len() > 0,
            ValueKind::Object => value.fields().len() > 0,
            _ => true,
        },
        Some((Segment::Name(name), rest)) => value.get(name).is_some_and(|value| has_something(value, rest)),
        Some((Segment::Items, rest)) => value.items().any(|item| has_something(item, rest)),
    }
}

#[derive(Default)]
struct Found {
    violations: Vec<Violation>,
}

impl Found {
    fn note(&mut self, place: Place, path: String, code: ViolationCode, msg: impl Into<String>) {
        if self.violations.len() < MOST {
            self.violations.push(Violation {
                place,
                path,
                code,
                msg: msg.into(),
            });
        }
    }

    fn missing(&mut self, place: Place, path: String) {
        self.note(place, path, ViolationCode::Missing, "Missing required parameter");
    }

    fn is_full(&self) -> bool {
        self.violations.len() >= MOST
    }
}

impl Expected {
    fn of(field: &Field) -> Self {
        Self {
            field_type: field.field_type,
            is_required: field.required,
            is_nullable: field.nullable,
            values: field.values.clone(),
        }
    }

    fn check_text(&self, place: Place, name: &str, value: Option<&str>, found: &mut Found) {
        let Some(text) = value else {
            if self.is_required {
                found.missing(place, name.to_owned());
            }
            return;
        };
        if !reads_as(text, self.field_type) {
            found.note(
                place,
                name.to_owned(),
                ViolationCode::WrongType,
                format!("must be {}", article(self.field_type)),
            );
        } else if !self.values.is_empty() && !self.values.iter().any(|value| is_text(value, text)) {
            found.note(place, name.to_owned(), ViolationCode::WrongValue, self.among());
        }
    }

    fn among(&self) -> String {
        let values: Vec<String> = self.values.iter().take(10).map(ToString::to_string).collect();
        let more = if self.values.len() > 10 { ", …" } else { "" };
        format!("must be one of {}{more}", values.join(", "))
    }
}

/// Whether a value is written as this text.
fn is_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value == text,
        other => serde_json::from_str::<Value>(text).is_ok_and(|read| read == *other),
    }
}

/// Whether a text that has no type of its own reads as one.
fn reads_as(text: &str, field_type: FieldType) -> bool {
    match field_type {
        FieldType::Integer => text.trim().parse::<i128>().is_ok(),
        FieldType::Number => text.trim().parse::<f64>().is_ok_and(f64::is_finite),
        FieldType::Boolean => matches!(text.trim(), "true" | "false" | "1" | "0"),
        FieldType::Array | FieldType::Object => false,
        texts => is_of(text, texts),
    }
}

fn is_of_type(value: ValueRef<'_>, field_type: FieldType, are_texts: bool) -> bool {
    match (value.kind(), field_type) {
        (_, FieldType::Any)
        | (ValueKind::Bool, FieldType::Boolean)
        | (ValueKind::Integer, FieldType::Integer | FieldType::Number)
        | (ValueKind::Number, FieldType::Number)
        | (ValueKind::Array, FieldType::Array)
        | (ValueKind::Object, FieldType::Object) => true,
        (ValueKind::Text, wanted) => {
            let text = value.as_str().unwrap_or_default();
            let is_text_type = !matches!(
                wanted,
                FieldType::Integer
                    | FieldType::Number
                    | FieldType::Boolean
                    | FieldType::Array
                    | FieldType::Object
            );
            if is_text_type {
                is_of(text, wanted)
            } else {
                are_texts && reads_as(text, wanted)
            }
        }
        // A form gives one value where it could give a list.
        _ => false,
    }
}

fn article(field_type: FieldType) -> String {
    match field_type {
        FieldType::Integer | FieldType::Array | FieldType::Object | FieldType::Any => {
            format!("an {field_type}")
        }
        FieldType::Email => "an e-mail address".to_owned(),
        FieldType::Uri => "an absolute URI".to_owned(),
        FieldType::Uuid => "a UUID".to_owned(),
        FieldType::DateTime => "a time such as 2026-11-21T12:00:00Z (RFC 3339)".to_owned(),
        FieldType::String | FieldType::Number | FieldType::Boolean => format!("a {field_type}"),
    }
}

/// A step that was gone, for telling where.
#[derive(Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Item(usize),
}

fn told(at: &[Step<'_>]) -> String {
    let mut told = String::new();
    for step in at {
        match step {
            Step::Item(index) => told.push_str(&format!("[{index}]")),
            Step::Name(name) => {
                let path = FieldPath::of_name(name).to_string();
                if !told.is_empty() && !path.starts_with('[') {
                    told.push('.');
                }
                told.push_str(&path);
            }
        }
    }
    told
}

impl Node {
    fn of(tree: &Tree<'_>) -> Self {
        let expected = Expected {
            field_type: tree.field_type(),
            is_required: tree.is_required(),
            is_nullable: tree.field.is_some_and(|field| field.nullable),
            values: tree.field.map(|field| field.values.clone()).unwrap_or_default(),
        };
        Self {
            expected,
            place: AtomicUsize::new(0),
            names: tree
                .names
                .iter()
                .map(|(name, tree)| ((*name).to_owned(), Self::of(tree)))
                .collect(),
            items: tree.items.as_deref().map(|tree| Box::new(Self::of(tree))),
        }
    }

    fn check<'a>(&'a self, value: ValueRef<'_>, are_texts: bool, at: &mut Vec<Step<'a>>, found: &mut Found) {
        if found.is_full() {
            return;
        }
        let expected = &self.expected;
        if value.kind() == ValueKind::Null && (expected.is_nullable || expected.field_type == FieldType::Any)
        {
            return;
        }
        if !is_of_type(value, expected.field_type, are_texts) {
            let msg = format!("must be {}", article(expected.field_type));
            found.note(Place::Body, told(at), ViolationCode::WrongType, msg);
            return;
        }
        if !expected.values.is_empty() {
            let values = &mut expected.values.iter();
            let is_among = match value.as_str() {
                Some(text) if are_texts => values.any(|known| is_text(known, text)),
                Some(text) => values.any(|known| known.as_str() == Some(text)),
                None => expected.values.contains(&value.to_json()),
            };
            if !is_among {
                found.note(Place::Body, told(at), ViolationCode::WrongValue, expected.among());
            }
        }
        if value.kind() == ValueKind::Object {
            for (name, node) in &self.names {
                at.push(Step::Name(name));
                let guess = node.place.load(Ordering::Relaxed);
                match value.get_near(name, guess) {
                    Some((value, place)) => {
                        if place != guess {
                            node.place.store(place, Ordering::Relaxed);
                        }
                        node.check(value, are_texts, at, found);
                    }
                    None => node.check_absent(at, found),
                }
                at.pop();
            }
        }
        if let Some(items) = &self.items {
            for (index, item) in value.items().enumerate() {
                at.push(Step::Item(index));
                items.check(item, are_texts, at, found);
                at.pop();
            }
        }
    }

    /// Tells what is missing: the innermost fields that are listed as required, so that each is named.
    fn check_absent<'a>(&'a self, at: &mut Vec<Step<'a>>, found: &mut Found) {
        let is_whole = at.is_empty();
        if !is_whole && !self.expected.is_required {
            return;
        }
        let required: Vec<_> = self
            .names
            .iter()
            .filter(|(_, node)| node.expected.is_required)
            .collect();
        if required.is_empty() {
            if self.expected.is_required {
                found.missing(Place::Body, told(at));
            }
            return;
        }
        for (name, node) in required {
            at.push(Step::Name(name));
            node.check_absent(at, found);
            at.pop();
        }
    }
}
