//! The part of a public URL that the tenant chooses: `orders`, `item_updated`, `orders/{order_id}`.

use std::fmt;

use percent_encoding::percent_decode_str;

/// The most characters a suffix may have.
pub const MAX_LENGTH: usize = 200;
/// The most segments a suffix may have.
pub const MAX_SEGMENTS: usize = 16;

/// A valid suffix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlSuffix {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
}

/// Why a text is no suffix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuffixError {
    /// Nothing is there.
    #[error("a suffix is needed, such as `orders`")]
    Empty,
    /// A space, which a URL cannot hold.
    #[error("a suffix cannot contain spaces: use `{0}`")]
    Space(String),
    /// Longer than [`MAX_LENGTH`].
    #[error("a suffix has at most {MAX_LENGTH} characters")]
    TooLong,
    /// More than [`MAX_SEGMENTS`].
    #[error("a suffix has at most {MAX_SEGMENTS} segments")]
    TooManySegments,
    /// A slash at the beginning or the end, or two in a row.
    #[error("a suffix neither begins nor ends with `/`, and has no empty segment: use `{0}`")]
    EmptySegment(String),
    /// `.` or `..`.
    #[error("`.` and `..` are no segments: clients resolve them away")]
    Dots,
    /// Something else that a segment cannot hold.
    #[error(
        "{0:?} cannot be in a suffix: use letters, digits, `-`, `_`, `.`, `~`, or a parameter such as `{{order_id}}`"
    )]
    Character(char),
    /// A parameter's name.
    #[error(
        "{0:?} is no parameter: a whole segment such as `{{order_id}}`, of a lower-case letter and then letters, digits, `_`"
    )]
    Parameter(String),
    /// A parameter named twice.
    #[error("the parameter `{0}` is there twice")]
    DuplicateParameter(String),
}

impl UrlSuffix {
    /// Reads a suffix.
    ///
    /// # Errors
    /// A sentence for the tenant, with a proposal where there is an obvious one.
    pub fn parse(text: &str) -> Result<Self, SuffixError> {
        if text.trim().is_empty() {
            return Err(SuffixError::Empty);
        }
        if text.chars().any(char::is_whitespace) {
            return Err(SuffixError::Space(
                text.split_whitespace().collect::<Vec<_>>().join("-"),
            ));
        }
        if text.len() > MAX_LENGTH {
            return Err(SuffixError::TooLong);
        }
        if text.split('/').any(str::is_empty) {
            let proposal = text
                .split('/')
                .filter(|s| !s.is_empty())
                .collect::<Vec<_>>()
                .join("/");
            return Err(if proposal.is_empty() {
                SuffixError::Empty
            } else {
                SuffixError::EmptySegment(proposal)
            });
        }
        let segments = text
            .split('/')
            .map(Segment::parse)
            .collect::<Result<Vec<_>, _>>()?;
        if segments.len() > MAX_SEGMENTS {
            return Err(SuffixError::TooManySegments);
        }
        let suffix = Self {
            text: text.to_owned(),
            segments,
        };
        let names: Vec<_> = suffix.parameter_names().collect();
        for (place, name) in names.iter().enumerate() {
            if names[..place].contains(name) {
                return Err(SuffixError::DuplicateParameter((*name).to_owned()));
            }
        }
        Ok(suffix)
    }

    /// Makes a suffix from a name: `Orders from the shop` becomes `orders-from-the-shop`.
    pub fn from_name(name: &str) -> Self {
        let mut text = String::new();
        let simple = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        for character in name.chars().map(simple) {
            if text.len() == 60 {
                break;
            }
            if character != '-' || !(text.is_empty() || text.ends_with('-')) {
                text.push(character);
            }
        }
        let text = text.trim_end_matches('-');
        let text = if text.is_empty() { "webhook" } else { text }.to_owned();
        Self {
            segments: vec![Segment::Literal(text.clone())],
            text,
        }
    }

    /// The suffix as the tenant wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the parameters, in their order.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// For each segment in turn, the parameter that it is; `None` for a literal one.
    pub fn parameter_of_segments(&self) -> impl Iterator<Item = Option<&str>> {
        self.segments.iter().map(|segment| match segment {
            Segment::Parameter(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// Whether a request's path after the token (still percent-encoded) is this suffix.
    pub fn matches(&self, path: &str) -> bool {
        self.text == path || self.parameters(path).is_some()
    }

    /// The parameters' decoded values when the path (still percent-encoded) matches; `None` when it does not. A value is
    /// never empty, is valid UTF-8 and holds no NUL; it may hold a slash that came as `%2F`. The dot segments `.` and `..`
    /// (RFC 3986, section 3.3) are none: in the path of a call they would lead elsewhere.
    pub fn parameters(&self, path: &str) -> Option<Vec<(&str, String)>> {
        let mut parameters = Vec::new();
        let mut parts = path.split('/');
        for segment in &self.segments {
            let part = percent_decode_str(parts.next()?).decode_utf8().ok()?;
            match segment {
                Segment::Literal(text) if *text == part => {}
                Segment::Parameter(name) if !matches!(&*part, "" | "." | "..") && !part.contains('\0') => {
                    parameters.push((name.as_str(), part.into_owned()));
                }
                _ => return None,
            }
        }
        parts.next().is_none().then_some(parameters)
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, SuffixError> {
        if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let mut characters = name.chars();
            let begins = characters.next().is_some_and(|c| c.is_ascii_lowercase());
            return if begins && characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
                Ok(Self::Parameter(name.to_owned()))
            } else {
                Err(SuffixError::Parameter(text.to_owned()))
            };
        }
        if text == "." || text == ".." {
            return Err(SuffixError::Dots);
        }
        if text.contains(['{', '}']) {
            return Err(SuffixError::Parameter(text.to_owned()));
        }
        match text
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || "-_.~".contains(*c)))
        {
            Some(character) => Err(SuffixError::Character(character)),
            None => Ok(Self::Literal(text.to_owned())),
        }
    }
}

impl fmt::Display for UrlSuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> String {
        UrlSuffix::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn dot_segments_are_no_values() {
        let suffix = UrlSuffix::parse("orders/{id}/items").expect("a suffix");
        for path in [
            "orders/../items",
            "orders/./items",
            "orders/%2e%2E/items",
            "orders/.%2e/items",
        ] {
            assert!(!suffix.matches(path), "{path}");
        }
        assert!(suffix.matches("orders/.../items") && suffix.matches("orders/..a/items"));
    }

    #[test]
    fn a_space_gets_a_proposal() {
        assert_eq!(
            refused("item updated"),
            "a suffix cannot contain spaces: use `item-updated`"
        );
        assert!(refused(" a\tb  c ").contains("`a-b-c`"));
    }

    #[test]
    fn what_cannot_be_a_suffix_says_why() {
        assert!(refused("").contains("needed"));
        assert!(refused("/orders/").contains("`orders`"));
        assert!(refused("a//b").contains("`a/b`"));
        assert!(refused("..").contains("`..`"));
        assert!(refused("a/../b").contains("`..`"));
        assert!(refused("ä").contains('ä'));
        assert!(refused("a%2f").contains('%'));
        assert!(refused("a?b").contains('?'));
        assert!(refused("{Order}").contains("lower-case"));
        assert!(refused("{a").contains("parameter"));
        assert!(refused("x{a}").contains("parameter"));
        assert!(refused("{a}/{a}").contains("twice"));
        assert!(refused(&"a/".repeat(40)).contains("slash") || refused(&"a/".repeat(40)).contains('/'));
        assert!(refused(&"a".repeat(201)).contains("200"));
        assert!(refused(&vec!["a"; 17].join("/")).contains("16"));
    }

    #[test]
    fn parameters_are_read_from_the_path() {
        let suffix = UrlSuffix::parse("orders/{order_id}/items/{item}").expect("a suffix");
        let read = |path| suffix.parameters(path);
        assert_eq!(
            read("orders/42/items/a%20b"),
            Some(vec![("order_id", "42".to_owned()), ("item", "a b".to_owned())])
        );
        assert_eq!(
            read("orders/a%2Fb/items/x").map(|p| p[0].1.clone()),
            Some("a/b".to_owned())
        );
        for other in [
            "orders/42/items",
            "orders//items/x",
            "orders/42/items/x/y",
            "Orders/42/items/x",
            "orders/%ff/items/x",
            "orders/%00/items/x",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_literal_may_come_encoded() {
        assert!(UrlSuffix::parse("a~b").expect("a suffix").matches("a%7Eb"));
        assert!(!UrlSuffix::parse("orders").expect("a suffix").matches("orders/"));
    }

    #[test]
    fn a_name_becomes_a_suffix() {
        assert_eq!(
            UrlSuffix::from_name("Orders from the shop!").as_str(),
            "orders-from-the-shop"
        );
        assert_eq!(UrlSuffix::from_name("日本").as_str(), "webhook");
    }

    proptest! {
        #[test]
        fn a_name_always_becomes_a_valid_suffix(name: String) {
            let suffix = UrlSuffix::from_name(&name);
            prop_assert_eq!(UrlSuffix::parse(suffix.as_str()), Ok(suffix));
        }

        #[test]
        fn any_text_and_path_is_read_without_panic(text: String, path: String) {
            if let Ok(suffix) = UrlSuffix::parse(&text) {
                let _ = suffix.parameters(&path);
                prop_assert!(suffix.parameter_names().count() > 0 || suffix.matches(suffix.as_str()));
            }
        }
    }
}
