//! What waits for a committer: batches of encoded rows, each of one partition and within the bounds of one commit.

use std::collections::VecDeque;
use std::task::Waker;

use super::event::{JobPart, NewEvent};
use super::session::day_of;
use super::ticket::{self, Outcome, Waiter};
use super::{AppendError, AppenderSettings};

/// Rows of one day that are committed together.
#[derive(Default)]
pub struct Batch {
    /// Days since 1970 in UTC, of the ids.
    pub day: i64,
    /// The rows, encoded.
    pub rows: Vec<u8>,
    /// The bytes of the jobs' payloads.
    payloads: usize,
    /// One for each row: where it ends, and who waits for it.
    pub entries: Vec<Entry>,
}

/// One row of a batch.
pub struct Entry {
    /// Where the row ends in the rows of its batch.
    pub end: usize,
    /// The work that it starts.
    pub job: Option<JobPart>,
    /// Who waits for it.
    pub waiter: Waiter,
}

impl Batch {
    fn bytes(&self) -> usize {
        self.rows.len() + self.payloads
    }

    /// Tells every waiter.
    pub fn settle(self, outcome: &Outcome) {
        ticket::settle(
            self.entries.into_iter().map(|entry| entry.waiter).collect(),
            outcome,
        );
    }

    /// Cuts the batch in two, for finding the row that Postgres refuses.
    pub fn halve(mut self) -> (Self, Self) {
        let middle = self.entries.len() / 2;
        let mut entries = self.entries.split_off(middle);
        let cut = self.entries.last().map_or(0, |entry| entry.end);
        for entry in &mut entries {
            entry.end -= cut;
        }
        let rows = self.rows.split_off(cut);
        let second = Self {
            day: self.day,
            rows,
            entries,
            payloads: 0,
        };
        (self, second)
    }
}

/// The queue of batches. Handlers write rows into its last batch; a committer takes its first.
#[derive(Default)]
pub struct Waiting {
    batches: VecDeque<Batch>,
    rows: usize,
    bytes: usize,
    /// Set when no row is taken any more.
    pub closed: bool,
    /// Whether a committer takes the batches.
    pub has_committer: bool,
    /// The committer, while it has nothing to do.
    pub committer: Option<Waker>,
}

impl Waiting {
    /// Encodes an event at the end of the queue.
    pub fn push(&mut self, settings: &AppenderSettings, event: &NewEvent<'_>, waiter: Waiter) -> Outcome {
        if self.closed {
            return Err(AppendError::Unavailable);
        }
        if self.rows >= settings.waiting_rows || self.bytes >= settings.waiting_bytes {
            return Err(AppendError::Full);
        }
        let day = day_of(event.id.created_at());
        let fits = |batch: &Batch| {
            batch.day == day
                && batch.entries.len() < settings.rows_per_commit
                && batch.bytes() < settings.bytes_per_commit
        };
        if !self.batches.back().is_some_and(fits) {
            self.batches.push_back(Batch {
                day,
                ..Batch::default()
            });
        }
        let Some(batch) = self.batches.back_mut() else {
            return Err(AppendError::Full);
        };
        let before = batch.bytes();
        event.write(&mut batch.rows);
        let job = JobPart::of(event);
        batch.payloads += job.as_ref().map_or(0, JobPart::payload_bytes);
        batch.entries.push(Entry {
            end: batch.rows.len(),
            job,
            waiter,
        });
        self.bytes += batch.bytes() - before;
        self.rows += 1;
        Ok(())
    }

    /// Takes the oldest batch.
    pub fn take(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.rows -= batch.entries.len();
        self.bytes -= batch.bytes();
        Some(batch)
    }
}
