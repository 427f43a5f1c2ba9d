//! Which web pages may call a webhook and read its answers: CORS, as the Fetch standard defines it.
//!
//! CORS protects the readers of answers in browsers; it lets nobody in. A request is admitted or refused by the
//! webhook's authentication, whatever its `Origin` says.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most origins of a webhook.
pub const MAX_ORIGINS: usize = 50;
/// The most names of headers in one of its lists.
pub const MAX_HEADERS: usize = 50;
/// The longest that browsers may remember an answer, in seconds: a day. Most remember it for less.
pub const MAX_AGE_SECONDS: u32 = 86_400;
/// The longest origin, in bytes.
const ORIGIN_BYTES: usize = 300;
/// How many names a preflight may ask for.
const ASKED_HEADERS: usize = 100;

/// Which web pages may call a webhook from a browser, and read its answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"allowed_origins": ["https://app.example.com"], "allowed_headers": ["content-type"],
    "exposed_headers": ["hookgate-event-id", "retry-after"], "max_age_seconds": 600, "allow_credentials": false}))]
pub struct Cors {
    /// The origins of the pages, such as `https://app.example.com`, or `*` alone for every page.
    #[schema(min_items = 1, max_items = 50)]
    pub allowed_origins: Vec<Origin>,
    /// The headers that they may send besides those that every page may; `*` for any. By default `content-type`,
    /// `authorization` and `x-api-key`.
    #[schema(required = false, max_items = 50)]
    pub allowed_headers: Vec<FieldName>,
    /// The headers of answers that they may read besides those that every page may. By default `hookgate-event-id` and
    /// `retry-after`.
    #[schema(required = false, max_items = 50)]
    pub exposed_headers: Vec<FieldName>,
    /// How long a browser may remember what is allowed, in seconds.
    #[schema(required = false, default = 600, maximum = 86_400)]
    pub max_age_seconds: u32,
    /// Whether pages may send cookies and the like. Not together with the origin `*`.
    #[schema(required = false, default = false)]
    pub allow_credentials: bool,
}

/// Declares a text that is checked when it is read.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $error:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, example = $example)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
            /// Whether it stands for all.
            pub fn is_any(&self) -> bool {
                self.0 == "*"
            }
        }
        impl TryFrom<String> for $name {
            type Error = &'static str;
            fn try_from(text: String) -> Result<Self, &'static str> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = &'static str;
            fn from_str(text: &str) -> Result<Self, &'static str> {
                let text = text.trim().to_ascii_lowercase();
                if text == "*" || Self::is_one(&text) { Ok(Self(text)) } else { Err($error) }
            }
        }
    };
}

checked_text! {
    /// An origin as browsers send it (RFC 6454, section 6.2), or `*`.
    Origin, "must be an origin as browsers send it: `https://app.example.com`, with a port that is not the scheme's own, without a path", "https://app.example.com"
}
checked_text! {
    /// The name of a header, in lower case, or `*`.
    FieldName, "must be the name of a header, such as `x-request-id`", "content-type"
}

impl Origin {
    fn is_one(text: &str) -> bool {
        let Some((scheme, authority)) = text.split_once("://") else {
            return false;
        };
        if text.len() > ORIGIN_BYTES {
            return false;
        }
        if matches!(scheme, "http" | "https") {
            return url::Url::parse(text)
                .is_ok_and(|url| url.origin().ascii_serialization() == text && !text.contains('*'));
        }
        // Apps and browser extensions: `capacitor://localhost`.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(is_scheme)
            && !authority.is_empty()
            && authority.bytes().all(fits)
    }
}

impl FieldName {
    fn is_one(text: &str) -> bool {
        (1..=100).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    }
}

impl Cors {
    /// What is allowed by default beside the origins.
    pub fn of_origins(allowed_origins: Vec<Origin>) -> Self {
        let names = |names: &[&str]| names.iter().map(|name| FieldName((*name).to_owned())).collect();
        Self {
            allowed_origins,
            allowed_headers: names(&["content-type", "authorization", "x-api-key"]),
            exposed_headers: names(&["hookgate-event-id", "retry-after"]),
            max_age_seconds: 600,
            allow_credentials: false,
        }
    }

    /// What is wrong across fields: the pointer and the detail.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let has_any = self.allowed_origins.iter().any(Origin::is_any);
        if has_any && self.allowed_origins.len() > 1 {
            Some((
                "/allowed_origins",
                "`*` stands alone: it allows every origin already",
            ))
        } else if has_any && self.allow_credentials {
            Some((
                "/allow_credentials",
                "name the origins: with `*` every page could act with its visitors' credentials",
            ))
        } else {
            None
        }
    }

    /// Whether every page gets the same answer.
    pub fn is_for_everybody(&self) -> bool {
        self.allowed_origins.iter().any(Origin::is_any)
    }

    /// What a page of an origin is told: `*`, its origin, or nothing when it may not read answers.
    pub fn allowed_origin<'a>(&self, origin: &'a str) -> Option<&'a str> {
        if self.is_for_everybody() {
            return Some("*");
        }
        let is_known = |known: &Origin| known.as_str() == origin;
        self.allowed_origins.iter().any(is_known).then_some(origin)
    }

    /// The headers that a page may send: those of the setting, or with `*` those that it asks for. (A literal `*` would not
    /// stand for `authorization`, nor for anything with credentials.)
    pub fn headers_for(&self, asked: &str) -> String {
        if !self.allowed_headers.iter().any(FieldName::is_any) {
            return join(&self.allowed_headers);
        }
        let asked: Vec<FieldName> = asked
            .split(',')
            .take(ASKED_HEADERS)
            .filter_map(|name| name.parse().ok())
            .collect();
        join(&asked)
    }

    /// The headers of answers that a page may read.
    pub fn exposed(&self) -> String {
        join(&self.exposed_headers)
    }
}

fn join(names: &[FieldName]) -> String {
    let names: Vec<&str> = names.iter().map(FieldName::as_str).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str]) -> Cors {
        Cors::of_origins(
            origins
                .iter()
                .map(|origin| origin.parse().expect("an origin"))
                .collect(),
        )
    }

    #[test]
    fn origins_are_what_browsers_send() {
        for text in [
            "https://app.example.com",
            "http://localhost:3000",
            "HTTPS://App.Example.com",
            "https://[2001:db8::1]:8443",
            "capacitor://localhost",
            "chrome-extension://abcdefghijklmnop",
            "*",
        ] {
            assert_eq!(
                text.parse::<Origin>().map(String::from),
                Ok(text.to_ascii_lowercase())
            );
        }
        for text in [
            "",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://app.example.com:443",
            "https://*.example.com",
            "https://user@example.com",
            "null",
            "https://",
            "https://exa mple.com",
            "https://ünï.example",
            "file://",
            "x://a/b",
            "://a",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_is_told_what_it_may() {
        let one = cors(&["https://a.example", "http://b.example:8080"]);
        for (origin, expected) in [
            ("https://a.example", Some("https://a.example")),
            ("http://b.example:8080", Some("http://b.example:8080")),
            ("http://a.example", None),
            ("https://a.example.evil.test", None),
            ("https://evil-a.example", None),
            ("null", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(one.allowed_origin(origin), expected, "{origin}");
        }
        assert_eq!(cors(&["*"]).allowed_origin("https://any.example"), Some("*"));
        assert_eq!(
            one.headers_for("x-a, x-b"),
            "content-type, authorization, x-api-key"
        );
        let any = Cors {
            allowed_headers: vec!["*".parse().expect("a name")],
            ..one
        };
        assert_eq!(any.headers_for("X-A, x b,,\r\nx-c , é"), "x-a, x-c");
        assert_eq!(any.exposed(), "hookgate-event-id, retry-after");
    }

    #[test]
    fn everybody_and_credentials_do_not_go_together() {
        assert_eq!(cors(&["*"]).problem(), None);
        let with_credentials = |cors: Cors| Cors {
            allow_credentials: true,
            ..cors
        };
        assert_eq!(with_credentials(cors(&["https://a.example"])).problem(), None);
        let pointer = |cors: Cors| cors.problem().map(|(pointer, _)| pointer);
        assert_eq!(
            pointer(with_credentials(cors(&["*"]))),
            Some("/allow_credentials")
        );
        assert_eq!(
            pointer(cors(&["*", "https://a.example"])),
            Some("/allowed_origins")
        );
    }
}
