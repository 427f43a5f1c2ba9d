//! Keeps the leases of the jobs in hand, and stops the work at those that are lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hookgate_domain::jobs::{self, Lease};
use hookgate_model::ids::TenantId;
use tokio_util::sync::CancellationToken;

use crate::Shared;

/// The leases in hand, each with what stops its work.
#[derive(Default)]
pub struct Leases(Mutex<HashMap<Lease, CancellationToken>>);

/// A lease that is kept as long as this lives.
pub struct InHand {
    shared: Arc<Shared>,
    lease: Lease,
    lost: CancellationToken,
}

impl InHand {
    /// Takes a lease into care.
    pub fn new(shared: &Arc<Shared>, lease: Lease) -> Self {
        let lost = CancellationToken::new();
        shared.leases.lock().insert(lease, lost.clone());
        Self {
            shared: Arc::clone(shared),
            lease,
            lost,
        }
    }

    /// Cancelled when another worker has the job.
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Leaves the lease to the completion, which ends it, and which then is no loss.
    pub fn let_go(&self) {
        self.shared.leases.lock().remove(&self.lease);
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl Leases {
    fn in_hand(&self) -> Vec<Lease> {
        self.lock().keys().copied().collect()
    }

    /// The tenants that have as many jobs in hand, or more.
    pub fn tenants_with(&self, jobs: usize) -> Vec<TenantId> {
        let mut counts: HashMap<TenantId, usize> = HashMap::new();
        for lease in self.lock().keys() {
            *counts.entry(lease.scope.tenant()).or_default() += 1;
        }
        counts
            .into_iter()
            .filter(|(_, count)| *count >= jobs)
            .map(|(tenant, _)| tenant)
            .collect()
    }

    fn stop(&self, lost: &Lease) {
        if let Some(token) = self.lock().remove(lost) {
            token.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Lease, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Extends the leases in hand until the worker has ended.
pub async fn keep(shared: Arc<Shared>, ended: CancellationToken) {
    let lease = shared.settings.lease();
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            () = tokio::time::sleep(lease / 3) => {}
        }
        let in_hand = shared.leases.in_hand();
        if in_hand.is_empty() {
            continue;
        }
        match shared
            .database
            .run(move |conn| jobs::extend(conn, &in_hand, lease))
            .await
        {
            Ok(lost) => {
                for lease in lost {
                    shared.leases.stop(&lease);
                }
            }
            Err(error) => tracing::warn!(%error, "leases could not be extended; trying again"),
        }
    }
}
