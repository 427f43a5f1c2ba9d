//! How far events have come, as filters name it.

use hookgate_domain::events::EventStatus;
use hookgate_model::flow::advance::RunOutcome;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::{Read, json};

/// How far an event has come.
#[derive(Deserialize, ToSchema)]
#[schema(as = EventStatus)]
#[serde(rename_all = "snake_case")]
pub enum StatusName {
    /// It is stored, and nothing more is to be done.
    Received,
    /// Its flow is to run, or runs.
    Pending,
    /// Every step of its flow that had to succeed did.
    Succeeded,
    /// A step of its flow failed, or its answer could not be made.
    Failed,
    /// `only_if` or the condition of a `filter` step did not hold.
    Filtered,
    /// No worker survived its flow: given up after several tries.
    Crashed,
}

/// Reads the status that a filter wants.
pub fn read(value: Value) -> Read<EventStatus> {
    let ended = |outcome: RunOutcome| EventStatus::Finished(outcome.as_str().to_owned());
    Ok(match json(value)? {
        StatusName::Received => EventStatus::Received,
        StatusName::Pending => EventStatus::Pending,
        StatusName::Succeeded => ended(RunOutcome::Succeeded),
        StatusName::Failed => ended(RunOutcome::Failed),
        StatusName::Filtered => ended(RunOutcome::Filtered),
        StatusName::Crashed => ended(RunOutcome::Crashed),
    })
}
