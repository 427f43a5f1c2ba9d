//! What a request says of itself before it is stored, and what its sender gets when it came before.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::HttpResponse;
use hookgate_domain::appender::Remember;
use hookgate_domain::deduplication::Repetition;
use hookgate_domain::deduplication::{DeliveryKeys, Duplicate};
use hookgate_domain::outcomes::Outcome;
use hookgate_domain::{answers, clock};
use hookgate_model::answer::Answer;
use hookgate_model::body::most_memory;
use hookgate_model::deduplication::Keys;
use hookgate_model::flow::session;
use hookgate_model::flow::variables::Request;
use hookgate_model::ids::EventId;
use hookgate_model::webhook::Status;
use uuid::Uuid;

use crate::answer::Prepared;
use crate::service::{READ_APART, Service};
use crate::webhook::Webhook;

/// The longest answer that is kept for duplicates, in bytes. A longer one is made again, from the duplicate's own request.
const KEPT_ANSWER: usize = 256 * 1024;

/// A request that was admitted, with what it says of itself.
pub struct Delivery {
    /// The request as templates see it.
    pub request: Arc<Request>,
    /// The answer to an event that is remembered, if it is made from the request, and from the request alone.
    pub answer: Option<Answer>,
    remember: Remember,
    /// The session in which the event has its turn.
    pub session_id: Option<Uuid>,
}

impl Delivery {
    /// Whether and by what the event is remembered. Of a masked one no answer is kept that was made from the request: what
    /// is masked could stand in it.
    pub fn remembered(&self, is_masked: bool) -> Cow<'_, Remember> {
        match &self.remember {
            Remember::By(keys) if is_masked && self.answer.is_some() => {
                Cow::Owned(Remember::By(DeliveryKeys {
                    answer: None,
                    ..keys.clone()
                }))
            }
            remember => Cow::Borrowed(remember),
        }
    }
}

impl Service {
    /// Reads the type, the delivery id and the keys of a request, and makes the answer that is remembered with them.
    pub async fn read_delivery(&self, webhook: &Arc<Webhook>, request: Arc<Request>) -> Delivery {
        let session_id = self.session_of(webhook, &request).await;
        let forgotten = |request, remember| Delivery {
            request,
            answer: None,
            remember,
            session_id,
        };
        if webhook.recognition.is_idle() {
            return forgotten(request, Remember::Off);
        }
        let (request, keys) = self.recognize(webhook, request).await;
        let keys = match keys {
            Keys::Off => return forgotten(request, Remember::Off),
            Keys::Missing => {
                metrics::counter!("hookgate_events_without_key_total").increment(1);
                return forgotten(request, Remember::NoKey);
            }
            Keys::Known(keys) => keys,
        };
        let (answer, kept) = match &webhook.stored_answer {
            Some(constant) => (None, Some(Arc::clone(constant))),
            None if webhook.revision.waits() => (None, None),
            None => {
                let answer = self.answer_from_request(webhook, &request).await;
                let stored = Some(answer.encode()).filter(|stored| stored.len() <= KEPT_ANSWER);
                (Some(answer), stored.map(Arc::from))
            }
        };
        Delivery {
            request,
            answer,
            remember: Remember::By(DeliveryKeys {
                keys,
                remember: webhook.recognition.remember(),
                answer: kept,
            }),
            session_id,
        }
    }

    /// The session of a request. When its key cannot be read now, the worker reads it, and the event takes its turn then.
    async fn session_of(&self, webhook: &Arc<Webhook>, request: &Arc<Request>) -> Option<Uuid> {
        webhook.revision.session()?;
        let event = request.event();
        let memory = most_memory(&event.headers, event.body.len());
        let (evaluated, request) = (Arc::clone(webhook), Arc::clone(request));
        let read = move || evaluated.revision.session_key(&request);
        let longest = self.template_timeout();
        let read = webhook.evaluations.within(&self.apart, memory, longest, read);
        let key = read.await?.ok()??;
        Some(session::id(webhook.route.webhook_id, &key))
    }

    /// Reads at once what takes little, and apart what may take long: a long body, or a template that does more than name
    /// values. What cannot be read in time has no key: the event is not lost for that.
    async fn recognize(&self, webhook: &Arc<Webhook>, request: Arc<Request>) -> (Arc<Request>, Keys) {
        let event = request.event();
        let memory = if webhook.recognition.needs_body() {
            most_memory(&event.headers, event.body.len()).max(event.body.len())
        } else {
            0
        };
        let (secrets, id) = (&self.key_secrets, webhook.route.webhook_id);
        if webhook.recognition.is_plain() && memory < READ_APART {
            return webhook.recognition.read(secrets, id, request);
        }
        let (reading, secrets, unread) = (Arc::clone(webhook), Arc::clone(secrets), Arc::clone(&request));
        let read = move || reading.recognition.read(&secrets, id, unread);
        let longest = self.template_timeout();
        let read = webhook.evaluations.within(&self.apart, memory, longest, read);
        read.await.unwrap_or((request, Keys::Missing))
    }

    /// Answers a delivery that came before as the first was answered: never with an error, which would make the sender try
    /// again.
    pub async fn answer_duplicate(
        &self,
        webhook: &Arc<Webhook>,
        delivery: &Delivery,
        duplicate: Duplicate,
    ) -> HttpResponse {
        let Duplicate { first, answer } = duplicate;
        metrics::counter!("hookgate_duplicates_total").increment(1);
        let now = clock::now();
        self.repetitions.add(Repetition {
            scope: webhook.route.scope,
            event: first,
            count: 1,
            last_at: now,
        });
        self.note_outcome(webhook, Outcome::Duplicate, now);
        let own = match webhook.revision.answers_duplicates() {
            true => {
                self.answer_of_its_own(webhook, delivery.request.of_event(first))
                    .await
            }
            false => None,
        };
        let answer = match own.or_else(|| answer.as_deref().and_then(Answer::decode)) {
            Some(answer) => Some(answer),
            None => self.answer_of_run(webhook, first).await,
        };
        let answer = match answer {
            Some(answer) => answer,
            None => {
                let as_first = delivery.request.of_event(first);
                self.answer_from_request(webhook, &as_first).await
            }
        };
        Prepared::from(&answer).send(first)
    }

    /// The answer that the revision has for deliveries that came before.
    async fn answer_of_its_own(&self, webhook: &Arc<Webhook>, as_first: Arc<Request>) -> Option<Answer> {
        let event = as_first.event();
        let memory = most_memory(&event.headers, event.body.len());
        let evaluated = Arc::clone(webhook);
        let evaluate = move || evaluated.revision.duplicate_answer(&as_first);
        let longest = self.template_timeout();
        let made = webhook.evaluations.within(&self.apart, memory, longest, evaluate);
        made.await?
    }

    /// The answer of an event's run: waited for if the webhook's callers wait, else taken if it is there.
    async fn answer_of_run(&self, webhook: &Webhook, event: EventId) -> Option<Answer> {
        let scope = webhook.route.scope;
        if webhook.revision.waits() && webhook.route.status == Status::Active {
            let place = self.waiting.join(scope, event)?;
            return place.wait(webhook.revision.timeout()).await;
        }
        let asked = [(event, None)];
        let read = move |conn: &mut _| scope.transaction(conn, |conn| answers::read(conn, &scope, &asked));
        match self.pool.run(read).await {
            Ok(found) => found.into_iter().next()?.1.ok()?,
            Err(error) => {
                tracing::debug!(%error, "the answer to a duplicate could not be read");
                None
            }
        }
    }

    /// The answer that is made from the request alone: the event is stored, so when its template takes too long, the caller
    /// still hears that.
    pub async fn answer_from_request(&self, webhook: &Arc<Webhook>, request: &Arc<Request>) -> Answer {
        let event = request.event();
        let memory = most_memory(&event.headers, event.body.len());
        let (evaluated, id) = (Arc::clone(webhook), event.id);
        let request = Arc::clone(request);
        let waits = webhook.revision.waits();
        let status_url = waits.then(|| self.status_url(webhook, id)).flatten();
        let shown = status_url.clone();
        let evaluate = move || {
            if waits {
                evaluated.revision.timed_out_answer(&request, shown.as_deref())
            } else {
                evaluated.revision.immediate_answer(&request)
            }
        };
        let longest = self.template_timeout();
        let made = webhook.evaluations.within(&self.apart, memory, longest, evaluate);
        made.await.unwrap_or_else(|| {
            webhook
                .revision
                .answer_without_template(id, status_url.as_deref())
        })
    }
}
