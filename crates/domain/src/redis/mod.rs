//! Redis: wake-ups, answers in flight, invalidation. Nothing here is a fact; every user copes with its absence.

pub mod answers;
pub mod changes;
pub mod counters;
pub mod draws;
mod failures;
pub mod samples;
mod script;
pub mod server;
pub mod turns;
pub mod wakeups;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use url::Url;

use crate::error::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
const RECONNECT_DELAY: Duration = Duration::from_millis(100);
const RECONNECT_DELAY_MOST: Duration = Duration::from_secs(2);

/// A handle on Redis that connects when it is first needed, and again whenever the connection was lost.
#[derive(Clone)]
pub struct Redis {
    client: redis::Client,
    connection: Arc<OnceCell<ConnectionManager>>,
    prefix: Arc<str>,
}

impl Redis {
    /// Takes a `redis://` or `redis+unix://` URL. A query parameter `prefix` is put before the name of every channel and
    /// key, so that several installations can share one Redis: channels do not know its numbered databases.
    ///
    /// # Errors
    /// When the text is not such a URL.
    pub fn new(url: &str) -> Result<Self> {
        let (url, prefix) = split_prefix(url)?;
        Ok(Self {
            client: redis::Client::open(url)?,
            connection: Arc::default(),
            prefix: prefix.into(),
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
        let client = self.client.clone();
        let channel = self.name(&channel);
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

/// Takes the `prefix` out of a Redis URL's query.
fn split_prefix(text: &str) -> Result<(Url, String)> {
    // The URL may hold a password, so it is not repeated.
    let mut url = Url::parse(text).map_err(|_| Error::Query("the Redis URL is not a URL".into()))?;
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let (prefixes, others): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| name == "prefix");
    if !prefixes.is_empty() {
        url.set_query(None);
        if !others.is_empty() {
            url.query_pairs_mut().extend_pairs(others);
        }
    }
    Ok((url, prefixes.into_iter().map(|(_, prefix)| prefix).collect()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_taken_out_of_the_url() {
        for (given, url, prefix) in [
            ("redis://h:1/2", "redis://h:1/2", ""),
            (
                "redis+unix:///a/b.sock?prefix=blue:",
                "redis+unix:///a/b.sock",
                "blue:",
            ),
            (
                "redis+unix:///a/b.sock?db=3&prefix=x&pass=y",
                "redis+unix:///a/b.sock?db=3&pass=y",
                "x",
            ),
        ] {
            let (left, found) = split_prefix(given).expect("a URL");
            assert_eq!((left.as_str(), found.as_str()), (url, prefix));
            assert!(Redis::new(given).is_ok());
        }
        assert!(Redis::new("nonsense").is_err());
    }
}
