//! The values of a request that a check looks at. What is in a JSON body is found in one pass, for all places of the check.

use std::borrow::Cow;

use super::json::{Field, Unreadable, Values, Wanted};
use super::pairs::{self, Found};
use super::place::{HeaderName, ParameterName, Place, Pointer};
use super::request::Request;
use super::verdict::{Denial, DenialCode};

/// A place, compiled.
#[derive(Debug, Clone)]
pub(super) enum Spot {
    Header(HeaderName),
    Query(ParameterName),
    Form(ParameterName),
    Body(Field, Pointer),
    Pair {
        header: HeaderName,
        key: String,
        separator: String,
    },
}

impl Spot {
    pub fn compile(place: &Place, wanted: &mut Wanted) -> Self {
        match place {
            Place::Header { name } => Self::Header(name.clone()),
            Place::Query { name } => Self::Query(name.clone()),
            Place::Form { name } => Self::Form(name.clone()),
            Place::Body { pointer } => Self::Body(wanted.add(pointer), pointer.clone()),
            Place::Pair {
                header,
                key,
                separator,
            } => Self::Pair {
                header: header.clone(),
                key: key.clone(),
                separator: separator.clone(),
            },
        }
    }

    pub fn is_in_body(&self) -> bool {
        match self {
            Self::Form(_) | Self::Body(..) => true,
            Self::Header(_) | Self::Query(_) | Self::Pair { .. } => false,
        }
    }
}

/// In words, for explanations and denials.
impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header `{name}`"),
            Self::Query(name) => write!(f, "query parameter `{name}`"),
            Self::Form(name) => write!(f, "form field `{name}`"),
            Self::Body(_, pointer) => write!(f, "body field `{pointer}`"),
            Self::Pair { header, key, .. } => write!(f, "`{key}` in header `{header}`"),
        }
    }
}

/// A request with what was found in its body.
pub(super) struct Source<'r> {
    pub request: &'r Request<'r>,
    values: Option<Values<'r>>,
}

impl<'r> Source<'r> {
    /// Looks at the head alone.
    pub fn head(request: &'r Request<'r>) -> Self {
        Self {
            request,
            values: None,
        }
    }

    /// Looks at the head and the body.
    pub fn whole(request: &'r Request<'r>, wanted: &Wanted) -> Result<Self, Denial> {
        Self::over(request, request.body, wanted)
    }

    /// Looks at the head and a part of the body.
    pub fn over(request: &'r Request<'r>, json: &'r [u8], wanted: &Wanted) -> Result<Self, Denial> {
        let values = (!wanted.is_empty()).then(|| wanted.find(json)).transpose()?;
        Ok(Self { request, values })
    }

    /// A value of the JSON body.
    pub fn field(&self, field: Field) -> Result<Option<Cow<'r, str>>, Denial> {
        match &self.values {
            Some(values) => Ok(values.text(field)?),
            None => Ok(None),
        }
    }

    /// The items of a list in the JSON body.
    pub fn items(&self, field: Field) -> Result<Vec<&'r [u8]>, Denial> {
        match &self.values {
            Some(values) => Ok(values.items(field)?),
            None => Err(Unreadable::NoItems.into()),
        }
    }

    /// What is at a place.
    pub fn find(&self, spot: &Spot) -> Result<Found<'r>, Denial> {
        let one = |value: Option<Cow<'r, [u8]>>| value.map_or(Found::Missing, Found::One);
        Ok(match spot {
            Spot::Header(name) => one(self.request.headers.combined(name.as_str())),
            Spot::Query(name) => pairs::find(self.request.query.as_bytes(), name.as_str()),
            Spot::Form(name) if self.is_form() => pairs::find(self.request.body, name.as_str()),
            Spot::Form(_) => Found::Missing,
            Spot::Body(field, _) => one(self.field(*field)?.map(bytes)),
            Spot::Pair { .. } => {
                let mut found = Found::Missing;
                self.each_pair(spot, &mut |value| {
                    found = match found {
                        Found::Missing => Found::One(Cow::Owned(value.to_vec())),
                        _ => Found::Several,
                    };
                });
                found
            }
        })
    }

    /// Every value of a key among the pairs of a header. Blanks count, as they do for the senders' own libraries.
    pub fn each_pair(&self, spot: &Spot, f: &mut dyn FnMut(&[u8])) {
        let Spot::Pair {
            header,
            key,
            separator,
        } = spot
        else {
            return;
        };
        let Some(value) = self.request.headers.combined(header.as_str()) else {
            return;
        };
        for pair in split(&value, separator.as_bytes()) {
            let equals = pair.iter().position(|&byte| byte == b'=');
            if let Some((name, value)) = equals.and_then(|equals| pair.split_at_checked(equals))
                && name == key.as_bytes()
            {
                f(value.get(1..).unwrap_or_default());
            }
        }
    }

    /// Whether the body is said to be a form.
    pub fn is_form(&self) -> bool {
        let Some(value) = self.request.headers.value("content-type", 0) else {
            return false;
        };
        let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
        value[..end]
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    }
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// The pieces between separators; an empty separator separates nothing.
pub(super) fn split<'a>(value: &'a [u8], separator: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let value = rest?;
        let at = (!separator.is_empty())
            .then(|| {
                value
                    .windows(separator.len())
                    .position(|window| window == separator)
            })
            .flatten();
        match at {
            Some(at) => {
                rest = value.get(at + separator.len()..);
                value.get(..at)
            }
            None => rest.take(),
        }
    })
}

impl From<Unreadable> for Denial {
    fn from(unreadable: Unreadable) -> Self {
        Self::new(DenialCode::BodyUnreadable, unreadable.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split() {
        let pieces = |value: &'static str, separator: &'static str| -> Vec<String> {
            split(value.as_bytes(), separator.as_bytes())
                .map(|piece| String::from_utf8_lossy(piece).into_owned())
                .collect()
        };
        assert_eq!(pieces("a,b,,c", ","), ["a", "b", "", "c"]);
        assert_eq!(pieces("a; b", "; "), ["a", "b"]);
        assert_eq!(pieces("ab", ""), ["ab"]);
        assert_eq!(pieces("", ","), [""]);
    }
}
