//! Group commit: an event is in Postgres, fsynced, before its handler goes on.
//!
//! Handlers encode their rows into a waiting batch. One or two committers, each with a connection of its own, take
//! what is waiting and commit it as one transaction; what comes meanwhile gathers into the next. There is no timer: an
//! idle system answers in one commit's time, a busy one shares the fsync.
//!
//! Rows with keys ([`crate::deduplication`]) are claimed first, in the same transaction, and duplicates left out of it; a batch
//! without such rows costs no exchange more for it.
//!
//! Invariant: a waiter hears `Ok` only after Postgres has confirmed the commit of its row, its keys and its job, or of those of
//! the event that came before it.

mod batch;
mod claims;
mod committer;
mod event;
mod libpq;
pub mod refusals;
mod row;
mod session;
mod ticket;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hookgate_model::fair_share::FairShare;
use parking_lot::Mutex;

use crate::database::DatabaseSettings;
use crate::redis::wakeups::WakeUps;
use batch::Waiting;
use committer::Committer;
pub use event::{NewEvent, Remember, Work};
use session::Session;
pub use ticket::{Appended, Ticket};

/// The bounds of group commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppenderSettings {
    /// Committers, each with a connection. One or two: more only contend.
    pub writers: usize,
    /// The most rows of one commit.
    pub rows_per_commit: usize,
    /// The bytes after which a commit takes no further row.
    pub bytes_per_commit: usize,
    /// How long Postgres may take for a commit before its events are refused with [`AppendError::Unavailable`].
    pub commit_timeout: Duration,
    /// The rows that may wait for one committer; beyond, events are refused with [`AppendError::Full`].
    pub waiting_rows: usize,
    /// The bytes that may wait, likewise.
    pub waiting_bytes: usize,
    /// What one tenant may hold of both; beyond, its events are refused with [`AppendError::ShareUsedUp`].
    pub share: FairShare,
}

impl Default for AppenderSettings {
    fn default() -> Self {
        Self {
            writers: 2,
            rows_per_commit: 1000,
            bytes_per_commit: 8 << 20,
            commit_timeout: Duration::from_secs(5),
            waiting_rows: 20_000,
            waiting_bytes: 256 << 20,
            share: FairShare::percent(50),
        }
    }
}

/// Why an event was not stored. Except for `Rejected`, the sender may try again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// More events wait than the settings allow.
    #[error("too many events are waiting to be stored")]
    Full,
    /// More events of this tenant wait than leaves something for the others.
    #[error("too many events of the tenant are waiting to be stored")]
    ShareUsedUp,
    /// Postgres cannot be reached, or cannot write. When the connection broke during a commit, the event may be stored
    /// after all: its sender is told to try again, never that it was accepted.
    #[error("storage is unavailable")]
    Unavailable,
    /// Postgres refuses this very row.
    #[error("the event cannot be stored: {0}")]
    Rejected(String),
}

/// Stores events. Cloning shares the queues.
#[derive(Clone)]
pub struct Appender(Arc<Shared>);

struct Shared {
    number: u64,
    settings: AppenderSettings,
    database: DatabaseSettings,
    wake_ups: Option<WakeUps>,
    queues: Vec<Arc<Queue>>,
    threads: AtomicUsize,
}

/// A queue with its committer, and the threads whose home it is.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
}

thread_local! {
    /// The running thread's queue of each appender, by the appender's number.
    static HOMES: RefCell<Vec<(u64, usize)>> = const { RefCell::new(Vec::new()) };
}

impl Appender {
    /// Makes the queues. Their committers begin with the first event, in the event loop of the thread that submits it,
    /// and connect by themselves, then and whenever the connection was lost.
    pub fn new(settings: AppenderSettings, database: &DatabaseSettings, wake_ups: Option<WakeUps>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self(Arc::new(Shared {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            queues: (0..settings.writers.max(1)).map(|_| Arc::default()).collect(),
            settings,
            database: database.clone(),
            wake_ups,
            threads: AtomicUsize::new(0),
        }))
    }

    /// Hands an event to the committer of this thread's queue; called within a tokio runtime. The ticket tells when the
    /// event is durable.
    ///
    /// # Errors
    /// [`AppendError::Full`] or [`AppendError::ShareUsedUp`] at once when too much is waiting.
    pub fn submit(&self, event: &NewEvent<'_>) -> Result<Ticket, AppendError> {
        let (waiter, ticket) = ticket::ticket();
        let queue = self.queue_of_this_thread();
        let mut waiting = queue.waiting.lock();
        waiting.push(&self.0.settings, event, waiter)?;
        if !waiting.has_committer {
            waiting.has_committer = true;
            let prepare = Some(format!("{}; {}", event::PREPARE_JOBS, claims::prepare()));
            let patience = self.0.settings.commit_timeout;
            let session = Session::new(&self.0.database, "hookgate-writer", prepare, patience);
            let committer = Committer::new(Arc::clone(queue), session, self.0.wake_ups.clone());
            drop(waiting);
            tokio::spawn(committer.run());
        } else if let Some(committer) = waiting.committer.take() {
            drop(waiting);
            committer.wake();
        }
        Ok(ticket)
    }

    /// Takes no further event. What is waiting is written by the committers, which then end.
    pub fn stop(&self) {
        for queue in &self.0.queues {
            let committer = {
                let mut waiting = queue.waiting.lock();
                waiting.closed = true;
                waiting.committer.take()
            };
            if let Some(committer) = committer {
                committer.wake();
            }
        }
    }

    /// Threads share the queues evenly, each keeping to its own.
    fn queue_of_this_thread(&self) -> &Arc<Queue> {
        let index = HOMES.with_borrow_mut(|homes| {
            let known = homes.iter().find(|(number, _)| *number == self.0.number);
            known.map(|(_, index)| *index).unwrap_or_else(|| {
                let index = self.0.threads.fetch_add(1, Ordering::Relaxed) % self.0.queues.len();
                homes.push((self.0.number, index));
                index
            })
        });
        &self.0.queues[index]
    }
}
