//! One event, sent on as it came.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url};
use serde_json::Value;

use super::api::{Api, Later, NotFound, told};

/// Headers that belong to the connection that the event came by (RFC 9110, section 7.6.1), or to that which it goes on by.
const NOT_SENT_ON: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What the API shows in place of credentials.
const REDACTED: &str = "[redacted]";
const EVENT_ID: HeaderName = HeaderName::from_static("hookgate-event-id");

/// Sends events to an address.
pub(super) struct Forwarder {
    client: Client,
    to: Url,
    timeout: Duration,
}

/// A client that follows nothing and uses no proxy.
pub(super) fn client() -> Result<Client> {
    // reqwest is built without a TLS provider; the first caller in the process gives it one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_secs(10))
        .build();
    client.context("making an HTTP client")
}

impl Forwarder {
    pub fn new(to: Url, timeout: Duration) -> Result<Self> {
        Ok(Self {
            client: client()?,
            to,
            timeout,
        })
    }

    /// Sends an event, of which `summary` is what a list shows, and tells in a line what became of it.
    ///
    /// # Errors
    /// When the API refuses to give the event.
    pub async fn forward(&self, api: &mut Api, summary: &Value) -> Result<Later<String>> {
        let id = summary["id"].as_str().context("an event has no id")?;
        let (event, body) = match self.read(api, id).await {
            Ok(Ok(read)) => read,
            Ok(Err(why)) => return Ok(Err(why)),
            Err(error) if error.is::<NotFound>() => {
                return Ok(Ok(format!("{}  {id}  is not there any more", clock(summary))));
            }
            Err(error) => return Err(error),
        };
        let method = text(summary, "method");
        let (path, query) = (text(summary, "path"), text(summary, "query"));
        let mut to = self.to.clone();
        if !query.is_empty() {
            let own = to.query().map(|own| format!("{own}&")).unwrap_or_default();
            to.set_query(Some(&format!("{own}{query}")));
        }
        let request = self
            .client
            .request(Method::from_bytes(method.as_bytes()).unwrap_or(Method::POST), to)
            .headers(headers(&event, id))
            .timeout(self.timeout)
            .body(body);
        let started = Instant::now();
        let outcome = request.send().await;
        let time = started.elapsed().as_millis();
        let mut line = format!("{}  {method} /{path}", clock(summary));
        if !query.is_empty() {
            let _ = write!(line, "?{query}");
        }
        let _ = match outcome {
            Ok(answer) => write!(line, "  {id}  {} in {time} ms", answer.status()),
            Err(error) => write!(line, "  {id}  no answer: {}", told(&error)),
        };
        Ok(Ok(line))
    }
}

impl Forwarder {
    /// An event, and its body byte for byte.
    async fn read(&self, api: &mut Api, id: &str) -> Result<Later<(Value, Bytes)>> {
        let event = match api.get(&format!("/events/{id}"), &[]).await? {
            Ok(event) => event,
            Err(why) => return Ok(Err(why)),
        };
        let answer = match api.open(&format!("/events/{id}/body"), &[], "*/*").await? {
            Ok(answer) => answer,
            Err(why) => return Ok(Err(why)),
        };
        Ok(match tokio::time::timeout(self.timeout, answer.bytes()).await {
            Ok(Ok(body)) => Ok((event, body)),
            Ok(Err(error)) => Err(told(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        })
    }
}

fn headers(event: &Value, id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for header in event["headers"].as_array().into_iter().flatten() {
        let (name, value) = (text(header, "name"), text(header, "value"));
        if NOT_SENT_ON.contains(&name) || value == REDACTED {
            continue;
        }
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            headers.append(name, value);
        }
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(EVENT_ID, id);
    }
    headers
}

/// The time of day at which an event came (UTC).
fn clock(summary: &Value) -> &str {
    text(summary, "received_at").get(11..19).unwrap_or_default()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}
