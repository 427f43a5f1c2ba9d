//! Work on bodies that would hold other requests up: on threads of its own, and together within the memory that there is for
//! bodies.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::trace;

/// Work that takes less memory than this does not wait for room, in bytes.
const SMALL: usize = 1 << 20;
/// The unit in which room is counted, in bytes: a semaphore counts no further than 2^29.
const UNIT: usize = 1024;

/// Where such work is done.
pub struct Apart {
    room: Arc<Semaphore>,
    units: u32,
}

impl Apart {
    /// Room for work that takes so many bytes at the same time.
    pub fn new(bytes: usize) -> Self {
        let units = u32::try_from((bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self {
            room: Arc::new(Semaphore::new(units as usize)),
            units,
        }
    }

    /// Room for work that may take so much memory, held until it is dropped; `None` for what takes little. What takes more
    /// than there is is done alone.
    pub async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        if bytes <= SMALL {
            return None;
        }
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).min(self.units);
        Arc::clone(&self.room).acquire_many_owned(units).await.ok()
    }

    /// Does it when there is room for the memory that it may take; `None` when it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let room = self.room(bytes).await;
        let trace = trace::current();
        let working = tokio::task::spawn_blocking(move || {
            let _room = room;
            trace::within(trace, work)
        });
        working.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_takes_turns_when_it_takes_much() {
        let apart = Apart::new(4 << 20);
        let held = apart.room.acquire_many(4096).await.expect("room");
        assert_eq!(apart.run(SMALL, || 1).await, Some(1));
        let mut waiting = Box::pin(apart.run(100 << 20, || 2));
        assert_eq!(futures_util::FutureExt::now_or_never(&mut waiting), None);
        drop(held);
        assert_eq!(waiting.await, Some(2));
        assert_eq!(apart.run(0, || panic!("on purpose")).await, None::<()>);
    }
}
