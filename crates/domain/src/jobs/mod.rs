//! Work that is due, and who is at it.
//!
//! A worker claims jobs for a while (the lease), works without a transaction, and completes with the lease's token. A
//! lease that ran out is claimed by another, with a new token, and the first worker's completion then writes nothing.
//! Jobs are inserted by the [`crate::appender`], and here when a job is split.

pub mod callback;
pub mod claim;
pub mod complete;
pub mod held;
pub mod lease;
pub mod payload;
pub mod session;

pub use callback::{NewCallback, StoredCallback, callback_id};
pub use claim::{Claimed, ClaimedJob, Claims, claim};
pub use complete::{Again, Completion, FinishedRun, JobResult, NewAttempt, Waits, complete};
pub use lease::{Lease, Progress, extend, save_progress};
pub use payload::{Payload, payload};
pub use session::{Turn, enter_session, release_stranded};
