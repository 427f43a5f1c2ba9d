//! The API's stream of events: server-sent events (HTML Living Standard, section 9.2).

use std::pin::Pin;
use std::time::Duration;

use anyhow::Result;
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use serde_json::Value;

use super::api::{Api, Later, told};

/// How long nothing at all may come: the server says something more often than that.
const SILENCE: Duration = Duration::from_secs(60);

type Incoming = dyn futures_util::Stream<
        Item = std::result::Result<
            eventsource_stream::Event,
            eventsource_stream::EventStreamError<reqwest::Error>,
        >,
    >;

/// What a stream brings.
pub(super) struct Event {
    /// From where on a later stream brings what this one did not.
    pub id: String,
    /// The event that came in, as a list shows it; the first message is none.
    pub summary: Option<Value>,
}

/// Why a stream is over.
pub(super) enum Ended {
    /// The server ended it, to be asked again.
    ByServer,
    /// It broke off.
    Lost(String),
}

/// The stream.
pub(super) struct Stream(Pin<Box<Incoming>>);

impl Stream {
    /// Opens it after an event, or from now on.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn open(
        api: &mut Api,
        filter: &[(&'static str, String)],
        after: Option<&str>,
    ) -> Result<Later<Self>> {
        let mut query = filter.to_vec();
        if let Some(after) = after {
            // Where it began is over then.
            query.retain(|(name, _)| *name != "from");
            query.push(("after", after.to_owned()));
        }
        let answer = api.open("/events/stream", &query, "text/event-stream").await?;
        Ok(answer.map(|answer| Self(Box::pin(answer.bytes_stream().eventsource()))))
    }

    /// The next event.
    pub async fn next(&mut self) -> std::result::Result<Event, Ended> {
        loop {
            let next = tokio::time::timeout(SILENCE, self.0.next()).await;
            let event = match next {
                Err(_) => return Err(Ended::Lost("it is silent".to_owned())),
                Ok(None) => return Err(Ended::ByServer),
                Ok(Some(Err(eventsource_stream::EventStreamError::Transport(error)))) => {
                    return Err(Ended::Lost(told(&error)));
                }
                Ok(Some(Err(error))) => return Err(Ended::Lost(error.to_string())),
                Ok(Some(Ok(event))) => event,
            };
            let summary = match event.event.as_str() {
                "open" => None,
                "event" => serde_json::from_str(&event.data).ok(),
                _ => continue,
            };
            return Ok(Event {
                id: event.id,
                summary,
            });
        }
    }
}
