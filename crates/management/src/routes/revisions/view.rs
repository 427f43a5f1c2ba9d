//! A revision as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::revisions::Revision;
use hookgate_model::flow::definition::RevisionDocument;
use hookgate_model::ids::{RevisionId, WebhookId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// An immutable version of a webhook's behaviour.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Revision, example = json!({"id": "rev_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2", "number": 3,
    "document": {"flow": {"steps": [{"name": "reply", "kind": "respond", "status": 201}]}, "response": {"mode": "wait"}},
    "created_at": "2026-11-21T12:00:00Z", "created_by": "usr_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "published_at": "2026-11-21T12:30:00Z"}))]
pub struct RevisionView {
    /// Its id.
    pub id: RevisionId,
    /// The webhook that it belongs to.
    pub webhook_id: WebhookId,
    /// Counts the webhook's revisions from 1.
    #[schema(example = 3)]
    pub number: i32,
    /// The behaviour.
    #[schema(value_type = RevisionDocument)]
    pub document: Value,
    /// When it was saved.
    pub created_at: DateTime<Utc>,
    /// The user or management key that saved it.
    #[schema(example = "usr_01k9z3v8e5f2q8r7w6t5y4x3m2")]
    pub created_by: String,
    /// When it was first published; null: never.
    pub published_at: Option<DateTime<Utc>>,
}

impl From<Revision> for RevisionView {
    fn from(revision: Revision) -> Self {
        Self {
            id: revision.id,
            webhook_id: revision.webhook_id,
            number: revision.number,
            document: revision.document,
            created_at: revision.created_at,
            created_by: revision.created_by,
            published_at: revision.published_at,
        }
    }
}
