//! Who may come in: one fixed order, cheap before dear, nothing parsed before it must be.
//!
//! A step looks at the request and the compiled webhook and lets it go on, answers it, or refuses it. The two lists below
//! are the order in which they run; between them the body is read, which costs the most.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hookgate_model::authentication::{NoKeys, Trace, Verdict};
use hookgate_model::ids::ApiKeyId;
use hookgate_model::webhook::Status;

use crate::answer::Prepared;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::webhook::Webhook;

/// A request on its way in.
pub struct Admission<'a> {
    /// The request's head.
    pub request: &'a Request<'a>,
    /// The webhook of its URL.
    pub webhook: &'a Webhook,
    /// The time of receipt.
    pub now: DateTime<Utc>,
    /// The API key that it was let in with.
    pub used_key: Option<ApiKeyId>,
}

/// Why a request goes no further.
pub enum Stop {
    /// It is refused.
    Refused(Refusal),
    /// It is answered, and becomes no event: a handshake, for one.
    #[expect(dead_code, reason = "handshakes come next")]
    Answered(Prepared),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

type HeadStep = fn(&mut Admission<'_>) -> Result<(), Stop>;
type BodyStep = fn(&mut Admission<'_>, &Bytes) -> Result<(), Stop>;

/// The steps that need no body, in their order.
const BEFORE_THE_BODY: [HeadStep; 7] = [
    url_is_live,
    suffix_matches,
    webhook_takes_requests,
    method_is_allowed,
    address_is_allowed,
    declared_size_fits,
    credentials_are_valid,
];

/// The steps that need the body, in their order.
const WITH_THE_BODY: [BodyStep; 0] = [];

impl Admission<'_> {
    /// Runs the steps that need no body, up to the first that stops.
    pub fn admit(&mut self) -> Result<(), Stop> {
        BEFORE_THE_BODY.iter().try_for_each(|step| step(self))
    }

    /// Runs the steps that need the body, up to the first that stops.
    pub fn admit_body(&mut self, body: &Bytes) -> Result<(), Stop> {
        WITH_THE_BODY.iter().try_for_each(|step| step(self, body))
    }
}

fn url_is_live(admission: &mut Admission<'_>) -> Result<(), Stop> {
    match admission.webhook.route.ends_at {
        Some(end) if end <= admission.now => Err(Refusal::UrlEnded.into()),
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
    if methods.contains(admission.request.method()) {
        Ok(())
    } else {
        Err(Refusal::MethodNotAllowed(methods).into())
    }
}

fn address_is_allowed(admission: &mut Admission<'_>) -> Result<(), Stop> {
    let Some(networks) = &admission.webhook.networks else {
        return Ok(());
    };
    let allowed = admission
        .request
        .address
        .is_some_and(|address| networks.contains(address));
    if allowed {
        Ok(())
    } else {
        Err(Refusal::AddressNotAllowed.into())
    }
}

fn declared_size_fits(admission: &mut Admission<'_>) -> Result<(), Stop> {
    let limit = admission.webhook.route.body_limit;
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

fn credentials_are_valid(admission: &mut Admission<'_>) -> Result<(), Stop> {
    let Some(verifier) = &admission.webhook.verifier else {
        // Its settings were checked when they were saved; nobody comes in until they compile again.
        return Err(Refusal::StorageUnavailable.into());
    };
    let request = admission.request.to_verify(admission.now);
    match verifier.verify_head(&request, &NoKeys, &mut Trace::off()) {
        Some(Verdict::Accepted(accepted)) => {
            admission.used_key = accepted.api_key;
            Ok(())
        }
        Some(Verdict::Denied(denial)) => Err(Refusal::Denied(denial).into()),
        Some(Verdict::NeedsKeys(keys)) => Err(Refusal::Denied(keys.denial()).into()),
        None => Err(Refusal::StorageUnavailable.into()),
    }
}
