//! Takes up jobs as long as there is room for them, when a wake-up comes or after a while.

use std::sync::Arc;
use std::time::Duration;

use hookgate_domain::clock;
use hookgate_domain::jobs::{self, Claimed, Claims};
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::leases::InHand;
use crate::{Shared, job};

/// The most jobs of one claim.
const JOBS_PER_CLAIM: usize = 64;
/// The most first attempts, and the most retries, of one tenant in one claim.
const JOBS_PER_TENANT: usize = 16;

pub async fn run(shared: Arc<Shared>, tasks: TaskTracker) {
    let wanted = Arc::new(Notify::new());
    let _subscription = shared.redis.on_wake_up(Arc::clone(&wanted));
    let room = Arc::new(Semaphore::new(shared.settings.jobs.max(1)));
    let least = Duration::from_millis(shared.settings.poll_least_ms.max(1));
    let most = Duration::from_millis(shared.settings.poll_most_ms).max(least);
    // A job is not tried with a schema that lacks what it needs: workers of the version before go on with it meanwhile.
    while shared.database.readiness().await.is_err() && !shared.stopping.is_cancelled() {
        pause(&shared, &wanted, most, false).await;
    }
    let (mut delay, mut after, mut found) = (least, Uuid::nil(), false);
    while !shared.stopping.is_cancelled() {
        let Some(free) = room_for(&shared, &room).await else {
            return;
        };
        let claimed = match claim(&shared, free.min(JOBS_PER_CLAIM), after).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%error, "no jobs could be claimed; trying again");
                delay = (delay * 2).min(most);
                pause(&shared, &wanted, delay, false).await;
                continue;
            }
        };
        found |= !claimed.jobs.is_empty() || claimed.held > 0;
        for job in claimed.jobs {
            // There is room: nobody else takes it.
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                break;
            };
            let in_hand = InHand::new(&shared, job.lease);
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                job::work(&shared, job, in_hand).await;
                drop(permit);
            });
        }
        after = claimed.next.unwrap_or_default();
        if claimed.next.is_some() {
            continue;
        }
        // Once round all tenants: at once again while there was something, with longer and longer pauses otherwise.
        if std::mem::take(&mut found) {
            delay = least;
        } else {
            pause(&shared, &wanted, delay, true).await;
            delay = (delay * 2).min(most);
        }
    }
}

/// Waits for room, and says how much there is; `None` when the worker stops.
async fn room_for(shared: &Shared, room: &Arc<Semaphore>) -> Option<usize> {
    tokio::select! {
        () = shared.stopping.cancelled() => None,
        permit = room.acquire() => {
            drop(permit.ok()?);
            Some(room.available_permits().max(1))
        }
    }
}

/// Waits for a wake-up, if it may be one, at most for `delay`.
async fn pause(shared: &Shared, wanted: &Notify, delay: Duration, may_be_woken: bool) {
    tokio::select! {
        () = shared.stopping.cancelled() => {}
        () = tokio::time::sleep(delay) => {}
        () = wanted.notified(), if may_be_woken => {}
    }
}

async fn claim(shared: &Shared, jobs: usize, after: Uuid) -> hookgate_domain::Result<Claimed> {
    let claims = Claims {
        jobs: i64::try_from(jobs).unwrap_or(i64::MAX),
        per_tenant: i64::try_from(JOBS_PER_TENANT).unwrap_or(i64::MAX),
        not_of: shared.leases.tenants_with(shared.settings.jobs_per_tenant.max(1)),
        lease: shared.settings.lease(),
    };
    let claimed = shared
        .database
        .run(move |conn| jobs::claim(conn, &claims, after))
        .await?;
    if !claimed.jobs.is_empty() {
        metrics::histogram!("hookgate_claimed_jobs").record(claimed.jobs.len() as f64);
    }
    for job in &claimed.jobs {
        let age = clock::now()
            .signed_duration_since(job.due_at)
            .as_seconds_f64()
            .max(0.0);
        metrics::histogram!("hookgate_queue_age_seconds").record(age);
    }
    Ok(claimed)
}
