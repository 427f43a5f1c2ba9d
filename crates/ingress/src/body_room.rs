//! The room for bodies: connections times the longest body would be more memory than any machine has, and a connection whose
//! body does not come is one less for the others.
//!
//! A body that is there in one piece is in the connection's buffer anyway and is not counted, so that the common request
//! pays nothing. No tenant may hold more than its share.

use std::sync::atomic::{AtomicUsize, Ordering};

use hookgate_model::fair_share::FairShare;

/// How much there is for the bodies of requests in hand.
pub struct BodyRoom {
    most: Most,
    share: FairShare,
    held: Held,
}

/// What there is at most.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Bytes of memory.
    pub bytes: usize,
    /// Bodies that are waited for.
    pub bodies: usize,
}

/// What is held of it: by all, or by the requests of one tenant.
#[derive(Debug, Default)]
pub struct Held {
    bytes: AtomicUsize,
    bodies: AtomicUsize,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// All of it is taken.
    Full,
    /// The tenant holds what it may of the memory.
    ShareOfMemory,
    /// The tenant holds what it may of the bodies that are waited for.
    ShareOfBodies,
}

/// What one request holds, until it is dropped.
pub struct Taken<'a> {
    room: &'a BodyRoom,
    tenant: &'a Held,
    bytes: usize,
    is_awaited: bool,
}

impl BodyRoom {
    /// Room for so much, of which no tenant may hold more than its share.
    pub fn new(most: Most, share: FairShare) -> Self {
        Self {
            most,
            share,
            held: Held::default(),
        }
    }

    /// A request of a tenant that holds so much. It takes nothing yet.
    pub const fn enter<'a>(&'a self, tenant: &'a Held) -> Taken<'a> {
        Taken {
            room: self,
            tenant,
            bytes: 0,
            is_awaited: false,
        }
    }

    fn judge(&self, all: usize, most: usize, tenant: usize, share: NoRoom) -> Result<(), NoRoom> {
        let left = most.checked_sub(all).ok_or(NoRoom::Full)?;
        if self.share.allows(tenant, left) {
            Ok(())
        } else {
            Err(share)
        }
    }
}

fn add(held: &AtomicUsize, more: usize) -> usize {
    held.fetch_add(more, Ordering::Relaxed).saturating_add(more)
}

impl Taken<'_> {
    /// Takes room for so many bytes in all.
    ///
    /// # Errors
    /// When there is not as much.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let more = bytes.saturating_sub(self.bytes);
        self.bytes += more;
        let (all, tenant) = (add(&self.room.held.bytes, more), add(&self.tenant.bytes, more));
        let most = self.room.most.bytes;
        self.room.judge(all, most, tenant, NoRoom::ShareOfMemory)
    }

    /// Takes the place of a body that is waited for, once.
    ///
    /// # Errors
    /// When there is none.
    pub fn wait(&mut self) -> Result<(), NoRoom> {
        if std::mem::replace(&mut self.is_awaited, true) {
            return Ok(());
        }
        let (all, tenant) = (add(&self.room.held.bodies, 1), add(&self.tenant.bodies, 1));
        let most = self.room.most.bodies;
        self.room.judge(all, most, tenant, NoRoom::ShareOfBodies)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for held in [&self.room.held, self.tenant] {
            if self.bytes > 0 {
                held.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            }
            if self.is_awaited {
                held.bodies.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(percent: u8) -> BodyRoom {
        let most = Most { bytes: 12, bodies: 6 };
        BodyRoom::new(most, FairShare::percent(percent))
    }

    fn is_empty(held: &Held) -> bool {
        held.bytes.load(Ordering::Relaxed) == 0 && held.bodies.load(Ordering::Relaxed) == 0
    }

    #[test]
    fn room_is_taken_and_given_back() {
        let (room, tenant) = (room(100), Held::default());
        let (mut first, mut second) = (room.enter(&tenant), room.enter(&tenant));
        assert_eq!(first.grow_to(4), Ok(()));
        assert_eq!(first.grow_to(10), Ok(()));
        assert_eq!(second.grow_to(2), Ok(()));
        assert_eq!(second.grow_to(3), Err(NoRoom::Full));
        drop(second);
        assert_eq!(first.grow_to(12), Ok(()));
        assert_eq!((first.wait(), first.wait()), (Ok(()), Ok(())));
        assert!(!is_empty(&room.held));
        drop(first);
        assert!(is_empty(&room.held) && is_empty(&tenant));
    }

    #[test]
    fn a_tenant_leaves_room_for_others() {
        let (room, greedy, modest) = (room(50), Held::default(), Held::default());
        let mut bodies: Vec<_> = (0..4).map(|_| room.enter(&greedy)).collect();
        let told: Vec<_> = bodies.iter_mut().map(Taken::wait).collect();
        assert_eq!(told, [Ok(()), Ok(()), Ok(()), Err(NoRoom::ShareOfBodies)]);
        let told: Vec<_> = bodies.iter_mut().map(|body| body.grow_to(2)).collect();
        assert_eq!(told, [Ok(()), Ok(()), Ok(()), Err(NoRoom::ShareOfMemory)]);
        bodies.pop();
        let mut other = room.enter(&modest);
        assert_eq!((other.wait(), other.grow_to(3)), (Ok(()), Ok(())));
        drop((bodies, other));
        assert!(is_empty(&room.held) && is_empty(&greedy) && is_empty(&modest));
    }
}
