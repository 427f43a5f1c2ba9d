//! What is counted beside the work: gathered in memory, written every so often, so that no request pays for it. A process that is
//! killed forgets what it has gathered since.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Weak};
use std::time::Duration;

use diesel::pg::PgConnection;
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use crate::database::Database;
use crate::error::Result;

/// Something that is gathered.
pub trait Gather: Clone + Send + Sync + 'static {
    /// What it is called in the log.
    const WHAT: &'static str;
    /// How often it is written.
    const EVERY: Duration;
    /// How many different ones are gathered between two writes; further ones are left out.
    const MOST: usize;

    /// Those of one key become one.
    type Key: Eq + Hash + Send;

    /// The key.
    fn key(&self) -> Self::Key;

    /// Takes another one of the same key in.
    fn merge(&mut self, other: Self);

    /// Writes them.
    ///
    /// # Errors
    /// When Postgres cannot be reached; nothing is written then.
    fn write(conn: &mut PgConnection, gathered: &[Self]) -> Result<()>;
}

/// Gathers on behalf of all its clones, and writes until the last of them is dropped.
pub struct Gathered<T: Gather>(Arc<Shared<T>>);

struct Shared<T: Gather> {
    database: Database,
    waiting: Mutex<HashMap<T::Key, T>>,
    /// Held while something is being written, so that whoever flushes knows all that came earlier to be there. Says whether the
    /// last write failed: an outage is told when it begins and when it is over.
    is_failing: tokio::sync::Mutex<bool>,
}

impl<T: Gather> Clone for Gathered<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Gather> Gathered<T> {
    /// Starts to write, on the running tokio runtime.
    pub fn start(database: Database) -> Self {
        let shared = Arc::new(Shared {
            database,
            waiting: Mutex::default(),
            is_failing: tokio::sync::Mutex::default(),
        });
        tokio::spawn(keep_writing(Arc::downgrade(&shared)));
        Self(shared)
    }

    /// Adds one.
    pub fn add(&self, one: T) {
        self.0.add(one);
    }

    /// Writes what is not written yet. What cannot be written is kept for the next time.
    pub async fn flush(&self) {
        self.0.flush().await;
    }
}

async fn keep_writing<T: Gather>(shared: Weak<Shared<T>>) {
    let mut ticks = tokio::time::interval(T::EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        shared.flush().await;
    }
}

impl<T: Gather> Shared<T> {
    fn add(&self, one: T) {
        let mut waiting = self.waiting.lock();
        let is_full = waiting.len() >= T::MOST;
        match waiting.entry(one.key()) {
            Entry::Occupied(mut known) => known.get_mut().merge(one),
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(free) => {
                free.insert(one);
            }
        }
    }

    async fn flush(&self) {
        let mut is_failing = self.is_failing.lock().await;
        let taken: Vec<T> = std::mem::take(&mut *self.waiting.lock()).into_values().collect();
        if taken.is_empty() {
            return;
        }
        let rows = taken.clone();
        let written = self.database.run(move |conn| T::write(conn, &rows)).await;
        let has_failed = written.is_err();
        match written {
            Ok(()) if *is_failing => tracing::info!("{} is written again", T::WHAT),
            Ok(()) => {}
            Err(error) => {
                if !*is_failing {
                    tracing::warn!(%error, "{} cannot be written; it is kept until it can be", T::WHAT);
                }
                for one in taken {
                    self.add(one);
                }
            }
        }
        *is_failing = has_failed;
    }
}
