//! A sample as the API shows it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hookgate_domain::events::EventContent;
use hookgate_domain::samples::Sample;
use hookgate_model::ids::{EventId, SampleId, UrlId, WebhookId};
use hookgate_model::protection::Masked;
use hookgate_model::sample::SampleSource;
use hookgate_model::suffix::UrlSuffix;
use hookgate_model::webhook::Environment;
use serde::Serialize;
use utoipa::ToSchema;

use crate::request_view::{BodyPreview, HeaderView, address};

/// A request that shows what a webhook's data is, without its headers and body.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "smp_01k9z3v8e5f2q8r7w6t5y4x3m2", "webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "source": "captured", "url_id": "url_01k9z3v8e5f2q8r7w6t5y4x3m2", "event_id": null, "number": 1, "environment": "test",
    "method": "POST", "path": "orders/42", "query": "", "address": "203.0.113.7", "body_bytes": 512, "masked": null,
    "taken_at": "2026-11-21T12:00:00Z"}))]
pub struct SampleSummary {
    /// Its id.
    pub id: SampleId,
    /// Whose requests it shows.
    pub webhook_id: WebhookId,
    /// What it was taken from.
    pub source: SampleSource,
    /// The URL that it came to, when it was captured or an event.
    pub url_id: Option<UrlId>,
    /// The event that it was taken from.
    pub event_id: Option<EventId>,
    /// Its number among all that the webhook captured.
    #[schema(example = 1)]
    pub number: Option<i64>,
    /// The environment of its URL; `test` when it was given.
    pub environment: Environment,
    /// The HTTP method.
    #[schema(example = "POST")]
    pub method: String,
    /// The path after the token.
    #[schema(example = "orders/42")]
    pub path: String,
    /// The query string after the `?`.
    #[schema(example = "source=shop")]
    pub query: String,
    /// Who sent it; a network when the address is masked.
    #[schema(example = "203.0.113.7")]
    pub address: Option<String>,
    /// The length of the body as it was sent, in bytes.
    #[schema(example = 512)]
    pub body_bytes: i32,
    /// What data protection left out of it; null when it is stored as it came. A masked value is `[masked]`, of which learning
    /// takes only that it is there.
    pub masked: Option<Masked>,
    /// When it was captured or given.
    pub taken_at: DateTime<Utc>,
}

/// A request that shows what a webhook's data is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sample)]
pub struct SampleView {
    /// What a list shows too.
    #[serde(flatten)]
    pub summary: SampleSummary,
    /// The values of the suffix's path parameters.
    #[schema(example = json!({ "order_id": "42" }))]
    pub path_parameters: BTreeMap<String, String>,
    /// The headers, in their order. Credentials are not shown.
    pub headers: Vec<HeaderView>,
    /// What the body is, and its beginning.
    pub body: BodyPreview,
}

impl From<Sample> for SampleSummary {
    fn from(sample: Sample) -> Self {
        Self {
            taken_at: sample.id.created_at(),
            address: sample.address.map(address),
            id: sample.id,
            webhook_id: sample.webhook_id,
            source: sample.source,
            url_id: sample.url_id,
            event_id: sample.event_id,
            number: sample.number,
            environment: sample.environment,
            method: sample.method,
            path: sample.path,
            query: sample.query,
            body_bytes: sample.body_bytes,
            masked: sample.masked,
        }
    }
}

impl SampleView {
    /// Shows a sample with its content. Takes a while for a long body.
    pub fn new(sample: Sample, content: EventContent) -> Self {
        let suffix = UrlSuffix::parse(&sample.suffix).ok();
        let parameters = suffix.as_ref().and_then(|suffix| suffix.parameters(&sample.path));
        let path_parameters = parameters
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Self {
            path_parameters,
            headers: HeaderView::all(&content.headers),
            body: BodyPreview::new(&content.headers, content.body),
            summary: sample.into(),
        }
    }
}
