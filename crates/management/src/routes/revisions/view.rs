//! A revision as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::revisions::Revision;
use hookgate_model::flow::definition::RevisionDocument;
use hookgate_model::ids::{RevisionId, WebhookId};
use json_patch::{PatchOperation, diff};
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

/// What leads from one revision to another.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RevisionComparison, example = json!({"from_number": 2, "to_number": 3, "changes": [
    {"op": "replace", "path": "/flow/steps/0/status", "before": 200, "after": 201}]}))]
pub struct ComparisonView {
    /// The number of the one.
    #[schema(example = 2)]
    pub from_number: i32,
    /// The number of the other.
    #[schema(example = 3)]
    pub to_number: i32,
    /// What changes, in an order in which it can be done. Empty when they are alike.
    pub changes: Vec<ChangeView>,
}

/// A change of a document.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RevisionChange)]
pub struct ChangeView {
    /// `add`, `remove` or `replace`.
    #[schema(example = "replace")]
    pub op: &'static str,
    /// Where, as a JSON Pointer into the document.
    #[schema(example = "/flow/steps/0/status")]
    pub path: String,
    /// What was there; null for what is added.
    #[schema(value_type = Value)]
    pub before: Option<Value>,
    /// What is there then; null for what is removed.
    #[schema(value_type = Value)]
    pub after: Option<Value>,
}

impl ComparisonView {
    /// Compares two revisions.
    pub fn new(from: &Revision, to: &Revision) -> Self {
        let mut document = from.document.clone();
        let mut changes = Vec::new();
        for operation in diff(&from.document, &to.document).0 {
            let path = operation.path().to_string();
            let before = document.pointer(&path).cloned();
            let (op, before, after) = match &operation {
                PatchOperation::Add(add) => ("add", None, Some(add.value.clone())),
                PatchOperation::Remove(_) => ("remove", before, None),
                PatchOperation::Replace(replace) => ("replace", before, Some(replace.value.clone())),
                // A diff has no others.
                PatchOperation::Move(_) | PatchOperation::Copy(_) | PatchOperation::Test(_) => continue,
            };
            changes.push(ChangeView {
                op,
                path,
                before,
                after,
            });
            // Paths of what follows are those of the document as it is by then.
            if json_patch::patch(&mut document, std::slice::from_ref(&operation)).is_err() {
                break;
            }
        }
        Self {
            from_number: from.number,
            to_number: to.number,
            changes,
        }
    }
}
