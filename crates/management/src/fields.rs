//! Reads the fields of a JSON object (or of a query) into a type, and collects everything that is wrong on the way:
//! absent fields, unknown ones, wrong types and invalid values are all reported at once, each with its pointer.
//!
//! ```
//! # use hookgate_management::fields::{Fields, FromFields, integer, text};
//! struct NewThing { name: String, size: i64 }
//! impl FromFields for NewThing {
//!     fn from_fields(fields: &mut Fields) -> Option<Self> {
//!         let name = fields.required("name", text(1..=200));
//!         let size = fields.or("size", 10, integer(1..=100));
//!         Some(Self { name: name?, size: size? })
//!     }
//! }
//! ```
//! Read every field first and use `?` only at the end, so that no error hides another.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{ApiError, ApiResult, FieldCode, FieldError};

/// What reading a value ends in; the pointers are relative to it.
pub type Read<T> = Result<T, Vec<FieldError>>;

/// A type that is read from the fields of an object.
pub trait FromFields: Sized {
    /// Reads every field. `None` when one is wrong, which `fields` then knows.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

/// The fields of an object that are not read yet, and what was wrong so far.
pub struct Fields {
    object: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// A field that must be there and not be null.
    pub fn required<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Read<T>) -> Option<T> {
        match self.object.remove(name) {
            None | Some(Value::Null) => {
                self.error(pointer(name), FieldCode::Required, "must be given");
                None
            }
            Some(value) => self.note(name, read(value)),
        }
    }

    /// A field that may be absent or null. The outer `None` means that it is wrong.
    pub fn optional<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Read<T>) -> Option<Option<T>> {
        match self.object.remove(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => self.note(name, read(value)).map(Some),
        }
    }

    /// Whether a field is given, be it as null.
    pub fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// A field that has a default when it is absent or null.
    pub fn or<T>(&mut self, name: &str, default: T, read: impl FnOnce(Value) -> Read<T>) -> Option<T> {
        self.optional(name, read).map(|value| value.unwrap_or(default))
    }

    /// Gives a field that is absent a value; one that is given, be it as null, stays.
    pub fn fill(&mut self, name: &str, value: Value) {
        self.object.entry(name).or_insert(value);
    }

    /// Notes something that is wrong across fields.
    pub fn error(&mut self, pointer: impl Into<String>, code: FieldCode, detail: impl Into<String>) {
        self.errors.push(FieldError {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        });
    }

    fn note<T>(&mut self, name: &str, read: Read<T>) -> Option<T> {
        read.map_err(|errors| self.errors.extend(below(&pointer(name), errors)))
            .ok()
    }
}

/// Reads an object into a type.
///
/// # Errors
/// 400 with every field that is wrong.
pub fn read<T: FromFields>(value: Value) -> ApiResult<T> {
    object(value).map_err(ApiError::fields)
}

/// Reads a query into a type; its values are texts, and a pointer is `?` and the parameter's name.
pub(crate) fn read_query<T: FromFields>(pairs: impl Iterator<Item = (String, String)>) -> ApiResult<T> {
    let mut object = Map::new();
    let mut errors = Vec::new();
    for (name, value) in pairs {
        if object.insert(name.clone(), Value::String(value)).is_some() {
            errors.push(FieldError {
                pointer: pointer(&name),
                code: FieldCode::Invalid,
                detail: "may be given once".into(),
            });
        }
    }
    let (read, more) = read_all(object);
    errors.extend(more);
    match read {
        Some(read) if errors.is_empty() => Ok(read),
        _ => Err(ApiError::fields(
            errors
                .into_iter()
                .map(|error| FieldError {
                    pointer: error.pointer.replacen('/', "?", 1),
                    ..error
                })
                .collect(),
        )),
    }
}

fn read_all<T: FromFields>(object: Map<String, Value>) -> (Option<T>, Vec<FieldError>) {
    let mut fields = Fields {
        object,
        errors: Vec::new(),
    };
    let read = T::from_fields(&mut fields);
    let unknown: Vec<String> = fields.object.keys().cloned().collect();
    for name in unknown {
        fields.error(pointer(&name), FieldCode::Unknown, "there is no such field");
    }
    if read.is_none() && fields.errors.is_empty() {
        fields.error("", FieldCode::Invalid, "cannot be read");
    }
    (read, fields.errors)
}

/// An object that is read by its fields.
pub fn object<T: FromFields>(value: Value) -> Read<T> {
    let Value::Object(object) = value else {
        return wrong_type("an object", &value);
    };
    match read_all(object) {
        (Some(read), errors) if errors.is_empty() => Ok(read),
        (_, errors) => Err(errors),
    }
}

/// A text of so many characters, without control characters; blanks around it are taken away.
pub fn text(characters: RangeInclusive<usize>) -> impl Fn(Value) -> Read<String> {
    move |value| {
        let Value::String(text) = value else {
            return wrong_type("a string", &value);
        };
        let text = text.trim();
        let count = text.chars().count();
        if text.chars().any(char::is_control) {
            wrong(FieldCode::Invalid, "may not hold control characters")
        } else if count < *characters.start() {
            wrong(
                FieldCode::TooShort,
                format!("must have at least {} characters", characters.start()),
            )
        } else if count > *characters.end() {
            wrong(
                FieldCode::TooLong,
                format!("may have at most {} characters", characters.end()),
            )
        } else {
            Ok(text.to_owned())
        }
    }
}

/// A text that a type is parsed from: ids, names of an enum, suffixes, networks; in a query also numbers.
pub fn parsed<T: FromStr<Err: Display>>(value: Value) -> Read<T> {
    let Value::String(text) = value else {
        return wrong_type("a string", &value);
    };
    text.parse()
        .or_else(|error: T::Err| wrong(FieldCode::Invalid, error.to_string()))
}

/// A whole number within bounds.
pub fn integer<T: TryFrom<i64>>(range: RangeInclusive<i64>) -> impl Fn(Value) -> Read<T> {
    move |value| {
        let Value::Number(number) = &value else {
            return wrong_type("an integer", &value);
        };
        let out_of_range = || {
            wrong(
                FieldCode::OutOfRange,
                format!("must be from {} to {}", range.start(), range.end()),
            )
        };
        match number.as_i64() {
            Some(number) if range.contains(&number) => T::try_from(number).or_else(|_| out_of_range()),
            None if number.is_f64() => wrong_type("an integer", &value),
            _ => out_of_range(),
        }
    }
}

/// `true` or `false`.
pub fn boolean(value: Value) -> Read<bool> {
    value
        .as_bool()
        .map_or_else(|| wrong_type("a boolean", &value), Ok)
}

/// A moment, RFC 3339.
pub fn time(value: Value) -> Read<DateTime<Utc>> {
    let Value::String(text) = value else {
        return wrong_type("a string", &value);
    };
    match DateTime::parse_from_rfc3339(&text) {
        Ok(time) => Ok(time.with_timezone(&Utc)),
        Err(_) => wrong(
            FieldCode::Invalid,
            "must be a time such as 2026-11-21T12:00:00Z (RFC 3339)",
        ),
    }
}

/// A list of so many values.
pub fn list<T>(
    length: RangeInclusive<usize>,
    read: impl Fn(Value) -> Read<T>,
) -> impl FnOnce(Value) -> Read<Vec<T>> {
    move |value| {
        let Value::Array(values) = value else {
            return wrong_type("an array", &value);
        };
        if values.len() < *length.start() {
            return wrong(
                FieldCode::TooShort,
                format!("must have at least {} entries", length.start()),
            );
        }
        if values.len() > *length.end() {
            return wrong(
                FieldCode::TooLong,
                format!("may have at most {} entries", length.end()),
            );
        }
        let mut entries = Vec::with_capacity(values.len());
        let mut errors = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            match read(value) {
                Ok(entry) => entries.push(entry),
                Err(wrong) => errors.extend(below(&format!("/{index}"), wrong)),
            }
        }
        if errors.is_empty() {
            Ok(entries)
        } else {
            Err(errors)
        }
    }
}

/// Any JSON.
pub fn any(value: Value) -> Read<Value> {
    Ok(value)
}

/// A type that reads itself with serde, such as a tagged enum. It reports the first thing that is wrong in it.
pub fn json<T: DeserializeOwned>(value: Value) -> Read<T> {
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let mut at: String = error
            .path()
            .iter()
            .map(|segment| match segment {
                serde_path_to_error::Segment::Seq { index } => format!("/{index}"),
                serde_path_to_error::Segment::Map { key } => pointer(key),
                serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => {
                    String::new()
                }
            })
            .collect();
        let detail = error.inner().to_string();
        let named = detail.split('`').nth(1).map(pointer);
        let code = if detail.starts_with("missing field") {
            at.push_str(&named.unwrap_or_default());
            FieldCode::Required
        } else if detail.starts_with("unknown field") {
            if let Some(named) = named.filter(|named| !at.ends_with(named.as_str())) {
                at.push_str(&named);
            }
            FieldCode::Unknown
        } else if detail.starts_with("invalid type") {
            FieldCode::WrongType
        } else {
            FieldCode::Invalid
        };
        vec![FieldError {
            pointer: at,
            code,
            detail,
        }]
    })
}

/// A value that is wrong, for readers of one's own.
///
/// # Errors
/// Always: that is what it makes.
pub fn wrong<T>(code: FieldCode, detail: impl Into<String>) -> Read<T> {
    Err(vec![FieldError {
        pointer: String::new(),
        code,
        detail: detail.into(),
    }])
}

fn wrong_type<T>(wanted: &str, value: &Value) -> Read<T> {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    wrong(FieldCode::WrongType, format!("must be {wanted}, not {found}"))
}

fn below(parent: &str, errors: Vec<FieldError>) -> impl Iterator<Item = FieldError> {
    errors.into_iter().map(move |error| FieldError {
        pointer: format!("{parent}{}", error.pointer),
        ..error
    })
}

/// The pointer to a field (RFC 6901, section 3).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug)]
    struct Inner {
        size: i64,
    }
    impl FromFields for Inner {
        fn from_fields(fields: &mut Fields) -> Option<Self> {
            let size = fields.required("size", integer(1..=9));
            Some(Self { size: size? })
        }
    }
    #[derive(Debug)]
    struct Thing {
        name: String,
        inner: Vec<Inner>,
        note: Option<String>,
        fast: bool,
    }
    impl FromFields for Thing {
        fn from_fields(fields: &mut Fields) -> Option<Self> {
            let name = fields.required("name", text(2..=5));
            let inner = fields.or("inner", Vec::new(), list(0..=3, object));
            let note = fields.optional("note", text(0..=9));
            let fast = fields.or("fast", true, boolean);
            Some(Self {
                name: name?,
                inner: inner?,
                note: note?,
                fast: fast?,
            })
        }
    }

    #[test]
    fn a_right_object_is_read() {
        let thing: Thing =
            object(json!({"name": " abc ", "inner": [{"size": 3}], "note": null})).expect("right");
        assert_eq!(
            (thing.name.as_str(), thing.inner[0].size, thing.note, thing.fast),
            ("abc", 3, None, true)
        );
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let wrong = json!({"name": "x", "inner": [{"size": 3}, {"size": "3", "a/b": 1}, {}, ], "note": 7, "extra": 1});
        let errors = object::<Thing>(wrong).expect_err("wrong");
        let told: Vec<_> = errors
            .iter()
            .map(|error| (error.pointer.as_str(), error.code))
            .collect();
        assert_eq!(
            told,
            [
                ("/name", FieldCode::TooShort),
                ("/inner/1/size", FieldCode::WrongType),
                ("/inner/1/a~1b", FieldCode::Unknown),
                ("/inner/2/size", FieldCode::Required),
                ("/note", FieldCode::WrongType),
                ("/extra", FieldCode::Unknown),
            ]
        );
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        assert_eq!(integer::<u8>(0..=300)(json!(255)), Ok(255));
        assert_eq!(
            integer::<u8>(0..=300)(json!(256)).expect_err("too great")[0].code,
            FieldCode::OutOfRange
        );
        assert_eq!(
            integer::<i64>(0..=3)(json!(u64::MAX)).expect_err("too great")[0].code,
            FieldCode::OutOfRange
        );
        assert_eq!(
            integer::<i64>(0..=3)(json!(1.5)).expect_err("no integer")[0].code,
            FieldCode::WrongType
        );
    }

    #[test]
    fn serde_types_point_to_the_place() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Deep {
            #[allow(dead_code)]
            list: Vec<DeepEntry>,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct DeepEntry {
            #[allow(dead_code)]
            size: u8,
        }
        let told = |value| {
            let error = json::<Deep>(value).expect_err("wrong").remove(0);
            (error.pointer, error.code)
        };
        assert_eq!(
            told(json!({"list": [{"size": 1}, {"size": "x"}]})),
            ("/list/1/size".into(), FieldCode::WrongType)
        );
        assert_eq!(
            told(json!({"list": [{}]})),
            ("/list/0/size".into(), FieldCode::Required)
        );
        assert_eq!(
            told(json!({"list": [{"size": 1, "x": 1}]})),
            ("/list/0/x".into(), FieldCode::Unknown)
        );
    }
}
