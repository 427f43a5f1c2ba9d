//! "This webhook has captured something": sent after the commit of a sample, and when a window ends, to those who watch.

use hookgate_model::ids::WebhookId;
use uuid::Uuid;

use super::{Notice, Redis, Subscription};
use crate::error::Result;

const CHANNEL: &str = "hookgate:samples";

impl Redis {
    /// Tells those who watch a webhook's capture window that there is something new.
    ///
    /// # Errors
    /// When Redis cannot be reached: they then find it by polling.
    pub async fn announce_sample(&self, webhook: WebhookId) -> Result<()> {
        self.publish(CHANNEL, webhook.uuid().as_bytes()).await
    }

    /// Listens for news of capture windows: of one webhook, or, when some may have been missed, of any (`None`).
    pub fn on_sample(&self, mut on: impl FnMut(Option<WebhookId>) + Send + 'static) -> Subscription {
        self.subscribe(CHANNEL.to_owned(), move |notice| match notice {
            Notice::Connected => on(None),
            Notice::Message(payload) => {
                if let Ok(uuid) = Uuid::from_slice(payload) {
                    on(Some(uuid.into()));
                }
            }
            Notice::Lost => {}
        })
    }
}
