//! Points of a run at which a test stops a worker as if it were killed there. Without the feature `failpoints`, which only
//! this crate's tests have, there are none.

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
    use std::sync::{Arc, Mutex, PoisonError};

    use hookgate_model::ids::TenantId;
    use tokio::sync::Notify;

    /// Every point, in the order in which a run comes to them.
    pub const POINTS: [&str; 11] = [
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
    ];

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
