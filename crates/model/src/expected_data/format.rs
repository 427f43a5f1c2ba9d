//! What texts look like.

use std::str::FromStr;

use chrono::DateTime;
use uuid::Uuid;

use super::FieldType;
use crate::email::Email;

/// The types of texts, the narrowest first.
pub(super) const FORMATS: [FieldType; 4] = [
    FieldType::Uuid,
    FieldType::DateTime,
    FieldType::Email,
    FieldType::Uri,
];

/// Whether a text is of a type of texts.
pub(super) fn is_of(text: &str, field_type: FieldType) -> bool {
    match field_type {
        FieldType::Uuid => text.len() == 36 && Uuid::try_parse(text).is_ok(),
        FieldType::DateTime => (20..=40).contains(&text.len()) && DateTime::parse_from_rfc3339(text).is_ok(),
        FieldType::Email => text.contains('@') && text.trim() == text && Email::from_str(text).is_ok(),
        FieldType::Uri => is_uri(text),
        _ => true,
    }
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte));
    is_scheme && !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_known_by_their_look() {
        for (text, expected) in [
            ("72d3162e-cc78-11e3-81ab-4c9367dc0958", FieldType::Uuid),
            ("2026-11-21T12:00:00Z", FieldType::DateTime),
            ("2026-11-21T12:00:00.123+01:00", FieldType::DateTime),
            ("ada@example.com", FieldType::Email),
            ("https://example.com/a?b=c", FieldType::Uri),
            ("git://github.com/a/b.git", FieldType::Uri),
        ] {
            let found: Vec<_> = FORMATS
                .into_iter()
                .filter(|format| is_of(text, *format))
                .collect();
            assert_eq!(found, [expected], "{text}");
        }
        for text in [
            "",
            "2026-11-21",
            "12:00",
            "a@b",
            "example.com",
            "://x",
            "https://a b",
            "72d3162ecc7811e381ab4c9367dc0958",
        ] {
            assert!(!FORMATS.into_iter().any(|format| is_of(text, format)), "{text}");
        }
    }
}
