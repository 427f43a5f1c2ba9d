//! `name=value` pairs of a query or a form, with the places of their values.

use std::borrow::Cow;
use std::ops::Range;

use url::form_urlencoded;

/// `[masked]` as it stands in a query or a form.
pub(super) const MASKED_VALUE: &str = "%5Bmasked%5D";

/// A pair.
pub(super) struct Pair<'a> {
    /// The name, decoded.
    pub name: Cow<'a, str>,
    /// The value, decoded.
    pub value: Cow<'a, str>,
    /// Where the encoded value is; for a name without `=`, the place after it.
    pub value_span: Range<usize>,
    /// Where the whole pair is.
    pub span: Range<usize>,
    /// Whether there is an `=`.
    pub has_value: bool,
}

/// Reads pairs exactly as templates see them (WHATWG URL, section 5.1).
pub(super) fn read(text: &str) -> impl Iterator<Item = Pair<'_>> {
    let mut at = 0;
    text.split('&').filter_map(move |piece| {
        let span = at..at + piece.len();
        at = span.end + 1;
        let (name, value) = form_urlencoded::parse(piece.as_bytes()).next()?;
        let equals = piece.find('=');
        Some(Pair {
            name,
            value,
            value_span: equals.map_or(span.end, |equals| span.start + equals + 1)..span.end,
            span,
            has_value: equals.is_some(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pairs_are_those_that_templates_see(text in "[a-c=&+%20\\[\\]ä]{0,40}") {
            let seen: Vec<_> = form_urlencoded::parse(text.as_bytes())
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            let read: Vec<_> = read(&text).map(|pair| {
                assert!(text.get(pair.value_span.clone()).is_some() && text.get(pair.span.clone()).is_some());
                (pair.name.into_owned(), pair.value.into_owned())
            }).collect();
            prop_assert_eq!(seen, read);
        }
    }
}
