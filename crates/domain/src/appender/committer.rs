//! A committer: a task that takes a batch, commits it, tells its waiters, takes the next.
//!
//! It runs in the event loop of a thread that serves requests, because every hand-over to another thread would cost two
//! context switches: what arrives while it waits for Postgres is its next batch, and most of its waiters are neighbours
//! in the same loop.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use super::batch::Batch;
use super::claims::{Claims, Decision};
use super::event::{JobPart, copy_statement, job_statement};
use super::libpq::PgError;
use super::row::{HEADER, TRAILER};
use super::session::{Session, day_name};
use super::{AppendError, Appended, Queue};
use crate::deduplication::Duplicate;
use crate::redis::wakeups::WakeUps;

/// How often a transaction is tried again that got in the way of another.
const CONFLICTS: u32 = 3;

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
            batch.settle(|_| Err(AppendError::Unavailable));
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
    /// halved until the row stands alone. Nor does one tenant's key that somebody holds for too long hold up the others.
    async fn commit(&mut self, batch: Batch) {
        let mut batches = vec![batch];
        while let Some(batch) = batches.pop() {
            let began = Instant::now();
            let rows = batch.entries.len();
            match self.write(&batch).await {
                Ok(mut duplicates) => {
                    metrics::histogram!("hookgate_append_rows").record(rows as f64);
                    metrics::histogram!("hookgate_append_seconds").record(began.elapsed().as_secs_f64());
                    let mut entries = batch.entries.iter().enumerate();
                    let has_jobs =
                        entries.any(|(place, entry)| entry.job.is_some() && !duplicates.contains_key(&place));
                    batch.settle(|place| {
                        let duplicate = duplicates.remove(&place);
                        Ok(duplicate.map_or(Appended::Stored, Appended::Duplicate))
                    });
                    if let (true, Some(wake_ups)) = (has_jobs, &self.wake_ups) {
                        wake_ups.send();
                    }
                }
                Err(error) if error.is_row_fault() && rows > 1 => {
                    let (first, second) = batch.halve();
                    batches.extend([second, first]);
                }
                Err(error) if error.is_lock_timeout() && batch.is_of_several() => {
                    batches.extend(batch.by_tenant());
                }
                Err(error) => {
                    metrics::counter!("hookgate_append_failed_rows_total").increment(rows as u64);

                    tracing::warn!(
                        rows,
                        sqlstate = error.sqlstate,
                        error = error.message,
                        "events were not stored"
                    );
                    let error = if error.is_row_fault() {
                        AppendError::Rejected(error.message)
                    } else {
                        AppendError::Unavailable
                    };
                    batch.settle(|_| Err(error.clone()));
                }
            }
        }
    }

    /// Writes a batch, and returns what came before each of its duplicates.
    async fn write(&mut self, batch: &Batch) -> Result<Duplicates, PgError> {
        match Claims::of(&batch.entries) {
            None => self.write_new(batch).await.map(|()| Duplicates::new()),
            Some(claims) => self.claim_and_write(batch, &claims).await,
        }
    }

    /// Writes a batch without keys. A connection can have died while it was idle, so the batch gets a second chance on a
    /// new one. Should the first commit have succeeded after all, its ids are taken: the batch is there, whole, as it was
    /// one transaction.
    async fn write_new(&mut self, batch: &Batch) -> Result<(), PgError> {
        let statements = statements(batch, &Duplicates::new());
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

    /// Writes a batch with keys, likewise with a second chance, and with another after a conflict.
    async fn claim_and_write(&mut self, batch: &Batch, claims: &Claims<'_>) -> Result<Duplicates, PgError> {
        let mut was_lost = false;
        let mut conflicts = 0;
        loop {
            let error = match self.try_to_claim_and_write(batch, claims, was_lost).await {
                Ok(duplicates) => return Ok(duplicates),
                Err(error) => error,
            };
            if error.is_lost_connection() && !was_lost {
                was_lost = true;
                self.session.give_up();
                continue;
            }
            self.session.roll_back().await;
            if error.is_missing_table() && conflicts < CONFLICTS {
                self.session.make_day(batch.day).await?;
            } else if !error.is_conflict() || conflicts >= CONFLICTS {
                return Err(error);
            }
            conflicts += 1;
        }
    }

    /// One transaction: claims the keys, writes what is new, commits. `was_lost`: an earlier try may have been committed.
    async fn try_to_claim_and_write(
        &mut self,
        batch: &Batch,
        claims: &Claims<'_>,
        was_lost: bool,
    ) -> Result<Duplicates, PgError> {
        let others = self.session.query(&claims.statements()).await?;
        let Decision {
            duplicates,
            moves,
            is_committed,
        } = claims.decide(&others)?;
        if is_committed {
            self.session.roll_back().await;
            return Ok(duplicates);
        }
        let moves = moves.map_or_else(String::new, |statement| format!("{statement}; "));
        if duplicates.len() == batch.entries.len() {
            self.session.query(&format!("{moves}COMMIT")).await?;
            return Ok(duplicates);
        }
        let statements = format!("{}; {moves}COMMIT", statements(batch, &duplicates));
        let mut data = batch.pieces(|place| !duplicates.contains_key(&place));
        data.insert(0, HEADER);
        data.push(TRAILER);
        match self.session.copy_on(&statements, &data).await {
            // None of the batch's keys was its own, so its new rows have none, and are there.
            Err(error) if was_lost && error.is_taken_id() => self.session.roll_back().await,
            outcome => outcome?,
        }
        Ok(duplicates)
    }
}

/// The events that came before, by the places of the rows that are their duplicates.
type Duplicates = BTreeMap<usize, Duplicate>;

/// The statements that write a batch without its duplicates.
fn statements(batch: &Batch, duplicates: &Duplicates) -> String {
    let mut statements = copy_statement(&day_name(batch.day));
    let entries = batch.entries.iter().enumerate();
    let new = entries.filter(|(place, _)| !duplicates.contains_key(place));
    let jobs: Vec<&JobPart> = new.filter_map(|(_, entry)| entry.job.as_ref()).collect();
    if let Some(jobs) = job_statement(jobs) {
        statements.push_str("; ");
        statements.push_str(&jobs);
    }
    statements
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
