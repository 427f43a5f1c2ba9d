//! Runs the flows of stored events. (To be written: nothing runs yet.)

use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::Database;
use hookgate_domain::redis::Redis;
use serde::{Deserialize, Serialize};

/// The settings of the worker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// A running worker.
pub struct Worker {}

/// Starts the worker.
///
/// # Errors
/// None yet.
pub async fn start(_: Settings, _: Database, _: Redis, _: MasterKey) -> std::io::Result<Worker> {
    Ok(Worker {})
}

impl Worker {
    /// Finishes what is in hand and ends.
    pub async fn stop(self) {}
}
