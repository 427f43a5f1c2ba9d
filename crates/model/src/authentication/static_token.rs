//! A long-lived token that the sender repeats with each request.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::place::Place;
use crate::ids::SecretId;

/// A long-lived token that the sender repeats with each request, alone or beside a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"at": {"in": "header", "name": "x-gitlab-token"}, "secrets": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}))]
pub struct StaticTokenSettings {
    /// Where the token is.
    pub at: Place,
    /// What stands before it, such as `Bearer `; case matters.
    #[serde(default)]
    #[schema(example = "Bearer ", max_length = 100)]
    pub prefix: Option<String>,
    /// The live tokens.
    #[schema(min_items = 1, max_items = 10)]
    pub secrets: Vec<SecretId>,
    /// The other half of a pair: a value that is no secret, such as a client's id.
    #[serde(default)]
    pub beside: Option<BesideSettings>,
}

/// A value that must stand beside a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenBeside, example = json!({"at": {"in": "header", "name": "x-client-id"}, "value": "shop-1"}))]
pub struct BesideSettings {
    /// Where it is.
    pub at: Place,
    /// What it must be.
    #[schema(min_length = 1, max_length = 1000, example = "shop-1")]
    pub value: String,
}
