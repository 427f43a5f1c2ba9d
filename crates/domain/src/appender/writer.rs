//! A writer thread: takes a batch, commits it, tells its waiters, takes the next.

use std::sync::Arc;
use std::time::Instant;

use super::batch::Batch;
use super::event::{copy_statement, job_statement};
use super::libpq::PgError;
use super::row::{HEADER, TRAILER};
use super::session::{Session, day_name};
use super::{AppendError, Shared};
use crate::redis::wakeups::WakeUps;

/// A thread that commits batches.
pub struct Writer {
    shared: Arc<Shared>,
    session: Session,
    wake_ups: Option<WakeUps>,
}

impl Writer {
    /// A writer that is not connected yet.
    pub fn new(shared: Arc<Shared>, session: Session, wake_ups: Option<WakeUps>) -> Self {
        Self {
            shared,
            session,
            wake_ups,
        }
    }

    /// Commits batches until the appender is stopped and nothing waits.
    pub fn run(mut self) {
        if let Err(error) = self.session.connect() {
            tracing::warn!(error = error.message, "a writer cannot reach Postgres yet");
        }
        while let Some(batch) = self.next() {
            self.commit(batch);
        }
    }

    fn next(&self) -> Option<Batch> {
        let mut waiting = self.shared.waiting.lock();
        loop {
            if let Some(batch) = waiting.take() {
                return Some(batch);
            }
            if waiting.closed {
                return None;
            }
            self.shared.arrived.wait(&mut waiting);
        }
    }

    /// Commits a batch and tells its waiters. One bad row does not fail its neighbours: a batch that Postgres refuses is
    /// halved until the row stands alone.
    fn commit(&mut self, batch: Batch) {
        let began = Instant::now();
        let rows = batch.entries.len();
        match self.write(&batch) {
            Ok(()) => {
                metrics::histogram!("hookgate_append_rows").record(rows as f64);
                metrics::histogram!("hookgate_append_seconds").record(began.elapsed().as_secs_f64());
                let has_jobs = batch.entries.iter().any(|entry| entry.job.is_some());
                batch.settle(&Ok(()));
                if let (true, Some(wake_ups)) = (has_jobs, &self.wake_ups) {
                    wake_ups.send();
                }
            }
            Err(error) if error.is_row_fault() && rows > 1 => {
                let (first, second) = batch.halve();
                self.commit(first);
                self.commit(second);
            }
            Err(error) => {
                metrics::counter!("hookgate_append_failed_rows_total").increment(rows as u64);
                tracing::warn!(
                    rows,
                    sqlstate = error.sqlstate,
                    error = error.message,
                    "events were not stored"
                );
                batch.settle(&Err(if error.is_row_fault() {
                    AppendError::Rejected(error.message)
                } else {
                    AppendError::Unavailable
                }));
            }
        }
    }

    /// Writes a batch. A connection can have died while it was idle, so the batch gets a second chance on a new one.
    /// Should the first commit have succeeded after all, its ids are taken: the batch is there, whole, as it was one
    /// transaction.
    fn write(&mut self, batch: &Batch) -> Result<(), PgError> {
        let mut statements = copy_statement(&day_name(batch.day));
        if let Some(jobs) = job_statement(batch.entries.iter().filter_map(|entry| entry.job.as_ref())) {
            statements.push_str("; ");
            statements.push_str(&jobs);
        }
        let data: [&[u8]; 3] = [HEADER, &batch.rows, TRAILER];
        match self.session.copy(batch.day, &statements, &data) {
            Err(error) if error.is_lost_connection() => {
                match self.session.copy(batch.day, &statements, &data) {
                    Err(error) if error.is_taken_id() => Ok(()),
                    outcome => outcome,
                }
            }
            outcome => outcome,
        }
    }
}
