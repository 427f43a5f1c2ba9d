//! How a request differs from what is expected of it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::webhook::text_enum;

/// How many differences are told in words.
const TOLD: usize = 10;

text_enum! {
    /// A part of a request.
    Place {
        /// The headers.
        Headers = "headers",
        /// The query.
        Query = "query",
        /// The path.
        Path = "path",
        /// The body.
        Body = "body",
    }
}

text_enum! {
    /// How something differs from what is expected.
    ViolationCode {
        /// It is not there.
        Missing = "missing",
        /// It is of another type.
        WrongType = "wrong_type",
        /// It is none of the values that it can have.
        WrongValue = "wrong_value",
        /// None of a group of fields is there.
        NoneOfGroup = "none_of_group",
        /// The body cannot be read.
        Unreadable = "unreadable",
    }
}

/// Something that differs from what is expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ExpectationViolation, example = json!({"place": "body", "path": "order.id", "code": "missing", "msg": "Missing required parameter"}))]
pub struct Violation {
    /// In which part of the request.
    pub place: Place,
    /// Which field: a name, or a path into the body.
    #[schema(example = "order.id")]
    pub path: String,
    /// How it differs.
    pub code: ViolationCode,
    /// The same in words. Values that came are not repeated.
    #[schema(example = "Missing required parameter")]
    pub msg: String,
}

impl Violation {
    /// The path as a structure has it: `[]` for every item of a list, whichever it is here.
    pub fn path_in_structure(&self) -> String {
        let mut told = String::with_capacity(self.path.len());
        let mut rest = self.path.as_str();
        while let Some((before, after)) = rest.split_once('[') {
            told.push_str(before);
            told.push('[');
            rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        told.push_str(rest);
        told
    }
}

/// What differs, in one sentence, as far as that has room for it.
pub fn describe(violations: &[Violation]) -> String {
    let told: Vec<String> = violations
        .iter()
        .take(TOLD)
        .map(|one| format!("{} {}: {}", one.place, one.path, one.msg))
        .collect();
    let more = match violations.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!(
        "The request is not what this webhook expects: {}{more}.",
        told.join("; ")
    )
}
