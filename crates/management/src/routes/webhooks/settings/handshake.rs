//! What a webhook's sender asks before it sends, as the API takes it.

use hookgate_model::authentication::{Problem, ProblemCode};
use hookgate_model::senders::Handshake;
use serde_json::Value;

use super::field_error;
use crate::fields::{Read, json};

/// Reads a handshake of a webhook's own.
pub fn read(value: Value) -> Read<Handshake> {
    let handshake: Handshake = json(value)?;
    let mut problems = handshake.problems();
    if handshake.is_pairing() {
        // The secret that it brings goes into the settings of the sender.
        let kind = handshake.kind();
        let detail = format!(
            "comes with its sender: set `authentication` to {{\"kind\": \"sender\", \"sender\": \"{kind}\"}}"
        );
        problems.push(Problem::new("/kind", ProblemCode::Invalid, detail));
    }
    if problems.is_empty() {
        Ok(handshake)
    } else {
        Err(problems.into_iter().map(field_error).collect())
    }
}
