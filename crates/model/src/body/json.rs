//! JSON (RFC 8259), read strictly: UTF-8, nested at most [`MAX_DEPTH`](super::document::MAX_DEPTH) deep, nothing after it.
//!
//! Names that an object has twice are no error here, since the RFC leaves their meaning open and most readers take the
//! last: so does this one, and says so ([`Document::repeated_name`]). Whoever decides by a value, who may come in for
//! one, uses [`read_unambiguous`]: another reader of the same bytes could see another value.
//!
//! A number keeps its value: integers that 64 bits do not hold are kept as they were written; other numbers are the
//! nearest double, as RFC 8259 (section 6) expects of interoperable software.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::BodyError;
use super::document::{Builder, Document, Repeated};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads JSON. A byte order mark before it is skipped, as RFC 8259 (section 8.1) allows.
///
/// # Errors
/// When it is none, or passes a bound.
pub fn read(json: &[u8]) -> Result<Document, BodyError> {
    let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
    let mut builder = Builder::for_bytes(json.len());
    read_value(json, &mut builder)?;
    Ok(builder.finish())
}

/// Reads JSON in which no object has a name twice.
///
/// # Errors
/// When it is none, passes a bound, or has a name twice.
pub fn read_unambiguous(json: &[u8]) -> Result<Document, BodyError> {
    let document = read(json)?;
    match document.repeated_name() {
        None => Ok(document),
        Some(name) => Err(BodyError::RepeatedName(name.to_owned())),
    }
}

/// Reads JSON of one value per line; the document is the array of them.
///
/// # Errors
/// When a line is no JSON, or a bound is passed.
pub fn read_lines(text: &[u8]) -> Result<Document, BodyError> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut builder = Builder::for_bytes(text.len());
    builder.open()?;
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        read_value(line, &mut builder).map_err(|error| match error {
            BodyError::Malformed { detail, .. } => malformed(format!("in line {}: {detail}", number + 1)),
            other => other,
        })?;
    }
    builder.close_array()?;
    Ok(builder.finish())
}

fn read_value(json: &[u8], builder: &mut Builder) -> Result<(), BodyError> {
    // Once for all of it is faster than string by string.
    let text = std::str::from_utf8(json)
        .map_err(|error| malformed(format!("its bytes from {} on are no UTF-8", error.valid_up_to())))?;
    let mut reader = Reader {
        builder,
        large: LargeIntegers::new(json),
        bound: None,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Element(&mut reader)
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    match (read, reader.bound) {
        (_, Some(bound)) => Err(bound),
        (Ok(()), None) => Ok(()),
        (Err(error), None) => Err(malformed(error.to_string())),
    }
}

fn malformed(detail: String) -> BodyError {
    BodyError::Malformed { what: "JSON", detail }
}

struct Reader<'a> {
    builder: &'a mut Builder,
    large: LargeIntegers<'a>,
    /// The bound that was passed; serde can only carry a message.
    bound: Option<BodyError>,
}

impl Reader<'_> {
    fn build<E: Error>(
        &mut self,
        build: impl FnOnce(&mut Builder) -> Result<(), BodyError>,
    ) -> Result<(), E> {
        build(self.builder).map_err(|bound| {
            self.bound = Some(bound);
            E::custom("a bound is passed")
        })
    }
}

/// One value, wherever it stands.
struct Element<'r, 'a>(&'r mut Reader<'a>);

impl<'de> DeserializeSeed<'de> for Element<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.build(Builder::null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.build(|builder| builder.boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.build(|builder| builder.signed(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.build(|builder| builder.unsigned(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if value.abs() < LARGE {
            return self.0.build(|builder| builder.float(value));
        }
        match self.0.large.next() {
            Some(digits) => self.0.build(|builder| builder.digits(digits)),
            None => self.0.build(|builder| builder.float(value)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.build(|builder| builder.text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.build(Builder::open)?;
        while items.next_element_seed(Element(self.0))?.is_some() {}
        self.0.build(Builder::close_array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        self.0.build(Builder::open)?;
        while fields.next_key_seed(Element(self.0))?.is_some() {
            fields.next_value_seed(Element(self.0))?;
        }
        self.0.build(|builder| builder.close_object(Repeated::LastCounts))
    }
}

/// From here on a double may be an integer that 64 bits do not hold.
const LARGE: f64 = 9_223_372_036_854_775_808.0;

/// The numbers of a JSON text that are [`LARGE`], in their order, as they are written. serde_json rounds them to doubles; it
/// has judged the text up to there already, so that finding its numbers again takes no parser: what is not in a string
/// and begins with a digit or a minus is one. Nothing is searched before the first such number.
struct LargeIntegers<'a> {
    left: &'a [u8],
}

impl<'a> LargeIntegers<'a> {
    const fn new(json: &'a [u8]) -> Self {
        Self { left: json }
    }

    /// The next one: its digits if it is an integer, `None` for a fraction or power of ten.
    fn next(&mut self) -> Option<&'a str> {
        while let Some(&byte) = self.left.first() {
            let length = match byte {
                b'"' => string_length(self.left),
                b'-' | b'0'..=b'9' => {
                    let length = number_length(self.left);
                    let text = std::str::from_utf8(self.left.get(..length)?).ok()?;
                    if text.parse::<f64>().is_ok_and(|value| value.abs() >= LARGE)
                        && text.parse::<i64>().is_err()
                        && text.parse::<u64>().is_err()
                    {
                        self.left = self.left.get(length..)?;
                        return (!text.contains(['.', 'e', 'E'])).then_some(text);
                    }
                    length
                }
                _ => 1,
            };
            self.left = self.left.get(length..)?;
        }
        None
    }
}

fn number_length(text: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len())
}

fn string_length(text: &[u8]) -> usize {
    let mut escaped = false;
    for (place, &byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::super::document::{MAX_DEPTH, MAX_VALUES, ValueRef};
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn value(text: &str) -> Value {
        read(text.as_bytes()).expect(text).root().to_json()
    }

    #[test]
    fn numbers_keep_their_value() {
        for (text, expected) in [
            ("0", json!(0)),
            ("-1", json!(-1)),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551616", json!("18446744073709551616")),
            ("-9223372036854775809", json!("-9223372036854775809")),
            ("0.1", json!(0.1)),
            ("31.245270191439438", json!(31.245_270_191_439_438)),
            ("1e3", json!(1000.0)),
            ("1e30", json!(1e30)),
            ("-0", json!(-0.0)),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
        let mixed = r#"["9\"9", 1e300, 123456789012345678901234567890, {"18446744073709551617": 18446744073709551617}, -1E+25, 5]"#;
        assert_eq!(
            value(mixed),
            json!(["9\"9", 1e300, "123456789012345678901234567890", {"18446744073709551617": "18446744073709551617"}, -1e25, 5])
        );
        assert!(read(b"1e999").is_err());
    }

    #[test]
    fn what_is_no_json_is_told() {
        for text in [
            &b""[..],
            b" ",
            b"{",
            b"{\"a\":1,}",
            b"[1 2]",
            b"{'a': 1}",
            b"nul",
            b"01",
            b"\"\n\"",
            b"\"\\ud800\"",
            b"NaN",
            b"1 2",
            b"{} x",
            b"\"\xff\"",
            b"\"\xed\xa0\x80\"",
            b"\xff\xfe[\0]\0",
            b"// a\n1",
            b"[1],",
        ] {
            let error = read(text).expect_err("no JSON");
            assert_eq!(error.code(), "malformed", "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(value("\u{feff}{}"), json!({}));
        assert_eq!(value(r#""\u0000\ud83e\udd80""#), json!("\0\u{1f980}"));
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let nested = |depth| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert!(read(nested(MAX_DEPTH).as_bytes()).is_ok());
            assert_eq!(
                read(nested(MAX_DEPTH + 1).as_bytes()).map(drop),
                Err(BodyError::TooDeep)
            );
            assert_eq!(
                read(nested(1_000_000).as_bytes()).map(drop),
                Err(BodyError::TooDeep)
            );
            assert_eq!(
                read(open.repeat(1_000_000).as_bytes()).map(drop),
                Err(BodyError::TooDeep)
            );
        }
        let many = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        assert!(read(many(MAX_VALUES - 1).as_bytes()).is_ok());
        assert_eq!(
            read(many(MAX_VALUES).as_bytes()).map(drop),
            Err(BodyError::TooManyValues)
        );
    }

    #[test]
    fn who_decides_by_a_value_is_told_of_doubt() {
        assert!(read_unambiguous(br#"{"a": 1, "b": {"a": 2}}"#).is_ok());
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            r#"[{"x": {"a": 1, "a": 2}}]"#,
        ] {
            assert_eq!(
                read_unambiguous(text.as_bytes()).map(drop),
                Err(BodyError::RepeatedName("a".into())),
                "{text}"
            );
        }
    }

    #[test]
    fn lines_are_a_list() {
        let lines = |text: &str| read_lines(text.as_bytes()).map(|document| document.root().to_json());
        assert_eq!(lines("{\"a\":1}\r\n\n[2]\n"), Ok(json!([{"a": 1}, [2]])));
        assert_eq!(lines(""), Ok(json!([])));
        let error = lines("1\n2 3\n").expect_err("no JSON");
        assert!(error.to_string().contains("in line 2"), "{error}");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(7, 64, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((".{0,4}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_comes_through(value in any_json()) {
            let document = read(value.to_string().as_bytes()).expect("JSON");
            prop_assert_eq!(document.root().to_json(), value.clone());
            prop_assert_eq!(serde_json::to_value(document.root()).expect("JSON"), value);
        }

        #[test]
        fn integers_of_any_length_keep_their_digits(digits in "-?[1-9][0-9]{0,60}", around in "[\\[]{0,3}") {
            let text = format!("{around}[{digits}, \"{digits}\", 1e40, {digits}]{}", "]".repeat(around.len()));
            let document = read(text.as_bytes()).expect("JSON");
            let mut found = document.root();
            while let Some(inner) = found.item(0).filter(|_| found.items().len() == 1) {
                found = inner;
            }
            for place in [0, 3] {
                prop_assert_eq!(found.item(place).map(|item| item.to_string()), Some(digits.clone()));
            }
        }

        #[test]
        fn what_serde_json_reads_is_read(text in "[\\[\\]{}\",:0-9eE.+\\- tfnul\\\\a]{0,24}") {
            let expected = serde_json::from_str::<Value>(&text);
            let found = read(text.as_bytes());
            prop_assert_eq!(found.is_ok(), expected.is_ok(), "{}", text);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = read(&bytes).map(|document| document.root().to_json());
            let _ = read_lines(&bytes);
        }
    }

    #[test]
    fn scalars_are_written_as_text() {
        let document = read(br#"["x", 1, -2.5, true, null, [], 123456789012345678901]"#).expect("JSON");
        let texts: Vec<String> = document
            .root()
            .items()
            .map(|item: ValueRef<'_>| item.to_string())
            .collect();
        assert_eq!(texts, ["x", "1", "-2.5", "true", "", "", "123456789012345678901"]);
    }
}
