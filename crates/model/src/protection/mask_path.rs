//! A path to values of a request: `headers.authorization`, `body.items[].iban`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most bytes of a path.
const MAX_BYTES: usize = 200;
/// The most segments of a path into the body.
const MAX_SEGMENTS: usize = 16;

/// Where a value is that is to be masked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MaskPath {
    text: String,
    target: Target,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Header(Name),
    Query(Name),
    PathParameter(Name),
    /// Without segments: the whole body.
    Body(Vec<Segment>),
}

/// One name, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    Any,
    Is(String),
}

impl Name {
    pub fn covers(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Is(known) => known == name,
        }
    }
}

/// A step from an object in the body to a value of it. Lists are passed through: a name applies to each of their items,
/// so `[]` says nothing that is not so anyway, and nobody's data is stored because a list was not expected.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    Key(String),
    AnyKey,
    /// Any number of steps.
    AnyDepth,
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaskPathError {
    /// It begins with something else.
    #[error("a path begins with `headers.`, `query.`, `path.` or `body`")]
    Root,
    /// A header, query or path parameter is one name.
    #[error(
        "`{0}` takes one name, such as `{0}.token`; put a name with other signs in quotes: `{0}[\"a.b\"]`"
    )]
    OneName(&'static str),
    /// No header has such a name.
    #[error("{0:?} is no header's name")]
    Header(String),
    /// Something in the path into the body.
    #[error(
        "`{0}` cannot be read: after `body` come names such as `.card`, `[\"a.b\"]`, `.*` or `.**.name`, and `[]` for the items of a list"
    )]
    Segment(String),
    /// `**` at the end, or twice in a row.
    #[error("`**` must be followed by one name; `body` alone masks the whole body")]
    AnyDepth,
    /// Longer than it can be.
    #[error("a path has at most {MAX_BYTES} bytes and {MAX_SEGMENTS} segments")]
    TooLong,
}

impl MaskPath {
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The path as the tenant wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for MaskPath {
    type Err = MaskPathError;

    fn from_str(text: &str) -> Result<Self, MaskPathError> {
        let text = text.trim();
        if text.len() > MAX_BYTES {
            return Err(MaskPathError::TooLong);
        }
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (root, rest) = text.split_at(end);
        let target = match root {
            "headers" => Target::Header(header(rest)?),
            "query" => Target::Query(one_name("query", rest)?),
            "path" => Target::PathParameter(one_name("path", rest)?),
            "body" => Target::Body(segments(rest)?),
            _ => return Err(MaskPathError::Root),
        };
        Ok(Self {
            text: text.to_owned(),
            target,
        })
    }
}

/// Field names of RFC 9110, section 5.1, without case.
fn header(rest: &str) -> Result<Name, MaskPathError> {
    let name = match rest.strip_prefix('.') {
        Some("*") => return Ok(Name::Any),
        Some(name) => name.to_owned(),
        None => match one_name("headers", rest)? {
            Name::Is(name) => name,
            Name::Any => return Ok(Name::Any),
        },
    };
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(MaskPathError::Header(name));
    }
    Ok(Name::Is(name.to_ascii_lowercase()))
}

fn one_name(root: &'static str, rest: &str) -> Result<Name, MaskPathError> {
    match segments(rest).ok().as_deref() {
        Some([Segment::Key(name)]) => Ok(Name::Is(name.clone())),
        Some([Segment::AnyKey]) => Ok(Name::Any),
        _ => Err(MaskPathError::OneName(root)),
    }
}

fn segments(mut rest: &str) -> Result<Vec<Segment>, MaskPathError> {
    let mut segments = Vec::new();
    while !rest.is_empty() {
        let wrong = || MaskPathError::Segment(rest.to_owned());
        let (segment, after) = if let Some(inner) = rest.strip_prefix('.') {
            let end = inner.find(['.', '[']).unwrap_or(inner.len());
            let (name, after) = inner.split_at(end);
            let segment = match name {
                "*" => Segment::AnyKey,
                "**" => Segment::AnyDepth,
                name if is_plain(name) => Segment::Key(name.to_owned()),
                _ => return Err(wrong()),
            };
            (Some(segment), after)
        } else {
            bracket(rest).ok_or_else(wrong)?
        };
        rest = after;
        let Some(segment) = segment else { continue };
        if segments.last() == Some(&Segment::AnyDepth) && !matches!(segment, Segment::Key(_)) {
            return Err(MaskPathError::AnyDepth);
        }
        segments.push(segment);
    }
    if segments.last() == Some(&Segment::AnyDepth) {
        return Err(MaskPathError::AnyDepth);
    }
    if segments.len() > MAX_SEGMENTS {
        return Err(MaskPathError::TooLong);
    }
    Ok(segments)
}

/// Whether a name needs no quotes.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name
            .contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, '*' | ']' | '"' | '\''))
}

/// A name in brackets and quotes, or the items of a list, which are no step; and the rest.
fn bracket(rest: &str) -> Option<(Option<Segment>, &str)> {
    let inner = rest.strip_prefix('[')?;
    for quote in ['"', '\''] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let (name, rest) = quoted.split_once(quote)?;
            return Some((Some(Segment::Key(name.to_owned())), rest.strip_prefix(']')?));
        }
    }
    let (items, rest) = inner.split_once(']')?;
    matches!(items, "" | "*").then_some((None, rest))
}

impl TryFrom<String> for MaskPath {
    type Error = MaskPathError;

    fn try_from(text: String) -> Result<Self, MaskPathError> {
        text.parse()
    }
}

impl From<MaskPath> for String {
    fn from(path: MaskPath) -> Self {
        path.text
    }
}

impl fmt::Display for MaskPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(text: &str) -> Target {
        text.parse::<MaskPath>().expect(text).target
    }

    #[test]
    fn paths_are_read() {
        let is = |name: &str| Name::Is(name.to_owned());
        let key = |name: &str| Segment::Key(name.to_owned());
        for (text, expected) in [
            ("headers.Authorization", Target::Header(is("authorization"))),
            ("headers.*", Target::Header(Name::Any)),
            ("query.token", Target::Query(is("token"))),
            ("query[\"a.b\"]", Target::Query(is("a.b"))),
            ("path.customer", Target::PathParameter(is("customer"))),
            ("body", Target::Body(vec![])),
            ("body.card.number", Target::Body(vec![key("card"), key("number")])),
            ("body.items[].iban", Target::Body(vec![key("items"), key("iban")])),
            (
                "body[*]['a.b'].*",
                Target::Body(vec![key("a.b"), Segment::AnyKey]),
            ),
            (
                "body.**.password",
                Target::Body(vec![Segment::AnyDepth, key("password")]),
            ),
            (" body.größe ", Target::Body(vec![key("größe")])),
        ] {
            assert_eq!(target(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_explained() {
        for (text, expected) in [
            ("", "begins with"),
            ("card.number", "begins with"),
            ("bodycard", "begins with"),
            ("headers", "takes one name"),
            ("headers.a b", "no header's name"),
            ("query.a.b", "takes one name"),
            ("path[]", "takes one name"),
            ("body.", "cannot be read"),
            ("body..a", "cannot be read"),
            ("body[1", "cannot be read"),
            ("body[0]", "cannot be read"),
            ("body[\"x]", "cannot be read"),
            ("body.a*", "cannot be read"),
            ("body.**", "followed by one name"),
            ("body.**.**.a", "followed by one name"),
            ("body.**.*", "followed by one name"),
        ] {
            let error = text.parse::<MaskPath>().expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let long = format!("body{}", ".a".repeat(17));
        assert_eq!(long.parse::<MaskPath>(), Err(MaskPathError::TooLong));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}", rest in "[.*\\[\\]a0\"']{0,20}") {
            for text in [text, format!("body{rest}"), format!("query{rest}")] {
                if let Ok(path) = text.parse::<MaskPath>() {
                    prop_assert_eq!(path.as_str().parse::<MaskPath>(), Ok(path.clone()));
                }
            }
        }
    }
}
