//! What cannot work in the settings of an authentication, told when they are saved.

/// Something that cannot work. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct Problem {
    /// Where in the authentication, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What kind of fault.
    pub code: ProblemCode,
    /// What is wrong and what to do, for people.
    pub detail: String,
}

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemCode {
    /// It must be given.
    Required,
    /// It is shorter than it may be.
    TooShort,
    /// It is longer than it may be.
    TooLong,
    /// It is smaller or greater than it may be.
    OutOfRange,
    /// It names an object that is not there: a secret, a sender.
    NotFound,
    /// It is wrong in another way, which the detail says.
    Invalid,
}

impl Problem {
    /// A problem at a place, relative to the settings at hand.
    pub fn new(pointer: impl Into<String>, code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }
    }

    /// The same problem, seen from further up.
    #[must_use]
    pub fn below(self, parent: &str) -> Self {
        Self {
            pointer: format!("{parent}{}", self.pointer),
            ..self
        }
    }
}

/// Notes a list that is empty or too long.
pub(super) fn check_count(problems: &mut Vec<Problem>, pointer: &str, count: usize, most: usize) {
    if count == 0 {
        problems.push(Problem::new(
            pointer,
            ProblemCode::Required,
            "must have at least one entry",
        ));
    } else if count > most {
        problems.push(Problem::new(
            pointer,
            ProblemCode::TooLong,
            format!("may have at most {most} entries"),
        ));
    }
}

/// Notes a text that is longer than it may be, in characters.
pub(super) fn check_text(problems: &mut Vec<Problem>, pointer: &str, text: &str, most: usize) {
    if text.chars().count() > most {
        problems.push(Problem::new(
            pointer,
            ProblemCode::TooLong,
            format!("may have at most {most} characters"),
        ));
    }
}

/// Notes a text that is empty or longer than it may be, in characters.
pub(super) fn check_some_text(problems: &mut Vec<Problem>, pointer: &str, text: &str, most: usize) {
    if text.is_empty() {
        problems.push(Problem::new(pointer, ProblemCode::Required, "may not be empty"));
    }
    check_text(problems, pointer, text, most);
}
