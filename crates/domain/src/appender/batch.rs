//! What waits for a committer: batches of encoded rows, each of one partition and within the bounds of one commit.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::task::Waker;

use uuid::Uuid;

use super::claims::Claim;
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
    /// The bytes that are stored beside them: the jobs' payloads, the answers for duplicates.
    beside: usize,
    /// One for each row: where it ends, and who waits for it.
    pub entries: Vec<Entry>,
}

/// One row of a batch.
pub struct Entry {
    /// Where the row ends in the rows of its batch.
    pub end: usize,
    /// The work that it starts.
    pub job: Option<JobPart>,
    /// The keys that must be its own.
    pub claim: Option<Box<Claim>>,
    /// Who waits for it.
    pub waiter: Waiter,
    /// Whose it is.
    tenant: Uuid,
    /// What it costs in memory.
    bytes: usize,
}

/// What waits of one tenant.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    rows: usize,
    bytes: usize,
}

impl Entry {
    /// The tenant for whose keys it may have to wait.
    fn waits_as(&self) -> Option<Uuid> {
        self.claim.as_ref().map(|claim| claim.tenant)
    }
}

impl Batch {
    /// Tells every waiter what became of the row at its place.
    pub fn settle(self, mut outcome_of: impl FnMut(usize) -> Outcome) {
        let entries = self.entries.into_iter().enumerate();
        let told = entries.map(|(place, entry)| (entry.waiter, outcome_of(place)));
        ticket::settle(told.collect());
    }

    /// The rows of which `wanted` says yes by their place, in pieces that lie together.
    pub fn pieces(&self, wanted: impl Fn(usize) -> bool) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        let (mut from, mut to) = (0, 0);
        for (place, entry) in self.entries.iter().enumerate() {
            if !wanted(place) {
                pieces.extend(self.rows.get(from..to).filter(|piece| !piece.is_empty()));
                from = entry.end;
            }
            to = entry.end;
        }
        pieces.extend(self.rows.get(from..to).filter(|piece| !piece.is_empty()));
        pieces
    }

    /// What it costs in memory.
    fn bytes(&self) -> usize {
        self.rows.len() + self.beside
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
            beside: 0,
            entries,
        };
        (self, second)
    }

    /// Whether [`Self::by_tenant`] would take it apart.
    pub fn is_of_several(&self) -> bool {
        let first = self.entries.first().and_then(Entry::waits_as);
        self.entries.iter().any(|entry| entry.waits_as() != first)
    }

    /// Takes the batch apart where one tenant may have to wait for a lock: the rows with keys of each tenant, and at the end
    /// those that wait for nobody.
    pub fn by_tenant(self) -> Vec<Self> {
        let mut parts: BTreeMap<Option<Uuid>, Self> = BTreeMap::new();
        let mut from = 0;
        for mut entry in self.entries {
            let part = parts.entry(entry.waits_as()).or_default();
            part.day = self.day;
            part.rows
                .extend_from_slice(self.rows.get(from..entry.end).unwrap_or_default());
            from = entry.end;
            entry.end = part.rows.len();
            part.entries.push(entry);
        }
        parts.into_values().rev().collect()
    }
}

/// The queue of batches. Handlers write rows into its last batch; a committer takes its first.
#[derive(Default)]
pub struct Waiting {
    batches: VecDeque<Batch>,
    rows: usize,
    bytes: usize,
    by_tenant: HashMap<Uuid, Held>,
    /// Set when no row is taken any more.
    pub closed: bool,
    /// Whether a committer takes the batches.
    pub has_committer: bool,
    /// The committer, while it has nothing to do.
    pub committer: Option<Waker>,
}

impl Waiting {
    /// Encodes an event at the end of the queue.
    pub fn push(
        &mut self,
        settings: &AppenderSettings,
        event: &NewEvent<'_>,
        waiter: Waiter,
    ) -> Result<(), AppendError> {
        if self.closed {
            return Err(AppendError::Unavailable);
        }
        if self.rows >= settings.waiting_rows || self.bytes >= settings.waiting_bytes {
            return Err(AppendError::Full);
        }
        let tenant = event.scope.uuid();
        let held = self.by_tenant.get(&tenant).copied().unwrap_or_default();
        let rows_left = settings.waiting_rows - self.rows - 1;
        let bytes_left = settings.waiting_bytes - self.bytes;
        if !settings.share.allows(held.rows + 1, rows_left) || !settings.share.allows(held.bytes, bytes_left)
        {
            return Err(AppendError::ShareUsedUp);
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
        let claim = event.claim();
        batch.beside += job.as_ref().map_or(0, JobPart::payload_bytes);
        batch.beside += claim.as_ref().map_or(0, |claim| claim.answer_bytes());
        let bytes = batch.bytes() - before;
        batch.entries.push(Entry {
            end: batch.rows.len(),
            job,
            claim,
            waiter,
            tenant,
            bytes,
        });
        self.bytes += bytes;
        self.rows += 1;
        let held = self.by_tenant.entry(tenant).or_default();
        held.rows += 1;
        held.bytes += bytes;
        Ok(())
    }

    /// Takes the oldest batch.
    pub fn take(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.rows -= batch.entries.len();
        self.bytes -= batch.bytes();
        for group in batch.entries.chunk_by(|a, b| a.tenant == b.tenant) {
            let tenant = group.first().map(|entry| entry.tenant).unwrap_or_default();
            if let MapEntry::Occupied(mut held) = self.by_tenant.entry(tenant) {
                held.get_mut().rows -= group.len();
                held.get_mut().bytes -= group.iter().map(|entry| entry.bytes).sum::<usize>();
                if held.get().rows == 0 {
                    held.remove();
                }
            }
        }
        Some(batch)
    }
}
