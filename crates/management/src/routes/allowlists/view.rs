//! An allowlist and its entries as the API shows them.

use chrono::{DateTime, Utc};
use hookgate_domain::allowlists::{Allowlist, Entry};
use hookgate_model::ids::{AllowlistEntryId, AllowlistId};
use serde::Serialize;
use utoipa::ToSchema;

/// A named list of networks, which can be attached to any number of webhooks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Allowlist, example = json!({"id": "alw_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "name": "the shop's data centres", "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z"}))]
pub struct AllowlistView {
    /// Its id.
    pub id: AllowlistId,
    /// A name, unique in the tenant.
    #[schema(example = "the shop's data centres")]
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its name or its entries last changed.
    pub updated_at: DateTime<Utc>,
}

/// A network of an allowlist.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AllowlistEntry, example = json!({"id": "ale_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "allowlist_id": "alw_01k9z3v8e5f2q8r7w6t5y4x3m2", "network": "203.0.113.0/24", "note": "Frankfurt",
    "created_at": "2026-11-21T12:00:00Z"}))]
pub struct EntryView {
    /// Its id.
    pub id: AllowlistEntryId,
    /// The allowlist that it belongs to.
    pub allowlist_id: AllowlistId,
    /// The network; a single address is a network of length 32 or 128.
    #[schema(example = "203.0.113.0/24")]
    pub network: String,
    /// Why it is there.
    #[schema(example = "Frankfurt")]
    pub note: String,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

impl From<Allowlist> for AllowlistView {
    fn from(allowlist: Allowlist) -> Self {
        Self {
            id: allowlist.id,
            name: allowlist.name,
            created_at: allowlist.created_at,
            updated_at: allowlist.updated_at,
        }
    }
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            allowlist_id: entry.allowlist_id,
            network: entry.network.to_string(),
            note: entry.note,
            created_at: entry.created_at,
        }
    }
}
