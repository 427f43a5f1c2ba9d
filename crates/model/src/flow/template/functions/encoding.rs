//! JSON, base64, hexadecimal, percent-encoding.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use minijinja::value::{Kwargs, Value as Variable, ValueKind};
use minijinja::{Environment, Error, ErrorKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use super::{own, wrong};
use crate::body::document;
use crate::flow::template::{Bounded, MAX_OUTPUT_BYTES};

/// What a path segment or a query value may hold unencoded: RFC 3986's unreserved characters.
pub(in crate::flow::template) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Decoding takes texts with and without padding.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
pub(super) const BASE64_URL: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG.with_encode_padding(false));

pub(super) fn register(environment: &mut Environment<'static>) {
    environment.add_filter("fromjson", own(from_json));
    environment.add_filter("tojson", own(to_json));
    environment.add_filter("b64encode", own(base64_encode));
    environment.add_filter("b64decode", own(base64_decode));
    environment.add_filter(
        "hexencode",
        own(|value: Variable| bytes(&value).map(|bytes| base16ct::lower::encode_string(&bytes))),
    );
    environment.add_filter("hexdecode", own(hex_decode));
    environment.add_filter("urlencode", own(url_encode));
    environment.add_filter("urldecode", own(url_decode));
}

/// The bytes of a text, or of what was decoded and is no text.
pub(super) fn bytes(value: &Variable) -> Result<Cow<'_, [u8]>, Error> {
    match value.as_bytes() {
        Some(bytes) => Ok(Cow::Borrowed(bytes)),
        None => print(value).map(|text| match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }),
    }
}

/// Text if it is UTF-8, which is what templates write; bytes, for hashes and other encodings, if not.
fn decoded(bytes: Vec<u8>) -> Variable {
    match String::from_utf8(bytes) {
        Ok(text) => Variable::from(text),
        Err(error) => Variable::from_bytes(error.into_bytes()),
    }
}

/// A value as it is written into text: a text as it is, anything else as JSON.
pub(super) fn print(value: &Variable) -> Result<Cow<'_, str>, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    match value.as_str() {
        Some(text) => Ok(Cow::Borrowed(text)),
        None => print_json(value).map(Cow::Owned),
    }
}

/// A value as JSON.
pub(in crate::flow::template) fn print_json(value: &Variable) -> Result<String, Error> {
    if value.kind() == ValueKind::Bytes {
        return Err(wrong(
            "these bytes are no text; `b64encode` or `hexencode` makes one of them",
        ));
    }
    let mut out = Bounded {
        out: Vec::new(),
        left: MAX_OUTPUT_BYTES,
    };
    let written = match document::container(value) {
        Some(part) => serde_json::to_writer(&mut out, &part),
        None => serde_json::to_writer(&mut out, value),
    };
    written.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    String::from_utf8(out.out).map_err(|_| Error::from(ErrorKind::BadSerialization))
}

fn from_json(text: &str) -> Result<Variable, Error> {
    serde_json::from_str(text).map_err(|error| wrong(format!("this is no JSON: {error}")))
}

/// Unlike MiniJinja's own, without the escapes that HTML needs.
fn to_json(value: Variable, options: Kwargs) -> Result<String, Error> {
    let indented = options.get::<Option<bool>>("indent")?.unwrap_or(false);
    options.assert_all_used()?;
    let json = print_json(&value)?;
    if indented {
        let value: Value = serde_json::from_str(&json).unwrap_or_default();
        return Ok(serde_json::to_string_pretty(&value).unwrap_or(json));
    }
    Ok(json)
}

fn is_url(options: &Kwargs) -> Result<bool, Error> {
    let url = options.get::<Option<bool>>("url")?.unwrap_or(false);
    options.assert_all_used()?;
    Ok(url)
}

fn base64_encode(value: Variable, options: Kwargs) -> Result<String, Error> {
    let engine = if is_url(&options)? { BASE64_URL } else { BASE64 };
    Ok(engine.encode(bytes(&value)?))
}

fn base64_decode(text: &str, options: Kwargs) -> Result<Variable, Error> {
    let engine = if is_url(&options)? { BASE64_URL } else { BASE64 };
    let bytes = engine.decode(text.trim());
    bytes
        .map(decoded)
        .map_err(|error| wrong(format!("this is no base64: {error}")))
}

fn hex_decode(text: &str) -> Result<Variable, Error> {
    let bytes = base16ct::mixed::decode_vec(text.trim());
    bytes.map(decoded).map_err(|_| wrong("this is not hexadecimal"))
}

fn url_encode(value: Variable) -> Result<String, Error> {
    Ok(utf8_percent_encode(&print(&value)?, RESERVED).to_string())
}

fn url_decode(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(Cow::into_owned)
        .map_err(|_| wrong("this is not UTF-8 once it is decoded"))
}
