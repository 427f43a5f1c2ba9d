//! Why a body cannot be read, or not without doubt. The texts are for the tenant, and hold nothing of the body but names.

use super::document::{MAX_DEPTH, MAX_VALUES};
use super::encoding::MAX_ENCODINGS;
use super::multipart::MAX_PARTS;

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A content encoding that Hookgate does not know, or too many of them.
    #[error("the content encoding `{0}` is not known: up to {most} of gzip, deflate, br and zstd are", most = MAX_ENCODINGS)]
    UnknownEncoding(String),
    /// The content encoding is not what the body is written in.
    #[error("the body is not {0}, as its content encoding says")]
    MalformedEncoding(&'static str),
    /// The body decodes to more than it may.
    #[error("the body decodes to more than {0} bytes")]
    DecodesToTooMuch(usize),
    /// A charset that nobody knows.
    #[error("the charset `{0}` is not known")]
    UnknownCharset(String),
    /// The body is not of the form that its content type promises.
    #[error("the body is no valid {what}: {detail}")]
    Malformed {
        /// The form.
        what: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// The values are nested too deep.
    #[error("the values are nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// There are too many values.
    #[error("the body holds more than {MAX_VALUES} values")]
    TooManyValues,
    /// A multipart body has too many parts.
    #[error("the body has more than {MAX_PARTS} parts")]
    TooManyParts,
    /// An object of JSON has a name twice. The last value counts, but another reader could take the first.
    #[error("the name `{0}` is there twice in one object; the last value counts")]
    RepeatedName(String),
}

impl BodyError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownEncoding(_) => "unknown_encoding",
            Self::MalformedEncoding(_) => "malformed_encoding",
            Self::DecodesToTooMuch(_) => "decodes_to_too_much",
            Self::UnknownCharset(_) => "unknown_charset",
            Self::Malformed { .. } => "malformed",
            Self::TooDeep => "too_deep",
            Self::TooManyValues => "too_many_values",
            Self::TooManyParts => "too_many_parts",
            Self::RepeatedName(_) => "repeated_name",
        }
    }
}
