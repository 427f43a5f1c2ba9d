//! `hookgate listen`: forwards events to an address on this machine while it runs. It is a client of the management API
//! like any other, and needs nothing else of the installation.

mod api;
mod arguments;
mod forward;
mod stream;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::services::StopSignals;
use api::Api;
pub use arguments::Arguments;
use arguments::Since;
use forward::Forwarder;
use stream::{Ended, Event, Stream};

/// How long to wait before a lost connection is tried again: at first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How many events are remembered as forwarded: more than come again.
const REMEMBERED: usize = 10_000;

/// Listens until it is told to stop.
///
/// # Errors
/// When the API refuses what was asked for, such as an unknown webhook.
pub fn run(arguments: Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let mut listener = Listener::start(arguments).await?;
        let told_to_stop = StopSignals::listen()?;
        tokio::select! {
            outcome = listener.listen() => outcome,
            () = told_to_stop.first() => {
                listener.farewell();
                Ok(())
            }
        }
    })
}

struct Listener {
    api: Api,
    forwarder: Forwarder,
    /// The query of the stream, without where it goes on.
    filter: Vec<(&'static str, String)>,
    /// Where it goes on.
    since: Option<String>,
    /// The event after which it was told to begin.
    begins: Option<String>,
    /// The last events that were forwarded.
    forwarded: VecDeque<String>,
}

impl Listener {
    async fn start(arguments: Arguments) -> Result<Self> {
        let mut api = Api::new(&arguments).await?;
        let forwarder = Forwarder::new(arguments.to.clone(), arguments.timeout())?;
        let mut filter = Vec::new();
        let whose = match &arguments.webhook {
            None => "every webhook".to_owned(),
            Some(wanted) => {
                let webhook = find(&mut api, wanted).await?;
                filter.push(("webhook_id", text(&webhook, "id")));
                tell_urls(&webhook, &arguments);
                format!("{} ({})", text(&webhook, "name"), text(&webhook, "id"))
            }
        };
        if let Some(environment) = arguments.environment.name() {
            filter.push(("environment", environment.to_owned()));
        }
        println!(
            "Forwarding {} of {whose} to {}. Ctrl-C ends it.",
            arguments.environment, arguments.to
        );
        let after = match arguments.since {
            Some(Since::Event(event)) => Some(event.to_string()),
            Some(since) => {
                filter.extend(since.from().map(|from| ("from", from)));
                None
            }
            None => None,
        };
        Ok(Self {
            api,
            forwarder,
            filter,
            begins: after.clone(),
            since: after,
            forwarded: VecDeque::new(),
        })
    }

    /// Forwards what comes, and connects again whenever the connection is lost.
    async fn listen(&mut self) -> Result<()> {
        let mut delay = BACKOFF.0;
        let mut is_lost = false;
        loop {
            let began = Instant::now();
            let why = match Stream::open(&mut self.api, &self.filter, self.since.as_deref()).await? {
                Ok(stream) => {
                    if std::mem::take(&mut is_lost) {
                        println!("Connected again.");
                    }
                    delay = BACKOFF.0;
                    self.follow(stream).await?
                }
                Err(why) => Some(why),
            };
            // The server ends every stream after a while, to be asked again.
            let Some(why) = why else {
                // One that ends at once would be asked for again and again.
                tokio::time::sleep(BACKOFF.0.saturating_sub(began.elapsed())).await;
                continue;
            };
            if !std::mem::replace(&mut is_lost, true) {
                println!(
                    "The connection to {} is lost ({why}); trying again.",
                    self.api.base()
                );
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(BACKOFF.1);
        }
    }

    /// Forwards what a stream brings until it ends, and tells why it did if that was not the server's wish.
    async fn follow(&mut self, mut stream: Stream) -> Result<Option<String>> {
        loop {
            match stream.next().await {
                Ok(Event { id, summary }) => {
                    if let Some(summary) = summary.filter(|summary| self.is_new(summary)) {
                        match self.forwarder.forward(&mut self.api, &summary).await? {
                            Ok(line) => println!("{line}"),
                            Err(why) => return Ok(Some(why)),
                        }
                        self.remember(text(&summary, "id"));
                    }
                    // What came in before it began comes again with every reconnection.
                    self.begins.get_or_insert_with(|| id.clone());
                    self.since = Some(id);
                }
                Err(Ended::ByServer) => return Ok(None),
                Err(Ended::Lost(why)) => return Ok(Some(why)),
            }
        }
    }

    /// Whether an event was not forwarded yet: who comes back to the stream gets the last ones again.
    fn is_new(&self, summary: &Value) -> bool {
        let id = text(summary, "id");
        // Ids are in the order of their times.
        self.begins.as_ref().is_none_or(|begins| id > *begins) && !self.forwarded.contains(&id)
    }

    fn remember(&mut self, id: String) {
        if self.forwarded.len() >= REMEMBERED {
            self.forwarded.pop_front();
        }
        self.forwarded.push_back(id);
    }

    fn farewell(&self) {
        match &self.since {
            Some(last) => println!("\nEnded. What comes meanwhile can be had with --since {last}."),
            None => println!("\nEnded."),
        }
    }
}

/// The webhook of an id, a name, or anything else that the API's search finds one by.
async fn find(api: &mut Api, wanted: &str) -> Result<Value> {
    let found = api
        .get(
            "/webhooks",
            &[("q", wanted.to_owned()), ("limit", "200".to_owned())],
        )
        .await?
        .map_err(|why| api.unreachable(&why))?;
    let webhooks = found["data"]
        .as_array()
        .context("the API gave no list of webhooks")?;
    let exact = webhooks
        .iter()
        .find(|webhook| webhook["id"] == *wanted || webhook["name"] == *wanted);
    match (exact, webhooks.as_slice()) {
        (Some(webhook), _) | (None, [webhook]) => Ok(webhook.clone()),
        (None, []) => {
            anyhow::bail!("there is no webhook `{wanted}`: give an id, a name, a suffix or a public URL")
        }
        (None, several) => {
            let names: Vec<String> = several
                .iter()
                .take(10)
                .map(|webhook| format!("{} ({})", text(webhook, "name"), text(webhook, "id")))
                .collect();
            anyhow::bail!(
                "`{wanted}` finds several webhooks; give the id of one: {}",
                names.join(", ")
            )
        }
    }
}

/// Says where to send something.
fn tell_urls(webhook: &Value, arguments: &Arguments) {
    for url in webhook["urls"].as_array().into_iter().flatten() {
        let environment = text(url, "environment");
        if arguments
            .environment
            .name()
            .is_none_or(|wanted| wanted == environment)
        {
            println!("{environment:<12}{}", text(url, "public_url"));
        }
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
