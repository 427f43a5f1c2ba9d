//! From a request's headers and exact bytes to what its body says.
//!
//! The bytes are kept as they were sent, always: signatures are made over them. Everything here is made of them when it is first
//! asked for, at most once, and within bounds, since anybody can send anything: what a body decodes to
//! ([`encoding`]), how deep and how many its values are ([`document`]), how many parts it has ([`multipart`]).
//!
//! What a body is follows from its content type:
//! JSON (`application/json`, `text/json`, `…+json`), JSON lines (`application/x-ndjson`, `application/jsonl`, …), a form,
//! multipart form data, or XML (`application/xml`, `text/xml`, `…+xml`). Anything else is JSON if it can be read as such, else text
//! if it is UTF-8 or is called text, else binary. A form that is one JSON object or array is JSON: that is what
//! `curl --data` sends, and no form begins with `{` or `[`, which forms write as `%7B` and `%5B`.
//!
//! A body that is not what it is called has no value, and an error that says why; its text is there all the same.

pub mod charset;
pub mod document;
pub mod encoding;
mod error;
pub mod form;
pub mod json;
pub mod media_type;
pub mod multipart;
pub mod xml;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use error::BodyError;

use crate::headers;
use crate::webhook::text_enum;
use document::{Document, MAX_VALUES};
use encoding::Encoding;
use media_type::Parameterized;
use multipart::Part;

text_enum! {
    /// What a body is.
    BodyKind {
        /// There is none.
        Empty = "empty",
        /// JSON.
        Json = "json",
        /// One JSON value per line.
        JsonLines = "json_lines",
        /// `application/x-www-form-urlencoded`.
        Form = "form",
        /// `multipart/form-data`.
        Multipart = "multipart",
        /// XML.
        Xml = "xml",
        /// Text.
        Text = "text",
        /// Anything else.
        Binary = "binary",
    }
}

/// A body, with what has been made of it so far.
#[derive(Debug)]
pub struct Body {
    sent: Bytes,
    content_type: Parameterized,
    encodings: Result<Vec<Encoding>, BodyError>,
    filename: Option<String>,
    decoded: OnceLock<Result<Bytes, BodyError>>,
    content: OnceLock<Content>,
}

/// What a body says.
#[derive(Debug)]
struct Content {
    kind: BodyKind,
    document: Option<Arc<Document>>,
    files: Vec<File>,
    error: Option<BodyError>,
}

/// A file in a body: a part of multipart form data that has a file name, or a binary body as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The name of its field; `body` for a body as a whole.
    pub name: String,
    /// Its own name, as the sender gave it: no safe path.
    pub filename: Option<String>,
    /// Its content type, as the sender gave it.
    pub content_type: Option<String>,
    /// Where its content is in the decoded body.
    pub content: Range<usize>,
}

/// About the most memory that reading a body of so many bytes takes: it decoded, its text, and its values.
pub fn most_memory(stored_headers: &[u8], sent: usize) -> usize {
    const BYTES_PER_VALUE: usize = 32;
    let decoded = match encoding::declared(stored_headers) {
        Ok(encodings) if encodings.is_empty() => 0,
        Ok(_) => encoding::most_decoded(sent),
        Err(_) => return 0,
    };
    let text = decoded.max(sent);
    // The shortest value of JSON is a digit and a comma.
    let values = (text / 2).min(MAX_VALUES).saturating_mul(BYTES_PER_VALUE);
    decoded.saturating_add(text).saturating_add(values)
}

impl Body {
    /// Takes a body with its headers in their stored form. Nothing is read yet.
    pub fn new(stored_headers: &[u8], sent: Bytes) -> Self {
        let header = |name| Parameterized::parse(headers::find(stored_headers, name).unwrap_or_default());
        Self {
            sent,
            content_type: header("content-type"),
            encodings: encoding::declared(stored_headers),
            filename: header("content-disposition").filename(),
            decoded: OnceLock::new(),
            content: OnceLock::new(),
        }
    }

    /// The bytes without their content encoding.
    ///
    /// # Errors
    /// When the encoding is unknown or malformed, or they would be too many.
    pub fn decoded(&self) -> Result<&Bytes, &BodyError> {
        let decode = || match &self.encodings {
            Ok(encodings) => encoding::decode(&self.sent, encodings),
            Err(error) => Err(error.clone()),
        };
        self.decoded.get_or_init(decode).as_ref()
    }

    /// What it is.
    pub fn kind(&self) -> BodyKind {
        self.content().kind
    }

    /// Its values; none of text or a binary body, nor of one that cannot be read.
    pub fn document(&self) -> Option<&Arc<Document>> {
        self.content().document.as_ref()
    }

    /// The files in it.
    pub fn files(&self) -> &[File] {
        &self.content().files
    }

    /// The content of one of its files.
    pub fn content_of(&self, file: &File) -> Bytes {
        let decoded = self.decoded().cloned().unwrap_or_default();
        let is_inside = file.content.start <= file.content.end && file.content.end <= decoded.len();
        if is_inside {
            decoded.slice(file.content.clone())
        } else {
            Bytes::new()
        }
    }

    /// The SHA-256 of the content of one of its files, in hexadecimal.
    pub fn sha256_of(&self, file: &File) -> String {
        base16ct::lower::encode_string(&Sha256::digest(self.content_of(file)))
    }

    /// Why it cannot be read, or not without doubt.
    pub fn error(&self) -> Option<BodyError> {
        let content = self.content();
        let repeated = || {
            Some(BodyError::RepeatedName(
                content.document.as_ref()?.repeated_name()?.to_owned(),
            ))
        };
        content.error.clone().or_else(repeated)
    }

    /// It as text, by its charset; what cannot be decoded is U+FFFD. None of a binary body, nor of parts that are.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        let decoded = self.decoded().ok()?;
        match self.kind() {
            BodyKind::Binary => None,
            BodyKind::Multipart => std::str::from_utf8(decoded).ok().map(Cow::Borrowed),
            BodyKind::Json | BodyKind::JsonLines => match self.json_text(decoded) {
                Cow::Borrowed(bytes) => Some(String::from_utf8_lossy(bytes)),
                Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
            },
            _ => charset::decode(decoded, self.content_type.parameter("charset"))
                .ok()
                .or_else(|| Some(String::from_utf8_lossy(decoded))),
        }
    }

    fn content(&self) -> &Content {
        self.content.get_or_init(|| self.read())
    }

    fn read(&self) -> Content {
        let declared = kind_of(self.content_type.value());
        let decoded = match self.decoded() {
            Ok(decoded) => decoded,
            Err(error) => {
                return Content::unreadable(declared.unwrap_or(BodyKind::Binary), error.clone());
            }
        };
        if decoded.is_empty() {
            return Content::new(BodyKind::Empty, None);
        }
        let declared_charset = self.content_type.parameter("charset");
        match declared {
            Some(BodyKind::Json) => Content::of(BodyKind::Json, json::read(&self.json_text(decoded))),
            Some(BodyKind::JsonLines) => {
                Content::of(BodyKind::JsonLines, json::read_lines(&self.json_text(decoded)))
            }
            Some(BodyKind::Form) => match self.unannounced_json(decoded, b"{[") {
                Some(document) => Content::new(BodyKind::Json, Some(document)),
                None => Content::of(BodyKind::Form, form::read(decoded, declared_charset)),
            },
            Some(BodyKind::Multipart) => self.multipart(decoded),
            Some(BodyKind::Xml) => {
                let declared = declared_charset.or_else(|| xml::declared_encoding(decoded));
                let read = charset::decode(decoded, declared).and_then(|text| xml::read(&text));
                Content::of(BodyKind::Xml, read)
            }
            _ => self.undeclared(decoded),
        }
    }

    /// A body of a content type that says nothing of its form.
    fn undeclared(&self, decoded: &Bytes) -> Content {
        if let Some(document) = self.unannounced_json(decoded, b"{[\"-0123456789tfn") {
            return Content::new(BodyKind::Json, Some(document));
        }
        let is_called_text = self.content_type.value().starts_with("text/")
            || self.content_type.parameter("charset").is_some();
        let is_text = || {
            charset::has_byte_order_mark(decoded)
                || std::str::from_utf8(decoded).is_ok_and(|text| !text.contains('\0'))
        };
        if is_called_text || is_text() {
            return Content::new(BodyKind::Text, None);
        }
        let whole = File {
            name: "body".to_owned(),
            filename: self.filename.clone(),
            content_type: Some(self.content_type.value().to_owned()).filter(|value| !value.is_empty()),
            content: 0..decoded.len(),
        };
        Content {
            files: vec![whole],
            ..Content::new(BodyKind::Binary, None)
        }
    }

    /// JSON whose content type is another, if it begins like it, and is it to the end.
    fn unannounced_json(&self, decoded: &Bytes, first: &[u8]) -> Option<Document> {
        let text = self.json_text(decoded);
        let begins = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let begins = begins.iter().find(|byte| !byte.is_ascii_whitespace())?;
        if !first.contains(begins) {
            return None;
        }
        json::read(&text).ok()
    }

    /// The bytes of JSON as UTF-8, which it must be (RFC 8259, section 8.1), whatever its charset is said to be; what is not
    /// is read in that charset. UTF-16 can look like UTF-8, but is full of NUL, which JSON never holds.
    fn json_text<'a>(&self, decoded: &'a Bytes) -> Cow<'a, [u8]> {
        let declared = self.content_type.parameter("charset");
        let is_special = charset::has_wide_mark(decoded)
            || declared.is_some_and(|label| !label.eq_ignore_ascii_case("utf-8"))
                && std::str::from_utf8(decoded).map_or(true, |text| text.contains('\0'));
        if is_special && let Ok(text) = charset::decode(decoded, declared) {
            return Cow::Owned(text.into_owned().into_bytes());
        }
        Cow::Borrowed(decoded)
    }

    fn multipart(&self, decoded: &Bytes) -> Content {
        let boundary = self.content_type.parameter("boundary").unwrap_or_default();
        let parts = match multipart::parts(decoded, boundary) {
            Ok(parts) => parts,
            Err(error) => return Content::unreadable(BodyKind::Multipart, error),
        };
        let fields = multipart::fields(decoded, &parts);
        Content {
            // A form that was sent without choosing a file has an empty one without a name.
            files: parts.into_iter().filter_map(File::of).collect(),
            ..Content::of(BodyKind::Multipart, fields)
        }
    }
}

impl Content {
    fn new(kind: BodyKind, document: Option<Document>) -> Self {
        Self {
            kind,
            document: document.map(Arc::new),
            files: Vec::new(),
            error: None,
        }
    }

    fn unreadable(kind: BodyKind, error: BodyError) -> Self {
        Self {
            error: Some(error),
            ..Self::new(kind, None)
        }
    }

    fn of(kind: BodyKind, read: Result<Document, BodyError>) -> Self {
        match read {
            Ok(document) => Self::new(kind, Some(document)),
            Err(error) => Self::unreadable(kind, error),
        }
    }
}

impl File {
    fn of(part: Part) -> Option<Self> {
        let filename = part.filename?;
        if filename.is_empty() && part.content.is_empty() {
            return None;
        }
        Some(Self {
            name: part.name,
            filename: Some(filename),
            content_type: part.content_type,
            content: part.content,
        })
    }
}

/// What a content type says that a body is.
fn kind_of(media_type: &str) -> Option<BodyKind> {
    match media_type {
        "application/json" | "text/json" => Some(BodyKind::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
            Some(BodyKind::JsonLines)
        }
        "application/x-www-form-urlencoded" => Some(BodyKind::Form),
        "multipart/form-data" => Some(BodyKind::Multipart),
        "application/xml" | "text/xml" => Some(BodyKind::Xml),
        _ if media_type.ends_with("+json") => Some(BodyKind::Json),
        _ if media_type.ends_with("+xml") => Some(BodyKind::Xml),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
