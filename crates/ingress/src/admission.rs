//! Who may come in: one fixed order, cheap before dear, nothing parsed before it must be.
//!
//! A step looks at the request and the compiled webhook and lets it go on, answers it, or refuses it. The lists below
//! are the order in which they run; between the first two the request is counted towards its rates, between the last two
//! the body is read, which costs the most.

use actix_web::http::StatusCode;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use hookgate_model::authentication::{self, Accepted, ExternalKeys, KeyRequest};
use hookgate_model::webhook::Status;

use crate::answer::Prepared;
use crate::cors;
use crate::credentials::{credentials_are_valid, signature_is_valid};
use crate::handshakes::{
    Pending, body_is_answered, is_asked_in_head, offer_is_taken, pairing_is_open, question_is_answered,
};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::webhook::Webhook;

/// A request on its way in.
pub struct Admission<'a> {
    /// The request's head.
    pub request: &'a Request<'a>,
    /// The webhook of its URL.
    pub webhook: &'a Webhook,
    /// The URL as its sender was given it.
    pub public_url: &'a str,
    /// The keys that senders publish.
    pub keys: &'a dyn ExternalKeys,
    /// How far it has come.
    pub admitted: Admitted,
}

/// How far a request has come, and what is known of it by then.
#[derive(Clone, Copy)]
pub struct Admitted {
    /// The time of receipt.
    pub now: DateTime<Utc>,
    /// How it was known, once it is.
    pub accepted: Option<Accepted>,
    /// Whether it may bring a secret instead of credentials.
    pub may_pair: bool,
    /// The steps that it has passed, of the second and the third list.
    passed: (usize, usize),
}

impl Admitted {
    /// A request that has passed nothing yet.
    pub const fn at(now: DateTime<Utc>) -> Self {
        Self {
            now,
            accepted: None,
            may_pair: false,
            passed: (0, 0),
        }
    }
}

/// Why a request goes no further.
pub enum Stop {
    /// It is refused.
    Refused(Refusal),
    /// It is answered, and becomes no event: a handshake, for one.
    Answered(Prepared),
    /// It is a handshake whose answer takes more than the request.
    Pending(Pending),
    /// The step lacks keys that a sender publishes. Once they are fetched, it can be repeated.
    NeedsKeys(KeyRequest),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

type HeadStep = fn(&mut Admission<'_>) -> Result<(), Stop>;
type BodyStep = fn(&mut Admission<'_>, &Bytes) -> Result<(), Stop>;

/// The steps before the rates, in their order: what they refuse counts towards none.
const BEFORE_THE_RATES: [HeadStep; 6] = [
    url_is_live,
    suffix_matches,
    options_are_told,
    webhook_takes_requests,
    method_is_allowed,
    address_is_allowed,
];

/// The steps between the rates and the body, in their order.
const BEFORE_THE_BODY: [HeadStep; 6] = [
    question_is_answered,
    quota_is_left,
    declared_size_fits,
    pairing_is_open,
    credentials_are_valid,
    head_is_answered,
];

/// The steps that need the body, in their order.
const WITH_THE_BODY: [BodyStep; 3] = [offer_is_taken, signature_is_valid, body_is_answered];

impl<'a> Admission<'a> {
    /// A request that has come so far.
    pub fn new(
        request: &'a Request<'a>,
        webhook: &'a Webhook,
        public_url: &'a str,
        keys: &'a dyn ExternalKeys,
        admitted: Admitted,
    ) -> Self {
        Self {
            request,
            webhook,
            public_url,
            keys,
            admitted,
        }
    }

    /// The request as verifiers and handshakes see it, with its body or what is read of it.
    pub fn to_verify<'b>(&'b self, body: &'b [u8]) -> authentication::Request<'b> {
        self.request.to_verify(self.public_url, body, self.admitted.now)
    }

    /// Runs the steps before the rates, up to the first that stops.
    pub fn admit_sender(&mut self) -> Result<(), Stop> {
        BEFORE_THE_RATES.iter().try_for_each(|step| step(self))
    }

    /// Runs the steps between the rates and the body, up to the first that stops; from there on when it is called again.
    pub fn admit(&mut self) -> Result<(), Stop> {
        while let Some(step) = BEFORE_THE_BODY.get(self.admitted.passed.0) {
            step(self)?;
            self.admitted.passed.0 += 1;
        }
        Ok(())
    }

    /// Runs the steps that need the body, up to the first that stops; from there on when it is called again.
    pub fn admit_body(&mut self, body: &Bytes) -> Result<(), Stop> {
        while let Some(step) = WITH_THE_BODY.get(self.admitted.passed.1) {
            step(self, body)?;
            self.admitted.passed.1 += 1;
        }
        Ok(())
    }
}

fn url_is_live(admission: &mut Admission<'_>) -> Result<(), Stop> {
    match admission.webhook.route.end {
        Some(end) if end.at <= admission.admitted.now => Err(Refusal::UrlEnded(end).into()),
        _ => Ok(()),
    }
}

fn suffix_matches(admission: &mut Admission<'_>) -> Result<(), Stop> {
    if admission.webhook.route.suffix.matches(admission.request.path) {
        Ok(())
    } else {
        Err(Refusal::SuffixMismatch.into())
    }
}

/// OPTIONS asks what the URL takes, unless it is a handshake; it is no request to the webhook. A browser asks so before a page's request, without
/// any credential: that request itself is admitted like any other.
fn options_are_told(admission: &mut Admission<'_>) -> Result<(), Stop> {
    if admission.request.method() == "OPTIONS" && !is_asked_in_head(admission) {
        let route = &admission.webhook.route;
        let answer = cors::options(route.methods, route.cors.as_ref(), admission.request);
        return Err(Stop::Answered(answer));
    }
    Ok(())
}

fn webhook_takes_requests(admission: &mut Admission<'_>) -> Result<(), Stop> {
    let route = &admission.webhook.route;
    match route.status {
        _ if route.is_suspended => Err(Refusal::TenantSuspended.into()),
        Status::Disabled => Err(Refusal::WebhookDisabled.into()),
        Status::Active | Status::Paused => Ok(()),
    }
}

fn method_is_allowed(admission: &mut Admission<'_>) -> Result<(), Stop> {
    let methods = admission.webhook.route.methods;
    let method = match admission.request.method() {
        "HEAD" => "GET",
        method => method,
    };
    if methods.contains(method) || is_asked_in_head(admission) {
        Ok(())
    } else {
        Err(Refusal::MethodNotAllowed(methods).into())
    }
}

fn address_is_allowed(admission: &mut Admission<'_>) -> Result<(), Stop> {
    let Some(networks) = &admission.webhook.networks else {
        return Ok(());
    };
    let sender = admission.request.sender;
    if sender.is_some_and(|sender| networks.contains(sender.address)) {
        return Ok(());
    }
    Err(Refusal::AddressNotAllowed {
        sender,
        is_masked: admission.webhook.route.data_protection.mask_address,
    }
    .into())
}

fn quota_is_left(admission: &mut Admission<'_>) -> Result<(), Stop> {
    let declared = admission.request.declared_length();
    let foreseen = admission.webhook.limits.foresee(declared, admission.admitted.now);
    foreseen.map_err(|exceeded| Refusal::LimitExceeded(exceeded).into())
}

fn declared_size_fits(admission: &mut Admission<'_>) -> Result<(), Stop> {
    let limit = admission.webhook.limits.body_bytes;
    let fits = admission
        .request
        .declared_length()
        .is_none_or(|length| length <= limit as u64);
    if fits {
        Ok(())
    } else {
        Err(Refusal::BodyTooLarge(limit).into())
    }
}

/// HEAD gets the head of what GET would get at once, and becomes no event: it must change nothing (RFC 9110, section 9.3.2).
fn head_is_answered(admission: &mut Admission<'_>) -> Result<(), Stop> {
    if admission.request.method() != "HEAD" {
        return Ok(());
    }
    let constant = admission.webhook.constant_answer.clone();
    Err(Stop::Answered(
        constant.unwrap_or_else(|| Prepared::empty(StatusCode::OK, Vec::new())),
    ))
}
