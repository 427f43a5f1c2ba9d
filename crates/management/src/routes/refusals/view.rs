//! A refusal as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::refusals::Refusal;
use hookgate_model::ids::{EventId, RefusalId, UrlId, WebhookId};
use hookgate_model::protection::Masked;
use serde::Serialize;
use utoipa::ToSchema;

use crate::request_view::{HeaderView, address, text};

/// A refused request to a known URL.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refusal, example = json!({"id": "ref_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2", "url_id": "url_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "reason": "method_not_allowed", "detail": "GET is not among POST", "status": 405, "method": "GET", "path": "orders/42",
    "query": "", "address": "203.0.113.7", "headers": [{"name": "user-agent", "value": "curl/8"}], "body_bytes": null,
    "body_preview": "", "masked": null, "recheckable": true,
    "event_id": null, "refused_at": "2026-11-21T12:00:00Z"}))]
pub struct RefusalView {
    /// Its id.
    pub id: RefusalId,
    /// The webhook that refused it.
    pub webhook_id: WebhookId,
    /// The URL that it came to.
    pub url_id: UrlId,
    /// Why, for programs.
    #[schema(example = "method_not_allowed")]
    pub reason: String,
    /// Why, for people.
    #[schema(example = "GET is not among POST")]
    pub detail: String,
    /// The HTTP status of the answer.
    #[schema(example = 405)]
    pub status: i16,
    /// The HTTP method.
    #[schema(example = "GET")]
    pub method: String,
    /// The path after the token, as it was sent.
    #[schema(example = "orders/42")]
    pub path: String,
    /// The query string after the `?`, as it was sent.
    #[schema(example = "")]
    pub query: String,
    /// Who sent it; a network when the address is masked.
    #[schema(example = "203.0.113.7")]
    pub address: Option<String>,
    /// The headers, in the order in which they came. Credentials are not kept.
    pub headers: Vec<HeaderView>,
    /// The length of the body, when it was known.
    #[schema(example = 512)]
    pub body_bytes: Option<i32>,
    /// The beginning of the body, when it was read and is text.
    pub body_preview: Option<String>,
    /// What was left out of what is shown: credentials, and what data protection masks. Null when it is shown as it was sent.
    pub masked: Option<Masked>,
    /// Whether the whole request is kept, encrypted, so that it can be judged again.
    pub recheckable: bool,
    /// The event that it was taken as after all.
    pub event_id: Option<EventId>,
    /// When it was refused.
    pub refused_at: DateTime<Utc>,
}

impl From<Refusal> for RefusalView {
    fn from(refusal: Refusal) -> Self {
        Self {
            event_id: refusal.event_id(),
            recheckable: refusal.is_kept,
            masked: refusal.masked,
            refused_at: refusal.id.created_at(),
            address: refusal.address.map(address),
            headers: HeaderView::all(&refusal.headers),
            body_preview: text(&refusal.body_preview),
            id: refusal.id,
            webhook_id: refusal.webhook_id,
            url_id: refusal.url_id,
            reason: refusal.reason,
            detail: refusal.detail,
            status: refusal.status,
            method: refusal.method,
            path: refusal.path,
            query: refusal.query,
            body_bytes: refusal.body_bytes,
        }
    }
}
