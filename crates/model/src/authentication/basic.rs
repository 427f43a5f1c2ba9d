//! A user name and a password (RFC 7617).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::SecretId;

/// A user name and a password in `authorization: Basic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"users": [{"name": "sender", "passwords": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}]}))]
pub struct BasicSettings {
    /// Who may come in.
    #[schema(min_items = 1, max_items = 10)]
    pub users: Vec<BasicUser>,
}

/// A user and their passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "sender", "passwords": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}))]
pub struct BasicUser {
    /// The user name; it may hold no colon.
    #[schema(min_length = 1, max_length = 200, example = "sender")]
    pub name: String,
    /// The live passwords.
    #[schema(min_items = 1, max_items = 10)]
    pub passwords: Vec<SecretId>,
}
