//! "There is work": sent after a commit that made jobs, so that workers need not wait for their next poll.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Notice, Redis, Subscription};
use crate::error::Result;

/// The shortest time between two wake-ups.
const PAUSE: Duration = Duration::from_millis(2);

const CHANNEL: &str = "hookgate:jobs";

/// Sends wake-ups. One that is asked for while another is being sent is merged into the next.
#[derive(Clone)]
pub struct WakeUps {
    wanted: Arc<Notify>,
    _task: Arc<Subscription>,
}

impl WakeUps {
    /// Starts the task that sends, on the running tokio runtime.
    pub fn start(redis: Redis) -> Self {
        let wanted = Arc::new(Notify::new());
        let waiting = Arc::clone(&wanted);
        let task = tokio::spawn(async move {
            loop {
                waiting.notified().await;
                // What follows at once is merged: under load, commits come faster than workers need to hear of them.
                let pause = tokio::time::sleep(PAUSE);
                if let Err(error) = redis.wake_workers().await {
                    tracing::debug!(%error, "a wake-up was not sent; workers find the job by polling");
                }
                pause.await;
            }
        });
        Self {
            wanted,
            _task: Arc::new(Subscription(task)),
        }
    }

    /// Asks for a wake-up; never blocks.
    pub fn send(&self) {
        self.wanted.notify_one();
    }
}

impl Redis {
    /// Tells the workers that there may be work.
    ///
    /// # Errors
    /// When Redis cannot be reached: workers then find the work by polling.
    pub async fn wake_workers(&self) -> Result<()> {
        self.publish(CHANNEL, b"").await
    }

    /// Notifies `wanted` whenever there may be work: on a wake-up, and when the subscription (re)connects.
    pub fn on_wake_up(&self, wanted: Arc<Notify>) -> Subscription {
        self.subscribe(CHANNEL.to_owned(), move |notice| match notice {
            Notice::Connected | Notice::Message(_) => wanted.notify_one(),
            Notice::Lost => {}
        })
    }
}
