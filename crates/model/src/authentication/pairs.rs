//! The pairs of a query or a form, decoded to bytes (WHATWG URL, `application/x-www-form-urlencoded`).
//!
//! Bytes that are no UTF-8 stay as they are: were they replaced, two different bodies would have one signature.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// What a look-up finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    /// The value.
    One(Cow<'a, [u8]>),
    /// Nothing.
    Missing,
    /// More than one value.
    Several,
}

/// Every pair, in its order.
pub fn read(encoded: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    encoded
        .split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let equals = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
            let value = pair.get(equals + 1..).unwrap_or_default();
            (decode(&pair[..equals]), decode(value))
        })
}

/// The value of a name.
pub fn find<'a>(encoded: &'a [u8], name: &str) -> Found<'a> {
    let mut values = read(encoded)
        .filter(|(candidate, _)| **candidate == *name.as_bytes())
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => Found::Missing,
        (Some(value), None) => Found::One(value),
        (Some(_), Some(_)) => Found::Several,
    }
}

fn decode(encoded: &[u8]) -> Cow<'_, [u8]> {
    if !encoded.contains(&b'+') {
        return percent_decode(encoded).into();
    }
    let blanks: Vec<u8> = encoded
        .iter()
        .map(|&byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    Cow::Owned(percent_decode(&blanks).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_decoded() {
        let one = |text: &'static str| Found::One(Cow::Borrowed(text.as_bytes()));
        let table = [
            ("a=1&b=2", one("2")),
            ("b", one("")),
            ("b=", one("")),
            ("b=c=d", one("c=d")),
            ("b=x+y%20z%2B", one("x y z+")),
            ("%62=%C3%A4", one("ä")),
            ("b=%zz%", one("%zz%")),
            ("a=1&&", Found::Missing),
            ("B=1", Found::Missing),
            ("", Found::Missing),
            ("b=1&b=1", Found::Several),
        ];
        for (query, expected) in table {
            assert_eq!(find(query.as_bytes(), "b"), expected, "{query}");
        }
        assert_eq!(find(b"b=%ff", "b"), Found::One(Cow::Borrowed(&[0xff])));
    }

    proptest! {
        #[test]
        fn valid_text_reads_as_the_url_crate_reads_it(query in "[a-c=&+%0-9]{0,30}") {
            let ours: Vec<_> = read(query.as_bytes())
                .map(|(name, value)| (String::from_utf8_lossy(&name).into_owned(), String::from_utf8_lossy(&value).into_owned()))
                .collect();
            let theirs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            prop_assert_eq!(ours, theirs);
        }
    }
}
