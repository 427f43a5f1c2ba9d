//! The callers of a webhook or tenant that wait for a result on this node, when their number is limited.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::exceeded::{Exceeded, Whose};

/// How many of whom may wait, and how many do.
pub struct WaitingCallers {
    pub whose: Whose,
    pub most: u32,
    /// Kept by whoever compiles the webhook next.
    pub waiting: Arc<AtomicU32>,
}

/// One caller among those who wait; no more when it is dropped.
pub struct OneWaiting(Arc<AtomicU32>);

impl WaitingCallers {
    /// Lets one more wait.
    ///
    /// # Errors
    /// When as many wait as may.
    pub fn enter(&self) -> Result<OneWaiting, Exceeded> {
        let one = OneWaiting(Arc::clone(&self.waiting));
        if self.waiting.fetch_add(1, Ordering::Relaxed) < self.most {
            Ok(one)
        } else {
            Err(Exceeded::Waiting {
                whose: self.whose,
                most: self.most,
            })
        }
    }
}

impl Drop for OneWaiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
