//! The answer of a run to the caller who waits for it, for when it cannot come over Redis.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::answer::Answer;
use hookgate_model::flow::state::State;
use hookgate_model::ids::EventId;

use crate::crypto::RunKey;
use crate::error::{Error, Result};
use crate::schema::{jobs, runs};
use crate::scope::TenantScope;

/// As what the answer of a run is sealed with the run's key.
pub const ANSWER: &str = "answer";
/// As what the progress of a run is sealed with the run's key.
pub const STATE: &str = "state";

/// The answer to an event's caller, if there is one by now: of the finished run, or of a run that goes on after its
/// `respond` step. The job of an event whose caller waits has the event's id. Of an event that is stored masked the answer
/// may be sealed: only who has the run's key gets it, which is the node whose caller waits.
///
/// Runs inside a [`TenantScope::transaction`] that the caller opened.
///
/// # Errors
/// [`Error::Unreadable`] for a damaged answer; when Postgres cannot be reached.
pub fn read(
    conn: &mut PgConnection,
    scope: &TenantScope,
    event: EventId,
    key: Option<&RunKey>,
) -> Result<Option<Answer>> {
    let finished: Option<Option<Vec<u8>>> = runs::table
        .filter(runs::tenant_id.eq(scope.uuid()).and(runs::id.eq(event.uuid())))
        .select(runs::answer)
        .first(conn)
        .optional()?;
    if let Some(answer) = finished {
        let Some(answer) = answer
            .map(|stored| opened(stored, key, ANSWER))
            .transpose()?
            .flatten()
        else {
            return Ok(None);
        };
        return Answer::decode(&answer)
            .map(Some)
            .ok_or(Error::Unreadable { what: "answer" });
    }
    let state: Option<Option<Vec<u8>>> = jobs::table
        .filter(jobs::tenant_id.eq(scope.uuid()).and(jobs::id.eq(event.uuid())))
        .select(jobs::state)
        .first(conn)
        .optional()?;
    let Some(state) = state.flatten() else {
        return Ok(None);
    };
    Ok(opened(state, key, STATE)?.and_then(|state| State::answer_in(&state)))
}

/// A stored value, opened if it was sealed; `None` when the key is not there any more.
fn opened(stored: Vec<u8>, key: Option<&RunKey>, what: &str) -> Result<Option<Vec<u8>>> {
    match key {
        _ if !RunKey::has_sealed(&stored) => Ok(Some(stored)),
        Some(key) => key.open(what, &stored).map(|value| Some(value.to_vec())),
        None => Ok(None),
    }
}
