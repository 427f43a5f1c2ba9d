//! Keeps masked values out of what else is recorded: the results of steps, errors, answers, previews.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MASKED;
use super::body::Secret;

/// The most values that are looked for; with more, nothing is recorded at all.
const MAX_VALUES: usize = 1_000;
/// The most bytes of those values.
const MAX_BYTES: usize = 128 * 1024;
/// Shorter values are only found as whole words: `1` is in everything.
const WORD_BYTES: usize = 4;
/// From this length on, the words of a header's value count by themselves, too: the token of `Bearer …`.
const HEADER_WORD_BYTES: usize = 8;

/// What must not be recorded of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secrets {
    /// These values, wherever they turn up.
    Values(Vec<String>),
    /// Anything that was made from the request.
    Everything,
}

impl Default for Secrets {
    fn default() -> Self {
        Self::Values(Vec::new())
    }
}

/// Gathers the masked values of one request.
#[derive(Debug, Default)]
pub(super) struct Collector {
    values: BTreeSet<String>,
    bytes: usize,
    is_everything: bool,
}

impl Collector {
    pub fn everything(&mut self) {
        self.is_everything = true;
    }

    pub fn add(&mut self, secret: &Secret) {
        match secret {
            Secret::Unknown => self.everything(),
            Secret::Text(text) => self.text(text),
            Secret::Json(raw) => match serde_json::from_str::<Value>(raw) {
                Ok(Value::Number(number)) => {
                    self.text(raw);
                    self.text(&number.to_string());
                }
                Ok(value) => self.leaves(&value),
                // Nested too deep: what is in it is unknown.
                Err(_) => self.everything(),
            },
        }
    }

    /// The value of a header, and its longer words.
    pub fn header(&mut self, value: &str) {
        self.text(value);
        for word in value.split([' ', ',', ';', '=']) {
            if word.len() >= HEADER_WORD_BYTES {
                self.text(word);
            }
        }
    }

    pub fn text(&mut self, text: &str) {
        let text = text.trim();
        // These are in everything, and say little.
        if self.is_everything || matches!(text, "" | "true" | "false" | "null") {
            return;
        }
        if self.values.insert(text.to_owned()) {
            self.bytes += text.len();
            self.is_everything |= self.values.len() > MAX_VALUES || self.bytes > MAX_BYTES;
        }
    }

    fn leaves(&mut self, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => self.text(&number.to_string()),
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().for_each(|item| self.leaves(item)),
            Value::Object(fields) => fields.values().for_each(|field| self.leaves(field)),
        }
    }

    pub fn finish(self) -> Secrets {
        if self.is_everything {
            Secrets::Everything
        } else {
            Secrets::Values(self.values.into_iter().collect())
        }
    }
}

/// Replaces masked values in what is recorded, also where they are percent-encoded or escaped as in JSON. It does not find
/// what a template has made of a value, such as its last four digits or its hash.
#[derive(Debug)]
pub enum Scrubber {
    /// There is nothing to look for.
    Nothing,
    /// Looks for values: those that count anywhere, and those that count as words.
    Values {
        /// The longer ones.
        anywhere: Option<AhoCorasick>,
        /// The shorter ones.
        words: Option<AhoCorasick>,
    },
    /// Records nothing.
    Everything,
}

impl Scrubber {
    /// Prepares the search.
    pub fn new(secrets: &Secrets) -> Self {
        let values = match secrets {
            Secrets::Everything => return Self::Everything,
            Secrets::Values(values) if values.is_empty() => return Self::Nothing,
            Secrets::Values(values) => values,
        };
        let forms: BTreeSet<String> = values.iter().flat_map(|value| forms(value)).collect();
        let (long, short): (Vec<_>, Vec<_>) = forms.into_iter().partition(|form| form.len() >= WORD_BYTES);
        let search = |patterns: Vec<String>| {
            (!patterns.is_empty()).then(|| {
                AhoCorasick::builder()
                    .ascii_case_insensitive(true)
                    .match_kind(MatchKind::LeftmostLongest)
                    .build(patterns)
            })
        };
        match (search(long).transpose(), search(short).transpose()) {
            (Ok(anywhere), Ok(words)) => Self::Values { anywhere, words },
            _ => Self::Everything,
        }
    }

    /// Whether nothing that was made from the request is recorded.
    pub fn is_total(&self) -> bool {
        matches!(self, Self::Everything)
    }

    /// A text as it is recorded.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// Bytes as they are recorded.
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match self {
            Self::Nothing => Cow::Borrowed(bytes),
            Self::Everything => Cow::Borrowed(MASKED.as_bytes()),
            Self::Values { anywhere, words } => {
                let bytes = replace(anywhere.as_ref(), Cow::Borrowed(bytes), |_, _, _| true);
                replace(words.as_ref(), bytes, is_word)
            }
        }
    }

    /// JSON as it is recorded: names, strings and numbers.
    pub fn json(&self, value: Value) -> Value {
        match (self, value) {
            (Self::Nothing, value) => value,
            (Self::Everything, _) => Value::Null,
            (_, Value::String(text)) => Value::String(self.text(&text)),
            (_, Value::Number(number)) => {
                let text = number.to_string();
                let scrubbed = self.text(&text);
                if scrubbed == text {
                    Value::Number(number)
                } else {
                    Value::String(scrubbed)
                }
            }
            (_, Value::Array(items)) => items.into_iter().map(|item| self.json(item)).collect(),
            (_, Value::Object(fields)) => fields
                .into_iter()
                .map(|(name, value)| (self.text(&name), self.json(value)))
                .collect(),
            (_, value) => value,
        }
    }
}

/// How a value may stand in a text.
fn forms(value: &str) -> Vec<String> {
    const UNRESERVED: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    let escaped = Value::String(value.to_owned()).to_string();
    let escaped = escaped.get(1..escaped.len() - 1).unwrap_or_default().to_owned();
    vec![
        // Some writers of JSON escape the slash, too.
        escaped.replace('/', "\\/"),
        value.to_owned(),
        utf8_percent_encode(value, UNRESERVED).to_string(),
        url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        escaped,
    ]
}

fn replace<'a>(
    search: Option<&AhoCorasick>,
    bytes: Cow<'a, [u8]>,
    counts: impl Fn(&[u8], usize, usize) -> bool,
) -> Cow<'a, [u8]> {
    let Some(search) = search else { return bytes };
    let mut out = Vec::new();
    let mut at = 0;
    for found in search.find_iter(bytes.as_ref()) {
        if counts(&bytes, found.start(), found.end()) {
            out.extend_from_slice(&bytes[at..found.start()]);
            out.extend_from_slice(MASKED.as_bytes());
            at = found.end();
        }
    }
    if at == 0 {
        return bytes;
    }
    out.extend_from_slice(&bytes[at..]);
    Cow::Owned(out)
}

fn is_word(bytes: &[u8], start: usize, end: usize) -> bool {
    let inside = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
    let before = start.checked_sub(1).and_then(|before| bytes.get(before));
    !inside(before) && !inside(bytes.get(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scrubber(values: &[&str]) -> Scrubber {
        let mut collector = Collector::default();
        values.iter().for_each(|value| collector.text(value));
        Scrubber::new(&collector.finish())
    }

    #[test]
    fn values_are_found_in_their_forms() {
        let scrubber = scrubber(&["4111 1111", "ä\"b=c", "12", "Anna"]);
        for (text, expected) in [
            ("card 4111 1111!", "card [masked]!"),
            ("/cards/4111%201111?x=4111+1111", "/cards/[masked]?x=[masked]"),
            ("%C3%A4%22b%3Dc", "[masked]"),
            ("%c3%a4%22b%3dc", "[masked]"),
            (r#"{"x":"ä\"b=c"}"#, r#"{"x":"[masked]"}"#),
            ("ANNA, annabel", "[masked], [masked]bel"),
            ("12, 112, 12a, (12)", "[masked], 112, 12a, ([masked])"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(scrubber.text(text), expected, "{text}");
        }
    }

    #[test]
    fn json_keeps_its_form() {
        let mut collector = Collector::default();
        collector.add(&Secret::Json(
            r#"{"number": 4111, "cvv": 0.50, "name": "Anna", "ok": true}"#.into(),
        ));
        collector.add(&Secret::Json("1.50".into()));
        let scrubber = Scrubber::new(&collector.finish());
        assert_eq!(
            scrubber.json(json!({"n": 4111, "m": 41112, "c": [0.5, 1.5, "1.50"], "Anna": "x Anna", "ok": true, "none": null})),
            json!({"n": "[masked]", "m": "[masked]2", "c": ["[masked]", "[masked]", "[masked]"], "[masked]": "x [masked]",
                "ok": true, "none": null})
        );
        assert_eq!(Scrubber::Everything.json(json!({"a": 1})), json!(null));
        assert_eq!(Scrubber::Everything.text("x"), "[masked]");
        assert_eq!(Scrubber::Nothing.json(json!({"a": 1})), json!({"a": 1}));
    }

    #[test]
    fn a_token_is_found_without_its_scheme() {
        let mut collector = Collector::default();
        collector.header("Bearer abcdefgh12345");
        let scrubber = Scrubber::new(&collector.finish());
        assert_eq!(
            scrubber.text("token abcdefgh12345, Bearer"),
            "token [masked], Bearer"
        );
    }

    #[test]
    fn too_many_values_are_everything() {
        let mut collector = Collector::default();
        (0..=MAX_VALUES).for_each(|number| collector.text(&format!("value {number}")));
        assert_eq!(collector.finish(), Secrets::Everything);
        let mut collector = Collector::default();
        collector.text(&"x".repeat(MAX_BYTES + 1));
        assert_eq!(collector.finish(), Secrets::Everything);
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let mut collector = Collector::default();
        collector.add(&Secret::Json(deep));
        assert_eq!(collector.finish(), Secrets::Everything);
    }
}
