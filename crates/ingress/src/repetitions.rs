//! How often events came again: gathered here, written every second, so that a flood of duplicates costs no commit. A
//! node that is killed forgets what it has counted since.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hookgate_domain::database::Database;
use hookgate_domain::deduplication::{self, Repetition};
use hookgate_domain::scope::TenantScope;
use hookgate_model::ids::EventId;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_secs(1);
/// Events that are counted between two writes; what comes again beyond that is in the metrics alone.
const EVENTS: usize = 100_000;

type Counts = Arc<Mutex<HashMap<(TenantScope, EventId), (i64, DateTime<Utc>)>>>;

/// The events that came again since they were last written.
pub struct Repetitions {
    counts: Counts,
    task: JoinHandle<()>,
}

impl Repetitions {
    /// Starts to write every second.
    pub fn start(database: Database) -> Self {
        let counts = Counts::default();
        let written = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                write(&written, &database).await;
            }
        });
        Self { counts, task }
    }

    /// Counts an event that came again now.
    pub fn note(&self, scope: TenantScope, event: EventId, now: DateTime<Utc>) {
        metrics::counter!("hookgate_duplicates_total").increment(1);
        add(&self.counts, scope, event, 1, now);
    }

    /// Writes what is not written yet.
    pub async fn flush(&self, database: &Database) {
        write(&self.counts, database).await;
    }
}

impl Drop for Repetitions {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn add(counts: &Counts, scope: TenantScope, event: EventId, count: i64, at: DateTime<Utc>) {
    let mut counts = counts.lock();
    if counts.len() < EVENTS || counts.contains_key(&(scope, event)) {
        let known = counts.entry((scope, event)).or_insert((0, at));
        *known = (known.0 + count, known.1.max(at));
    }
}

async fn write(counts: &Counts, database: &Database) {
    let taken = std::mem::take(&mut *counts.lock());
    if taken.is_empty() {
        return;
    }
    let repetitions: Vec<Repetition> = taken
        .into_iter()
        .map(|((scope, event), (count, last_at))| Repetition {
            scope,
            event,
            count,
            last_at,
        })
        .collect();
    let written = repetitions.clone();
    if let Err(error) = database.run(move |conn| deduplication::add(conn, &written)).await {
        tracing::debug!(%error, "duplicates could not be counted; trying again");
        for again in repetitions {
            add(counts, again.scope, again.event, again.count, again.last_at);
        }
    }
}
