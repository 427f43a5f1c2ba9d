//! Where signatures are in a request, and how they are written.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content::Encoding;
use super::place::Place;

/// Where the signatures of a request are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"at": {"in": "header", "name": "x-hub-signature-256"}, "prefix": "sha256=", "encoding": "hex"}))]
pub struct SignatureSettings {
    /// Where they are. A key of `pair` may be there several times.
    pub at: Place,
    /// Whether the name of the header is followed by `-1`, `-2` and so on, up to this number.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    pub numbered_up_to: Option<u16>,
    /// What stands between several signatures in one value; without it the value is one signature.
    #[serde(default)]
    #[schema(example = " ")]
    pub separator: Option<String>,
    /// What each signature begins with. In a list, what begins otherwise is passed over.
    #[serde(default)]
    #[schema(example = "sha256=")]
    pub prefix: Option<String>,
    /// How its bytes are written.
    #[serde(default)]
    pub encoding: Encoding,
}
