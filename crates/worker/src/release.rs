//! Releases what is held for webhooks that are active again: in its order, and a part at a time, so that a long backlog is no
//! long transaction and webhooks have their turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hookgate_domain::jobs::held;
use hookgate_domain::redis::changes::ChangeNotice;
use hookgate_domain::redis::wakeups::WakeUps;
use tokio::sync::Notify;

use crate::Shared;

/// How soon it looks again when no change is told.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// It pauses for so many times as long as a look took, also when changes are told: however many webhooks hold something,
/// looking is a small part of what Postgres does.
const PAUSE_FACTOR: u32 = 20;
/// The most jobs that one transaction releases.
const PART: usize = 1_000;

/// Releases until the worker stops: when something changed, and regularly, for what was held since or was not told.
pub async fn keep(shared: Arc<Shared>) {
    let changed = Arc::new(Notify::new());
    let told = Arc::clone(&changed);
    let _subscription = shared.redis.on_change(move |notice| match notice {
        ChangeNotice::Connected | ChangeNotice::Changed(_) => told.notify_one(),
        ChangeNotice::Lost => {}
    });
    let wake_ups = WakeUps::start(shared.redis.clone());
    loop {
        let looked = release(&shared, &wake_ups).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "held work could not be released; trying again");
            Duration::ZERO
        });
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            () = tokio::time::sleep(looked * PAUSE_FACTOR) => {}
        }
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = changed.notified() => {}
        }
    }
}

/// Releases a part of each webhook's by turns, until nothing is left. Returns how long the last look took.
async fn release(shared: &Shared, wake_ups: &WakeUps) -> hookgate_domain::Result<Duration> {
    let most = i64::try_from(PART).unwrap_or(i64::MAX);
    loop {
        let began = Instant::now();
        let to_release = shared.database.run(held::to_release).await?;
        let looked = began.elapsed();
        let mut released = 0;
        for holding in to_release {
            if shared.stopping.is_cancelled() {
                return Ok(looked);
            }
            let release = move |conn: &mut _| held::release(conn, holding, most);
            released += shared.database.run(release).await?;
            wake_ups.send();
        }
        if released == 0 {
            return Ok(looked);
        }
        metrics::counter!("hookgate_released_jobs_total").increment(released as u64);
    }
}
