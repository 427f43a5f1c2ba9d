//! Places for work that goes on for long: so many on a node, and so many for one tenant.

use std::collections::HashMap;
use std::sync::Arc;

use hookgate_model::ids::TenantId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};

/// When to come again, in seconds.
const RETRY_SECONDS: u64 = 5;

/// The places of a node for one kind of work.
pub struct Places {
    what: &'static str,
    room: Arc<Semaphore>,
    of_tenant: usize,
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
}

impl Places {
    /// So many in all, and of them so many for one tenant.
    pub fn new(what: &'static str, all: usize, of_tenant: usize) -> Self {
        Self {
            what,
            room: Arc::new(Semaphore::new(all)),
            of_tenant,
            taken: Arc::default(),
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// 429 when there is none, or the tenant has as many as one may have.
    pub fn take(&self, caller: &Caller) -> ApiResult<Place> {
        let too_many = |whose: &str| {
            let detail = format!(
                "{whose} as many {} as it may: try again when one has ended",
                self.what
            );
            ApiError::too_many(detail, RETRY_SECONDS)
        };
        let permit = Arc::clone(&self.room).try_acquire_owned();
        let permit = permit.map_err(|_| too_many("this node has"))?;
        let tenant = caller.scope.tenant();
        let mut taken = self.taken.lock();
        let count = taken.entry(tenant).or_default();
        if *count >= self.of_tenant {
            return Err(too_many("the tenant has"));
        }
        *count += 1;
        drop(taken);
        Ok(Place {
            tenant,
            taken: Arc::clone(&self.taken),
            _permit: permit,
        })
    }
}

/// A place, free again when it is dropped.
pub struct Place {
    tenant: TenantId,
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(count) = taken.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}
