//! A path to a field: `order.items[].sku`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most bytes of a path.
const MAX_BYTES: usize = 500;
/// The most segments of a path.
const MAX_SEGMENTS: usize = 32;

/// Where a field is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath(Vec<Segment>);

/// A step on a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// To a field of an object.
    Name(String),
    /// To each item of a list.
    Items,
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldPathError {
    /// Something cannot be read.
    #[error(
        "`{0}` cannot be read: a path is names separated by dots, `[]` for the items of a list, `[\"a.b\"]` for a name with other signs"
    )]
    Unreadable(String),
    /// Longer than it can be.
    #[error("a path has at most {MAX_BYTES} bytes and {MAX_SEGMENTS} steps")]
    TooLong,
}

impl FieldPath {
    /// The path to one name, whatever signs it has.
    pub fn of_name(name: &str) -> Self {
        Self(vec![Segment::Name(name.to_owned())])
    }

    /// From its steps; `None` when they are too many.
    pub(super) fn from_segments(segments: Vec<Segment>) -> Option<Self> {
        let path = Self(segments);
        (path.0.len() <= MAX_SEGMENTS && path.to_string().len() <= MAX_BYTES).then_some(path)
    }

    /// Its steps; none for the whole.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Its name, when it is one name alone.
    pub fn name(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Segment::Name(name)] => Some(name),
            _ => None,
        }
    }
}

/// Whether a name needs no quotes.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, '.' | '[' | ']' | '"'))
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Items => f.write_str("[]")?,
                Segment::Name(name) if is_plain(name) && index == 0 => f.write_str(name)?,
                Segment::Name(name) if is_plain(name) => write!(f, ".{name}")?,
                // A name in JSON's quotes, which escape what they must.
                Segment::Name(name) => write!(f, "[{}]", serde_json::Value::from(name.as_str()))?,
            }
        }
        Ok(())
    }
}

impl FromStr for FieldPath {
    type Err = FieldPathError;

    fn from_str(text: &str) -> Result<Self, FieldPathError> {
        if text.len() > MAX_BYTES {
            return Err(FieldPathError::TooLong);
        }
        let mut segments = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let wrong = || FieldPathError::Unreadable(rest.to_owned());
            if let Some(after) = rest.strip_prefix("[]") {
                segments.push(Segment::Items);
                rest = after;
            } else if let Some(quoted) = rest.strip_prefix('[') {
                let mut names = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
                let name = names.next().and_then(Result::ok).ok_or_else(wrong)?;
                rest = quoted
                    .get(names.byte_offset()..)
                    .and_then(|rest| rest.strip_prefix(']'))
                    .ok_or_else(wrong)?;
                segments.push(Segment::Name(name));
            } else {
                let name = match (rest.strip_prefix('.'), segments.is_empty()) {
                    (Some(name), false) => name,
                    (None, true) => rest,
                    _ => return Err(wrong()),
                };
                let end = name.find(['.', '[']).unwrap_or(name.len());
                let (name, after) = name.split_at(end);
                if !is_plain(name) {
                    return Err(wrong());
                }
                segments.push(Segment::Name(name.to_owned()));
                rest = after;
            }
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(FieldPathError::TooLong);
        }
        Ok(Self(segments))
    }
}

impl TryFrom<String> for FieldPath {
    type Error = FieldPathError;

    fn try_from(text: String) -> Result<Self, FieldPathError> {
        text.parse()
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_read() {
        let name = |name: &str| Segment::Name(name.to_owned());
        for (text, segments) in [
            ("", vec![]),
            ("order", vec![name("order")]),
            (
                "order.items[].sku",
                vec![name("order"), name("items"), Segment::Items, name("sku")],
            ),
            ("[].id", vec![Segment::Items, name("id")]),
            ("[][]", vec![Segment::Items, Segment::Items]),
            ("a[\"b.c\"].d", vec![name("a"), name("b.c"), name("d")]),
            ("[\"x\\\"]\"]", vec![name("x\"]")]),
        ] {
            let path: FieldPath = text.parse().expect(text);
            assert_eq!(
                (path.segments(), path.to_string().as_str()),
                (segments.as_slice(), text)
            );
        }
        for text in [
            ".a",
            "a.",
            "a..b",
            "a b",
            "a[0]",
            "a[",
            "a[\"b\"",
            "a[\"b\"x]",
            "a]",
            "a[]b",
        ] {
            assert!(text.parse::<FieldPath>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_names_read_back(names in proptest::collection::vec(proptest::option::of(".{0,8}"), 0..6)) {
            let segments = names.into_iter().map(|name| name.map_or(Segment::Items, Segment::Name)).collect();
            let path = FieldPath::from_segments(segments).expect("short");
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }
    }
}
