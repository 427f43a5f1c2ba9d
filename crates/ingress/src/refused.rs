//! What is kept of a refused request: what the tenant is shown, without credentials, and the whole request, sealed, when
//! setting something right could let it in after all.

use std::time::Duration;

use actix_web::web::Payload;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use hookgate_domain::appender::refusals::NewRefusal;
use hookgate_domain::clock;
use hookgate_domain::outcomes::{Counted, Outcome};
use hookgate_domain::refusals::RefusedRequest;
use ipnet::IpNet;

use crate::pace::Pace;
use crate::protection;
use crate::read_body::{Bounds, read_body};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::service::Service;
use crate::webhook::Webhook;

/// How much of a refused body is shown.
const PREVIEW: usize = 1024;
/// How long the body of a request that is refused already may take to arrive, when it is to be kept.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);

/// What was read of a request's body.
pub enum ReadBody {
    /// Nothing.
    Unread,
    /// Its beginning, or nothing that can be told.
    Part(Bytes),
    /// All of it.
    Whole(Bytes),
}

impl ReadBody {
    fn bytes(&self) -> Bytes {
        match self {
            Self::Unread => Bytes::new(),
            Self::Part(bytes) | Self::Whole(bytes) => bytes.clone(),
        }
    }
}

impl Service {
    /// Counts a refusal and keeps it, as far as the webhook's budgets allow. There is no payload when the sender waits to be
    /// asked for the body: the refusal is what it waits for.
    pub async fn keep_refusal(
        &self,
        request: &Request<'_>,
        webhook: &Webhook,
        refusal: &Refusal,
        mut read: ReadBody,
        payload: Option<&mut Payload>,
    ) {
        metrics::counter!("hookgate_refused_total", "reason" => refusal.code()).increment(1);
        if let Refusal::LimitExceeded(exceeded) = refusal {
            metrics::counter!("hookgate_limited_total", "limit" => exceeded.name()).increment(1);
        }
        self.note_outcome(webhook, Outcome::Refused(refusal.code()), clock::now());
        if !self.refusals.has_room(webhook.route.webhook_id) {
            return;
        }
        let handshaker = &webhook.route.handshaker;
        let seen = request.to_verify(&self.public_url, &[], clock::now());
        if matches!(refusal, Refusal::Handshake(_)) || handshaker.may_offer(&seen) {
            // It may hold the very secret.
            read = ReadBody::Unread;
        } else if let (ReadBody::Unread, Some(payload)) = (&read, payload)
            && self.may_keep(request, webhook, refusal)
        {
            read = self.read_refused(request, webhook, payload).await;
        }
        let body = read.bytes();
        let mut kept = shown(request, webhook, refusal, &body);
        if let Err(error) = protection::mask_refusal(webhook, &mut kept, &body, PREVIEW) {
            tracing::error!(%error, "a refusal could not be masked");
            return;
        }
        if matches!(read, ReadBody::Whole(_)) {
            kept.request = self.seal(request, webhook, refusal, &kept, body);
        }
        self.refusals.record(kept);
    }

    /// Counts what became of a request.
    pub fn note_outcome(&self, webhook: &Webhook, outcome: Outcome, now: DateTime<Utc>) {
        self.outcomes.add(Counted {
            scope: webhook.route.scope,
            webhook_id: webhook.route.webhook_id,
            day: now.date_naive(),
            outcome,
            count: 1,
        });
    }

    /// Whether a request whose body was not read is worth reading it.
    fn may_keep(&self, request: &Request<'_>, webhook: &Webhook, refusal: &Refusal) -> bool {
        let longest = self.settings.refused_request_bytes as u64;
        refusal.can_be_set_right()
            && webhook.protection.is_none()
            && request.declared_length().is_none_or(|length| length <= longest)
    }

    async fn read_refused(
        &self,
        request: &Request<'_>,
        webhook: &Webhook,
        payload: &mut Payload,
    ) -> ReadBody {
        let mut room = self.body_room.enter(&webhook.limits.bodies);
        let bounds = Bounds {
            most: self.settings.refused_request_bytes,
            exactly: request.end_of_body(),
            pace: Pace::within(ARRIVES_WITHIN),
        };
        match read_body(payload, bounds, &mut room).await {
            Ok(body) => ReadBody::Whole(body),
            Err((_, begun)) => ReadBody::Part(begun),
        }
    }

    /// The whole request, sealed. Where data protection is on, nothing is kept that it would mask.
    fn seal(
        &self,
        request: &Request<'_>,
        webhook: &Webhook,
        refusal: &Refusal,
        kept: &NewRefusal,
        body: Bytes,
    ) -> Option<Vec<u8>> {
        if !refusal.can_be_set_right() || webhook.protection.is_some() {
            return None;
        }
        let whole = RefusedRequest {
            target: request.target().to_owned(),
            headers: request.stored_headers(),
            body,
        };
        let bytes = whole.bytes();
        let fits = bytes <= self.settings.refused_request_bytes
            && self.refusals.has_room_for(webhook.route.webhook_id, bytes);
        if !fits {
            return None;
        }
        whole
            .seal(&self.master_key, webhook.route.scope.tenant(), kept.id)
            .inspect_err(|error| tracing::error!(%error, "a refused request could not be sealed"))
            .ok()
    }
}

/// What the tenant is shown, before anything of it is masked.
fn shown(request: &Request<'_>, webhook: &Webhook, refusal: &Refusal, body: &[u8]) -> NewRefusal {
    let length = if body.is_empty() {
        request.declared_length()
    } else {
        Some(body.len() as u64)
    };
    // A handshake that is refused may hold the very secret in its query.
    let query = match refusal {
        Refusal::Handshake(_) => "",
        _ => request.query(),
    };
    NewRefusal {
        scope: webhook.route.scope,
        id: clock::new_id(),
        webhook_id: webhook.route.webhook_id,
        url_id: webhook.route.url_id,
        reason: refusal.code(),
        detail: refusal.detail(),
        status: refusal.status().as_u16(),
        method: request.method().to_owned(),
        path: request.path.to_owned(),
        query: query.to_owned(),
        address: request.address().map(IpNet::from),
        headers: request.redacted_headers(),
        body_bytes: length.and_then(|length| i32::try_from(length).ok()),
        body_preview: body[..body.len().min(PREVIEW)].to_vec(),
        masked: None,
        request: None,
    }
}
