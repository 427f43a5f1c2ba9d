//! An event as the API shows it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hookgate_domain::events::{Event, EventContent};
use hookgate_model::body::{Body, File};
use hookgate_model::deduplication::Remembered;
use hookgate_model::ids::{EventId, RefusalId, ReplayId, RevisionId, UrlId, WebhookId};
use hookgate_model::protection::Masked;
use hookgate_model::suffix::UrlSuffix;
use hookgate_model::webhook::Environment;
use serde::Serialize;
use utoipa::ToSchema;

use crate::request_view::{BodyPreview, HeaderView, address};

/// An accepted request, without its headers and body.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventSummary {
    /// Its id.
    pub id: EventId,
    /// The webhook that accepted it.
    pub webhook_id: WebhookId,
    /// The URL that it came to.
    pub url_id: UrlId,
    /// The revision that runs it; null when nothing was published.
    pub revision_id: Option<RevisionId>,
    /// The environment of the URL.
    pub environment: Environment,
    /// `received`: it is stored, and nothing more is to be done. `pending`: its flow is to run, or runs. Otherwise the
    /// outcome of its run, such as `succeeded` or `failed`.
    #[schema(example = "succeeded")]
    pub status: String,
    /// The HTTP method.
    #[schema(example = "POST")]
    pub method: String,
    /// The path after the token, as it was sent.
    #[schema(example = "orders/42")]
    pub path: String,
    /// The query string after the `?`, as it was sent.
    #[schema(example = "source=shop")]
    pub query: String,
    /// Who sent it; a network when the address is masked.
    #[schema(example = "203.0.113.7")]
    pub address: Option<String>,
    /// The length of the body, in bytes.
    #[schema(example = 512)]
    pub body_bytes: i32,
    /// What the sender calls the event, as far as its preset knows: at most 200 characters.
    #[schema(example = "order.paid")]
    pub event_type: Option<String>,
    /// What the sender calls the delivery, as far as its preset knows; one of more than 255 bytes is shown as `sha256:` and
    /// its digest.
    #[schema(example = "72d3162e-cc78-11e3-81ab-4c9367dc0958")]
    pub delivery_id: Option<String>,
    /// What data protection left out of it; null when it is stored as it was sent. A masked value is `[masked]`. What is
    /// left out cannot be verified, replayed or brought back: the flow alone received it.
    pub masked: Option<Masked>,
    /// Whether it is recognised when it comes again, or cannot be, because the request gave no key; null when its webhook
    /// takes every delivery for a new one.
    pub deduplication: Option<Remembered>,
    /// How often it came again: those deliveries got its answer and started nothing. Null when it did not.
    pub duplicates: Option<DuplicatesView>,
    /// The refusal that it was taken from, when it was refused first. What its sender got was the refusal.
    pub refusal_id: Option<RefusalId>,
    /// The event that it is a copy of, when it was replayed.
    pub replay_of: Option<EventId>,
    /// The replay that made the copy, when that was one of many.
    pub replay_id: Option<ReplayId>,
    /// When it was received, taken or replayed.
    pub received_at: DateTime<Utc>,
}

/// How often an event came again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Duplicates)]
pub struct DuplicatesView {
    /// How often, as far as it is counted by now: within a second.
    #[schema(example = 2)]
    pub count: i64,
    /// When it last did.
    pub last_at: DateTime<Utc>,
}

/// An accepted request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    /// What a list shows too.
    #[serde(flatten)]
    pub summary: EventSummary,
    /// The values of the suffix's path parameters.
    #[schema(example = json!({ "order_id": "42" }))]
    pub path_parameters: BTreeMap<String, String>,
    /// The headers, in the order in which they came. Credentials are not shown.
    pub headers: Vec<HeaderView>,
    /// What the body is, and its beginning; `/v1/events/{event_id}/body` has it byte for byte.
    pub body: BodyPreview,
}

/// The files of an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventFiles, example = json!({"data": [{"index": 0, "name": "invoice", "filename": "invoice.pdf",
    "content_type": "application/pdf", "bytes": 48_211,
    "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}]}))]
pub struct FileList {
    /// They, in the order in which they came.
    pub data: Vec<FileView>,
}

/// A file in the body of an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventFile)]
pub struct FileView {
    /// Its place among the files of the event, from 0.
    #[schema(example = 0)]
    pub index: usize,
    /// The name of its field; `body` for a binary body.
    #[schema(example = "invoice")]
    pub name: String,
    /// Its own name, as the sender gave it: no safe path.
    #[schema(example = "invoice.pdf")]
    pub filename: Option<String>,
    /// Its content type, as the sender gave it.
    #[schema(example = "application/pdf")]
    pub content_type: Option<String>,
    /// Its length, in bytes.
    #[schema(example = 48_211)]
    pub bytes: usize,
    /// The SHA-256 of its content, in hexadecimal.
    #[schema(example = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")]
    pub sha256: String,
}

impl FileView {
    /// Shows a file of a body.
    pub fn new(index: usize, file: &File, body: &Body) -> Self {
        Self {
            index,
            name: file.name.clone(),
            filename: file.filename.clone(),
            content_type: file.content_type.clone(),
            bytes: file.content.len(),
            sha256: body.sha256_of(file),
        }
    }
}

impl From<Event> for EventSummary {
    fn from(event: Event) -> Self {
        Self {
            status: event.status.into(),
            received_at: event.id.created_at(),
            address: event.address.map(address),
            masked: event.masked,
            id: event.id,
            webhook_id: event.webhook_id,
            url_id: event.url_id,
            revision_id: event.revision_id,
            environment: event.environment,
            method: event.method,
            path: event.path,
            query: event.query,
            body_bytes: event.body_bytes,
            event_type: event.event_type,
            delivery_id: event.delivery_id,
            deduplication: event.deduplication,
            refusal_id: event.refusal_id,
            replay_of: event.replay_of,
            replay_id: event.replay_id,
            duplicates: event.duplicates.map(|duplicates| DuplicatesView {
                count: duplicates.count,
                last_at: duplicates.last_at,
            }),
        }
    }
}

impl EventView {
    /// Shows an event with its content.
    pub fn new(event: Event, content: EventContent) -> Self {
        let suffix = UrlSuffix::parse(&event.suffix).ok();
        let parameters = suffix.as_ref().and_then(|suffix| suffix.parameters(&event.path));
        let path_parameters = parameters
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Self {
            path_parameters,
            headers: HeaderView::all(&content.headers),
            body: BodyPreview::new(&content.headers, content.body),
            summary: event.into(),
        }
    }
}
