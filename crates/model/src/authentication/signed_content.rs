//! What a signature covers, compiled: it is fed to a hash part by part, without being put together first.

use std::borrow::Cow;

use super::content::{Encoding, Hash, Part, UrlForm};
use super::json::{Field, Wanted};
use super::pairs::{self, Found};
use super::place::{HeaderName, ParameterName, Pointer};
use super::source::{Source, Spot, split};
use super::verdict::{Denial, DenialCode};

/// The most headers that a request may list as signed.
const LISTED_HEADERS: usize = 50;

/// The parts of what is signed.
#[derive(Debug)]
pub(super) struct SignedContent {
    parts: Vec<Compiled>,
}

/// What is known of a signature besides the request.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    /// The time of signing, as it was sent.
    pub timestamp: &'a [u8],
    /// The secret, for a digest.
    pub secret: &'a [u8],
}

#[derive(Debug)]
enum Compiled {
    Text(Vec<u8>),
    Body,
    BodyHash(Hash, Encoding),
    BodyCrc32,
    Header(HeaderName),
    ListedHeaders {
        list: Spot,
        list_separator: Vec<u8>,
        separator: Vec<u8>,
    },
    Value(Spot),
    Method,
    Url(UrlForm),
    PathAndQuery,
    Timestamp,
    SortedForm,
    JsonValues {
        fields: Vec<Field>,
        separator: Vec<u8>,
        escape: bool,
    },
    JsonLines(Vec<(ParameterName, Field)>),
    Secret,
}

impl SignedContent {
    pub fn compile(parts: &[Part], wanted: &mut Wanted) -> Self {
        Self {
            parts: parts.iter().map(|part| Compiled::new(part, wanted)).collect(),
        }
    }

    /// Whether a part is in the body.
    pub fn reads_body(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Compiled::Body
            | Compiled::BodyHash(..)
            | Compiled::BodyCrc32
            | Compiled::SortedForm
            | Compiled::JsonValues { .. }
            | Compiled::JsonLines(_) => true,
            Compiled::Value(spot) | Compiled::ListedHeaders { list: spot, .. } => spot.is_in_body(),
            Compiled::Text(_)
            | Compiled::Header(_)
            | Compiled::Method
            | Compiled::Url(_)
            | Compiled::PathAndQuery
            | Compiled::Timestamp
            | Compiled::Secret => false,
        })
    }

    /// Writes what is signed.
    pub fn write(
        &self,
        source: &Source<'_>,
        beside: Beside<'_>,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Denial> {
        self.parts
            .iter()
            .try_for_each(|part| part.write(source, beside, sink))
    }

    /// Its length, and what it is made of, in words: for explanations.
    pub fn describe(&self, source: &Source<'_>, beside: Beside<'_>) -> String {
        let mut whole = 0;
        let parts: Vec<String> = self
            .parts
            .iter()
            .map(|part| {
                let mut length = 0;
                match part.write(source, beside, &mut |bytes| length += bytes.len()) {
                    Ok(()) => {
                        whole += length;
                        format!("{} ({length})", part.name())
                    }
                    Err(denial) => denial.detail.into_owned(),
                }
            })
            .collect();
        format!("{whole} bytes ({})", parts.join(", "))
    }
}

impl Compiled {
    fn new(part: &Part, wanted: &mut Wanted) -> Self {
        match part {
            Part::Text { text } => Self::Text(text.as_bytes().to_vec()),
            Part::Body {} => Self::Body,
            Part::BodyHash { hash, encoding } => Self::BodyHash(*hash, *encoding),
            Part::BodyCrc32 {} => Self::BodyCrc32,
            Part::Header { name } => Self::Header(name.clone()),
            Part::ListedHeaders {
                list,
                list_separator,
                separator,
            } => Self::ListedHeaders {
                list: Spot::compile(list, wanted),
                list_separator: list_separator.as_bytes().to_vec(),
                separator: separator.as_bytes().to_vec(),
            },
            Part::Value { at } => Self::Value(Spot::compile(at, wanted)),
            Part::Method {} => Self::Method,
            Part::Url { form } => Self::Url(*form),
            Part::PathAndQuery {} => Self::PathAndQuery,
            Part::Timestamp {} => Self::Timestamp,
            Part::SortedForm {} => Self::SortedForm,
            Part::JsonValues {
                pointers,
                separator,
                escape,
            } => Self::JsonValues {
                fields: pointers.iter().map(|pointer| wanted.add(pointer)).collect(),
                separator: separator.as_bytes().to_vec(),
                escape: *escape,
            },
            Part::JsonLines { names } => Self::JsonLines(
                names
                    .iter()
                    .map(|name| (name.clone(), wanted.add(&Pointer::to_member(name.as_str()))))
                    .collect(),
            ),
            Part::Secret {} => Self::Secret,
        }
    }

    fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Text(text) => format!("text `{}`", String::from_utf8_lossy(text)).into(),
            Self::Body => "body".into(),
            Self::BodyHash(..) => "hash of the body".into(),
            Self::BodyCrc32 => "CRC-32 of the body".into(),
            Self::Header(name) => format!("header `{name}`").into(),
            Self::ListedHeaders { list, .. } => format!("headers that {list} lists").into(),
            Self::Value(spot) => spot.to_string().into(),
            Self::Method => "method".into(),
            Self::Url(_) => "public URL".into(),
            Self::PathAndQuery => "path and query".into(),
            Self::Timestamp => "timestamp".into(),
            Self::SortedForm => "sorted form".into(),
            Self::JsonValues { .. } => "values of the body".into(),
            Self::JsonLines(_) => "lines of the body".into(),
            Self::Secret => "secret".into(),
        }
    }

    fn write(
        &self,
        source: &Source<'_>,
        beside: Beside<'_>,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Denial> {
        let request = source.request;
        match self {
            Self::Text(text) => sink(text),
            Self::Body => sink(request.body),
            Self::BodyHash(hash, encoding) => {
                let mut hasher = hash.hasher();
                hasher.update(request.body);
                sink(encoding.encode(hasher.finish().as_bytes()).as_bytes());
            }
            Self::BodyCrc32 => sink(crc32fast::hash(request.body).to_string().as_bytes()),
            Self::Header(name) => {
                let value = request.headers.combined(name.as_str());
                sink(&value.ok_or_else(|| missing(format_args!("header `{name}`")))?);
            }
            Self::ListedHeaders {
                list,
                list_separator,
                separator,
            } => write_listed(source, list, list_separator, separator, sink)?,
            Self::Value(spot) => match source.find(spot)? {
                Found::One(value) => sink(&value),
                Found::Missing => return Err(missing(format_args!("{spot}"))),
                Found::Several => return Err(twice(spot)),
            },
            Self::Method => sink(request.method.as_bytes()),
            Self::Url(form) => sink(form.of(request.public_url).as_bytes()),
            Self::PathAndQuery => sink(path_and_query(request.public_url).as_bytes()),
            Self::Timestamp => sink(beside.timestamp),
            Self::SortedForm => write_sorted_form(source, sink)?,
            Self::JsonValues {
                fields,
                separator,
                escape,
            } => {
                for (index, field) in fields.iter().enumerate() {
                    if index > 0 {
                        sink(separator);
                    }
                    let value = source.field(*field)?.unwrap_or_default();
                    if *escape {
                        sink(value.replace('\\', "\\\\").replace(':', "\\:").as_bytes());
                    } else {
                        sink(value.as_bytes());
                    }
                }
            }
            Self::JsonLines(lines) => {
                for (index, (name, field)) in lines.iter().enumerate() {
                    if let Some(value) = source.field(*field)? {
                        // Else one value could hold the lines of others: a message to somebody else's topic those of a
                        // message to this one's, under the same signature.
                        if index > 0 && value.contains('\n') {
                            return Err(Denial::new(
                                DenialCode::BodyUnreadable,
                                format!(
                                    "The field `{name}` holds a line feed, which only the first of the signed ones may."
                                ),
                            ));
                        }
                        for piece in [name.as_str(), "\n", &value, "\n"] {
                            sink(piece.as_bytes());
                        }
                    }
                }
            }
            Self::Secret => sink(beside.secret),
        }
        Ok(())
    }
}

fn write_listed(
    source: &Source<'_>,
    list: &Spot,
    list_separator: &[u8],
    separator: &[u8],
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Denial> {
    let names = match source.find(list)? {
        Found::One(names) => names,
        Found::Missing => return Err(missing(format_args!("{list}"))),
        Found::Several => return Err(twice(list)),
    };
    let names = split(&names, list_separator).filter(|name| !name.is_empty());
    for (index, name) in names.enumerate() {
        let name = std::str::from_utf8(name).ok().filter(|_| index < LISTED_HEADERS);
        let name = name.and_then(|name| HeaderName::parse(name).ok());
        let Some(name) = name else {
            return Err(Denial::new(
                DenialCode::SignedContentMissing,
                format!("The {list} is no list of up to {LISTED_HEADERS} headers."),
            ));
        };
        let value = source.request.headers.combined(name.as_str());
        let value = value.ok_or_else(|| missing(format_args!("header `{name}`")))?;
        if index > 0 {
            sink(separator);
        }
        sink(&value);
    }
    Ok(())
}

/// Twilio's form: names in their order, each with its different values in their order. Were a body of another type passed
/// over, a signature of an empty form would do for any body.
fn write_sorted_form(source: &Source<'_>, sink: &mut dyn FnMut(&[u8])) -> Result<(), Denial> {
    let body = source.request.body;
    if body.is_empty() {
        return Ok(());
    }
    if !source.is_form() {
        return Err(Denial::new(
            DenialCode::BodyUnreadable,
            "The body is not of type `application/x-www-form-urlencoded`, which its verification needs.",
        ));
    }
    let mut fields: Vec<_> = pairs::read(body).collect();
    fields.sort();
    fields.dedup();
    for (name, value) in fields {
        sink(&name);
        sink(&value);
    }
    Ok(())
}

fn missing(what: std::fmt::Arguments<'_>) -> Denial {
    Denial::new(
        DenialCode::SignedContentMissing,
        format!("There is no {what}, which is part of what is signed."),
    )
}

fn twice(spot: &Spot) -> Denial {
    Denial::new(
        DenialCode::SignedContentMissing,
        format!("The {spot} is there more than once."),
    )
}

/// The host and port of a URL within it.
fn authority(url: &str) -> Option<std::ops::Range<usize>> {
    let start = url.find("://")? + 3;
    let end = url
        .get(start..)?
        .find(['/', '?', '#'])
        .map_or(url.len(), |at| start + at);
    let start = url.get(start..end)?.rfind('@').map_or(start, |at| start + at + 1);
    Some(start..end)
}

/// Where the port, with its colon, is in a URL that names one.
fn port(url: &str) -> Option<std::ops::Range<usize>> {
    let authority = authority(url)?;
    let at = url.get(authority.clone())?.rfind(':')?;
    let port = authority.start + at..authority.end;
    let digits = url.get(port.start + 1..port.end)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(port)
}

fn path_and_query(url: &str) -> &str {
    authority(url)
        .and_then(|authority| url.get(authority.end..))
        .unwrap_or(url)
}

impl UrlForm {
    fn of(self, url: &str) -> Cow<'_, str> {
        match self {
            Self::Exact => Cow::Borrowed(url),
            Self::Decoded => decoded(url),
            Self::WithPort => match (port(url), authority(url)) {
                (None, Some(authority)) => {
                    let port = if url.starts_with("https") { ":443" } else { ":80" };
                    let (before, after) = url.split_at(authority.end);
                    Cow::Owned(format!("{before}{port}{after}"))
                }
                _ => Cow::Borrowed(url),
            },
            Self::WithoutPort => match port(url) {
                Some(port) => Cow::Owned(format!("{}{}", &url[..port.start], &url[port.end..])),
                None => Cow::Borrowed(url),
            },
        }
    }
}

/// HubSpot's decoding (its documentation on validating requests, version 3 of the signature).
fn decoded(url: &str) -> Cow<'_, str> {
    const DECODED: [(&str, &str); 12] = [
        ("%3A", ":"),
        ("%2F", "/"),
        ("%3F", "?"),
        ("%40", "@"),
        ("%21", "!"),
        ("%24", "$"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
        ("%2C", ","),
        ("%3B", ";"),
    ];
    let mut url = Cow::Borrowed(url);
    for (encoded, character) in DECODED {
        if url.contains('%') {
            let lower = encoded.to_ascii_lowercase();
            url = Cow::Owned(url.replace(encoded, character).replace(&lower, character));
        }
    }
    url
}

#[cfg(test)]
mod tests;
