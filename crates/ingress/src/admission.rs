//! Who may come in: one fixed order, cheap before dear, nothing parsed before it must be.
//!
//! A step looks at the request's head and the compiled webhook and either lets it go on or refuses it. The order below
//! is the order in which they run; reading the body, which costs the most, comes after all of them.

use chrono::{DateTime, Utc};
use hookgate_model::authentication::{Authentication, api_key};
use hookgate_model::ids::ApiKeyId;
use hookgate_model::webhook::Status;

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

type Step = fn(&mut Admission<'_>) -> Result<(), Refusal>;

/// The steps that need no body, in their order.
const STEPS: [Step; 7] = [
    url_is_live,
    suffix_matches,
    webhook_takes_requests,
    method_is_allowed,
    address_is_allowed,
    declared_size_fits,
    credentials_are_valid,
];

impl Admission<'_> {
    /// Runs the steps up to the first that refuses.
    pub fn admit(&mut self) -> Result<(), Refusal> {
        STEPS.iter().try_for_each(|step| step(self))
    }
}

fn url_is_live(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    match admission.webhook.route.ends_at {
        Some(end) if end <= admission.now => Err(Refusal::UrlEnded),
        _ => Ok(()),
    }
}

fn suffix_matches(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    if admission.webhook.route.suffix.matches(admission.request.path) {
        Ok(())
    } else {
        Err(Refusal::SuffixMismatch)
    }
}

fn webhook_takes_requests(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    let route = &admission.webhook.route;
    match route.status {
        _ if route.is_suspended => Err(Refusal::TenantSuspended),
        Status::Disabled => Err(Refusal::WebhookDisabled),
        Status::Active | Status::Paused => Ok(()),
    }
}

fn method_is_allowed(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    let methods = admission.webhook.route.methods;
    if methods.contains(admission.request.method()) {
        Ok(())
    } else {
        Err(Refusal::MethodNotAllowed(methods))
    }
}

fn address_is_allowed(admission: &mut Admission<'_>) -> Result<(), Refusal> {
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
        Err(Refusal::AddressNotAllowed)
    }
}

fn declared_size_fits(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    let limit = admission.webhook.route.body_limit;
    let fits = admission
        .request
        .declared_length()
        .is_none_or(|length| length <= limit as u64);
    if fits {
        Ok(())
    } else {
        Err(Refusal::BodyTooLarge(limit))
    }
}

fn credentials_are_valid(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    match admission.webhook.route.authentication {
        Authentication::None => Ok(()),
        Authentication::ApiKey => {
            let header = |name: &str| admission.request.header(name);
            match api_key::check(&admission.webhook.route.keys, header, admission.now) {
                api_key::Checked::Valid(key) => {
                    admission.used_key = Some(key);
                    Ok(())
                }
                api_key::Checked::Missing => Err(Refusal::ApiKeyMissing),
                api_key::Checked::Wrong => Err(Refusal::ApiKeyWrong),
                api_key::Checked::Expired => Err(Refusal::ApiKeyExpired),
            }
        }
    }
}
