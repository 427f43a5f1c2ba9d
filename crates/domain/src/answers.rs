//! The answer of a run to the caller who waits for it, for when it cannot come over Redis.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::answer::Answer;
use hookgate_model::flow::state::State;
use hookgate_model::ids::EventId;

use crate::error::{Error, Result};
use crate::schema::{jobs, runs};
use crate::scope::TenantScope;

/// The answer to an event's caller, if there is one by now: of the finished run, or of a run that goes on after its
/// `respond` step. The job of an event whose caller waits has the event's id.
///
/// Runs inside a [`TenantScope::transaction`] that the caller opened.
///
/// # Errors
/// [`Error::Unreadable`] for a damaged answer; when Postgres cannot be reached.
pub fn read(conn: &mut PgConnection, scope: &TenantScope, event: EventId) -> Result<Option<Answer>> {
    let finished: Option<Option<Vec<u8>>> = runs::table
        .filter(runs::tenant_id.eq(scope.uuid()).and(runs::id.eq(event.uuid())))
        .select(runs::answer)
        .first(conn)
        .optional()?;
    if let Some(answer) = finished {
        let decode = |stored: Vec<u8>| Answer::decode(&stored).ok_or(Error::Unreadable { what: "answer" });
        return answer.map(decode).transpose();
    }
    let state: Option<Option<Vec<u8>>> = jobs::table
        .filter(jobs::tenant_id.eq(scope.uuid()).and(jobs::id.eq(event.uuid())))
        .select(jobs::state)
        .first(conn)
        .optional()?;
    Ok(state.flatten().and_then(|state| State::answer_in(&state)))
}
