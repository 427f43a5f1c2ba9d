//! The way of a request, from its first byte to its answer.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_http::{ConnectionType, RequestHead};
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use hookgate_domain::apart::Apart;
use hookgate_domain::appender::refusals::RefusalLog;
use hookgate_domain::appender::{AppendError, Appended, Appender, NewEvent, Work};
use hookgate_domain::clock;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::Database;
use hookgate_domain::deduplication::Repetition;
use hookgate_domain::drift::Seen;
use hookgate_domain::gathered::Gathered;
use hookgate_domain::outcomes::Counted;
use hookgate_domain::redis::Redis;
use hookgate_domain::routing::UsedKey;
use hookgate_domain::trace;
use hookgate_egress::Client;
use hookgate_egress::published_keys::{Asked, PublishedKeys};
use hookgate_model::body::{Body, most_memory};
use hookgate_model::deduplication::KeySecret;
use hookgate_model::flow::variables::{EventInput, Request as FlowRequest};
use hookgate_model::ids::EventId;
use hookgate_model::network_set::NetworkSet;
use hookgate_model::sender_address::{self, Sender};
use hookgate_model::webhook::{MalformedBodies, Status};

use crate::admission::{Admission, Admitted, Stop};
use crate::answer::Prepared;
use crate::body_room::BodyRoom;
use crate::capture::Captures;
use crate::connection::{InHand, State};
use crate::cors;
use crate::credentials::overcome;
use crate::delivery::Delivery;
use crate::expectations::note_drift;
use crate::limits::{Charge, Charged, Limits};
use crate::protection::{self, Stored};
use crate::read_body::{Bounds, discard, read_body};
use crate::refusal::{Refusal, Shared};
use crate::refused::ReadBody;
use crate::request::Request;
use crate::routes::Routes;
use crate::settings::Settings;
use crate::status;
use crate::traced::Traced;
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
    /// What is counted beside the work.
    pub used_keys: Gathered<UsedKey>,
    pub repetitions: Gathered<Repetition>,
    pub drift: Gathered<Seen>,
    pub outcomes: Gathered<Counted>,
    pub captures: Captures,
    /// What the keys of deliveries are made with.
    pub key_secrets: Arc<[KeySecret]>,
    pub body_room: BodyRoom,
    pub apart: Apart,
    /// Whether it is about to stop: connections end with their next answer, and probes hear that it is not ready.
    pub is_draining: AtomicBool,
}

/// A request whose head is admitted.
struct Entered {
    webhook: Arc<Webhook>,
    sender: Option<Sender>,
    /// The URL as its sender was given it.
    public_url: String,
    admitted: Admitted,
    asked: Asked,
}

/// A request whose sender waits before it sends the body, and what is known of it already.
struct Invited {
    entered: Entered,
    _in_hand: Option<InHand>,
}

/// Takes any request.
pub async fn receive(http: HttpRequest, body: web::Payload, service: web::Data<Service>) -> HttpResponse {
    let _in_hand = http.conn_data::<Rc<State>>().map(State::begin);
    let head = http.head();
    let Some(request) = Request::read(head) else {
        return operational(head, &service).await;
    };
    let traced = Traced::begin(&request);
    let mut answer = trace::scope(traced.context, receive_public(&http, request, body, &service)).await;
    traced.end(http.method().as_str(), answer.status());
    if service.is_draining.load(Ordering::Relaxed) {
        answer.head_mut().set_connection_type(ConnectionType::Close);
    }
    answer
}

/// Takes a request to a public URL.
async fn receive_public(
    http: &HttpRequest,
    mut request: Request<'_>,
    mut body: web::Payload,
    service: &Service,
) -> HttpResponse {
    let head = http.head();
    let invited = head.expect().then(|| http.extensions_mut().remove::<Invited>());
    let entered = match invited.flatten() {
        Some(invited) => {
            request.sender = invited.entered.sender;
            Ok(invited.entered)
        }
        None => service.enter(&mut request, Some(&mut body)).await,
    };
    let mut answer = match entered {
        Ok(entered) => service.take_in(&request, entered, &mut body).await,
        Err(answer) => {
            discard(&mut body).await;
            answer
        }
    };
    if request.asks_for_upgrade() {
        // The server may have taken the next request for a part of this one's body.
        answer.head_mut().set_connection_type(ConnectionType::Close);
    }
    answer
}

/// Looks at the head of a request whose sender waits to hear that its body will be read (RFC 9110, section 10.1.1).
///
/// # Errors
/// The answer, when it will not be. The connection ends with it, since the body may come all the same.
pub async fn invite(
    http: actix_http::Request,
    service: &Service,
) -> Result<actix_http::Request, HttpResponse> {
    let in_hand = http.conn_data::<Rc<State>>().map(State::begin);
    let entered = match Request::read(http.head()) {
        Some(mut request) => service.enter(&mut request, None).await,
        None => Err(operational(http.head(), service).await),
    };
    let entered = entered.map_err(|mut answer| {
        answer.head_mut().set_connection_type(ConnectionType::Close);
        answer
    })?;
    http.extensions_mut().insert(Invited {
        entered,
        _in_hand: in_hand,
    });
    Ok(http)
}

/// An answer that the web page which sent the request may read, if the webhook says so.
fn readable(mut answer: HttpResponse, webhook: &Webhook, request: &Request<'_>) -> HttpResponse {
    if let Some(cors) = &webhook.route.cors {
        cors::let_read(cors, request, answer.headers_mut());
    }
    answer
}

impl Service {
    /// Admits a request's head. Of one that is refused the body may be read, if it comes.
    ///
    /// # Errors
    /// The answer, when that decides it.
    async fn enter(
        &self,
        request: &mut Request<'_>,
        body: Option<&mut web::Payload>,
    ) -> Result<Entered, HttpResponse> {
        let webhook = match self.routes.find(request.token).await {
            Ok(Some(webhook)) => webhook,
            Ok(None) => return Err(Refusal::UnknownUrl.answer()),
            Err(error) => {
                tracing::warn!(%error, "a URL could not be looked up");
                return Err(Refusal::StorageUnavailable.answer());
            }
        };
        let header = self.settings.forwarded_header;
        request.sender = request.peer().map(|peer| {
            let lines = || request.lines(header.name());
            sender_address::of_sender(peer, header, lines, &self.trusted_proxies)
        });
        let public_url = request.public_url(&self.public_url);
        let mut asked = Asked::default();
        match self.admit_head(request, &webhook, &public_url, &mut asked).await {
            Ok(admitted) => Ok(Entered {
                webhook,
                sender: request.sender,
                public_url,
                admitted,
                asked,
            }),
            // Rare, and large: no accepted request is to be made longer by it.
            Err(stop) => Err(Box::pin(self.stop(request, &webhook, stop, ReadBody::Unread, body)).await),
        }
    }

    async fn admit_head(
        &self,
        request: &Request<'_>,
        webhook: &Webhook,
        public_url: &str,
        asked: &mut Asked,
    ) -> Result<Admitted, Stop> {
        let admitted = Admitted::at(clock::now());
        let mut admission = Admission::new(request, webhook, public_url, &self.keys, admitted);
        admission.admit_sender()?;
        let within_limits = self.limits.admit(&webhook.limits).await;
        within_limits.map_err(Refusal::LimitExceeded)?;
        while let Err(stop) = admission.admit() {
            Box::pin(overcome(stop, asked, &self.keys, webhook)).await?;
        }
        Ok(admission.admitted)
    }

    /// Takes the body of a request whose head is admitted, and answers it.
    async fn take_in(
        &self,
        request: &Request<'_>,
        entered: Entered,
        body: &mut web::Payload,
    ) -> HttpResponse {
        let webhook = Arc::clone(&entered.webhook);
        match self.accept(request, entered, body).await {
            Ok(answer) => readable(answer, &webhook, request),
            Err((stop, read)) => Box::pin(self.stop(request, &webhook, stop, read, Some(body))).await,
        }
    }

    /// Answers a request that goes no further.
    async fn stop(
        &self,
        request: &Request<'_>,
        webhook: &Webhook,
        stop: Stop,
        read: ReadBody,
        body: Option<&mut web::Payload>,
    ) -> HttpResponse {
        let refusal = match stop {
            Stop::Answered(answer) => return readable(answer.send_without_event(), webhook, request),
            Stop::Pending(pending) => match self.finish(webhook, pending).await {
                Ok(answer) => return answer,
                Err(refusal) => {
                    self.keep_refusal(request, webhook, &refusal, read, body).await;
                    return refusal.answer();
                }
            },
            Stop::Refused(refusal) => refusal,
            Stop::NeedsKeys(keys) => Refusal::Denied(keys.denial(), webhook.challenge),
        };
        self.keep_refusal(request, webhook, &refusal, read, body).await;
        if refusal.is_disguised() {
            return refusal.answer();
        }
        readable(refusal.answer(), webhook, request)
    }

    /// Reads the body, admits the request with it, stores it, and waits for its answer. A stop comes with what was read of
    /// the body.
    async fn accept(
        &self,
        request: &Request<'_>,
        entered: Entered,
        body: &mut web::Payload,
    ) -> Result<HttpResponse, (Stop, ReadBody)> {
        let Entered {
            webhook,
            public_url,
            admitted,
            mut asked,
            ..
        } = entered;
        let webhook = &webhook;
        let mut room = self.body_room.enter(&webhook.limits.bodies);
        let bounds = Bounds {
            most: webhook.limits.body_bytes,
            exactly: request.end_of_body(),
            pace: self.settings.pace(),
        };
        let body = read_body(body, bounds, &mut room).await;
        let body = body.map_err(|(refusal, read)| (refusal.into(), ReadBody::Part(read)))?;
        let mut admission = Admission::new(request, webhook, &public_url, &self.keys, admitted);
        while let Err(stop) = admission.admit_body(&body) {
            let overcome = Box::pin(overcome(stop, &mut asked, &self.keys, webhook)).await;
            overcome.map_err(|stop| (stop, ReadBody::Whole(body.clone())))?;
        }
        let admitted = admission.admitted;
        let headers = request.stored_headers();
        if webhook.route.malformed_bodies == MalformedBodies::Refuse {
            let read = self.require_well_formed(&headers, &body).await;
            read.map_err(|refusal| (refusal.into(), ReadBody::Whole(body.clone())))?;
        }
        if let Some(key) = admitted.accepted.and_then(|accepted| accepted.api_key) {
            self.used_keys.add(UsedKey {
                scope: webhook.route.scope,
                key,
                at: admitted.now,
            });
        }
        let id = request.event_id;
        let event = FlowRequest::new(event_input(request, webhook, id, headers, body.clone()));
        if webhook.is_capturing(admitted.now) {
            // Rare: no request that becomes an event is to be made longer by it.
            let captured = Box::pin(self.capture(webhook, &event)).await;
            let captured = captured.map_err(|refusal| (refusal.into(), ReadBody::Whole(body.clone())))?;
            if let Some(answer) = captured {
                return Ok(answer);
            }
        }
        let differs = self.check_expected(webhook, &event).await;
        let differs = differs.map_err(|refusal| (refusal.into(), ReadBody::Whole(body.clone())))?;
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
            at: admitted.now,
            body_bytes: body.len() as u64,
        };
        let charge = self
            .limits
            .charge(&webhook.limits, charged)
            .await
            .map_err(limited)?;
        let place = waits.then(|| self.take_place(webhook, id)).flatten();
        let delivery = self.read_delivery(webhook, event).await;
        match self.append(webhook, &delivery, place.as_ref(), charge).await {
            Ok(Appended::Stored) if differs.is_empty() => {}
            Ok(Appended::Stored) => note_drift(&self.drift, webhook, id, differs),
            Ok(Appended::Duplicate(duplicate)) => {
                drop(place);
                return Ok(self.answer_duplicate(webhook, &delivery, duplicate).await);
            }
            Err(refusal) => {
                return Err((refusal.into(), ReadBody::Whole(body)));
            }
        }
        tracing::debug!(event = %id, webhook = %webhook.route.webhook_id, "an event is stored");
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
        self.waiting.take_place(webhook.route.scope, id)
    }

    /// Stores the event, unless it came before; returns when it is durable. What it is charged stays so if it is stored.
    async fn append(
        &self,
        webhook: &Arc<Webhook>,
        delivery: &Delivery,
        place: Option<&Place>,
        charge: Charge<'_>,
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
            session_id: delivery.session_id,
        });
        let ticket = ticket.map_err(|error| refusal_of(&error))?;
        charge.settle(ticket).await.map_err(|error| refusal_of(&error))
    }

    /// What is stored of a request to a webhook with data protection.
    ///
    /// # Errors
    /// When it cannot be masked.
    pub async fn protect(
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
        AppendError::ShareUsedUp => Refusal::ShareUsedUp(Shared::Queue),
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
async fn operational(head: &RequestHead, service: &Service) -> HttpResponse {
    let answer = match (&head.method, head.uri.path()) {
        (&Method::GET, "/livez") => HttpResponse::Ok().content_type("text/plain").body("ok\n"),
        (&Method::GET, "/readyz") if service.is_draining.load(Ordering::Relaxed) => {
            HttpResponse::ServiceUnavailable()
                .content_type("text/plain")
                .body("stopping\n")
        }
        (&Method::GET, "/readyz") => match service.pool.readiness().await {
            Ok(()) => HttpResponse::Ok().content_type("text/plain").body("ready\n"),
            Err(reason) => HttpResponse::ServiceUnavailable()
                .content_type("text/plain")
                .body(format!("{reason}\n")),
        },
        (&Method::GET, path) => match path.strip_prefix(status::PREFIX) {
            Some(token) => return service.status(token).await,
            None => return Refusal::UnknownUrl.answer(),
        },
        _ => return Refusal::UnknownUrl.answer(),
    };
    let mut answer = answer;
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
