//! Collections and records as the API shows them.

use chrono::{DateTime, Utc};
use hookgate_domain::collections::Collection;
use hookgate_domain::records::Record;
use hookgate_model::ids::RecordId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A named set of records.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Collection, example = json!({"name": "orders",
    "schema": {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}},
    "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"}))]
pub struct CollectionView {
    /// Its name, unique in the tenant.
    name: String,
    /// What its records must fit.
    #[schema(value_type = Value)]
    schema: Option<Value>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When its schema last changed.
    updated_at: DateTime<Utc>,
}

impl From<Collection> for CollectionView {
    fn from(collection: Collection) -> Self {
        Self {
            name: collection.name,
            schema: collection.schema,
            created_at: collection.created_at,
            updated_at: collection.updated_at,
        }
    }
}

/// A row of a collection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Record, example = json!({"id": "rec_01k9z3v8e5f2q8r7w6t5y4x3m2", "key": "o-42", "data": {"total": 12.5},
    "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"}))]
pub struct RecordView {
    /// Its id.
    id: RecordId,
    /// Its key, unique in the collection.
    key: String,
    /// What it holds.
    #[schema(value_type = Object)]
    data: Value,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl From<Record> for RecordView {
    fn from(record: Record) -> Self {
        Self {
            id: record.id,
            key: record.key,
            data: record.data,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}
