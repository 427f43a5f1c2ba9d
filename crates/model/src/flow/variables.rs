//! What the templates of a flow see: the request, and the steps that have run.
//!
//! Everything is made from the stored bytes when a template first asks for it, at most once per event.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use minijinja::value::{Enumerator, Object, Serde, Value as Variable};
use serde_json::Value;

use super::template::stop;
use crate::body::document::Document;
use crate::body::{Body, form, most_memory};
use crate::headers;
use crate::ids::EventId;
use crate::suffix::UrlSuffix;
use crate::webhook::Environment;

/// The variables that every template sees.
pub const REQUEST_VARIABLES: [&str; 7] = ["headers", "query", "path", "body", "body_text", "files", "event"];
/// Those of them for which the body must be looked into.
pub const BODY_VARIABLES: [&str; 3] = ["body", "body_text", "files"];
/// The variable that the answer to a failure sees besides.
pub const ERROR_VARIABLE: &str = "error";
/// The variable with what the event's session holds.
pub const SESSION_VARIABLE: &str = "session";
/// The variable with the secrets that a call can send.
pub const SECRETS_VARIABLE: &str = "secrets";
/// The variable that the answer at a time-out sees besides.
pub const STATUS_URL_VARIABLE: &str = "status_url";
/// Words that have, or will have, a meaning of their own, so that no step may be named so.
pub const RESERVED_NAMES: [&str; 26] = [
    "headers",
    "query",
    "path",
    "body",
    "body_text",
    "files",
    "event",
    "session",
    "status_url",
    "secrets",
    "error",
    "steps",
    "loop",
    "range",
    "dict",
    "none",
    "true",
    "false",
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "self",
];

/// An event as a flow needs it.
#[derive(Debug, Clone)]
pub struct EventInput {
    /// The event's id.
    pub id: EventId,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// The request's method.
    pub method: String,
    /// The sender's address, unless it is masked.
    pub address: Option<IpAddr>,
    /// What the URL runs.
    pub environment: Environment,
    /// The URL's suffix, with its parameters.
    pub suffix: String,
    /// The request's path after the token, still percent-encoded.
    pub path: String,
    /// The request's query, without the question mark.
    pub query: String,
    /// The headers as they are stored ([`crate::headers`]).
    pub headers: Vec<u8>,
    /// The body's bytes, as they were sent.
    pub body: Bytes,
    /// What the sender calls the event, if it is known.
    pub event_type: Option<String>,
    /// What the sender calls the delivery, if it is known.
    pub delivery_id: Option<String>,
}

/// An event with what has been made of it so far.
#[derive(Debug)]
pub struct Request {
    event: EventInput,
    body: OnceLock<Body>,
    made: [OnceLock<Variable>; REQUEST_VARIABLES.len()],
}

impl Request {
    /// Takes an event; nothing is parsed yet.
    pub fn new(event: EventInput) -> Arc<Self> {
        Arc::new(Self {
            event,
            body: OnceLock::new(),
            made: Default::default(),
        })
    }

    /// About the most memory that making variables of its body takes, in bytes.
    pub fn most_memory(&self) -> usize {
        most_memory(&self.event.headers, self.event.body.len())
    }

    /// The same event, of which nothing has been made.
    pub fn anew(&self) -> Arc<Self> {
        Self::new(self.event.clone())
    }

    /// The event.
    pub fn event(&self) -> &EventInput {
        &self.event
    }

    /// Its body, and what it says.
    pub fn body(&self) -> &Body {
        self.body
            .get_or_init(|| Body::new(&self.event.headers, self.event.body.clone()))
    }

    /// Whether there is a body that `body` does not show, because it is malformed or of another kind.
    pub fn has_unreadable_body(&self) -> bool {
        !self.event.body.trim_ascii().is_empty() && self.body().document().is_none()
    }

    /// The same request, its event's type and delivery id known.
    pub fn identified(self: Arc<Self>, event_type: Option<String>, delivery_id: Option<String>) -> Arc<Self> {
        let known = (&self.event.event_type, &self.event.delivery_id);
        if known == (&event_type, &delivery_id) {
            return self;
        }
        let mut request = Arc::try_unwrap(self).unwrap_or_else(|shared| Self {
            event: shared.event.clone(),
            body: OnceLock::new(),
            made: shared.made.clone(),
        });
        request.event.event_type = event_type;
        request.event.delivery_id = delivery_id;
        // All but what is said about the event stays as it was made.
        for (name, made) in REQUEST_VARIABLES.iter().zip(&mut request.made) {
            if *name == "event" {
                *made = OnceLock::new();
            }
        }
        Arc::new(request)
    }

    /// The same request as another event.
    pub fn of_event(&self, id: EventId) -> Arc<Self> {
        Self::new(EventInput {
            id,
            received_at: id.created_at(),
            ..self.event.clone()
        })
    }

    fn variable(&self, name: &str) -> Option<Variable> {
        let index = REQUEST_VARIABLES
            .iter()
            .position(|candidate| *candidate == name)?;
        let make = || match name {
            "headers" => self.headers(),
            "query" => self.query(),
            "path" => self.path(),
            "body" => self
                .body()
                .document()
                .map_or(Variable::from(()), Document::variable),
            "body_text" => optional(self.body().text().as_deref()),
            "files" => self.files(),
            _ => self.about(),
        };
        self.made.get(index).map(|cell| cell.get_or_init(make).clone())
    }

    /// Names in lower case; the values of a repeated field joined by a comma (RFC 9110, section 5.2).
    fn headers(&self) -> Variable {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in headers::read(&self.event.headers) {
            let name = name.to_ascii_lowercase();
            let value = String::from_utf8_lossy(value);
            match fields.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => {
                    values.push_str(", ");
                    values.push_str(&value);
                }
                None => fields.push((name, value.into_owned())),
            }
        }
        Variable::from_pairs(fields)
    }

    fn path(&self) -> Variable {
        let suffix = UrlSuffix::parse(&self.event.suffix).ok();
        let parameters = suffix
            .as_ref()
            .and_then(|suffix| suffix.parameters(&self.event.path));
        Variable::from_pairs(parameters.unwrap_or_default())
    }

    fn query(&self) -> Variable {
        let read = form::read(self.event.query.as_bytes(), None).map(Arc::new);
        read.map_or(Variable::from(()), |document| document.variable())
    }

    fn files(&self) -> Variable {
        let body = self.body();
        let files = body.files().iter().map(|file| {
            Variable::from_pairs([
                ("name", Variable::from(file.name.as_str())),
                ("filename", optional(file.filename.as_deref())),
                ("content_type", optional(file.content_type.as_deref())),
                ("bytes", Variable::from(file.content.len())),
                ("sha256", Variable::from(body.sha256_of(file))),
            ])
        });
        Variable::from(files.collect::<Vec<_>>())
    }

    fn about(&self) -> Variable {
        Variable::from_pairs([
            ("id", Variable::from(self.event.id.to_string())),
            (
                "received_at",
                Variable::from(
                    self.event
                        .received_at
                        .to_rfc3339_opts(SecondsFormat::Millis, true),
                ),
            ),
            ("method", Variable::from(self.event.method.as_str())),
            (
                "address",
                self.event
                    .address
                    .map_or(Variable::from(()), |address| Variable::from(address.to_string())),
            ),
            ("environment", Variable::from(self.event.environment.as_str())),
            ("type", optional(self.event.event_type.as_deref())),
            ("delivery_id", optional(self.event.delivery_id.as_deref())),
        ])
    }
}

fn optional(text: Option<&str>) -> Variable {
    text.map_or(Variable::from(()), Variable::from)
}

/// All variables at one place in a flow.
#[derive(Debug, Clone)]
pub struct Variables {
    request: Option<Arc<Request>>,
    steps: Arc<Vec<(String, Variable)>>,
    /// The step whose templates are evaluated.
    step: Option<Arc<str>>,
}

/// What the functions of templates know of the event and the step without being told.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub event: EventId,
    pub received_at: DateTime<Utc>,
    pub step: Option<Arc<str>>,
}

impl Identity {
    /// Its name among the variables, which no template can write.
    pub const VARIABLE: &str = "@identity";
}

impl Object for Identity {}

impl Variables {
    /// The request alone.
    pub fn of_request(request: &Arc<Request>) -> Self {
        Self {
            request: Some(Arc::clone(request)),
            steps: Arc::default(),
            step: None,
        }
    }

    /// Nothing at all: for templates that need nothing.
    pub(super) fn empty() -> Self {
        Self {
            request: None,
            steps: Arc::default(),
            step: None,
        }
    }

    /// Adds a step's result, or the error.
    pub fn insert(&mut self, name: &str, value: &Value) {
        Arc::make_mut(&mut self.steps).push((name.to_owned(), Variable::from(Serde(value))));
    }

    /// Says whose templates are evaluated from now on.
    pub(super) fn enter(&mut self, step: &str) {
        self.step = Some(step.into());
    }

    /// No step's, but the response's.
    pub(super) fn leave(&mut self) {
        self.step = None;
    }

    fn identity(&self) -> Option<Variable> {
        let event = self.request.as_ref()?.event();
        Some(Variable::from_object(Identity {
            event: event.id,
            received_at: event.received_at,
            step: self.step.clone(),
        }))
    }

    /// The form that templates take.
    pub fn root(&self) -> Variable {
        Variable::from_object(self.clone())
    }
}

impl Object for Variables {
    fn get_value(self: &Arc<Self>, key: &Variable) -> Option<Variable> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Variable> {
        if key == Identity::VARIABLE {
            return self.identity();
        }
        let step = self.steps.iter().rev().find(|(name, _)| name == key);
        let value = step
            .map(|(_, value)| value.clone())
            .or_else(|| self.request.as_ref()?.variable(key));
        value.map(|value| stop::check().map_or_else(Variable::from, |()| value))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::flow::template::JsonTemplate;
    use serde_json::json;
    use uuid::Uuid;

    /// An event with a body.
    pub(crate) fn event(content_type: &str, body: &str) -> Arc<Request> {
        let mut stored = Vec::new();
        for (name, value) in [("Content-Type", content_type), ("X-A", "1"), ("x-a", "2")] {
            headers::write(&mut stored, name.as_bytes(), value.as_bytes());
        }
        Request::new(EventInput {
            id: EventId::from(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001)),
            received_at: DateTime::from_timestamp_millis(1_795_228_800_123).expect("a time"),
            method: "POST".into(),
            address: Some([192, 0, 2, 1].into()),
            environment: Environment::Production,
            suffix: "orders/{order_id}".into(),
            path: "orders/a%20b".into(),
            query: "a=1&b=x+y&a=2".into(),
            headers: stored,
            body: Bytes::copy_from_slice(body.as_bytes()),
            event_type: Some("order.paid".into()),
            delivery_id: None,
        })
    }

    #[test]
    fn the_request_is_visible() {
        let request = event(
            "application/json; charset=utf-8",
            r#"{"total": 12.5, "big": 18446744073709551615}"#,
        );
        let root = Variables::of_request(&request).root();
        for (template, expected) in [
            (
                "{{ headers['content-type'] }}",
                json!("application/json; charset=utf-8"),
            ),
            ("{{ headers['x-a'] }}", json!("1, 2")),
            ("{{ query }}", json!({ "a": ["1", "2"], "b": "x y" })),
            ("{{ path.order_id }}", json!("a b")),
            ("{{ body.total }}", json!(12.5)),
            ("{{ body.big }}", json!(18_446_744_073_709_551_615_u64)),
            ("{{ body_text | length }}", json!(44)),
            ("{{ event.id }}", json!("evt_01j8000000e008000000000001")),
            ("{{ event.received_at }}", json!("2026-11-21T02:40:00.123Z")),
            (
                "{{ event.method }} {{ event.environment }} {{ event.address }}",
                json!("POST production 192.0.2.1"),
            ),
            ("{{ event.type }}", json!("order.paid")),
            ("{{ event.delivery_id }}", json!(null)),
        ] {
            let value = JsonTemplate::compile(&json!(template))
                .expect("compiled")
                .evaluate(&root);
            assert_eq!(value.as_ref(), Ok(&expected), "{template}");
        }
    }

    #[test]
    fn files_are_visible() {
        let body = "--b\r\ncontent-disposition: form-data; name=f; filename=a.txt\r\ncontent-type: text/plain\r\n\r\nhello\r\n--b--\r\n";
        let root = Variables::of_request(&event("multipart/form-data; boundary=b", body)).root();
        let value = JsonTemplate::compile(&json!("{{ files }}"))
            .expect("compiled")
            .evaluate(&root);
        let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(
            value,
            Ok(
                json!([{ "name": "f", "filename": "a.txt", "content_type": "text/plain", "bytes": 5, "sha256": hash }])
            )
        );
    }

    #[test]
    fn bodies_are_read_as_what_they_are() {
        for (content_type, body, expected) in [
            (
                "application/x-www-form-urlencoded",
                "a=1&b=%7B%7D",
                json!({ "a": "1", "b": "{}" }),
            ),
            ("text/plain", "[1, 2]", json!([1, 2])),
            ("application/xml", "<a><b>1</b></a>", json!({ "a": { "b": "1" } })),
            ("application/json", "{nonsense", json!(null)),
            ("text/plain", "text", json!(null)),
            ("", "", json!(null)),
        ] {
            let root = Variables::of_request(&event(content_type, body)).root();
            let value = JsonTemplate::compile(&json!("{{ body }}"))
                .expect("compiled")
                .evaluate(&root);
            assert_eq!(value, Ok(expected), "{body}");
        }
    }
}
