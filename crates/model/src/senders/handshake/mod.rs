//! Handshakes: what senders ask before they send, or now and then, to see that the URL is the tenant's.
//!
//! A handshake is answered and becomes no event. It has one of three places in the order of admission:
//! - before authentication, from the head alone ([`Handshaker::answer_head`]): the question carries no credential. The
//!   answer proves nothing to anybody but the sender: it repeats what was asked, or proves that a secret is known.
//! - before authentication, from the body ([`Handshaker::offer`]): the request brings the secret of the requests to come.
//!   It counts only while the tenant has the pairing open.
//! - after authentication ([`Handshaker::answer_body`]): the question is signed like any other request.
//!
//! What is repeated is bounded in length, goes out as plain text or JSON, and is never to be taken for anything else.

mod answers;
mod cloud_events;
mod event_grid;
mod meta;
mod pairing;
mod signed;
mod sns;
mod x;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::answer::Answer;
use crate::authentication::{Problem, ProblemCode, Request};
use crate::ids::SecretId;

pub use cloud_events::CloudEventsSettings;
pub use pairing::Offer;
pub use sns::SubscribeUrl;

/// The longest text that is repeated to whoever asked, in bytes.
pub const MAX_CHALLENGE_BYTES: usize = 1024;
/// The most secrets of a handshake.
const MAX_SECRETS: usize = 10;

/// What a sender asks before it sends, and how it is answered. A known sender brings its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"kind": "meta", "secrets": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}))]
pub enum Handshake {
    /// None, also if the sender has one.
    None {},
    /// A signed POST of type `url_verification`: answered with its `challenge`.
    Slack {},
    /// GET with `hub.mode=subscribe` and a verify token: answered with `hub.challenge`, or 403 for another token.
    Meta {
        /// The live verify tokens.
        #[schema(min_items = 1, max_items = 10)]
        secrets: Vec<SecretId>,
    },
    /// POST with the query parameter `validationToken`: answered with it.
    MicrosoftGraph {},
    /// A subscription validation event, or OPTIONS of CloudEvents: answered with the validation code, or with permission
    /// for `eventgrid.azure.net`.
    EventGrid {},
    /// OPTIONS with `WebHook-Request-Origin`, the abuse protection of CloudEvents' webhooks: answered with permission.
    CloudEvents(CloudEventsSettings),
    /// A signed POST of type `endpoint.url_validation`: answered with the HMAC of its token.
    Zoom {
        /// The webhook's secret token; the first one answers.
        #[schema(min_items = 1, max_items = 10)]
        secrets: Vec<SecretId>,
    },
    /// GET with the query parameter `challenge`: answered with it.
    Dropbox {},
    /// GET with the query parameter `crc_token`: answered with its HMAC.
    X {
        /// The application's consumer secret; the first one answers.
        #[schema(min_items = 1, max_items = 10)]
        secrets: Vec<SecretId>,
    },
    /// GET with the header `X-Okta-Verification-Challenge`: answered with it.
    Okta {},
    /// An unsigned POST with a `verification_token`, which becomes the secret while the webhook is open for pairing.
    Notion {},
    /// A POST with the header `X-Hook-Secret`, which becomes the secret while the webhook is open for pairing.
    Asana {},
    /// A signed POST of type 0 (PING): answered with 204.
    Discord {},
    /// A signed `SubscriptionConfirmation`: answered by visiting its URL at Amazon.
    Sns {},
}

impl Handshake {
    /// Its name, as `kind` has it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::None {} => "none",
            Self::Slack {} => "slack",
            Self::Meta { .. } => "meta",
            Self::MicrosoftGraph {} => "microsoft_graph",
            Self::EventGrid {} => "event_grid",
            Self::CloudEvents(_) => "cloud_events",
            Self::Zoom { .. } => "zoom",
            Self::Dropbox {} => "dropbox",
            Self::X { .. } => "x",
            Self::Okta {} => "okta",
            Self::Notion {} => "notion",
            Self::Asana {} => "asana",
            Self::Discord {} => "discord",
            Self::Sns {} => "sns",
        }
    }

    /// Whether it installs the secret of the requests to come, and so needs the webhook to be open for pairing.
    pub const fn is_pairing(&self) -> bool {
        matches!(self, Self::Notion {} | Self::Asana {})
    }

    /// The secrets that it names.
    pub fn secret_ids(&self) -> &[SecretId] {
        match self {
            Self::Meta { secrets } | Self::Zoom { secrets } | Self::X { secrets } => secrets,
            _ => &[],
        }
    }

    /// What cannot work in it.
    pub fn problems(&self) -> Vec<Problem> {
        let needs_secrets = matches!(self, Self::Meta { .. } | Self::Zoom { .. } | Self::X { .. });
        let count = self.secret_ids().len();
        let mut problems = Vec::new();
        if needs_secrets && count == 0 {
            problems.push(Problem::new(
                "/secrets",
                ProblemCode::Required,
                "must have at least one entry",
            ));
        }
        if count > MAX_SECRETS {
            problems.push(Problem::new(
                "/secrets",
                ProblemCode::TooLong,
                format!("may have at most {MAX_SECRETS} entries"),
            ));
        }
        if let Self::CloudEvents(settings) = self {
            problems.extend(settings.problems());
        }
        problems
    }
}

/// What a handshake ends in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is answered.
    Answer(Answer),
    /// Its URL is visited, then it is answered: with 200 if that worked.
    Visit(SubscribeUrl),
    /// It is refused.
    Refuse(Fault),
}

/// Why a handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What is asked shows another token, origin or URL than the webhook's.
    Mismatch(&'static str),
    /// What is to be repeated is missing, there twice, too long, or of characters that no such text has.
    Malformed(&'static str),
    /// The secret that is needed for the answer is not there.
    SecretMissing,
}

impl Fault {
    /// What was found and what to do, for the webhook's tenant.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Mismatch(detail) | Self::Malformed(detail) => detail,
            Self::SecretMissing => "The secret that answers this handshake is not there.",
        }
    }
}

/// A handshake with its secrets.
pub struct Handshaker {
    handshake: Handshake,
    secrets: Vec<Zeroizing<Vec<u8>>>,
}

impl Handshaker {
    /// Takes the secrets that the handshake names.
    pub fn new(handshake: Handshake, secrets: &HashMap<SecretId, Zeroizing<Vec<u8>>>) -> Self {
        let named = handshake.secret_ids().iter();
        Self {
            secrets: named.filter_map(|id| secrets.get(id).cloned()).collect(),
            handshake,
        }
    }

    /// Which it is.
    pub const fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// Answers a handshake that is known by its head and carries no credential; `None` when this is no such request. Such
    /// a request may have a method that the webhook does not take.
    pub fn answer_head(&self, request: &Request<'_>) -> Option<Outcome> {
        let method = match self.handshake {
            Handshake::Meta { .. } | Handshake::Dropbox {} | Handshake::X { .. } | Handshake::Okta {} => {
                "GET"
            }
            Handshake::CloudEvents(_) | Handshake::EventGrid {} => "OPTIONS",
            Handshake::MicrosoftGraph {} => "POST",
            _ => return None,
        };
        if request.method != method {
            return None;
        }
        match &self.handshake {
            Handshake::Meta { .. } => meta::answer(request, &self.secrets),
            Handshake::Dropbox {} => answers::repeat_parameter(request, "challenge"),
            Handshake::MicrosoftGraph {} => answers::repeat_parameter(request, "validationToken"),
            Handshake::X { .. } => x::answer(request, &self.secrets),
            Handshake::Okta {} => answers::repeat_okta_header(request),
            Handshake::CloudEvents(settings) => settings.answer(request),
            Handshake::EventGrid {} => event_grid::answer_options(request),
            _ => None,
        }
    }

    /// Whether a request may bring the secret of the requests to come, as far as its head says.
    pub fn may_offer(&self, request: &Request<'_>) -> bool {
        let has = |name| request.headers.value(name, 0).is_some();
        request.method == "POST"
            && match self.handshake {
                Handshake::Notion {} => !has("x-notion-signature"),
                Handshake::Asana {} => has("x-hook-secret") && !has("x-hook-signature"),
                _ => false,
            }
    }

    /// The secret that a request brings, before anything is authenticated; `None` when it brings none. It counts only
    /// while the webhook is open for pairing.
    pub fn offer(&self, request: &Request<'_>) -> Option<Result<Offer, Fault>> {
        match self.handshake {
            _ if !self.may_offer(request) => None,
            Handshake::Notion {} => pairing::notion(request.body),
            Handshake::Asana {} => pairing::asana(request),
            _ => None,
        }
    }

    /// Answers a handshake that was authenticated like any other request; `None` when this is none.
    pub fn answer_body(&self, request: &Request<'_>) -> Option<Outcome> {
        match self.handshake {
            Handshake::Slack {} => signed::slack(request.body),
            Handshake::Zoom { .. } => signed::zoom(request.body, &self.secrets),
            Handshake::Discord {} => signed::discord(request.body),
            Handshake::EventGrid {} => event_grid::answer_event(request),
            Handshake::Sns {} => sns::confirm(request.body),
            Handshake::X { .. } => x::refuse_token_as_body(request.body),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Handshaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handshaker").field(&self.handshake.kind()).finish()
    }
}

#[cfg(test)]
mod tests;
