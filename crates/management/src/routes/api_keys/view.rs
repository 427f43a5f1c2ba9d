//! An API key as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::api_keys::ApiKey;
use hookgate_model::ids::{ApiKeyId, WebhookId};
use serde::Serialize;
use utoipa::ToSchema;

/// What a sender presents at a webhook whose `authentication.kind` is `api_key`, without the secret itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey, example = json!({"id": "key_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "the shop", "hint": "TcYQ",
    "created_at": "2026-11-21T12:00:00Z", "expires_at": "2027-11-21T00:00:00Z", "revoked_at": null,
    "last_used_at": "2026-11-21T12:30:00Z"}))]
pub struct ApiKeyView {
    /// Its id.
    pub id: ApiKeyId,
    /// The webhook at which it counts.
    pub webhook_id: WebhookId,
    /// What the tenant calls it, such as the sender's name.
    #[schema(example = "the shop")]
    pub name: String,
    /// The last characters of the key.
    #[schema(example = "x9Qe")]
    pub hint: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when it is not valid any more; null: it does not expire.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When a sender last presented it, to within a few seconds.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A new API key with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"key": "hgk_q1U8u2Zf0mCk7h3o5yB4t9Lr6WvXaEdGjNsPiKxTcYQ", "id": "key_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2", "name": "the shop", "hint": "TcYQ",
    "created_at": "2026-11-21T12:00:00Z", "expires_at": "2027-11-21T00:00:00Z", "revoked_at": null,
    "last_used_at": null}))]
pub struct CreatedApiKey {
    /// What a sender presents in `x-api-key`, or in `authorization` as `Bearer …`. It cannot be shown again.
    key: String,
    #[serde(flatten)]
    about: ApiKeyView,
}

impl CreatedApiKey {
    /// Shows a new key with its text.
    pub fn new(about: ApiKey, key: String) -> Self {
        Self {
            key,
            about: about.into(),
        }
    }
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            webhook_id: key.webhook_id,
            name: key.name,
            hint: key.hint,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
        }
    }
}
