//! What texts look like.

use chrono::DateTime;
use uuid::Uuid;

use super::FieldType;

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
        FieldType::Email => is_email(text),
        FieldType::Uri => is_uri(text),
        _ => true,
    }
}

/// Looser before the `@` than what can be registered with: `41898282+github-actions[bot]@users.noreply.github.com` is one
/// that GitHub sends.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_plain =
        |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '@' | '<' | '>' | ',' | ';' | ':');
    let is_label = |label: &str| {
        let is_sign = |c: char| c.is_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(is_sign) && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_local = !local.is_empty() && local.len() <= 64 && local.chars().all(is_plain);
    is_local && domain.len() <= 253 && domain.contains('.') && domain.split('.').all(is_label)
}

fn is_uri(text: &str) -> bool {
    // Structures are full of URIs, so this is quick: no search for a text, and characters are looked at only where some may be
    // blanks that are not ASCII.
    let colon = text.bytes().position(|byte| byte == b':');
    let parts =
        colon.and_then(|colon| Some((text.get(..colon)?, text.get(colon + 1..)?.strip_prefix("//")?)));
    let Some((scheme, rest)) = parts else {
        return false;
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte));
    let is_plain = match rest.is_ascii() {
        true => rest.bytes().all(|byte| byte.is_ascii_graphic()),
        false => !rest.contains(|c: char| c.is_whitespace() || c.is_control()),
    };
    is_scheme && !rest.is_empty() && is_plain
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
            (
                "41898282+github-actions[bot]@users.noreply.github.com",
                FieldType::Email,
            ),
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
            "a b@example.com",
            "Ada <ada@example.com>",
            "a@b@example.com",
            "a@-b.com",
            "a@b..com",
            "example.com",
            "://x",
            "https://a b",
            "72d3162ecc7811e381ab4c9367dc0958",
        ] {
            assert!(!FORMATS.into_iter().any(|format| is_of(text, format)), "{text}");
        }
    }
}
