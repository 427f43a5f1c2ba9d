//! The URL that a destination's calls begin with.

use std::fmt;

use url::Url;

use crate::egress;

/// The most characters of a base URL.
pub const MAX_LENGTH: usize = 2_000;

/// An absolute http or https URL without credentials, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a text is no base URL. The text itself is never shown: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBaseUrl {
    /// Longer than [`MAX_LENGTH`].
    #[error("a base URL has at most {MAX_LENGTH} characters")]
    TooLong,
    /// Not an absolute URL.
    #[error("expected an absolute URL such as `https://api.example.com/v1`")]
    NotAbsolute,
    /// Another scheme.
    #[error("the scheme must be `https` or `http`")]
    Scheme,
    /// A user name or password.
    #[error("leave out the user name and password: a URL is shown and logged")]
    Credentials,
    /// The port of a service that is not HTTP.
    #[error("the port belongs to a service that is not HTTP, and is blocked, as it is in browsers")]
    Port,
    /// A fragment.
    #[error("leave out the fragment (`#…`): it is never sent")]
    Fragment,
    /// A query.
    #[error("leave out the query (`?…`): steps give their own")]
    Query,
}

impl BaseUrl {
    /// Reads a base URL.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub fn parse(text: &str) -> Result<Self, InvalidBaseUrl> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidBaseUrl::TooLong);
        }
        let url = Url::parse(text).map_err(|_| InvalidBaseUrl::NotAbsolute)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidBaseUrl::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidBaseUrl::Credentials);
        }
        if !egress::is_port_allowed(&url) {
            return Err(InvalidBaseUrl::Port);
        }
        if url.fragment().is_some() {
            return Err(InvalidBaseUrl::Fragment);
        }
        if url.query().is_some() {
            return Err(InvalidBaseUrl::Query);
        }
        Ok(Self(url))
    }

    /// Whether calls to both go to one server: scheme, host and port are the same.
    pub fn is_same_server(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }

    /// The URL in its normal form.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_absolute_and_bare() {
        assert_eq!(
            BaseUrl::parse("HTTPS://Api.example.com").map(|u| u.to_string()),
            Ok("https://api.example.com/".into())
        );
        assert!(BaseUrl::parse("http://127.0.0.1:8080/v1").is_ok());
        let table = [
            ("api.example.com/v1", InvalidBaseUrl::NotAbsolute),
            ("/v1", InvalidBaseUrl::NotAbsolute),
            ("https://", InvalidBaseUrl::NotAbsolute),
            ("ftp://example.com", InvalidBaseUrl::Scheme),
            ("file:///etc/passwd", InvalidBaseUrl::Scheme),
            ("https://user@example.com", InvalidBaseUrl::Credentials),
            ("https://:secret@example.com", InvalidBaseUrl::Credentials),
            ("https://example.com:25/", InvalidBaseUrl::Port),
            ("https://example.com/#a", InvalidBaseUrl::Fragment),
            ("https://example.com/?a=b", InvalidBaseUrl::Query),
        ];
        for (text, expected) in table {
            assert_eq!(BaseUrl::parse(text), Err(expected), "{text}");
        }
        assert!(
            !BaseUrl::parse("https://:secret@example.com")
                .expect_err("credentials")
                .to_string()
                .contains("secret@")
        );
    }
}
