//! How much is due, for the metrics: a look over the jobs of all tenants, now and then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookgate_domain::clock;
use hookgate_domain::inspection::{self, DueJobs};

use crate::Shared;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// It pauses for so many times as long as a look took: however much is due, looking is a small part of what Postgres does.
const PAUSE_FACTOR: u32 = 20;

/// Looks until the worker stops.
pub async fn watch(shared: Arc<Shared>) {
    let mut told = BTreeSet::new();
    loop {
        let began = Instant::now();
        if let Err(error) = look(&shared, &mut told).await {
            tracing::debug!(%error, "how much is due is not known");
        }
        let pause = LOOK_EVERY.max(began.elapsed() * PAUSE_FACTOR);
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Looks once; `told` are the plans that were told of.
async fn look(shared: &Shared, told: &mut BTreeSet<String>) -> hookgate_domain::Result<()> {
    let plans = shared.database.run(inspection::due_jobs).await?;
    let all = DueJobs::of_all(&plans);
    metrics::gauge!("hookgate_queue_due_jobs").set(all.count as f64);
    metrics::gauge!("hookgate_queue_oldest_age_seconds").set(age(&all));
    // Of a plan that is gone, or has another name, nothing is due any more.
    for plan in std::mem::take(told) {
        tell(plan, 0.0, 0.0);
    }
    for due in &plans {
        let plan = due.plan.clone().unwrap_or_default();
        told.insert(plan.clone());
        tell(plan, due.count as f64, age(due));
    }
    Ok(())
}

fn tell(plan: String, count: f64, age: f64) {
    metrics::gauge!("hookgate_plan_queue_due_jobs", "plan" => plan.clone()).set(count);
    metrics::gauge!("hookgate_plan_queue_oldest_age_seconds", "plan" => plan).set(age);
}

/// Since when the oldest is due, in seconds.
fn age(due: &DueJobs) -> f64 {
    due.oldest.map_or(0.0, |oldest| {
        clock::now()
            .signed_duration_since(oldest)
            .as_seconds_f64()
            .max(0.0)
    })
}
