//! What the targets share: inputs are texts with sections, so that seeds can be read and written by hand.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hookgate_model::authentication::{Request, StoredHeaders};
use hookgate_model::flow::variables::{self, EventInput};
use hookgate_model::headers;
use hookgate_model::ids::EventId;
use hookgate_model::webhook::Environment;
use std::sync::Arc;

/// Cuts an input at its first empty line.
pub fn cut(input: &[u8]) -> (&[u8], &[u8]) {
    match input.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&input[..at], &input[at + 2..]),
        None => (input, &[]),
    }
}

/// Headers in their stored form, from lines.
pub fn stored(lines: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    for line in lines.split(|&byte| byte == b'\n') {
        if let Some(colon) = line.windows(2).position(|pair| pair == b": ") {
            headers::write(&mut stored, &line[..colon], &line[colon + 2..]);
        }
    }
    stored
}

/// A fixed time, since decisions are functions of what they are given.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000, 0).unwrap_or_default()
}

/// Judges a request: a line with its method and its target, lines of headers, an empty line, the body.
pub fn with_request<T>(input: &[u8], judge: impl FnOnce(&Request<'_>) -> T) -> T {
    let (head, body) = cut(input);
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let fields = stored(&head[line.len()..]);
    let line = String::from_utf8_lossy(line);
    let (method, target) = line.split_once(' ').unwrap_or(("POST", &line));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let public_url = format!("https://hooks.example.com/token/{target}");
    judge(&Request {
        method,
        public_url: &public_url,
        path,
        query,
        headers: &StoredHeaders(&fields),
        body,
        now: now(),
    })
}

/// An event: lines of headers, an empty line, the body.
pub fn event(input: &[u8]) -> Arc<variables::Request> {
    let (head, body) = cut(input);
    variables::Request::new(EventInput {
        id: EventId::new(now(), [7; 8]),
        received_at: now(),
        method: "POST".to_owned(),
        address: None,
        environment: Environment::Production,
        suffix: "orders/{order_id}".to_owned(),
        path: "orders/7".to_owned(),
        query: "a=1&b=2&a=3".to_owned(),
        headers: stored(head),
        body: Bytes::copy_from_slice(body),
        event_type: None,
        delivery_id: None,
    })
}
