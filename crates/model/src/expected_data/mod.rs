//! The structure that a webhook's requests are expected to have: learnt from samples or written by hand, checked against
//! live requests, told as JSON Schema, and turned into made-up requests.
//!
//! A structure is a flat list of fields, which people can read and edit. [`Matcher`] is its compiled form.

mod credentials;
mod field_path;
mod format;
mod infer;
mod json_schema;
mod made_up;
mod matcher;
mod merge;
mod tree;
mod violation;
mod widen;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::webhook::text_enum;
pub use credentials::{api_key_field, without_credentials};
pub use field_path::{FieldPath, FieldPathError, Segment};
pub use infer::infer;
pub use json_schema::{SchemaError, from_json_schema, to_json_schema};
pub use made_up::{MadeUp, made_up};
pub use matcher::Matcher;
pub use merge::{Conflict, Merged, merge};
pub use violation::{Place, Violation, ViolationCode, describe};
pub use widen::widen;

/// The most fields of a structure, in all its lists together.
pub const MAX_FIELDS: usize = 1_000;
/// The most groups of which one field must be there, and the most fields of each.
pub const MAX_GROUPS: usize = 20;
/// The most values that a field can be limited to.
pub const MAX_VALUES: usize = 100;

/// What requests are expected to hold, and what becomes of those that differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"mode": "warn", "headers": [], "query": [], "path": [],
    "body": [{"path": "order.id", "type": "integer", "required": true, "example": 42}],
    "at_least_one_of": [["text", "data"]], "full_body": false}))]
pub struct ExpectedData {
    /// What becomes of requests that differ.
    #[schema(required = false)]
    pub mode: Mode,
    /// The headers, by name.
    #[schema(required = false)]
    pub headers: Vec<Field>,
    /// The query parameters, by name.
    #[schema(required = false)]
    pub query: Vec<Field>,
    /// The parameters of the URL's suffix, by name.
    #[schema(required = false)]
    pub path: Vec<Field>,
    /// The fields of the body, by path.
    #[schema(required = false)]
    pub body: Vec<Field>,
    /// Groups of body fields (or query parameters, of a request without a body) of each of which at least one must be there and
    /// not be empty.
    #[schema(required = false, max_items = 20, value_type = Vec<Vec<String>>)]
    pub at_least_one_of: Vec<Vec<FieldPath>>,
    /// Whether the flow uses the whole body as one text, which it finds as `body_text`.
    #[schema(required = false, default = false)]
    pub full_body: bool,
}

impl ExpectedData {
    /// Whether nothing was ever said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it expects nothing.
    pub fn is_empty(&self) -> bool {
        self.fields().next().is_none() && self.at_least_one_of.is_empty()
    }

    /// All fields.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        [&self.headers, &self.query, &self.path, &self.body]
            .into_iter()
            .flatten()
    }
}

text_enum! {
    /// What becomes of requests that differ from what is expected.
    #[derive(Default)]
    Mode {
        /// Nothing is looked at.
        #[default]
        Off = "off",
        /// They are accepted, and how they differ is recorded.
        Warn = "warn",
        /// They are refused.
        Enforce = "enforce",
    }
}

/// A field that is expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"path": "order.items[].sku", "type": "string", "required": true, "example": "A-1"}))]
pub struct Field {
    /// A header's or parameter's name. In the body a path: names separated by dots, `[]` for the items of a list, a name with
    /// other signs as `["a.b"]`; empty for the body itself.
    #[schema(value_type = String, max_length = 500, example = "order.id")]
    pub path: FieldPath,
    /// What its values are. Values of headers, parameters and forms are texts, and checked for what they read as.
    #[serde(rename = "type", default)]
    #[schema(required = false)]
    pub field_type: FieldType,
    /// Whether it must be there, in every object that its path leads to.
    #[serde(default)]
    #[schema(required = false, default = false)]
    pub required: bool,
    /// Whether it may be null.
    #[serde(default)]
    #[schema(required = false, default = false)]
    pub nullable: bool,
    /// The values that it can have; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 100, value_type = Vec<Value>)]
    pub values: Vec<Value>,
    /// A value, for documentation and for made-up requests.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schema(required = false, value_type = Value)]
    pub example: Value,
    /// Whether it was learnt from samples and nobody has changed it since: then later samples change it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false, default = false)]
    pub inferred: bool,
}

text_enum! {
    /// What a field's values are.
    #[derive(Default)]
    FieldType {
        /// Anything.
        #[default]
        Any = "any",
        /// Text.
        String = "string",
        /// A whole number.
        Integer = "integer",
        /// A number.
        Number = "number",
        /// `true` or `false`.
        Boolean = "boolean",
        /// A list.
        Array = "array",
        /// Fields with names.
        Object = "object",
        /// A time (RFC 3339).
        DateTime = "date-time",
        /// An e-mail address.
        Email = "email",
        /// An absolute URI with an authority, such as `https://example.com/`.
        Uri = "uri",
        /// A UUID (RFC 9562) in its usual form.
        Uuid = "uuid",
    }
}

#[cfg(test)]
mod tests;
