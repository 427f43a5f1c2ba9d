//! What is stored of a request: all of it as it was sent, or what its webhook's data protection leaves.
//!
//! What is left out and a flow needs travels in the event's job, sealed. A refusal keeps what data protection leaves, and
//! nothing besides.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookgate_domain::Error;
use hookgate_domain::apart::Apart;
use hookgate_domain::appender::refusals::NewRefusal;
use hookgate_domain::body::StoredBody;
use hookgate_domain::crypto::{MasterKey, RunKey};
use hookgate_domain::jobs::Payload;
use hookgate_model::body::most_memory;
use hookgate_model::flow::variables::{EventInput, Request as FlowRequest};
use hookgate_model::protection::{BodyRemoved, Kept, Masked, Parts, Scrubber};
use ipnet::IpNet;

use crate::webhook::Webhook;

/// Bodies longer than this are worked at on a thread of their own, so that they hold nobody up. In a refusal, which anybody
/// can cause, they are not read at all.
const APART: usize = 128 * 1024;

/// The parts of a request as they are stored.
pub struct Stored<'a> {
    pub path: Cow<'a, str>,
    pub query: Cow<'a, str>,
    pub address: Option<IpNet>,
    pub headers: Cow<'a, [u8]>,
    pub body: StoredBody,
    pub event_type: Option<Cow<'a, str>>,
    pub delivery_id: Option<Cow<'a, str>>,
    /// What was masked, as JSON.
    pub masked: Option<Vec<u8>>,
    /// What the flow needs unmasked, sealed.
    pub payload: Option<Vec<u8>>,
    /// Opens the answer of the run, which is not stored openly then.
    pub key: Option<RunKey>,
}

impl<'a> Stored<'a> {
    /// All of it, as it was sent.
    pub async fn as_sent(event: &'a EventInput) -> Self {
        Self {
            path: event.path.as_str().into(),
            query: event.query.as_str().into(),
            address: event.address.map(IpNet::from),
            headers: event.headers.as_slice().into(),
            body: compress(event.body.clone()).await,
            event_type: event.event_type.as_deref().map(Cow::Borrowed),
            delivery_id: event.delivery_id.as_deref().map(Cow::Borrowed),
            masked: None,
            payload: None,
            key: None,
        }
    }
}

/// A body as it is stored.
async fn compress(body: Bytes) -> StoredBody {
    if body.len() < APART {
        return StoredBody::new(body);
    }
    let kept = body.clone();
    tokio::task::spawn_blocking(move || StoredBody::new(body))
        .await
        .unwrap_or_else(|_| StoredBody::raw(kept))
}

/// What is stored of an accepted request to a webhook with data protection. `has_work`: its flow is to run.
///
/// # Errors
/// When it cannot be sealed, which only a body beyond all limits could cause.
pub async fn protect(
    webhook: &Arc<Webhook>,
    master: &MasterKey,
    apart: &Apart,
    event: EventInput,
    is_sensitive: bool,
    has_work: bool,
) -> Result<Stored<'static>, Error> {
    if event.body.len() < APART {
        return protect_now(webhook, master, event, is_sensitive, has_work);
    }
    let (webhook, master) = (Arc::clone(webhook), master.clone());
    let memory = most_memory(&event.headers, event.body.len());
    let protect = move || protect_now(&webhook, &master, event, is_sensitive, has_work);
    let protected = apart.run(memory, protect).await;
    protected.unwrap_or_else(|| Err(Error::Query("data protection crashed".into())))
}

/// Whether nothing of a request may be stored. What cannot be evaluated in time is taken as sensitive.
pub async fn is_sensitive(
    webhook: &Arc<Webhook>,
    apart: &Apart,
    longest: Duration,
    event: &EventInput,
) -> bool {
    let has_condition = |webhook: &Webhook| {
        let protection = webhook.protection.as_ref();
        protection.is_some_and(|protection| protection.sensitive_if().is_some())
    };
    if !has_condition(webhook) {
        return false;
    }
    let (evaluated, request) = (Arc::clone(webhook), FlowRequest::new(event.clone()));
    let evaluate = move || {
        let protection = evaluated.protection.as_ref();
        let condition = protection.and_then(|protection| protection.sensitive_if());
        condition.is_none_or(|condition| condition.holds(&request))
    };
    let memory = most_memory(&event.headers, event.body.len());
    let evaluated = webhook.evaluations.within(apart, memory, longest, evaluate);
    evaluated.await.unwrap_or(true)
}

fn protect_now(
    webhook: &Webhook,
    master: &MasterKey,
    event: EventInput,
    is_sensitive: bool,
    has_work: bool,
) -> Result<Stored<'static>, Error> {
    let parts = Parts {
        headers: &event.headers,
        query: &event.query,
        path: &event.path,
        suffix: &webhook.route.suffix,
        address: event.address,
        body: &event.body,
    };
    let kept = match &webhook.protection {
        Some(protection) => protection.apply(&parts, is_sensitive),
        None => Kept::default(),
    };
    let scrubber = Scrubber::new(&kept.secrets);
    let (event_type, delivery_id) = (
        scrubbed(&scrubber, event.event_type.as_deref()),
        scrubbed(&scrubber, event.delivery_id.as_deref()),
    );
    let has_payload = has_work && !kept.masked.is_nothing();
    let key = has_payload.then(RunKey::random);
    let payload = key.clone().map(|key| Payload {
        key,
        secrets: kept.secrets.clone(),
        address: kept.address.and(event.address),
        path: kept.path.is_some().then(|| event.path.clone()),
        query: kept.query.is_some().then(|| event.query.clone()),
        headers: kept.headers.is_some().then(|| event.headers.clone()),
        event_type: event
            .event_type
            .clone()
            .filter(|original| event_type.as_ref() != Some(original)),
        delivery_id: event
            .delivery_id
            .clone()
            .filter(|original| delivery_id.as_ref() != Some(original)),
        body: kept.body.is_some().then(|| StoredBody::new(event.body.clone())),
    });
    let payload = payload
        .map(|payload| payload.seal(master, &webhook.route.scope, event.id))
        .transpose()?;
    Ok(Stored {
        masked: as_json(&kept.masked)?,
        path: Cow::Owned(kept.path.unwrap_or(event.path)),
        query: Cow::Owned(kept.query.unwrap_or(event.query)),
        address: kept.address.or(event.address.map(IpNet::from)),
        headers: Cow::Owned(kept.headers.unwrap_or(event.headers)),
        body: StoredBody::new(kept.body.map_or(event.body, Bytes::from)),
        event_type: event_type.map(Cow::Owned),
        delivery_id: delivery_id.map(Cow::Owned),
        payload,
        key,
    })
}

/// Masks a refusal: credentials, and what data protection masks. Whether it is sensitive is not evaluated, as anybody may
/// have sent it: it is taken as such.
///
/// # Errors
/// When what was masked cannot be written down.
pub fn mask_refusal(
    webhook: &Webhook,
    refusal: &mut NewRefusal,
    body: &Bytes,
    preview: usize,
) -> Result<(), Error> {
    let protection = &webhook.refusal_protection;
    let is_too_long = body.len() > APART && protection.reads_bodies();
    let nothing = Bytes::new();
    let parts = Parts {
        headers: &refusal.headers,
        query: &refusal.query,
        path: &refusal.path,
        suffix: &webhook.route.suffix,
        address: refusal.address.map(|network| network.addr()),
        body: if is_too_long { &nothing } else { body },
    };
    let mut kept = protection.apply(&parts, protection.sensitive_if().is_some());
    if is_too_long {
        kept.body = Some(Vec::new());
        kept.masked.body_removed = Some(BodyRemoved::NotReadable);
    }
    refusal.masked = as_json(&kept.masked)?;
    refusal.address = kept.address.or(refusal.address);
    if let Some(path) = kept.path {
        refusal.path = path;
    }
    if let Some(query) = kept.query {
        refusal.query = query;
    }
    if let Some(headers) = kept.headers {
        refusal.headers = headers;
    }
    if let Some(mut body) = kept.body {
        body.truncate(preview);
        refusal.body_preview = body;
    }
    Ok(())
}

fn scrubbed(scrubber: &Scrubber, text: Option<&str>) -> Option<String> {
    text.filter(|_| !scrubber.is_total())
        .map(|text| scrubber.text(text))
}

fn as_json(masked: &Masked) -> Result<Option<Vec<u8>>, Error> {
    if masked.is_nothing() {
        return Ok(None);
    }
    serde_json::to_vec(masked)
        .map(Some)
        .map_err(|error| Error::Query(error.to_string()))
}
