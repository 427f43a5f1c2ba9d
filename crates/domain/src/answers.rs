//! The answers of runs to the callers who wait for them, for when they cannot come over Redis.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::answer::Answer;
use hookgate_model::flow::state::State;
use hookgate_model::ids::EventId;
use uuid::Uuid;

use crate::crypto::RunKey;
use crate::error::{Error, Result};
use crate::schema::{jobs, runs};
use crate::scope::TenantScope;

/// As what the answer of a run is sealed with the run's key.
pub const ANSWER: &str = "answer";
/// As what the progress of a run is sealed with the run's key.
pub const STATE: &str = "state";

/// What became of an answer: `None` when the run is over, and there is none to be had.
pub type Found = Result<Option<Answer>>;

/// The answers to the callers of one tenant's events, of those of which there is something to say by now: of the finished
/// run, or of a run that goes on after its `respond` step. The job of an event whose caller waits has the event's id. Of an
/// event that is stored masked the answer may be sealed: only who has the run's key gets it, which is the node whose caller
/// waits.
///
/// Runs inside a [`TenantScope::transaction`] that the caller opened.
///
/// # Errors
/// When Postgres cannot be reached. One damaged answer does not keep the others from their callers: it is
/// [`Error::Unreadable`] in its place.
pub fn read(
    conn: &mut PgConnection,
    scope: &TenantScope,
    asked: &[(EventId, Option<RunKey>)],
) -> Result<Vec<(EventId, Found)>> {
    let events: Vec<Uuid> = asked.iter().map(|(event, _)| event.uuid()).collect();
    let finished: Vec<(Uuid, Option<Vec<u8>>)> = runs::table
        .filter(runs::tenant_id.eq(scope.uuid()).and(runs::id.eq_any(&events)))
        .select((runs::id, runs::answer))
        .load(conn)?;
    let running: Vec<Uuid> = events
        .into_iter()
        .filter(|event| finished.iter().all(|(run, _)| run != event))
        .collect();
    let states: Vec<(Uuid, Option<Vec<u8>>)> = jobs::table
        .filter(jobs::tenant_id.eq(scope.uuid()).and(jobs::id.eq_any(running)))
        .select((jobs::id, jobs::state))
        .load(conn)?;
    let key = |event: Uuid| {
        let of = asked.iter().find(|(asked, _)| asked.uuid() == event);
        of.and_then(|(_, key)| key.as_ref())
    };
    let of_runs = finished
        .into_iter()
        .map(|(run, stored)| (run.into(), of_run(stored, key(run))));
    let of_states = states
        .into_iter()
        .filter_map(|(job, stored)| Some((job.into(), of_state(stored, key(job)).transpose()?.map(Some))));
    Ok(of_runs.chain(of_states).collect())
}

fn of_run(stored: Option<Vec<u8>>, key: Option<&RunKey>) -> Found {
    let Some(answer) = stored
        .map(|stored| opened(stored, key, ANSWER))
        .transpose()?
        .flatten()
    else {
        return Ok(None);
    };
    let decoded = Answer::decode(&answer).ok_or(Error::Unreadable { what: "answer" });
    decoded.map(Some)
}

fn of_state(stored: Option<Vec<u8>>, key: Option<&RunKey>) -> Result<Option<Answer>> {
    let state = stored
        .map(|stored| opened(stored, key, STATE))
        .transpose()?
        .flatten();
    Ok(state.and_then(|state| State::answer_in(&state)))
}

/// A stored value, opened if it was sealed; `None` when the key is not there any more.
fn opened(stored: Vec<u8>, key: Option<&RunKey>, what: &str) -> Result<Option<Vec<u8>>> {
    match key {
        _ if !RunKey::has_sealed(&stored) => Ok(Some(stored)),
        Some(key) => key.open(what, &stored).map(|value| Some(value.to_vec())),
        None => Ok(None),
    }
}
