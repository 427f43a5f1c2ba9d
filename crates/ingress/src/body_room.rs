//! The memory that bodies may take: connections times the longest body would be more than any machine has.
//!
//! A body that comes in one piece is in the connection's buffer anyway and is not counted, so that the common request
//! pays nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes there are for the bodies of requests in hand.
pub struct BodyRoom {
    most: usize,
    taken: AtomicUsize,
}

/// What one request has taken of it, until it is dropped.
pub struct Taken<'a> {
    room: &'a BodyRoom,
    bytes: usize,
}

impl BodyRoom {
    /// Room for so many bytes.
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            taken: AtomicUsize::new(0),
        }
    }

    /// Takes nothing yet.
    pub const fn enter(&self) -> Taken<'_> {
        Taken { room: self, bytes: 0 }
    }
}

impl Taken<'_> {
    /// Takes room for so many bytes in all; false when there is not as much.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let before = self.room.taken.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        before.saturating_add(more) <= self.room.most
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_and_given_back() {
        let room = BodyRoom::new(10);
        let (mut first, mut second) = (room.enter(), room.enter());
        assert!(first.grow_to(4) && first.grow_to(8) && second.grow_to(2));
        assert!(!second.grow_to(3));
        drop(second);
        assert!(first.grow_to(10));
        drop(first);
        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
    }
}
