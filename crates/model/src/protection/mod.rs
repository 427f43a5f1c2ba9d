//! Data protection: which parts of a request are stored masked, and what of it must not be recorded elsewhere.
//!
//! What a webhook's settings say ([`DataProtection`]) is compiled once ([`Protection`]) and applied to each request before
//! it is stored. Everything that is not masked keeps its bytes. Invariant: when it is unsure what a part holds, the whole
//! part goes; nothing is stored because it could not be read.

mod body;
mod json;
mod mask_path;
mod pairs;
mod protect;
mod scrub;
mod sensitive;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use mask_path::{MaskPath, MaskPathError};
pub(crate) use mask_path::{Segment as MaskSegment, Target};
pub use protect::{Kept, Parts, Protection, network_of};
pub use scrub::{Scrubber, Secrets};
pub use sensitive::Condition;

/// What stands for a masked value.
pub const MASKED: &str = "[masked]";
/// The most paths that a webhook can mask.
pub const MAX_PATHS: usize = 32;

/// What of a webhook's requests is stored masked. What the flow receives is never masked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"mask": ["headers.authorization", "query.token", "body.card.number", "body.items[].iban"],
    "mask_address": true, "sensitive_if": "{{ body.disableSensitiveLogging }}"}))]
pub struct DataProtection {
    /// The values to mask: `headers.<name>`, `query.<name>`, `path.<parameter>`, `body`, or a path into the body such as
    /// `body.card.number`, `body.items[].iban`, `body.*.email`, `body.**.password` (at any depth) or `body["a.b"]`. A name
    /// applies to every item of a list, too.
    #[schema(required = false, max_items = 32, value_type = Vec<String>)]
    pub mask: Vec<MaskPath>,
    /// Whether the sender's address is stored without its last part: an IPv4 address as its /24, an IPv6 address as its
    /// /48.
    #[schema(required = false, default = false)]
    pub mask_address: bool,
    /// An expression over the request, `{{ … }}`. Unless it gives `false`, 0, nothing or a word such as `"false"` or `"no"`,
    /// the request is sensitive: of its body, query, path parameters and headers no value is stored, but for a few technical
    /// headers, and of its run no result. It is sensitive, too, when the expression fails or takes too long, or asks for a body
    /// that cannot be read.
    #[schema(required = false, example = "{{ body.disableSensitiveLogging }}")]
    pub sensitive_if: Option<String>,
}

impl DataProtection {
    /// Whether it protects nothing.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }
}

/// What was masked of a stored request, as it is kept with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = MaskedParts, example = json!({"sensitive": false, "paths": ["body.card.number", "address"], "body_removed": null}))]
pub struct Masked {
    /// Whether the request was sensitive as a whole: nothing of its values is stored.
    pub sensitive: bool,
    /// The paths of the settings that met a value, and `address`.
    pub paths: Vec<String>,
    /// Why the body is not stored at all; null when it is, be it masked.
    pub body_removed: Option<BodyRemoved>,
}

impl Masked {
    /// Whether everything is stored as it was sent.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a body is not stored at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodyRemoved {
    /// The settings mask the whole body, or the request was sensitive.
    Masked,
    /// The settings mask values in it, and where they are is unknown: it is compressed, not in UTF-8, not well-formed, or
    /// something else than an object or list in JSON, a form, or multipart form data.
    NotReadable,
}
