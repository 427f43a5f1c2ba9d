//! MiniJinja as templates use it: its bounds, its filters, and how values are written into text.

use std::sync::LazyLock;

use minijinja::value::{Kwargs, Value as Variable};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::body::document;

use super::{Bounded, Escape, FUEL, MAX_OUTPUT_BYTES};

/// What a path segment or a query value may hold unencoded: RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Escape::None));
pub(super) static URL: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Escape::Url));
/// For conditions: what is absent compares as nothing, so `{{ body.kind == 'x' }}` is false without a `kind`.
pub(super) static LENIENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = environment(Escape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment
});

fn environment(escape: Escape) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(64);
    environment.set_debug(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.remove_global("debug");
    environment.remove_global("namespace");
    environment.remove_filter("pprint");
    environment.add_filter("fromjson", from_json);
    environment.add_filter("tojson", to_json);
    environment.add_filter("sha256", |text: String| {
        base16ct::lower::encode_string(&Sha256::digest(text))
    });
    environment.add_filter("urlencode", |text: String| {
        utf8_percent_encode(&text, RESERVED).to_string()
    });
    environment.set_formatter(move |out, _, value| {
        let failed = |_| minijinja::Error::from(ErrorKind::WriteFailure);
        if value.is_undefined() {
            return Err(minijinja::Error::from(ErrorKind::UndefinedError));
        }
        let json;
        let text = match value.as_str() {
            Some(text) => text,
            None => {
                json = print_json(value)?;
                &json
            }
        };
        if escape == Escape::Url && !value.is_safe() {
            utf8_percent_encode(text, RESERVED)
                .try_for_each(|part| out.write_str(part))
                .map_err(failed)
        } else {
            out.write_str(text).map_err(failed)
        }
    });
    environment
}

fn print_json(value: &Variable) -> Result<String, minijinja::Error> {
    let mut out = Bounded {
        out: Vec::new(),
        left: MAX_OUTPUT_BYTES,
    };
    let written = match document::container(value) {
        Some(part) => serde_json::to_writer(&mut out, &part),
        None => serde_json::to_writer(&mut out, value),
    };
    written.map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    String::from_utf8(out.out).map_err(|_| minijinja::Error::from(ErrorKind::BadSerialization))
}

fn from_json(text: String) -> Result<Variable, minijinja::Error> {
    serde_json::from_str(&text).map_err(|error| {
        minijinja::Error::new(ErrorKind::InvalidOperation, format!("this is no JSON: {error}"))
    })
}

/// Unlike MiniJinja's own, without the escapes that HTML needs.
fn to_json(value: Variable, options: Kwargs) -> Result<String, minijinja::Error> {
    let indented = options.get::<Option<bool>>("indent")?.unwrap_or(false);
    options.assert_all_used()?;
    if indented {
        let json = print_json(&value)?;
        let value: Value = serde_json::from_str(&json).unwrap_or_default();
        return Ok(serde_json::to_string_pretty(&value).unwrap_or(json));
    }
    print_json(&value)
}
