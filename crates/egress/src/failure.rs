//! Why there is no response, in words without the URL: its query may hold what only the tenant may see.

use std::error::Error as StdError;

use hookgate_model::flow::step::http::HttpFailure;

use crate::resolver::{NotAllowed, NotResolved};

/// A call that got no complete response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failed {
    /// In what way.
    pub failure: HttpFailure,
    /// What happened.
    pub detail: String,
}

impl Failed {
    /// A call that failed in this way.
    pub fn new(failure: HttpFailure, detail: impl Into<String>) -> Self {
        Self {
            failure,
            detail: detail.into(),
        }
    }

    /// A call that is not made.
    pub fn refused(detail: impl Into<String>) -> Self {
        Self::new(HttpFailure::Refused, detail)
    }
}

impl From<reqwest::Error> for Failed {
    fn from(error: reqwest::Error) -> Self {
        let sources = || sources(&error);
        if sources().any(|source| source.is::<NotAllowed>()) {
            return Self::refused(NotAllowed.to_string());
        }
        if let Some(source) = sources().find_map(|source| source.downcast_ref::<NotResolved>()) {
            return Self::new(HttpFailure::Resolve, source.to_string());
        }
        if let Some(tls) = sources().find_map(tls) {
            return Self::new(HttpFailure::Tls, format!("no secure connection: {tls}"));
        }
        let cause = sources().last().map(ToString::to_string).unwrap_or_default();
        if error.is_connect() {
            Self::new(HttpFailure::Connect, format!("no connection: {cause}"))
        } else if error.is_timeout() {
            Self::new(HttpFailure::Timeout, "the time was over")
        } else {
            Self::new(HttpFailure::Protocol, format!("no complete answer: {cause}"))
        }
    }
}

/// The error of TLS that an error is, or holds as an I/O error: that one does not name what it holds as its source.
fn tls<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref().or_else(|| {
        let inner = error.downcast_ref::<std::io::Error>()?.get_ref()?;
        tls(inner)
    })
}

/// An error and what caused it.
fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// An error and what caused it, in words.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    sources(error)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
