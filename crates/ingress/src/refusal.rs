//! Every reason for which a request is refused, with what its sender gets to see.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hookgate_model::authentication::{Denial, DenialCode};
use hookgate_model::body::BodyError;
use hookgate_model::expected_data::{Violation, describe};
use hookgate_model::methods::MethodSet;
use hookgate_model::sender_address::Sender;
use hookgate_model::senders::Fault;
use hookgate_model::webhook::UrlEnd;
use serde_json::json;

use crate::answer::Prepared;
use crate::body_room::NoRoom;
use crate::limits::Exceeded;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No such URL. The sender sees the same for the next three.
    UnknownUrl,
    /// The URL has expired, was revoked, or its token's grace period is over.
    UrlEnded(UrlEnd),
    /// The path after the token is not the URL's suffix.
    SuffixMismatch,
    /// The operator has suspended the tenant.
    TenantSuspended,
    /// The webhook is disabled.
    WebhookDisabled,
    /// The method is not one of the webhook's.
    MethodNotAllowed(MethodSet),
    /// The sender's address is in none of the webhook's allowlists.
    AddressNotAllowed {
        /// Who sends.
        sender: Option<Sender>,
        /// Whether the webhook keeps no addresses.
        is_masked: bool,
    },
    /// A limit of the URL, the webhook or the tenant is used up.
    LimitExceeded(Exceeded),
    /// The request does not authenticate as the webhook requires it.
    Denied(Denial, &'static str),
    /// The webhook's authentication cannot be used, so nobody is let in.
    AuthenticationUnusable(String),
    /// What the sender asks before it sends does not fit the webhook.
    Handshake(Fault),
    /// The sender's URL that confirms a subscription does not do so, for this reason.
    NotConfirmed(String),
    /// The body is longer than the webhook allows, in bytes.
    BodyTooLarge(usize),
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body's transfer broke off, or its coding is malformed.
    BodyUnreadable,
    /// The body is not what it is called, and the webhook takes no such body.
    BodyMalformed(BodyError),
    /// It is not what the webhook expects; with the webhook's answer to that.
    DataInvalid(Vec<Violation>, Prepared),
    /// The requests in hand have taken all the room that there is for bodies.
    Overloaded,
    /// The tenant holds all that it may of something that tenants share.
    ShareUsedUp(Shared),
    /// Nothing can be stored at present.
    StorageUnavailable,
    /// This request cannot be stored.
    NotStorable,
}

/// What tenants share on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// The memory for bodies.
    Memory,
    /// The connections, by the bodies that are waited for.
    Bodies,
    /// The queue of events that are to be stored.
    Queue,
}

impl From<NoRoom> for Refusal {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Full => Self::Overloaded,
            NoRoom::ShareOfMemory => Self::ShareUsedUp(Shared::Memory),
            NoRoom::ShareOfBodies => Self::ShareUsedUp(Shared::Bodies),
        }
    }
}

impl Refusal {
    /// The stable code, in the answer and in the list of refusals.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownUrl => "unknown_url",
            Self::UrlEnded(_) => "url_ended",
            Self::SuffixMismatch => "suffix_mismatch",
            Self::TenantSuspended => "tenant_suspended",
            Self::WebhookDisabled => "webhook_disabled",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::AddressNotAllowed { .. } => "address_not_allowed",
            Self::LimitExceeded(exceeded) => exceeded.code(),
            Self::Denied(denial, _) => denial.code.as_str(),
            Self::AuthenticationUnusable(_) => "authentication_unusable",
            Self::Handshake(Fault::Mismatch(_)) => "handshake_refused",
            Self::Handshake(Fault::Malformed(_)) => "handshake_malformed",
            Self::Handshake(Fault::SecretMissing) => "handshake_unusable",
            Self::NotConfirmed(_) => "subscription_not_confirmed",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyUnreadable => "body_unreadable",
            Self::BodyMalformed(_) => "body_malformed",
            Self::DataInvalid(..) => "data_invalid",
            Self::Overloaded => "overloaded",
            Self::ShareUsedUp(_) => "share_used_up",
            Self::StorageUnavailable => "storage_unavailable",
            Self::NotStorable => "not_storable",
        }
    }

    /// Whether the same request could be let in once the tenant has set something right.
    pub fn can_be_set_right(&self) -> bool {
        match self {
            Self::UrlEnded(_)
            | Self::SuffixMismatch
            | Self::WebhookDisabled
            | Self::MethodNotAllowed(_)
            | Self::AddressNotAllowed { .. }
            | Self::Denied(..)
            | Self::AuthenticationUnusable(_)
            | Self::BodyTooLarge(_)
            | Self::BodyMalformed(_)
            | Self::DataInvalid(..) => true,
            Self::UnknownUrl
            | Self::TenantSuspended
            | Self::LimitExceeded(_)
            | Self::Handshake(_)
            | Self::NotConfirmed(_)
            | Self::BodyTimeout
            | Self::BodyUnreadable
            | Self::Overloaded
            | Self::ShareUsedUp(_)
            | Self::StorageUnavailable
            | Self::NotStorable => false,
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownUrl | Self::UrlEnded(_) | Self::SuffixMismatch => StatusCode::NOT_FOUND,
            Self::TenantSuspended
            | Self::WebhookDisabled
            | Self::AddressNotAllowed { .. }
            | Self::Handshake(Fault::Mismatch(_)) => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::LimitExceeded(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Denied(denial, _) if denial.code == DenialCode::KeysUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Denied(..) => StatusCode::UNAUTHORIZED,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyMalformed(BodyError::UnknownEncoding(_) | BodyError::UnknownCharset(_)) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::BodyMalformed(BodyError::DecodesToTooMuch(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyMalformed(_) => StatusCode::BAD_REQUEST,
            Self::DataInvalid(_, answer) => answer.status(),
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyUnreadable | Self::NotStorable | Self::Handshake(Fault::Malformed(_)) => {
                StatusCode::BAD_REQUEST
            }
            Self::Handshake(Fault::SecretMissing)
            | Self::NotConfirmed(_)
            | Self::AuthenticationUnusable(_)
            | Self::Overloaded
            | Self::ShareUsedUp(_)
            | Self::StorageUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The reason in words, as the tenant reads it.
    pub fn detail(&self) -> String {
        match self {
            Self::UnknownUrl => "There is no webhook at this URL.".into(),
            Self::UrlEnded(end) => end.to_string(),
            Self::SuffixMismatch => "The path after the token is not this URL's suffix.".into(),
            Self::TenantSuspended => "This webhook does not take requests at present.".into(),
            Self::WebhookDisabled => "This webhook is disabled.".into(),
            Self::MethodNotAllowed(methods) => format!("This webhook takes {methods}."),
            Self::LimitExceeded(exceeded) => exceeded.to_string(),
            Self::AddressNotAllowed {
                sender: Some(sender),
                is_masked: false,
            } => format!("No entry of the attached allowlists holds {sender}."),
            Self::AddressNotAllowed { .. } => "No entry of the attached allowlists holds its address.".into(),
            Self::Denied(denial, _) => denial.detail.clone().into_owned(),
            Self::AuthenticationUnusable(reason) => {
                format!("The webhook's authentication cannot be used: {reason}.")
            }
            Self::Handshake(fault) => fault.detail().into(),
            Self::NotConfirmed(reason) => {
                format!("The subscription could not be confirmed at its URL: {reason}.")
            }
            Self::BodyTooLarge(limit) => {
                format!("The body is longer than this webhook's limit of {limit} bytes.")
            }
            Self::BodyTimeout => "The body did not arrive in time.".into(),
            Self::BodyUnreadable => "The body broke off or is malformed.".into(),
            Self::BodyMalformed(error) => format!("This webhook takes no such body: {error}."),
            Self::DataInvalid(violations, _) => describe(violations),
            Self::Overloaded => "There are too many long requests at present; send it again.".into(),
            Self::ShareUsedUp(shared) => {
                let what = match shared {
                    Shared::Memory => "as much memory",
                    Shared::Bodies => "as many connections",
                    Shared::Queue => "as many places in the queue",
                };
                format!(
                    "The requests to this webhook's owner hold {what} as they may at present; send it again."
                )
            }
            Self::StorageUnavailable => "The request cannot be stored at present; send it again.".into(),
            Self::NotStorable => "The request cannot be stored.".into(),
        }
    }

    /// Whether its sender must not learn that there is a URL, or was one.
    pub const fn is_disguised(&self) -> bool {
        matches!(self, Self::UrlEnded(_) | Self::SuffixMismatch)
    }

    /// The reason in words, as the sender reads it: who fails to authenticate learns no more than that.
    fn told(&self) -> String {
        match self {
            Self::Denied(denial, _) if denial.code == DenialCode::KeysUnavailable => {
                "The request cannot be authenticated at present; send it again.".into()
            }
            Self::Denied(denial, _) if denial.code.is_missing() => {
                "The request does not have the credentials that this webhook requires.".into()
            }
            Self::Denied(..) => "The request's credentials are not valid for this webhook.".into(),
            Self::Handshake(Fault::Mismatch(_)) => "This handshake is not this webhook's.".into(),
            Self::NotConfirmed(_) => "The subscription cannot be confirmed at present; send it again.".into(),
            Self::AuthenticationUnusable(_) | Self::Handshake(Fault::SecretMissing) => {
                "This webhook cannot authenticate requests at present; send it again later.".into()
            }
            Self::AddressNotAllowed {
                sender: Some(sender), ..
            } => format!("Requests from {} are not allowed.", sender.address),
            other => other.detail(),
        }
    }

    /// What the sender gets. It tells apart no URLs that it should not know of.
    pub fn answer(&self) -> HttpResponse {
        if let Self::DataInvalid(_, answer) = self {
            return answer.send_without_event();
        }
        let shown = if self.is_disguised() {
            &Self::UnknownUrl
        } else {
            self
        };
        let status = shown.status();
        let mut answer = HttpResponse::build(status);
        match shown {
            Self::MethodNotAllowed(methods) => {
                answer.insert_header((ALLOW, methods.allow()));
            }
            Self::LimitExceeded(exceeded) => {
                answer.insert_header((RETRY_AFTER, exceeded.retry_after()));
                answer.insert_header(("ratelimit-policy", exceeded.policy()));
                answer.insert_header(("ratelimit", exceeded.state()));
            }
            Self::Overloaded | Self::ShareUsedUp(Shared::Memory | Shared::Bodies) => {
                answer.insert_header((RETRY_AFTER, HeaderValue::from_static("2")));
                answer.force_close();
            }
            Self::StorageUnavailable | Self::ShareUsedUp(Shared::Queue) => {
                answer.insert_header((RETRY_AFTER, HeaderValue::from_static("2")));
            }
            Self::Denied(denial, _) if denial.code == DenialCode::KeysUnavailable => {
                answer.insert_header((RETRY_AFTER, HeaderValue::from_static("15")));
            }
            Self::AuthenticationUnusable(_) => {
                answer.insert_header((RETRY_AFTER, HeaderValue::from_static("60")));
            }
            Self::Denied(_, challenge) => {
                answer.insert_header((WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
            }
            Self::BodyTooLarge(_) | Self::BodyTimeout | Self::BodyUnreadable => {
                // What is left of the body will not be read.
                answer.force_close();
            }
            _ => {}
        }
        let mut problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": shown.code(),
            "detail": shown.told(),
        });
        if let Self::LimitExceeded(exceeded) = shown {
            problem["violated-policies"] = json!([exceeded.name()]);
        }
        answer
            .content_type("application/problem+json")
            .body(problem.to_string())
    }
}
