//! A request as admission looks at it: nothing is copied or parsed that the step at hand does not need.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header;
use chrono::{DateTime, Utc};
use hookgate_model::authentication::{self, Headers};
use hookgate_model::headers;
use hookgate_model::token::UrlToken;

use crate::address::Sender;

/// Headers whose values are credentials: a refusal is kept without them.
const CREDENTIALS: [&str; 6] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "cookie",
    "x-gitlab-token",
    "x-hook-secret",
];

/// The head of a request to a public URL.
pub struct Request<'a> {
    http: &'a HttpRequest,
    /// The token: the first segment of the path.
    pub token: UrlToken,
    /// The path after the token, as it was sent.
    pub path: &'a str,
    /// Who sent it, and how that is known.
    pub sender: Option<Sender>,
}

impl<'a> Request<'a> {
    /// Reads the token and the path; `None` when the path cannot be one of a public URL.
    pub fn read(http: &'a HttpRequest) -> Option<Self> {
        let path = http.uri().path().strip_prefix('/')?;
        let (token, path) = path.split_once('/').unwrap_or((path, ""));
        Some(Self {
            http,
            token: UrlToken::parse(token.as_bytes())?,
            path,
            sender: None,
        })
    }

    /// The HTTP method.
    pub fn method(&self) -> &'a str {
        self.http.method().as_str()
    }

    /// The query string, as it was sent.
    pub fn query(&self) -> &'a str {
        self.http.uri().query().unwrap_or("")
    }

    /// The request as its verification sees it.
    pub fn to_verify<'b>(
        &'b self,
        public_url: &'b str,
        body: &'b [u8],
        now: DateTime<Utc>,
    ) -> authentication::Request<'b> {
        authentication::Request {
            method: self.method(),
            public_url,
            path: self.path,
            query: self.query(),
            headers: self,
            body,
            now,
        }
    }

    /// The first header of a (lower-case) name, if it is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.http.headers().get(name)?.as_bytes()).ok()
    }

    /// What was called: the path with the token, and the query.
    pub fn target(&self) -> &'a str {
        self.http
            .uri()
            .path_and_query()
            .map_or("", |target| target.as_str())
    }

    /// Whether the sender waits to be asked for the body (RFC 9110, section 10.1.1).
    pub fn waits_for_continue(&self) -> bool {
        self.http.headers().contains_key(header::EXPECT)
    }

    /// The URL as its sender was given it, under what the public URLs begin with (without a slash at its end).
    pub fn public_url(&self, base: &str) -> String {
        format!("{base}{}", self.target())
    }

    /// The peer of the connection.
    pub fn peer(&self) -> Option<IpAddr> {
        self.http.peer_addr().map(|peer| peer.ip())
    }

    /// Who sent it.
    pub fn address(&self) -> Option<IpAddr> {
        self.sender.map(|sender| sender.address)
    }

    /// All lines of a header.
    pub fn lines(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a> {
        let lines = self.http.headers().get_all(name);
        let lines: Vec<_> = lines.map(|value| value.as_bytes()).collect();
        lines.into_iter()
    }

    /// The body's length as the sender declares it.
    pub fn declared_length(&self) -> Option<u64> {
        self.http
            .headers()
            .get(header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    }

    /// The headers in their stored form.
    pub fn stored_headers(&self) -> Vec<u8> {
        let mut stored = Vec::with_capacity(512);
        for (name, value) in self.http.headers() {
            headers::write(&mut stored, name.as_str().as_bytes(), value.as_bytes());
        }
        stored
    }

    /// The headers in their stored form, without credentials.
    pub fn redacted_headers(&self) -> Vec<u8> {
        let mut stored = Vec::new();
        for (name, value) in self.http.headers() {
            let value = if CREDENTIALS.contains(&name.as_str()) {
                b"[redacted]"
            } else {
                value.as_bytes()
            };
            headers::write(&mut stored, name.as_str().as_bytes(), value);
        }
        stored
    }
}

impl Headers for Request<'_> {
    fn value(&self, name: &str, index: usize) -> Option<&[u8]> {
        self.http
            .headers()
            .get_all(name)
            .nth(index)
            .map(|value| value.as_bytes())
    }
}
