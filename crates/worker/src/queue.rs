//! How much is due, for the metrics: a look over the jobs of all tenants, now and then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hookgate_domain::{clock, inspection};

use crate::Shared;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// It pauses for so many times as long as a look took: however much is due, looking is a small part of what Postgres does.
const PAUSE_FACTOR: u32 = 20;

/// Looks until the worker stops.
pub async fn watch(shared: Arc<Shared>) {
    loop {
        let began = Instant::now();
        if let Err(error) = look(&shared).await {
            tracing::debug!(%error, "how much is due is not known");
        }
        let pause = LOOK_EVERY.max(began.elapsed() * PAUSE_FACTOR);
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn look(shared: &Shared) -> hookgate_domain::Result<()> {
    let due = shared.database.run(inspection::due_jobs).await?;
    let age = due.oldest.map_or(0.0, |oldest| {
        clock::now()
            .signed_duration_since(oldest)
            .as_seconds_f64()
            .max(0.0)
    });
    metrics::gauge!("hookgate_queue_due_jobs").set(due.count as f64);
    metrics::gauge!("hookgate_queue_oldest_age_seconds").set(age);
    Ok(())
}
