//! A request as its verification sees it.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use crate::headers;

/// A request, exactly as it came.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The URL that the sender was given: the configured base URL, the token, the path and the query as they were sent. Never
    /// made from the `Host` header, which an attacker chooses.
    pub public_url: &'a str,
    /// The path after the token, as it was sent.
    pub path: &'a str,
    /// The query without `?`, as it was sent.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a dyn Headers,
    /// The exact bytes of the body; empty before it is read.
    pub body: &'a [u8],
    /// The time of receipt.
    pub now: DateTime<Utc>,
}

/// The headers of a request, wherever they are kept.
pub trait Headers {
    /// The value number `index`, from 0, of the lines with a (lower-case) name, in the order in which they came.
    fn value(&self, name: &str, index: usize) -> Option<&[u8]>;

    /// All lines of a name as one value, joined by `, ` as RFC 9110 (section 5.3) says.
    fn combined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let first = self.value(name, 0)?;
        if self.value(name, 1).is_none() {
            return Some(Cow::Borrowed(first));
        }
        let mut all = first.to_vec();
        let mut index = 1;
        while let Some(value) = self.value(name, index) {
            all.extend_from_slice(b", ");
            all.extend_from_slice(value);
            index += 1;
        }
        Some(Cow::Owned(all))
    }
}

/// Headers in the form in which events keep them: see [`crate::headers`].
#[derive(Debug, Clone, Copy)]
pub struct StoredHeaders<'a>(pub &'a [u8]);

impl Headers for StoredHeaders<'_> {
    fn value(&self, name: &str, index: usize) -> Option<&[u8]> {
        headers::read(self.0)
            .filter(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .nth(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_name_are_one_value() {
        let mut stored = Vec::new();
        for (name, value) in [("a", "1"), ("B", "2"), ("A", "3"), ("c", ""), ("a", "4")] {
            headers::write(&mut stored, name.as_bytes(), value.as_bytes());
        }
        let headers = StoredHeaders(&stored);
        assert_eq!(headers.combined("a").as_deref(), Some(&b"1, 3, 4"[..]));
        assert_eq!(headers.combined("b").as_deref(), Some(&b"2"[..]));
        assert_eq!(headers.combined("c").as_deref(), Some(&b""[..]));
        assert_eq!(headers.combined("d"), None);
    }
}
