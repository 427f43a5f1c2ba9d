//! How many calls are made at the same time: in all, and of one tenant, so that one's slow destination does not hold up
//! the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hookgate_model::ids::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The calls that may be made.
pub struct Permits {
    all: Arc<Semaphore>,
    per_tenant: usize,
    tenants: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
}

/// The permission for one call, as long as it lives.
pub struct Permit {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Permits {
    /// At most `all` calls, at most `per_tenant` of one tenant.
    pub fn new(all: usize, per_tenant: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all.max(1))),
            per_tenant: per_tenant.max(1),
            tenants: Mutex::default(),
        }
    }

    /// Waits until a call of the tenant may be made; `None` never comes.
    pub async fn acquire(&self, tenant: TenantId) -> Option<Permit> {
        // First the tenant's own: who waits for that holds up nobody else.
        let own = self.of(tenant).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Permit { _all: all, _own: own })
    }

    fn of(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = tenants.get(&tenant).and_then(Weak::upgrade) {
            return semaphore;
        }
        tenants.retain(|_, semaphore| semaphore.strong_count() > 0);
        let semaphore = Arc::new(Semaphore::new(self.per_tenant));
        tenants.insert(tenant, Arc::downgrade(&semaphore));
        semaphore
    }
}
