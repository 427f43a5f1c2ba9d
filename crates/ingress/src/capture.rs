//! Capture windows: while one is open, admitted requests become samples and start nothing.
//!
//! Handshakes are answered as ever, before this. Nothing after it happens: no expectation is enforced, no delivery is
//! remembered or recognised, no quota is charged, and whether the webhook is paused makes no difference. As for events,
//! the sample is committed before its sender is answered.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use hookgate_domain::captures::{self, Taken};
use hookgate_domain::redis::changes::Change;
use hookgate_domain::samples::NewSample;
use hookgate_model::body::most_memory;
use hookgate_model::flow::compiled::accepted;
use hookgate_model::flow::variables::{EventInput, Request};
use hookgate_model::ids::SampleId;
use hookgate_model::sample::SampleSource;
use tokio::sync::Semaphore;

use crate::answer::Prepared;
use crate::protection::Stored;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::webhook::Webhook;

/// How many samples are written at the same time, each of another webhook: those of one wait for each other, and are not to wait
/// in all of the connections that URLs are looked up with.
const AT_ONCE: usize = 2;
/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// The turns of those that write samples.
pub struct Captures(Semaphore);

impl Default for Captures {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Service {
    /// Makes a sample of a request and answers it; `None` when the window has ended, and it is a request like any other.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn capture(
        &self,
        webhook: &Arc<Webhook>,
        request: &Arc<Request>,
    ) -> Result<Option<HttpResponse>, Refusal> {
        let event = request.event();
        let stored = if webhook.protection.is_none() {
            Stored::as_sent(event).await
        } else {
            self.protect(webhook, event.clone(), false).await?
        };
        let id = SampleId::from(event.id.uuid());
        let taken = self.take(webhook, event, id, stored).await?;
        if taken != Taken::Sample {
            self.announce_change(webhook).await;
        }
        if taken == Taken::NotOpen {
            return Ok(None);
        }
        metrics::counter!("hookgate_samples_total").increment(1);
        let (redis, id_of_webhook) = (self.redis.clone(), webhook.route.webhook_id);
        tokio::spawn(async move {
            if let Err(error) = redis.announce_sample(id_of_webhook).await {
                tracing::debug!(%error, "a sample was not announced; who watches finds it by polling");
            }
        });
        let answer = match &webhook.constant_answer {
            Some(constant) => constant.send_as_sample(id),
            None => self.immediate_answer(webhook, request).await.send_as_sample(id),
        };
        Ok(Some(answer))
    }

    async fn take(
        &self,
        webhook: &Webhook,
        event: &EventInput,
        id: SampleId,
        stored: Stored<'_>,
    ) -> Result<Taken, Refusal> {
        let unavailable = || Refusal::StorageUnavailable;
        // First among those of the webhook: who waits for its row holds no turn that another's could have.
        let turns = async {
            let own = webhook.capturing.acquire().await.ok()?;
            Some((own, self.captures.0.acquire().await.ok()?))
        };
        let turns = tokio::time::timeout(PATIENCE, turns).await;
        let _turns = turns.ok().flatten().ok_or_else(unavailable)?;
        let masked = stored.masked.as_deref().map(serde_json::from_slice).transpose();
        let masked = masked.map_err(|_| Refusal::NotStorable)?;
        let route = &webhook.route;
        let (scope, webhook_id, url_id) = (route.scope, route.webhook_id, route.url_id);
        let (environment, suffix, method) = (event.environment, event.suffix.clone(), event.method.clone());
        let (path, query) = (stored.path.into_owned(), stored.query.into_owned());
        let (address, headers, body) = (stored.address, stored.headers.into_owned(), stored.body);
        let take = move |conn: &mut _| {
            let new = NewSample {
                id,
                webhook_id,
                source: SampleSource::Captured,
                url_id: Some(url_id),
                event_id: None,
                environment,
                method: &method,
                suffix: &suffix,
                path: &path,
                query: &query,
                address,
                headers: &headers,
                body: &body,
                masked,
            };
            scope.transaction(conn, |conn| captures::take(conn, &scope, &new))
        };
        self.pool.run(take).await.map_err(|error| {
            tracing::warn!(%error, webhook = %webhook_id, "a sample could not be stored");
            if error.is_transient() {
                Refusal::StorageUnavailable
            } else {
                Refusal::NotStorable
            }
        })
    }

    /// What a webhook that answers at once says, also where callers of this one wait: there is no run to wait for.
    async fn immediate_answer(&self, webhook: &Arc<Webhook>, request: &Arc<Request>) -> Prepared {
        let event = request.event();
        let memory = most_memory(&event.headers, event.body.len());
        let (evaluated, request) = (Arc::clone(webhook), Arc::clone(request));
        let evaluate = move || evaluated.revision.immediate_answer(&request);
        let longest = self.template_timeout();
        let made = webhook.evaluations.within(&self.apart, memory, longest, evaluate);
        Prepared::from(&made.await.unwrap_or_else(accepted))
    }

    /// Lets all nodes hear that a window has ended.
    async fn announce_change(&self, webhook: &Webhook) {
        let id = webhook.route.webhook_id;
        self.routes.forget(Change::Webhook(id));
        if let Err(error) = self.redis.announce(Change::Webhook(id)).await {
            tracing::debug!(%error, "the end of a window was not announced; other nodes find it when they would take a sample");
        }
    }
}
