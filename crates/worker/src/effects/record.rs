//! Rows of collections: written in one transaction with the progress of the run, so that each is written once.

use hookgate_domain::jobs::{Lease, Progress, save_progress};
use hookgate_domain::{Error, records};
use hookgate_model::flow::step::record::{RecordOutcome, RecordWrite, RecordWritten};
use hookgate_model::ids::{RevisionId, WebhookId};

use crate::Shared;

/// What became of a write.
pub enum Wrote {
    /// It is stored, and so is the progress.
    Stored(RecordWritten),
    /// It cannot be, and nothing was stored.
    Refused(String),
    /// Another worker has the job, and nothing was stored.
    LeaseLost,
}

/// Writes a row and the progress that `progress` makes of it.
///
/// # Errors
/// When Postgres cannot be reached; nothing is stored then, or all of it.
pub async fn write(
    shared: &Shared,
    lease: Lease,
    of: (WebhookId, RevisionId),
    write: RecordWrite,
    progress: impl FnOnce(&RecordWritten) -> Option<Progress> + Send + 'static,
) -> Result<Wrote, Error> {
    let limits = shared.settings.collections;
    let scope = lease.scope;
    let written = shared.database.run(move |conn| {
        scope.transaction(conn, |conn| {
            let written = match records::write(conn, &scope, &write, limits)? {
                RecordOutcome::Refused(detail) => return Ok(Wrote::Refused(detail)),
                RecordOutcome::Written(written) => written,
            };
            let progress = progress(&written).ok_or(Stop::Unsealed)?;
            if save_progress(conn, &lease, of, &progress)? {
                Ok(Wrote::Stored(written))
            } else {
                // The row must not stay.
                Err(Stop::LeaseLost)
            }
        })
    });
    match written.await {
        Ok(wrote) => Ok(wrote),
        Err(Stop::LeaseLost) => Ok(Wrote::LeaseLost),
        Err(Stop::Unsealed) => Ok(Wrote::Refused(
            "the progress of the run could not be sealed".to_owned(),
        )),
        Err(Stop::Storage(error)) => Err(error),
    }
}

/// Why a transaction is taken back.
enum Stop {
    LeaseLost,
    Unsealed,
    Storage(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}
