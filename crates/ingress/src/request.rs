//! A request as admission looks at it: nothing is copied or parsed that the step at hand does not need.

use std::net::IpAddr;

use actix_http::RequestHead;
use actix_web::http::{Method, header};
use chrono::{DateTime, Utc};
use hookgate_domain::clock;
use hookgate_model::authentication::{self, Headers};
use hookgate_model::headers;
use hookgate_model::ids::EventId;
use hookgate_model::sender_address::Sender;
use hookgate_model::token::UrlToken;

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
    head: &'a RequestHead,
    /// The token: the first segment of the path.
    pub token: UrlToken,
    /// The path after the token, as it was sent.
    pub path: &'a str,
    /// Who sent it, and how that is known.
    pub sender: Option<Sender>,
    /// The id of the event that it becomes, if it becomes one.
    pub event_id: EventId,
}

impl<'a> Request<'a> {
    /// Reads the token and the path; `None` when the path cannot be one of a public URL.
    pub fn read(head: &'a RequestHead) -> Option<Self> {
        let path = head.uri.path().strip_prefix('/')?;
        let (token, path) = path.split_once('/').unwrap_or((path, ""));
        Some(Self {
            head,
            token: UrlToken::parse(token.as_bytes())?,
            path,
            sender: None,
            event_id: clock::new_id(),
        })
    }

    /// The HTTP method.
    pub fn method(&self) -> &'a str {
        self.head.method.as_str()
    }

    /// The query string, as it was sent.
    pub fn query(&self) -> &'a str {
        self.head.uri.query().unwrap_or("")
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
        std::str::from_utf8(self.head.headers().get(name)?.as_bytes()).ok()
    }

    /// What was called: the path with the token, and the query.
    pub fn target(&self) -> &'a str {
        let target = self.head.uri.path_and_query();
        target.map_or("", |target| target.as_str())
    }

    /// The URL as its sender was given it, under what the public URLs begin with (without a slash at its end).
    pub fn public_url(&self, base: &str) -> String {
        format!("{base}{}", self.target())
    }

    /// The peer of the connection.
    pub fn peer(&self) -> Option<IpAddr> {
        self.head.peer_addr.map(|peer| peer.ip())
    }

    /// Who sent it.
    pub fn address(&self) -> Option<IpAddr> {
        self.sender.map(|sender| sender.address)
    }

    /// All lines of a header.
    pub fn lines(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a> {
        let lines = self.head.headers().get_all(name);
        let lines: Vec<_> = lines.map(|value| value.as_bytes()).collect();
        lines.into_iter()
    }

    /// The body's length as the sender declares it.
    pub fn declared_length(&self) -> Option<u64> {
        self.head
            .headers()
            .get(header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    }

    /// Whether it asks for another protocol, which it does not get.
    pub fn asks_for_upgrade(&self) -> bool {
        self.head.upgrade()
            || self.head.method == Method::CONNECT
            || self.head.headers().contains_key(header::UPGRADE)
    }

    /// Where the body ends, when the server does not know: of a request that asks for another protocol it takes all that
    /// comes over the connection for the body, unless it comes in chunks.
    pub fn end_of_body(&self) -> Option<u64> {
        let is_open = self.asks_for_upgrade() && !self.head.headers().contains_key(header::TRANSFER_ENCODING);
        is_open.then(|| self.declared_length().unwrap_or(0))
    }

    /// The headers in their stored form.
    pub fn stored_headers(&self) -> Vec<u8> {
        let mut stored = Vec::with_capacity(512);
        for (name, value) in self.head.headers() {
            headers::write(&mut stored, name.as_str().as_bytes(), value.as_bytes());
        }
        stored
    }

    /// The headers in their stored form, without credentials.
    pub fn redacted_headers(&self) -> Vec<u8> {
        let mut stored = Vec::new();
        for (name, value) in self.head.headers() {
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
        self.head
            .headers()
            .get_all(name)
            .nth(index)
            .map(|value| value.as_bytes())
    }
}
