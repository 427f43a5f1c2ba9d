//! Points of a run at which a test stops a worker as if it were killed there, or at which its process kills itself
//! (`FAILPOINT=<point>`). Without the feature `failpoints`, which only tests have, there are none.

#[cfg(feature = "failpoints")]
pub use on::{POINTS, stand_still};

/// A point of a tenant's run.
macro_rules! reached {
    ($tenant:expr, $point:literal) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoint::on::reached($tenant, $point).await;
    };
}
pub(crate) use reached;

#[cfg(feature = "failpoints")]
pub(crate) mod on {
    use std::sync::{Arc, LazyLock, Mutex, PoisonError};

    use hookgate_model::ids::TenantId;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use tokio::sync::Notify;

    /// Every point, in the order in which a run comes to them.
    pub const POINTS: [&str; 14] = [
        "claimed",
        "session_read",
        "before_call",
        "called",
        "before_write",
        "written",
        "before_store",
        "stored",
        "sent",
        "before_record",
        "recorded",
        "callback_claimed",
        "callback_called",
        "callback_recorded",
    ];

    #[allow(clippy::disallowed_methods, reason = "for tests alone, and no setting")]
    static DEADLY: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("FAILPOINT").ok());

    type Waiting = (TenantId, &'static str, Arc<Notify>);
    static WAITING: Mutex<Vec<Waiting>> = Mutex::new(Vec::new());

    /// Lets the next worker that comes to the point for this tenant stand still there for ever. What is returned is notified
    /// when one does.
    pub fn stand_still(tenant: TenantId, point: &'static str) -> Arc<Notify> {
        let told = Arc::new(Notify::new());
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((tenant, point, Arc::clone(&told)));
        told
    }

    pub async fn reached(tenant: TenantId, point: &'static str) {
        debug_assert!(POINTS.contains(&point), "add {point} to POINTS");
        if DEADLY.as_deref() == Some(point) {
            // Nobody lives to see whether it worked.
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
        let found = {
            let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
            let place = waiting
                .iter()
                .position(|(of, at, _)| (*of, *at) == (tenant, point));
            place.map(|place| waiting.swap_remove(place))
        };
        if let Some((_, _, told)) = found {
            told.notify_one();
            std::future::pending::<()>().await;
        }
    }
}
