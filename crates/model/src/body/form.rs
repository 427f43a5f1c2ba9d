//! `application/x-www-form-urlencoded`, and query strings: names with decoded values.

use std::borrow::Cow;

use super::document::{Builder, Document, Repeated};
use super::{BodyError, charset};

/// The names and values of a form, in their order, decoded as UTF-8.
pub fn pairs(form: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    url::form_urlencoded::parse(form)
}

/// Reads a form: a name that is there several times has a list.
///
/// # Errors
/// When it passes a bound, or nobody knows its charset.
pub fn read(form: &[u8], declared: Option<&str>) -> Result<Document, BodyError> {
    let mut builder = Builder::for_bytes(form.len());
    builder.open()?;
    match declared.filter(|label| !label.eq_ignore_ascii_case("utf-8")) {
        None => {
            for (name, value) in pairs(form) {
                builder.text(&name)?;
                builder.text(&value)?;
            }
        }
        Some(label) => {
            for pair in form.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
                let mut sides = pair.splitn(2, |&byte| byte == b'=');
                for side in [sides.next(), sides.next()] {
                    let bytes = unescape(side.unwrap_or_default());
                    builder.text(&charset::decode(&bytes, Some(label))?)?;
                }
            }
        }
    }
    builder.close_object(Repeated::Gathered)?;
    Ok(builder.finish())
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|&byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    percent_encoding::percent_decode(&spaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use url::form_urlencoded::Serializer;

    #[test]
    fn forms_are_read() {
        for (form, charset, expected) in [
            ("a=1&b=%7B%7D", None, json!({"a": "1", "b": "{}"})),
            (
                "a=1&b=x+y&a=2&c",
                None,
                json!({"a": ["1", "2"], "b": "x y", "c": ""}),
            ),
            ("", None, json!({})),
            ("&&=&=x", None, json!({"": ["", "x"]})),
            ("a=%ff&b=%zz%4", None, json!({"a": "\u{fffd}", "b": "%zz%4"})),
            (
                "n=na%EFve+x&n=1",
                Some("iso-8859-1"),
                json!({"n": ["naïve x", "1"]}),
            ),
            ("n=na%C3%AFve", Some("UTF-8"), json!({"n": "naïve"})),
            ("a=b=c", Some("latin1"), json!({"a": "b=c"})),
        ] {
            let document = read(form.as_bytes(), charset).expect(form);
            assert_eq!(document.root().to_json(), expected, "{form}");
            assert!(document.repeated_name().is_none());
        }
        assert_eq!(
            read(b"a=1", Some("klingon")).map(drop),
            Err(BodyError::UnknownCharset("klingon".into()))
        );
    }

    #[test]
    fn a_name_a_hundred_thousand_times_is_no_trouble() {
        let one_name = "a=1&".repeat(100_000);
        let document = read(one_name.as_bytes(), None).expect("a form");
        assert_eq!(
            document.root().get("a").map(|values| values.items().len()),
            Some(100_000)
        );
        let names: String = (0..100_000).map(|n| format!("k{n}=1&")).collect();
        let document = read(names.as_bytes(), None).expect("a form");
        assert_eq!(document.root().fields().len(), 100_000);
        let names = "a&".repeat(600_000);
        assert_eq!(
            read(names.as_bytes(), None).map(drop),
            Err(BodyError::TooManyValues)
        );
    }

    proptest! {
        #[test]
        fn what_was_sent_is_read(sent in proptest::collection::vec((".{0,6}", ".{0,12}"), 0..12)) {
            let form = Serializer::new(String::new()).extend_pairs(&sent).finish();
            let document = read(form.as_bytes(), None).expect("a form");
            let mut expected = Vec::<(String, Vec<String>)>::new();
            for (name, value) in sent {
                match expected.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, values)) => values.push(value),
                    None => expected.push((name, vec![value])),
                }
            }
            let found: Vec<(String, Vec<String>)> = document.root().fields().map(|(name, value)| {
                let values = match value.as_str() {
                    Some(text) => vec![text.to_owned()],
                    None => value.items().map(|item| item.to_string()).collect(),
                };
                (name.to_owned(), values)
            }).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            for charset in [None, Some("utf-8"), Some("shift_jis"), Some("utf-16")] {
                let _ = read(&bytes, charset);
            }
        }
    }
}
