//! Carries out replays: a part of each that is due, by turns.

use std::sync::Arc;
use std::time::Duration;

use hookgate_domain::redis::wakeups::WakeUps;
use hookgate_domain::replays;

use crate::Shared;

/// How soon it looks again when none was due.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Goes on until the worker stops.
pub async fn keep(shared: Arc<Shared>) {
    let wake_ups = WakeUps::start(shared.redis.clone());
    while !shared.stopping.is_cancelled() {
        let defaults = shared.settings.tenant_limits;
        let advance = move |conn: &mut _| replays::advance(conn, defaults);
        match shared.database.run(advance).await {
            Ok(true) => {
                wake_ups.send();
                continue;
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "a replay does not go on; trying again"),
        }
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
