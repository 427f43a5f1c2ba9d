//! How a webhook knows its senders. One file per kind; the exhaustive match here is the checklist for a new one.

pub mod api_key;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a sender must present. Stored with the webhook and shown in the API in this form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"kind": "api_key"}))]
pub enum Authentication {
    /// Nothing: the unguessable URL is the credential.
    #[default]
    None,
    /// One of the webhook's API keys, in `x-api-key` or `authorization` (bare or as `Bearer`).
    ApiKey,
}
