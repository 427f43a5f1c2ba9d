//! A public URL as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::clock;
use hookgate_domain::urls::Url;
use hookgate_model::ids::{UrlId, WebhookId};
use hookgate_model::webhook::{Environment, UrlStatus};
use serde::Serialize;
use utoipa::ToSchema;

use crate::routes::webhooks::UrlLimitsBody;

/// A public URL of a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Url, example = json!({"id": "url_01k9z3v8e5f2q8r7w6t5y4x3m2", "webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "name": "production", "environment": "production", "suffix": "orders/{order_id}",
    "public_url": "https://hooks.example.com/5x3k9z3v8e5f2q8r7w6t5y4x3m/orders/{order_id}", "grace_until": null,
    "status": "active", "limits": {"requests_per_second": null, "burst": null},
    "created_at": "2026-11-21T12:00:00Z", "expires_at": null, "revoked_at": null}))]
pub struct UrlView {
    /// Its id.
    pub id: UrlId,
    /// The webhook that it leads to.
    pub webhook_id: WebhookId,
    /// What the tenant calls it, such as the sender's name.
    #[schema(example = "production")]
    pub name: String,
    /// What it runs: the draft (`test`) or what is published (`production`).
    pub environment: Environment,
    /// What follows the token. A segment in braces is a path parameter.
    #[schema(example = "orders/{order_id}")]
    pub suffix: String,
    /// What a sender calls. It is generated and cannot be guessed; whoever knows it can send, unless the webhook demands
    /// more.
    #[schema(example = "https://hooks.example.com/5x3k9z3v8e5f2q8r7w6t5y4x3m/orders/{order_id}")]
    pub public_url: String,
    /// Whether it works, and for how much longer.
    pub status: UrlStatus,
    /// Until when the URL from before the last rotation still works, while it does.
    pub grace_until: Option<DateTime<Utc>>,
    /// How much it takes, besides what its webhook does.
    pub limits: UrlLimitsBody,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when it does not work any more; null: it does not expire.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl UrlView {
    /// Shows a URL under the address of the ingress.
    pub fn new(url: &Url, public_url: &url::Url) -> Self {
        let base = public_url.as_str().trim_end_matches('/');
        Self {
            id: url.id,
            webhook_id: url.webhook_id,
            name: url.name.clone(),
            environment: url.environment,
            suffix: url.suffix.to_string(),
            public_url: format!("{base}/{}/{}", url.token, url.suffix),
            status: UrlStatus::of(url.expires_at, url.revoked_at, clock::now()),
            grace_until: url.grace_until,
            limits: url.limits.into(),
            created_at: url.created_at,
            expires_at: url.expires_at,
            revoked_at: url.revoked_at,
        }
    }
}
