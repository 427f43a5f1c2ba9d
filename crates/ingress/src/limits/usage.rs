//! What was received since it was last written: gathered here, written every five seconds, so that no request pays for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use hookgate_domain::database::Database;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::usage::{self, Received};
use hookgate_model::ids::WebhookId;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

/// How often it is written.
const EVERY: Duration = Duration::from_secs(5);

/// Events and bytes; below zero when more was taken back than counted since the last time.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    events: i64,
    body_bytes: i64,
}

type Counts = HashMap<(TenantScope, WebhookId, NaiveDate), Count>;

/// Counts events, and writes the counts.
#[derive(Clone)]
pub struct Usage(Arc<Shared>);

struct Shared {
    database: Database,
    counts: Mutex<Counts>,
    /// Held while counts are being written, so that whoever flushes knows all earlier ones to be there.
    writing: tokio::sync::Mutex<()>,
}

/// Ends the writing when dropped.
pub struct UsageTask(JoinHandle<()>);

impl Drop for UsageTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Usage {
    /// Starts to write every five seconds.
    pub fn start(database: Database) -> (Self, UsageTask) {
        let usage = Self(Arc::new(Shared {
            database,
            counts: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }));
        let written = usage.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                written.flush().await;
            }
        });
        (usage, UsageTask(task))
    }

    /// Counts so many events of a webhook and day, and the bytes of their bodies; below zero takes them back.
    pub fn count(&self, key: (TenantScope, WebhookId, NaiveDate), events: i64, body_bytes: i64) {
        let mut counts = self.0.counts.lock();
        let count = counts.entry(key).or_default();
        count.events += events;
        count.body_bytes += body_bytes;
    }

    /// Writes what is not written yet. What cannot be written is kept for the next time.
    pub async fn flush(&self) {
        let _writing = self.0.writing.lock().await;
        let taken = std::mem::take(&mut *self.0.counts.lock());
        if taken.is_empty() {
            return;
        }
        let rows: Vec<_> = taken
            .iter()
            .map(|(&(scope, webhook_id, day), count)| Received {
                scope,
                webhook_id,
                day,
                events: count.events,
                body_bytes: count.body_bytes,
            })
            .collect();
        let written = self.0.database.run(move |conn| usage::add(conn, &rows)).await;
        if let Err(error) = written {
            tracing::warn!(%error, "what was received is not counted yet");
            for (key, count) in taken {
                self.count(key, count.events, count.body_bytes);
            }
        }
    }
}
