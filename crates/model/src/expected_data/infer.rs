//! Learning a structure from samples.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::format::{FORMATS, is_of};
use super::{ExpectedData, Field, FieldPath, FieldType, MAX_FIELDS, Mode, Segment};
use crate::body::document::{ValueKind, ValueRef};
use crate::body::form;
use crate::flow::variables::Request;
use crate::headers;
use crate::protection::MASKED;
use crate::suffix::UrlSuffix;

/// How deep a structure goes: what lies deeper is anything.
const MAX_DEPTH: usize = 16;
/// The most names of one object: one with more is a table, whose names are data themselves.
const MAX_NAMES: usize = 200;
/// Texts longer than this are no example, and no value of an enumeration, in bytes.
const MAX_EXAMPLE: usize = 200;
/// An enumeration has at most so many values, and each has been seen so often on the average.
const ENUMERATION: usize = 8;
const SEEN_OFTEN: usize = 10;

/// Headers that belong to the connection, to proxies or to the sender's program, that differ from request to request, or that
/// hold credentials: none of them says what the data is.
const LEFT_OUT: [&str; 37] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "baggage",
    "cache-control",
    "cdn-loop",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "date",
    "dnt",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "proxy-authorization",
    "referer",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-amzn-trace-id",
    "x-api-key",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-real-ip",
    "x-request-id",
];
const LEFT_OUT_BEGINNINGS: [&str; 5] = ["x-forwarded-", "sec-", "cf-", "x-amz-cf-", "x-b3-"];

/// The structure that all of the samples have; a field that some of them lack is not required.
pub fn infer(samples: &[Arc<Request>]) -> ExpectedData {
    let [mut headers, mut query, mut path, mut body] = [const { Observed::NONE }; 4];
    let mut with_body = 0;
    for sample in samples {
        let event = sample.event();
        headers.objects += 1;
        for (name, value) in headers::read(&event.headers) {
            let name = name.to_ascii_lowercase();
            let is_left_out = LEFT_OUT.contains(&name.as_str())
                || LEFT_OUT_BEGINNINGS
                    .iter()
                    .any(|beginning| name.starts_with(beginning))
                || name.contains("signature");
            if let (false, Ok(value)) = (is_left_out, std::str::from_utf8(value)) {
                headers.text_field(&name, value);
            }
        }
        query.objects += 1;
        if let Ok(document) = form::read(event.query.as_bytes(), None) {
            for (name, value) in document.root().fields() {
                query.text_field(name, value.as_str().unwrap_or_default());
            }
        }
        path.objects += 1;
        let suffix = UrlSuffix::parse(&event.suffix).ok();
        let parameters = suffix.as_ref().and_then(|suffix| suffix.parameters(&event.path));
        for (name, value) in parameters.unwrap_or_default() {
            path.text_field(name, &value);
        }
        if let Some(document) = sample.body().document() {
            with_body += 1;
            body.see(document.root(), 0);
        }
    }
    let mut room = MAX_FIELDS;
    let mut expected = ExpectedData {
        mode: Mode::Off,
        headers: headers.text_fields(&mut room),
        query: query.text_fields(&mut room),
        path: path.text_fields(&mut room),
        ..ExpectedData::default()
    };
    if with_body > 0 {
        body.fields(
            &mut Vec::new(),
            with_body == samples.len(),
            &mut room,
            &mut expected.body,
        );
    }
    expected
}

/// What was seen at one place.
struct Observed {
    nulls: usize,
    booleans: usize,
    integers: usize,
    numbers: usize,
    texts: usize,
    arrays: usize,
    objects: usize,
    /// Values that data protection left out.
    masked: usize,
    /// The formats that every text had so far.
    formats: [bool; FORMATS.len()],
    /// The texts that were seen; `None` once they were too many or too long.
    distinct: Option<Vec<String>>,
    example: Value,
    names: BTreeMap<String, Observed>,
    is_table: bool,
    items: Option<Box<Observed>>,
}

impl Observed {
    const NONE: Self = Self {
        nulls: 0,
        booleans: 0,
        integers: 0,
        numbers: 0,
        texts: 0,
        arrays: 0,
        objects: 0,
        masked: 0,
        formats: [true; FORMATS.len()],
        distinct: Some(Vec::new()),
        example: Value::Null,
        names: BTreeMap::new(),
        is_table: false,
        items: None,
    };

    /// How many values were seen.
    fn count(&self) -> usize {
        let scalars = self.booleans + self.integers + self.numbers + self.texts;
        self.nulls + self.masked + scalars + self.arrays + self.objects
    }

    fn see(&mut self, value: ValueRef<'_>, depth: usize) {
        match value.kind() {
            ValueKind::Null => self.nulls += 1,
            ValueKind::Bool => self.booleans += 1,
            ValueKind::Integer => self.integers += 1,
            ValueKind::Number => self.numbers += 1,
            ValueKind::Text => self.see_text(value.as_str().unwrap_or_default()),
            ValueKind::Array => {
                self.arrays += 1;
                if depth < MAX_DEPTH {
                    for item in value.items() {
                        self.items
                            .get_or_insert_with(|| Box::new(Self::NONE))
                            .see(item, depth + 1);
                    }
                }
            }
            ValueKind::Object => {
                self.objects += 1;
                if depth < MAX_DEPTH {
                    for (name, value) in value.fields() {
                        if let Some(field) = self.field(name) {
                            field.see(value, depth + 1);
                        }
                    }
                }
            }
        }
        let is_scalar = !matches!(
            value.kind(),
            ValueKind::Null | ValueKind::Array | ValueKind::Object | ValueKind::Text
        );
        if is_scalar && self.example.is_null() {
            self.example = value.to_json();
        }
    }

    fn see_text(&mut self, text: &str) {
        if text == MASKED {
            self.masked += 1;
            return;
        }
        self.texts += 1;
        for (known, format) in self.formats.iter_mut().zip(FORMATS) {
            *known = *known && is_of(text, format);
        }
        if text.len() > MAX_EXAMPLE {
            self.distinct = None;
            return;
        }
        if self.example.is_null() {
            self.example = text.into();
        }
        if let Some(distinct) = &mut self.distinct
            && !distinct.iter().any(|known| known == text)
        {
            if distinct.len() == ENUMERATION {
                self.distinct = None;
            } else {
                distinct.push(text.to_owned());
            }
        }
    }

    /// What was seen under a name; `None` for a table.
    fn field(&mut self, name: &str) -> Option<&mut Self> {
        if self.is_table {
            return None;
        }
        if self.names.len() >= MAX_NAMES && !self.names.contains_key(name) {
            self.is_table = true;
            self.names.clear();
            return None;
        }
        Some(self.names.entry(name.to_owned()).or_insert(Self::NONE))
    }

    fn text_field(&mut self, name: &str, value: &str) {
        if let Some(field) = self.field(name) {
            field.see_text(value);
        }
    }

    /// The fields of something that holds texts alone.
    fn text_fields(self, room: &mut usize) -> Vec<Field> {
        let requests = self.objects;
        let mut fields = Vec::new();
        for (name, observed) in self.names {
            if *room == 0 {
                break;
            }
            *room -= 1;
            let mut field = observed.to_field(FieldPath::of_name(&name), observed.count() >= requests);
            field.field_type = text_type(&observed, field.field_type);
            if field.field_type != FieldType::String
                && let Some(typed) = field
                    .example
                    .as_str()
                    .and_then(|text| serde_json::from_str::<Value>(text).ok())
            {
                field.example = typed;
            }
            fields.push(field);
        }
        fields
    }

    /// Lists it and what lies below it, unless it is the whole and an object.
    fn fields(&self, at: &mut Vec<Segment>, is_required: bool, room: &mut usize, fields: &mut Vec<Field>) {
        if *room == 0 {
            return;
        }
        let says_nothing =
            self.field_type() == FieldType::Object && self.nulls == 0 && !self.names.is_empty();
        if !at.is_empty() || !says_nothing {
            let Some(path) = FieldPath::from_segments(at.clone()) else {
                return;
            };
            *room -= 1;
            fields.push(self.to_field(path, is_required));
        }
        // Where other things than objects or lists were seen too, nothing below can be expected.
        if self.field_type() == FieldType::Object {
            // Of a body that some requests do not have, no field is always there.
            let is_there = is_required || !at.is_empty();
            for (name, observed) in &self.names {
                at.push(Segment::Name(name.clone()));
                observed.fields(at, is_there && observed.count() >= self.objects, room, fields);
                at.pop();
            }
        }
        if let (FieldType::Array, Some(items)) = (self.field_type(), &self.items) {
            at.push(Segment::Items);
            items.fields(at, false, room, fields);
            at.pop();
        }
    }

    fn to_field(&self, path: FieldPath, required: bool) -> Field {
        let field_type = self.field_type();
        let values = match &self.distinct {
            Some(distinct)
                if field_type == FieldType::String
                    && self.texts >= distinct.len() * SEEN_OFTEN
                    && distinct.len() > 1 =>
            {
                let mut values = distinct.clone();
                values.sort_unstable();
                values.into_iter().map(Value::from).collect()
            }
            _ => Vec::new(),
        };
        let example = match field_type {
            FieldType::Object | FieldType::Array => Value::Null,
            _ if self.masked > 0 => Value::Null,
            _ => self.example.clone(),
        };
        Field {
            path,
            field_type,
            required,
            // Anything may be null.
            nullable: self.nulls > 0 && field_type != FieldType::Any,
            values,
            example,
            inferred: true,
        }
    }

    fn field_type(&self) -> FieldType {
        if self.masked > 0 {
            return FieldType::Any;
        }
        let seen = [
            (self.booleans, FieldType::Boolean),
            (self.integers, FieldType::Integer),
            (self.numbers, FieldType::Number),
            (self.texts, FieldType::String),
            (self.arrays, FieldType::Array),
            (self.objects, FieldType::Object),
        ];
        let mut kinds = seen
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(_, kind)| kind);
        match (kinds.next(), kinds.next(), kinds.next()) {
            (Some(FieldType::String), None, None) => self.format().unwrap_or(FieldType::String),
            (Some(kind), None, None) => kind,
            (Some(FieldType::Integer), Some(FieldType::Number), None) => FieldType::Number,
            _ => FieldType::Any,
        }
    }

    fn format(&self) -> Option<FieldType> {
        let formats = self.formats.iter().zip(FORMATS);
        formats
            .filter(|(known, _)| **known)
            .map(|(_, format)| format)
            .next()
    }
}

/// What texts of headers and parameters read as.
fn text_type(observed: &Observed, known: FieldType) -> FieldType {
    let Some(distinct) = observed
        .distinct
        .as_deref()
        .filter(|distinct| !distinct.is_empty())
    else {
        return known;
    };
    let all = |reads: fn(&str) -> bool| distinct.iter().all(|text| reads(text));
    // A number with a zero in front is a code.
    let is_number = |text: &str| !(text.len() > 1 && text.starts_with('0') && !text.starts_with("0."));
    if known != FieldType::String || !distinct.iter().all(|text| is_number(text)) {
        known
    } else if all(|text| text.parse::<i64>().is_ok()) {
        FieldType::Integer
    } else if all(|text| text.parse::<f64>().is_ok_and(f64::is_finite)) {
        FieldType::Number
    } else if all(|text| matches!(text, "true" | "false")) {
        FieldType::Boolean
    } else {
        known
    }
}
