//! News of capture windows: heard once from Redis, passed on to all streams of this node.

use hookgate_domain::redis::{Redis, Subscription};
use hookgate_model::ids::WebhookId;
use tokio::sync::broadcast;

/// How many news may wait for a stream; one that has missed some looks for itself.
const WAITING: usize = 256;

/// What is heard of capture windows.
pub struct SampleNews {
    sender: broadcast::Sender<Option<WebhookId>>,
    _subscription: Subscription,
}

impl SampleNews {
    /// Begins to listen.
    pub fn start(redis: &Redis) -> Self {
        let sender = broadcast::Sender::new(WAITING);
        let told = sender.clone();
        let subscription = redis.on_sample(move |webhook| {
            // Nobody listens most of the time.
            let _ = told.send(webhook);
        });
        Self {
            sender,
            _subscription: subscription,
        }
    }

    /// What is heard from now on: the webhook, or `None` when some may have been missed.
    pub fn listen(&self) -> broadcast::Receiver<Option<WebhookId>> {
        self.sender.subscribe()
    }
}
