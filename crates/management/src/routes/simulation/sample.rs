//! What is to be simulated, as the API takes it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use hookgate_model::flow::definition::RevisionDocument;
use hookgate_model::flow::step::http::{HttpFailure, HttpOutcome};
use hookgate_model::headers;
use hookgate_model::ids::{EventId, RevisionId, SampleId};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::FieldCode;
use crate::fields::{Fields, FromFields, Read, any, boolean, json, list, object, parsed, text, wrong};
use crate::routes::revisions::Document;
use crate::routes::verification::CapturedHeader;

/// The most responses that are given for one step: as many as it can have attempts.
const RESPONSES: usize = 25;
/// The longest path and query, in characters.
const TARGET_CHARACTERS: usize = 8_000;

/// What to simulate, and on what. Without any field it is the draft, on an empty POST.
#[derive(ToSchema)]
#[schema(as = SimulationQuestion, example = json!({"request": {"json": {"order": {"id": 42}}},
    "responses": {"crm": [{"status": 503}, {"status": 201, "body": {"id": 7}}]}}))]
pub struct Question {
    /// The revision to run; by default the draft.
    pub(super) revision_id: Option<RevisionId>,
    /// A document that is not saved, to run instead.
    #[schema(value_type = Option<RevisionDocument>)]
    pub(super) document: Option<RevisionDocument>,
    /// The event to run it for. Give one of this, `sample_id` and `request`.
    pub(super) event_id: Option<EventId>,
    /// The sample to run it for.
    pub(super) sample_id: Option<SampleId>,
    /// A request to run it for.
    #[schema(value_type = Option<SampleRequestBody>)]
    pub(super) request: Option<SampleRequest>,
    /// What calls come to, by the name of their step: one for each attempt; the last one stands for all further attempts.
    #[schema(required = false, value_type = BTreeMap<String, Vec<GivenResponse>>)]
    pub(super) responses: HashMap<String, Vec<GivenResponse>>,
    /// Whether calls without a given response come to what they came to in the event's run, as far as that was kept: the
    /// status and the beginning of the body.
    #[schema(required = false, default = false)]
    pub(super) recorded: bool,
}

impl FromFields for Question {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let revision_id = fields.optional("revision_id", parsed);
        let document = fields.optional("document", object::<Document>);
        let event_id = fields.optional("event_id", parsed);
        let sample_id = fields.optional("sample_id", parsed);
        let request = fields.optional("request", object);
        let responses = fields.or("responses", HashMap::new(), responses);
        let recorded = fields.or("recorded", false, boolean);
        let question = Self {
            revision_id: revision_id?,
            document: document?.map(|Document(document)| document),
            event_id: event_id?,
            sample_id: sample_id?,
            request: request?,
            responses: responses?,
            recorded: recorded?,
        };
        for (is_twice, field, other) in [
            (
                question.revision_id.is_some() && question.document.is_some(),
                "document",
                "revision_id",
            ),
            (
                question.event_id.is_some() && question.request.is_some(),
                "request",
                "event_id",
            ),
            (
                question.event_id.is_some() && question.sample_id.is_some(),
                "sample_id",
                "event_id",
            ),
            (
                question.sample_id.is_some() && question.request.is_some(),
                "request",
                "sample_id",
            ),
        ] {
            if is_twice {
                fields.error(
                    format!("/{field}"),
                    FieldCode::Invalid,
                    format!("give either this or `{other}`"),
                );
                return None;
            }
        }
        Some(question)
    }
}

fn responses(value: Value) -> Read<HashMap<String, Vec<GivenResponse>>> {
    let Value::Object(steps) = value else {
        return wrong(FieldCode::WrongType, "must be an object: the responses by step");
    };
    let mut read = HashMap::new();
    let mut errors = Vec::new();
    for (step, given) in steps {
        match list(1..=RESPONSES, json)(given) {
            Ok(given) => {
                read.insert(step, given);
            }
            Err(wrong) => errors.extend(wrong.into_iter().map(|mut error| {
                error.pointer = format!("/{}{}", step.replace('~', "~0").replace('/', "~1"), error.pointer);
                error
            })),
        }
    }
    if errors.is_empty() { Ok(read) } else { Err(errors) }
}

/// A request as a sender might send it.
#[derive(ToSchema)]
#[allow(dead_code)]
#[schema(as = SampleRequest, example = json!({"method": "POST", "path": "orders/42", "query": "source=shop",
    "json": {"order": {"id": 42}}}))]
pub struct SampleRequestBody {
    /// The HTTP method.
    #[schema(
        required = false,
        min_length = 1,
        max_length = 20,
        default = "POST",
        example = "POST"
    )]
    method: String,
    /// The path after the token; by default the webhook's suffix as it is written.
    #[schema(max_length = 8_000, example = "orders/42")]
    path: Option<String>,
    /// The query, without the `?`.
    #[schema(required = false, max_length = 8_000, example = "source=shop")]
    query: String,
    /// The headers.
    #[schema(required = false, max_items = 200)]
    headers: Vec<CapturedHeader>,
    /// The body as text. Give at most one of `body` and `json`.
    #[schema(example = "{}")]
    body: Option<String>,
    /// The body as JSON; the `content-type` is added unless it is among the headers.
    #[schema(required = false, value_type = Value, example = json!({"order": {"id": 42}}))]
    json: Option<Value>,
    /// The sender's address.
    #[schema(example = "203.0.113.7")]
    address: Option<String>,
}

/// The same, read.
pub struct SampleRequest {
    pub(super) method: String,
    pub(super) path: Option<String>,
    pub(super) query: String,
    /// In the form of [`hookgate_model::headers`].
    pub(super) headers: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) address: Option<IpAddr>,
}

impl Default for SampleRequest {
    fn default() -> Self {
        Self {
            method: "POST".to_owned(),
            path: None,
            query: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
            address: None,
        }
    }
}

impl SampleRequest {
    /// A POST with a body.
    pub fn of_body(content_type: &str, body: Vec<u8>) -> Self {
        let mut stored = Vec::new();
        headers::write(&mut stored, b"content-type", content_type.as_bytes());
        Self {
            headers: stored,
            body,
            ..Self::default()
        }
    }

    /// A GET with a query.
    pub fn of_query(query: String) -> Self {
        Self {
            method: "GET".to_owned(),
            query,
            ..Self::default()
        }
    }
}

impl FromFields for SampleRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let method = fields.or("method", "POST".to_owned(), text(1..=20));
        let path = fields.optional("path", text(0..=TARGET_CHARACTERS));
        let query = fields.or("query", String::new(), text(0..=TARGET_CHARACTERS));
        let headers = fields.or("headers", Vec::new(), list(0..=200, object::<CapturedHeader>));
        let body = fields.optional("body", |value| match value {
            Value::String(text) => Ok(text),
            _ => wrong(FieldCode::WrongType, "must be a string; give JSON as `json`"),
        });
        let has_json = fields.has("json");
        let json = fields.optional("json", any);
        let address = fields.optional("address", parsed);
        let (body, json, headers) = (body?, json?, headers?);
        if body.is_some() && has_json {
            fields.error("/json", FieldCode::Invalid, "give the body once");
            return None;
        }
        let mut stored = CapturedHeader::stored(&headers);
        let body = match body {
            Some(text) => text.into_bytes(),
            None if has_json => {
                if headers::find(&stored, "content-type").is_none() {
                    headers::write(&mut stored, b"content-type", b"application/json");
                }
                json.unwrap_or_default().to_string().into_bytes()
            }
            None => Vec::new(),
        };
        Some(Self {
            method: method?,
            path: path?,
            query: query?,
            headers: stored,
            body,
            address: address?,
        })
    }
}

/// What a call is to come to: a response, or none.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"status": 201, "headers": {"x-request-id": "1"}, "body": {"id": 7}}))]
pub struct GivenResponse {
    /// The status of the response.
    #[serde(default = "ok")]
    #[schema(required = false, minimum = 100, maximum = 599, default = 200)]
    status: u16,
    /// Its headers.
    #[serde(default)]
    #[schema(required = false)]
    headers: BTreeMap<String, String>,
    /// Its body: a text as it is, anything else as JSON.
    #[serde(default)]
    #[schema(required = false, value_type = Value)]
    body: Value,
    /// Why there is no response at all, in words. The call then may be tried again.
    #[serde(default)]
    #[schema(required = false, example = "no connection")]
    failure: Option<String>,
}

const fn ok() -> u16 {
    200
}

impl GivenResponse {
    /// It as the worker would see it.
    pub fn outcome(&self) -> HttpOutcome {
        if let Some(detail) = &self.failure {
            return HttpOutcome::Failed {
                failure: HttpFailure::Connect,
                detail: detail.clone(),
            };
        }
        HttpOutcome::Response {
            status: self.status,
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect(),
            body: match &self.body {
                Value::Null => Vec::new(),
                Value::String(text) => text.clone().into_bytes(),
                json => json.to_string().into_bytes(),
            },
            is_cut: false,
        }
    }
}
