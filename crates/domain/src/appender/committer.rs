//! A committer: a task that takes a batch, commits it, tells its waiters, takes the next.
//!
//! It runs in the event loop of a thread that serves requests, because every hand-over to another thread would cost two
//! context switches: what arrives while it waits for Postgres is its next batch, and most of its waiters are neighbours
//! in the same loop.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use super::batch::Batch;
use super::event::{copy_statement, job_statement};
use super::libpq::PgError;
use super::row::{HEADER, TRAILER};
use super::session::{Session, day_name};
use super::{AppendError, Queue};
use crate::redis::wakeups::WakeUps;

/// A task that commits the batches of one queue.
pub struct Committer {
    queue: Arc<Queue>,
    session: Session,
    wake_ups: Option<WakeUps>,
}

impl Drop for Committer {
    /// Its event loop has ended, or the appender is stopped: whoever still waits is told, and the queue can get another.
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting.lock();
        waiting.committer = None;
        waiting.has_committer = false;
        let left: Vec<Batch> = std::iter::from_fn(|| waiting.take()).collect();
        drop(waiting);
        for batch in left {
            batch.settle(&Err(AppendError::Unavailable));
        }
    }
}

impl Committer {
    /// A committer that is not connected yet.
    pub fn new(queue: Arc<Queue>, session: Session, wake_ups: Option<WakeUps>) -> Self {
        Self {
            queue,
            session,
            wake_ups,
        }
    }

    /// Commits batches until the appender is stopped and nothing waits.
    pub async fn run(mut self) {
        while let Some(batch) = next(&self.queue).await {
            self.commit(batch).await;
        }
    }

    /// Commits a batch and tells its waiters. One bad row does not fail its neighbours: a batch that Postgres refuses is
    /// halved until the row stands alone.
    async fn commit(&mut self, batch: Batch) {
        let mut batches = vec![batch];
        while let Some(batch) = batches.pop() {
            let began = Instant::now();
            let rows = batch.entries.len();
            match self.write(&batch).await {
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
                    batches.extend(<[Batch; 2]>::from(batch.halve()))
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
    }

    /// Writes a batch. A connection can have died while it was idle, so the batch gets a second chance on a new one.
    /// Should the first commit have succeeded after all, its ids are taken: the batch is there, whole, as it was one
    /// transaction.
    async fn write(&mut self, batch: &Batch) -> Result<(), PgError> {
        let mut statements = copy_statement(&day_name(batch.day));
        if let Some(jobs) = job_statement(batch.entries.iter().filter_map(|entry| entry.job.as_ref())) {
            statements.push_str("; ");
            statements.push_str(&jobs);
        }
        let data: [&[u8]; 3] = [HEADER, &batch.rows, TRAILER];
        match self.session.copy(batch.day, &statements, &data).await {
            Err(error) if error.is_lost_connection() => {
                match self.session.copy(batch.day, &statements, &data).await {
                    Err(error) if error.is_taken_id() => Ok(()),
                    outcome => outcome,
                }
            }
            outcome => outcome,
        }
    }
}

/// The oldest batch of a queue; `None` when it is closed and empty.
async fn next(queue: &Queue) -> Option<Batch> {
    poll_fn(|context| {
        let mut waiting = queue.waiting.lock();
        if let Some(batch) = waiting.take() {
            return Poll::Ready(Some(batch));
        }
        if waiting.closed {
            return Poll::Ready(None);
        }
        waiting.committer = Some(context.waker().clone());
        Poll::Pending
    })
    .await
}
