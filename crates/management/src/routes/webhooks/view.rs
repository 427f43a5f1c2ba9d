//! A webhook as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::allowlists::Checked;
use hookgate_domain::urls::Url;
use hookgate_domain::webhooks::Webhook;
use hookgate_model::authentication::Authentication;
use hookgate_model::cors::Cors;
use hookgate_model::deduplication::Deduplication;
use hookgate_model::ids::{AllowlistEntryId, AllowlistId, RevisionId, WebhookId};
use hookgate_model::protection::DataProtection;
use hookgate_model::sender_address::Sender;
use hookgate_model::senders::Handshake;
use hookgate_model::webhook::Status;
use serde::Serialize;
use utoipa::ToSchema;

use super::settings::{BodiesBody, LimitsBody};
use crate::routes::urls::UrlView;

/// A webhook: live settings, effective at once, and the public URLs that lead to it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook, example = json!({"id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "Orders from the shop",
    "system": "custom", "status": "active", "suffix": "orders/{order_id}", "methods": ["POST"],
    "data_protection": {"mask": ["body.card.number"], "mask_address": false, "sensitive_if": null},
    "deduplication": {"key": "{{ body.event_id }}", "remember_hours": 168},
    "authentication": {"kind": "api_key"}, "handshake": null, "allowlists": [],
    "limits": {"body_bytes": 1_048_576, "requests_per_second": 50, "burst": 100, "waiting_callers": null},
    "bodies": {"malformed": "accept"}, "cors": null,
    "draft_revision_id": "rev_01k9z3v8e5f2q8r7w6t5y4x3m2", "published_revision_id": null,
    "urls": [{"id": "url_01k9z3v8e5f2q8r7w6t5y4x3m2", "webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2",
        "name": "production", "environment": "production", "suffix": "orders/{order_id}",
        "public_url": "https://hooks.example.com/5x3k9z3v8e5f2q8r7w6t5y4x3m/orders/{order_id}", "status": "active", "grace_until": null,
        "limits": {"requests_per_second": null, "burst": null},
        "created_at": "2026-11-21T12:00:00Z", "expires_at": null, "revoked_at": null}],
    "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"}))]
pub struct WebhookView {
    /// Its id.
    pub id: WebhookId,
    /// What the tenant calls it.
    #[schema(example = "Orders from the shop")]
    pub name: String,
    /// The system that sends, such as `github`, or `custom`.
    #[schema(example = "custom")]
    pub system: String,
    /// Whether it takes requests.
    pub status: Status,
    /// What follows the token in its URLs. A segment in braces is a path parameter.
    #[schema(example = "orders/{order_id}")]
    pub suffix: String,
    /// The methods that it accepts; others get 405.
    #[schema(example = json!(["POST"]))]
    pub methods: Vec<&'static str>,
    /// What a sender must present.
    pub authentication: Authentication,
    /// What the sender asks before it sends; null: what is known of the sender in `authentication`.
    pub handshake: Option<Handshake>,
    /// The allowlists of which one must hold the sender's address; none: every address may send.
    pub allowlists: Vec<AllowlistId>,
    /// How much it takes.
    pub limits: LimitsBody,
    /// What of its requests is stored masked.
    pub data_protection: DataProtection,
    /// What it makes of bodies.
    pub bodies: BodiesBody,
    /// Which web pages may call it from a browser and read its answers; null: none.
    pub cors: Option<Cors>,
    /// What it recognises a delivery by that came before; null: every delivery is a new one.
    pub deduplication: Option<Deduplication>,
    /// What the test URLs run.
    pub draft_revision_id: RevisionId,
    /// What the production URLs run; null until something is published: they store events then, and run nothing.
    pub published_revision_id: Option<RevisionId>,
    /// Its public URLs, in the order in which they were made.
    pub urls: Vec<UrlView>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its settings or status last changed.
    pub updated_at: DateTime<Utc>,
}

impl WebhookView {
    /// Shows a webhook with those of the URLs that are its own.
    pub fn new(webhook: Webhook, urls: &[Url], public_url: &url::Url) -> Self {
        Self {
            urls: urls
                .iter()
                .filter(|url| url.webhook_id == webhook.id)
                .map(|url| UrlView::new(url, public_url))
                .collect(),
            id: webhook.id,
            name: webhook.name,
            system: webhook.system,
            status: webhook.status,
            suffix: webhook.suffix.to_string(),
            methods: webhook.methods.iter().collect(),
            authentication: webhook.authentication,
            handshake: webhook.handshake,
            allowlists: webhook.allowlists,
            limits: LimitsBody::new(webhook.body_limit_bytes, webhook.limits),
            data_protection: webhook.data_protection,
            bodies: BodiesBody {
                malformed: webhook.malformed_bodies,
            },
            cors: webhook.cors,
            deduplication: webhook.deduplication,
            draft_revision_id: webhook.draft_revision_id,
            published_revision_id: webhook.published_revision_id,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// Whether an address may send to a webhook, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"address": "203.0.113.7", "seen": null, "allowed": true, "reason": "listed",
    "entry": {"allowlist_id": "alw_01k9z3v8e5f2q8r7w6t5y4x3m2", "id": "ale_01k9z3v8e5f2q8r7w6t5y4x3m2",
        "network": "203.0.113.0/24", "note": "Frankfurt"},
    "allowlists": [{"id": "alw_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "shop", "entries": 12,
        "entry": {"allowlist_id": "alw_01k9z3v8e5f2q8r7w6t5y4x3m2", "id": "ale_01k9z3v8e5f2q8r7w6t5y4x3m2",
            "network": "203.0.113.0/24", "note": "Frankfurt"}}]}))]
pub struct AddressCheck {
    /// The address that was asked about, or the caller's, in its normal form.
    #[schema(example = "203.0.113.7")]
    pub address: String,
    /// How the caller's address is known; null when another was asked about.
    pub seen: Option<SeenAddress>,
    /// Whether a request from it passes the allowlists.
    pub allowed: bool,
    /// Why.
    pub reason: AddressReason,
    /// The entry that lets it in, the narrowest of several.
    pub entry: Option<DecidingEntry>,
    /// Each attached allowlist, and what it says of the address.
    pub allowlists: Vec<CheckedAllowlist>,
}

/// How a caller's address is known.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeenAddress {
    /// The trusted proxy that the call came through; null when it came directly.
    #[schema(example = "10.0.0.1")]
    pub proxy: Option<String>,
    /// The header in which that proxy named the caller; null when it named nobody, or nobody was asked.
    #[schema(example = "x-forwarded-for")]
    pub named_in: Option<String>,
}

impl From<Sender> for SeenAddress {
    fn from(sender: Sender) -> Self {
        let named = sender.named_by.filter(|(proxy, _)| *proxy != sender.address);
        Self {
            proxy: sender.named_by.map(|(proxy, _)| proxy.to_string()),
            named_in: named.map(|(_, header)| header.name().to_owned()),
        }
    }
}

/// An attached allowlist, and what it says of an address.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckedAllowlist {
    /// The allowlist.
    pub id: AllowlistId,
    /// Its name.
    #[schema(example = "shop")]
    pub name: String,
    /// How many networks it holds.
    pub entries: i64,
    /// The narrowest of them that holds the address; null when none does.
    pub entry: Option<DecidingEntry>,
}

impl From<Checked> for CheckedAllowlist {
    fn from(checked: Checked) -> Self {
        Self {
            id: checked.id,
            name: checked.name,
            entries: checked.entries,
            entry: checked.entry.map(DecidingEntry::from),
        }
    }
}

/// Why an address is let in or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddressReason {
    /// No allowlist is attached: every address may send.
    NoAllowlist,
    /// An entry of an attached allowlist holds the address.
    Listed,
    /// Allowlists are attached, and no entry of theirs holds the address.
    NotListed,
}

/// The entry of an allowlist that decided.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecidingEntry {
    /// The allowlist.
    pub allowlist_id: AllowlistId,
    /// The entry.
    pub id: AllowlistEntryId,
    /// Its network.
    #[schema(example = "203.0.113.0/24")]
    pub network: String,
    /// Why it is there.
    pub note: String,
}

impl From<hookgate_domain::allowlists::Entry> for DecidingEntry {
    fn from(entry: hookgate_domain::allowlists::Entry) -> Self {
        Self {
            allowlist_id: entry.allowlist_id,
            id: entry.id,
            network: entry.network.to_string(),
            note: entry.note,
        }
    }
}
