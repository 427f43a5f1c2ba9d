//! Redis: wake-ups, answers in flight, invalidation. Nothing here is a fact; every user copes with its absence.

pub mod answers;
pub mod changes;
pub mod counters;
pub mod draws;
mod failures;
mod link;
mod place;
pub mod samples;
mod script;
pub mod server;
pub mod turns;
pub mod wakeups;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use link::Link;
use place::Place;
use redis::aio::ConnectionManager;
use tokio::task::JoinHandle;

use crate::error::Result;

const RECONNECT_DELAY: Duration = Duration::from_millis(100);
const RECONNECT_DELAY_MOST: Duration = Duration::from_secs(2);

/// A handle on Redis that connects when it is first needed, and again whenever the connection was lost.
#[derive(Clone)]
pub struct Redis {
    link: Arc<Link>,
    prefix: Arc<str>,
}

impl Redis {
    /// Takes a `redis://` or `redis+unix://` URL, or one of Sentinels that watch it:
    /// `redis+sentinel://user:password@host,host:26379/service`. A query parameter `prefix` is put before the name of every channel and
    /// key, so that several installations can share one Redis: channels do not know its numbered databases.
    ///
    /// # Errors
    /// When the text is not such a URL.
    pub fn new(url: &str) -> Result<Self> {
        let Place { server, prefix } = Place::parse(url)?;
        Ok(Self {
            link: Arc::new(Link::new(server)),
            prefix: prefix.into(),
        })
    }

    async fn connection(&self) -> Result<ConnectionManager> {
        self.link.connection().await
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        let mut connection = self.connection().await?;
        Ok(redis::cmd("PING").query_async(&mut connection).await?)
    }

    /// The name of a channel or key in the Redis that others may use too.
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Publishes to a channel; whoever does not listen at that moment misses it.
    async fn publish(&self, channel: &str, payload: &[u8]) -> Result<()> {
        let mut connection = self.connection().await?;
        Ok(redis::cmd("PUBLISH")
            .arg(self.name(channel))
            .arg(payload)
            .query_async(&mut connection)
            .await?)
    }

    /// Listens to a channel for as long as the returned guard lives, reconnecting by itself.
    fn subscribe(&self, channel: String, mut on: impl FnMut(Notice<'_>) + Send + 'static) -> Subscription {
        let link = Arc::clone(&self.link);
        let channel = self.name(&channel);
        Subscription(tokio::spawn(async move {
            let mut delay = RECONNECT_DELAY;
            loop {
                if let Ok(mut pubsub) = link.listen().await
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
