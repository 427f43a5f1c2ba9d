//! Waiting for a condition with a deadline, the only kind of waiting that tests do.

use std::fmt::Display;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

/// Asks until the condition gives a value, and returns it.
///
/// ```text
/// let run = eventually(Duration::from_secs(5), "the run is stored", async || find_run(id).await).await;
/// ```
///
/// # Panics
/// With `what` when the time is over.
#[track_caller]
pub fn eventually<T>(
    within: Duration,
    what: impl Display,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + within;
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            assert!(
                Instant::now() < deadline,
                "{caller}: not within {within:?}: {what}"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// [`eventually`] for code without a runtime.
///
/// # Panics
/// With `what` when the time is over.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "waits for a condition with a deadline")]
pub fn eventually_blocking<T>(
    within: Duration,
    what: impl Display,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(PAUSE);
    }
}
