//! Redis: wake-ups, answers in flight, invalidation. Nothing here is a fact; every user copes with its absence.

pub mod answers;
pub mod changes;
pub mod wakeups;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::error::Result;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
const RECONNECT_DELAY: Duration = Duration::from_millis(100);
const RECONNECT_DELAY_MOST: Duration = Duration::from_secs(2);

/// A handle on Redis that connects when it is first needed, and again whenever the connection was lost.
#[derive(Clone)]
pub struct Redis {
    client: redis::Client,
    connection: Arc<OnceCell<ConnectionManager>>,
}

impl Redis {
    /// Takes a `redis://` or `redis+unix://` URL.
    ///
    /// # Errors
    /// When the text is not such a URL.
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self {
            client: redis::Client::open(url)?,
            connection: Arc::default(),
        })
    }

    async fn connection(&self) -> Result<ConnectionManager> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_number_of_retries(1);
        let connection = self
            .connection
            .get_or_try_init(|| ConnectionManager::new_with_config(self.client.clone(), config))
            .await?;
        Ok(connection.clone())
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        let mut connection = self.connection().await?;
        Ok(redis::cmd("PING").query_async(&mut connection).await?)
    }

    /// Publishes to a channel; whoever does not listen at that moment misses it.
    async fn publish(&self, channel: &str, payload: &[u8]) -> Result<()> {
        let mut connection = self.connection().await?;
        Ok(redis::cmd("PUBLISH")
            .arg(channel)
            .arg(payload)
            .query_async(&mut connection)
            .await?)
    }

    /// Listens to a channel for as long as the returned guard lives, reconnecting by itself.
    fn subscribe(&self, channel: String, mut on: impl FnMut(Notice<'_>) + Send + 'static) -> Subscription {
        let client = self.client.clone();
        Subscription(tokio::spawn(async move {
            let mut delay = RECONNECT_DELAY;
            loop {
                if let Ok(Ok(mut pubsub)) =
                    tokio::time::timeout(CONNECT_TIMEOUT, client.get_async_pubsub()).await
                    && pubsub.subscribe(&channel).await.is_ok()
                {
                    delay = RECONNECT_DELAY;
                    on(Notice::Connected);
                    let mut messages = pubsub.into_on_message();
                    while let Some(message) = messages.next().await {
                        on(Notice::Message(message.get_payload_bytes()));
                    }
                    tracing::warn!(channel, "the subscription to Redis was lost; reconnecting");
                    on(Notice::Lost);
                }
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(RECONNECT_DELAY_MOST);
            }
        }))
    }
}

/// What a subscription tells. Messages sent while it was not connected are lost.
enum Notice<'a> {
    Connected,
    Message(&'a [u8]),
    Lost,
}

/// Ends the subscription when dropped.
#[must_use = "the subscription ends when this is dropped"]
pub struct Subscription(JoinHandle<()>);

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.abort();
    }
}
