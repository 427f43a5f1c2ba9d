//! The way of a request, from its first byte to its answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use hookgate_domain::apart::Apart;
use hookgate_domain::appender::refusals::RefusalLog;
use hookgate_domain::appender::{AppendError, Appended, Appender, NewEvent, Work};
use hookgate_domain::clock;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::Database;
use hookgate_domain::redis::Redis;
use hookgate_egress::Client;
use hookgate_egress::published_keys::{Asked, PublishedKeys};
use hookgate_model::body::{Body, most_memory};
use hookgate_model::deduplication::KeySecret;
use hookgate_model::flow::variables::EventInput;
use hookgate_model::ids::EventId;
use hookgate_model::network_set::NetworkSet;
use hookgate_model::webhook::{MalformedBodies, Status};

use crate::address;
use crate::admission::{Admission, Stop};
use crate::answer::Prepared;
use crate::body_room::BodyRoom;
use crate::connection;
use crate::cors;
use crate::credentials::overcome;
use crate::delivery::Delivery;
use crate::limits::{Charged, Limits};
use crate::protection::{self, Stored};
use crate::read_body::read_body;
use crate::refusal::Refusal;
use crate::refused::ReadBody;
use crate::repetitions::Repetitions;
use crate::request::Request;
use crate::routes::Routes;
use crate::settings::Settings;
use crate::used_keys::UsedKeys;
use crate::waiting::{Place, Waiting};
use crate::webhook::Webhook;

/// Bodies that may take more memory than this to be read are read on a thread of their own, so that they hold nobody up.
pub const READ_APART: usize = 2 << 20;

/// What all requests share.
pub struct Service {
    pub settings: Settings,
    pub trusted_proxies: NetworkSet,
    pub pool: Database,
    pub routes: Routes,
    pub limits: Arc<Limits>,
    pub appender: Appender,
    pub refusals: RefusalLog,
    /// What senders publish to be verified with.
    pub keys: PublishedKeys,
    /// What the public URLs begin with, without a slash at its end.
    pub public_url: String,
    /// Opens and seals what is secret.
    pub master_key: MasterKey,
    /// Calls what senders have to be called at.
    pub egress: Client,
    /// Tells the other nodes.
    pub redis: Redis,
    pub waiting: Waiting,
    pub used_keys: UsedKeys,
    pub repetitions: Repetitions,
    /// What the keys of deliveries are made with.
    pub key_secret: KeySecret,
    pub body_room: BodyRoom,
    pub apart: Apart,
}

/// Takes any request.
pub async fn receive(http: HttpRequest, mut body: web::Payload, service: web::Data<Service>) -> HttpResponse {
    let _in_hand = http
        .conn_data::<Rc<connection::State>>()
        .map(connection::State::begin);
    let Some(mut request) = Request::read(&http) else {
        return operational(&http, &service).await;
    };
    let webhook = match service.routes.find(request.token).await {
        Ok(Some(webhook)) => webhook,
        Ok(None) => return Refusal::UnknownUrl.answer(),
        Err(error) => {
            tracing::warn!(%error, "a URL could not be looked up");
            return Refusal::StorageUnavailable.answer();
        }
    };
    let header = service.settings.forwarded_header;
    request.sender = request.peer().map(|peer| {
        let lines = || request.lines(header.name());
        address::of_sender(peer, header, lines, &service.trusted_proxies)
    });
    let (stop, read) = match service.accept(&request, &mut body, &webhook).await {
        Ok(answer) => return readable(answer, &webhook, &request),
        Err(stopped) => stopped,
    };
    let refusal = match stop {
        Stop::Answered(answer) => return readable(answer.send_without_event(), &webhook, &request),
        Stop::Pending(pending) => match service.finish(&webhook, pending).await {
            Ok(answer) => return answer,
            Err(refusal) => {
                Box::pin(service.keep_refusal(&request, &webhook, &refusal, read, &mut body)).await;
                return refusal.answer();
            }
        },
        Stop::Refused(refusal) => refusal,
        Stop::NeedsKeys(keys) => Refusal::Denied(keys.denial(), webhook.challenge),
    };
    // Rare, and large: no accepted request is to be made longer by it.
    Box::pin(service.keep_refusal(&request, &webhook, &refusal, read, &mut body)).await;
    if refusal.is_disguised() {
        return refusal.answer();
    }
    readable(refusal.answer(), &webhook, &request)
}

/// An answer that the web page which sent the request may read, if the webhook says so.
fn readable(mut answer: HttpResponse, webhook: &Webhook, request: &Request<'_>) -> HttpResponse {
    if let Some(cors) = &webhook.route.cors {
        cors::let_read(cors, request, answer.headers_mut());
    }
    answer
}

impl Service {
    /// Admits a request, stores it, and waits for its answer. A stop comes with what was read of the body.
    async fn accept(
        &self,
        request: &Request<'_>,
        body: &mut web::Payload,
        webhook: &Arc<Webhook>,
    ) -> Result<HttpResponse, (Stop, ReadBody)> {
        let public_url = request.public_url(&self.public_url);
        let mut admission = Admission::new(request, webhook, clock::now(), &public_url, &self.keys);
        let stopped = |stop| (stop, ReadBody::Unread);
        admission.admit_sender().map_err(stopped)?;
        let within_limits = self.limits.admit(&webhook.limits).await;
        within_limits.map_err(|exceeded| stopped(Refusal::LimitExceeded(exceeded).into()))?;
        let mut asked = Asked::default();
        while let Err(stop) = admission.admit() {
            let overcome = Box::pin(overcome(stop, &mut asked, &self.keys, webhook)).await;
            overcome.map_err(stopped)?;
        }
        let mut room = self.body_room.enter();
        let pace = self.settings.pace();
        let body = read_body(body, webhook.limits.body_bytes, pace, &mut room).await;
        let body = body.map_err(|(refusal, read)| (refusal.into(), ReadBody::Part(read)))?;
        while let Err(stop) = admission.admit_body(&body) {
            let overcome = Box::pin(overcome(stop, &mut asked, &self.keys, webhook)).await;
            overcome.map_err(|stop| (stop, ReadBody::Whole(body.clone())))?;
        }
        let headers = request.stored_headers();
        if webhook.route.malformed_bodies == MalformedBodies::Refuse {
            let read = self.require_well_formed(&headers, &body).await;
            read.map_err(|refusal| (refusal.into(), ReadBody::Whole(body.clone())))?;
        }
        if let Some(key) = admission.accepted.and_then(|accepted| accepted.api_key) {
            self.used_keys.note(webhook.route.scope, key, admission.now);
        }
        let id = EventId::new(admission.now, rand::random());
        let limited = |exceeded| {
            let read = ReadBody::Whole(body.clone());
            (Refusal::LimitExceeded(exceeded).into(), read)
        };
        let waits = webhook.revision.waits() && webhook.route.status == Status::Active;
        let one_waiting = waits.then(|| webhook.limits.enter_waiting()).transpose();
        let _one_waiting = one_waiting.map_err(limited)?;
        let charged = Charged {
            scope: webhook.route.scope,
            webhook_id: webhook.route.webhook_id,
            at: admission.now,
            body_bytes: body.len() as u64,
        };
        let charge = self
            .limits
            .charge(&webhook.limits, charged)
            .await
            .map_err(limited)?;
        let place = waits.then(|| self.take_place(webhook, id)).flatten();
        let event = event_input(request, webhook, id, headers, body.clone());
        let delivery = self.read_delivery(webhook, event).await;
        match self.append(webhook, &delivery, place.as_ref()).await {
            Ok(Appended::Stored) => {}
            Ok(Appended::Duplicate(duplicate)) => {
                // It is no event of its own, and counts as none.
                charge.take_back();
                drop(place);
                return Ok(self.answer_duplicate(webhook, &delivery, duplicate).await);
            }
            Err(refusal) => {
                charge.take_back();
                return Err((refusal.into(), ReadBody::Whole(body)));
            }
        }
        if let Some(answer) = &webhook.constant_answer {
            return Ok(answer.send(id));
        }
        let waiting = place.map(|place| place.wait(webhook.revision.timeout()));
        let answer = match waiting {
            Some(waiting) => waiting.await,
            None => None,
        };
        let answer = match answer.or(delivery.answer) {
            Some(answer) => answer,
            None => self.answer_from_request(webhook, &delivery.request).await,
        };
        Ok(Prepared::from(&answer).send(id))
    }

    /// A place among the waiting callers of this node; none when too many wait.
    fn take_place(&self, webhook: &Webhook, id: EventId) -> Option<Place> {
        self.waiting
            .take_place(webhook.route.scope, id, self.settings.waiting_callers)
    }

    /// Stores the event, unless it came before; returns when it is durable.
    async fn append(
        &self,
        webhook: &Arc<Webhook>,
        delivery: &Delivery,
        place: Option<&Place>,
    ) -> Result<Appended, Refusal> {
        let event = delivery.request.event();
        let node = place.map(|_| self.waiting.node());
        let work = webhook.work(node, webhook.route.status == Status::Paused);
        let stored = if webhook.protection.is_none() {
            Stored::as_sent(event).await
        } else {
            self.protect(webhook, event.clone(), work != Work::None).await?
        };
        if let (Some(place), Some(key)) = (place, stored.key) {
            place.open_with(key);
        }
        let ticket = self.appender.submit(&NewEvent {
            scope: webhook.route.scope,
            id: event.id,
            webhook_id: webhook.route.webhook_id,
            url_id: webhook.route.url_id,
            revision_id: webhook.revision_id(),
            environment: event.environment,
            method: &event.method,
            suffix: &event.suffix,
            path: &stored.path,
            query: &stored.query,
            address: stored.address,
            headers: &stored.headers,
            body: &stored.body,
            event_type: stored.event_type.as_deref(),
            delivery_id: stored.delivery_id.as_deref(),
            masked: stored.masked.as_deref(),
            payload: stored.payload.as_deref(),
            remember: &delivery.remembered(stored.masked.is_some()),
            work,
        });
        ticket
            .map_err(|error| refusal_of(&error))?
            .await
            .map_err(|error| refusal_of(&error))
    }

    /// What is stored of a request to a webhook with data protection.
    async fn protect(
        &self,
        webhook: &Arc<Webhook>,
        event: EventInput,
        has_work: bool,
    ) -> Result<Stored<'static>, Refusal> {
        let longest = self.template_timeout();
        let is_sensitive = protection::is_sensitive(webhook, &self.apart, longest, &event).await;
        protection::protect(
            webhook,
            &self.master_key,
            &self.apart,
            event,
            is_sensitive,
            has_work,
        )
        .await
        .map_err(|error| {
            tracing::error!(%error, "an event could not be masked");
            Refusal::NotStorable
        })
    }

    /// Refuses a body that is not what it is called, or is so with a doubt.
    async fn require_well_formed(&self, headers: &[u8], body: &Bytes) -> Result<(), Refusal> {
        let read = Body::new(headers, body.clone());
        let memory = most_memory(headers, body.len());
        let error = if memory < READ_APART {
            read.error()
        } else {
            self.apart.run(memory, move || read.error()).await.flatten()
        };
        error.map_or(Ok(()), |error| Err(Refusal::BodyMalformed(error)))
    }

    pub fn template_timeout(&self) -> Duration {
        Duration::from_millis(self.settings.template_timeout_ms)
    }
}

fn refusal_of(error: &AppendError) -> Refusal {
    match error {
        AppendError::Full | AppendError::Unavailable => Refusal::StorageUnavailable,
        AppendError::Rejected(message) => {
            tracing::error!(message, "Postgres refuses an event");
            Refusal::NotStorable
        }
    }
}

fn event_input(
    request: &Request<'_>,
    webhook: &Webhook,
    id: EventId,
    headers: Vec<u8>,
    body: Bytes,
) -> EventInput {
    EventInput {
        id,
        received_at: id.created_at(),
        method: request.method().to_owned(),
        address: request.address(),
        environment: webhook.route.environment,
        suffix: webhook.route.suffix.as_str().to_owned(),
        path: request.path.to_owned(),
        query: request.query().to_owned(),
        headers,
        body,
        event_type: None,
        delivery_id: None,
    }
}

/// What is no public URL: the probes, or nothing.
async fn operational(http: &HttpRequest, service: &Service) -> HttpResponse {
    let answer = match (http.method(), http.path()) {
        (&Method::GET, "/livez") => HttpResponse::Ok().content_type("text/plain").body("ok\n"),
        (&Method::GET, "/readyz") => match service.pool.ping().await {
            Ok(()) => HttpResponse::Ok().content_type("text/plain").body("ready\n"),
            Err(_) => HttpResponse::ServiceUnavailable()
                .content_type("text/plain")
                .body("Postgres cannot be reached\n"),
        },
        _ => return Refusal::UnknownUrl.answer(),
    };
    let mut answer = answer;
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
