//! Group commit: an event is in Postgres, fsynced, before its handler goes on.
//!
//! Handlers encode their rows into a waiting batch. One or two writer threads, each with a connection of its own, take
//! what is waiting and commit it as one transaction; what comes meanwhile gathers into the next. There is no timer: an
//! idle system answers in one commit's time, a busy one shares the fsync.
//!
//! Invariant: a waiter hears `Ok` only after Postgres has confirmed the commit of its row and of its job.

mod batch;
mod event;
mod libpq;
pub mod refusals;
mod row;
mod session;
mod ticket;
mod writer;

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::database::DatabaseSettings;
use crate::redis::wakeups::WakeUps;
use batch::Waiting;
pub use event::{NewEvent, Work};
use session::Session;
pub use ticket::Ticket;
use writer::Writer;

/// When a held job is due: never, until the activation of its webhook makes it due. A real date, because clients
/// of Postgres disagree about what to do with `infinity`.
pub const HELD_UNTIL: &str = "9999-01-01T00:00:00Z";

/// The bounds of group commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppenderSettings {
    /// Writer threads, each with a connection. One or two: more only contend.
    pub writers: usize,
    /// The most rows of one commit.
    pub rows_per_commit: usize,
    /// The bytes after which a commit takes no further row.
    pub bytes_per_commit: usize,
    /// The rows that may wait; beyond, events are refused with [`AppendError::Full`].
    pub waiting_rows: usize,
    /// The bytes that may wait, likewise.
    pub waiting_bytes: usize,
}

impl Default for AppenderSettings {
    fn default() -> Self {
        Self {
            writers: 2,
            rows_per_commit: 1000,
            bytes_per_commit: 8 << 20,
            waiting_rows: 20_000,
            waiting_bytes: 256 << 20,
        }
    }
}

/// Why an event was not stored. Except for `Rejected`, the sender may try again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// More events wait than the settings allow.
    #[error("too many events are waiting to be stored")]
    Full,
    /// Postgres cannot be reached, or cannot write. When the connection broke during a commit, the event may be stored
    /// after all: its sender is told to try again, never that it was accepted.
    #[error("storage is unavailable")]
    Unavailable,
    /// Postgres refuses this very row.
    #[error("the event cannot be stored: {0}")]
    Rejected(String),
}

/// Stores events. Cloning shares the writers.
#[derive(Clone)]
pub struct Appender(Arc<Shared>);

struct Shared {
    settings: AppenderSettings,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Appender {
    /// Starts the writers. They connect by themselves, now and whenever the connection was lost.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        settings: AppenderSettings,
        database: &DatabaseSettings,
        wake_ups: Option<WakeUps>,
    ) -> std::io::Result<Self> {
        let writers = settings.writers.max(1);
        let appender = Self(Arc::new(Shared {
            settings,
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            threads: Mutex::default(),
        }));
        for number in 0..writers {
            let session = Session::new(database, "hookgate-writer", Some(event::PREPARE_JOBS));
            let writer = Writer::new(Arc::clone(&appender.0), session, wake_ups.clone());
            let thread = std::thread::Builder::new()
                .name(format!("writer-{number}"))
                .spawn(move || writer.run())?;
            appender.0.threads.lock().push(thread);
        }
        Ok(appender)
    }

    /// Hands an event to the writers. The ticket tells when it is durable.
    ///
    /// # Errors
    /// [`AppendError::Full`] at once when too much is waiting.
    pub fn submit(&self, event: &NewEvent<'_>) -> Result<Ticket, AppendError> {
        let (waiter, ticket) = ticket::ticket();
        self.0.waiting.lock().push(&self.0.settings, event, waiter)?;
        self.0.arrived.notify_one();
        Ok(ticket)
    }

    /// Writes what is waiting and ends the writers. Blocks.
    pub fn stop(&self) {
        self.0.waiting.lock().closed = true;
        self.0.arrived.notify_all();
        for thread in std::mem::take(&mut *self.0.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a writer thread panicked");
            }
        }
    }
}
