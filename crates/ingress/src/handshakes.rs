//! What senders ask before they send: the steps of admission that answer it, and what an answer takes besides.

use std::time::Duration;

use actix_web::HttpResponse;
use bytes::Bytes;
use hookgate_domain::pairings;
use hookgate_domain::redis::changes::Change;
use hookgate_model::authentication::{Denial, DenialCode};
use hookgate_model::senders::{Offer, Outcome, SubscribeUrl};

use crate::admission::{Admission, Stop};
use crate::answer::Prepared;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::webhook::Webhook;

/// How long the sender's own URL, which confirms a subscription, may take to answer. Amazon SNS waits 15 seconds for us.
const VISIT: Duration = Duration::from_secs(5);

/// A handshake that takes more than the request.
pub enum Pending {
    /// A secret is to be installed.
    Install(Offer),
    /// A URL of the sender is to be visited.
    Visit(SubscribeUrl),
}

/// Whether a request is a handshake that is known by its head, whatever methods the webhook takes.
pub fn is_asked_in_head(admission: &Admission<'_>) -> bool {
    admission
        .webhook
        .route
        .handshaker
        .answer_head(&admission.to_verify(&[]))
        .is_some()
}

/// Answers what is asked without a credential, from the head alone.
pub fn question_is_answered(admission: &mut Admission<'_>) -> Result<(), Stop> {
    let handshaker = &admission.webhook.route.handshaker;
    handshaker
        .answer_head(&admission.to_verify(&[]))
        .map_or(Ok(()), |outcome| Err(stop(admission.webhook, outcome)))
}

/// Lets what may bring a secret past the credentials, which it cannot have yet, while the webhook is open for pairing.
pub fn pairing_is_open(admission: &mut Admission<'_>) -> Result<(), Stop> {
    let route = &admission.webhook.route;
    if !route.handshaker.may_offer(&admission.to_verify(&[])) {
        return Ok(());
    }
    if route
        .pairing_until
        .is_some_and(|end| end > admission.admitted.now)
    {
        admission.admitted.may_pair = true;
        return Ok(());
    }
    Err(not_open(admission.webhook).into())
}

/// Takes the secret that a request brings.
pub fn offer_is_taken(admission: &mut Admission<'_>, body: &Bytes) -> Result<(), Stop> {
    if !admission.admitted.may_pair {
        return Ok(());
    }
    let handshaker = &admission.webhook.route.handshaker;
    match handshaker.offer(&admission.to_verify(body)) {
        Some(Ok(offer)) => Err(Stop::Pending(Pending::Install(offer))),
        Some(Err(fault)) => Err(Refusal::Handshake(fault).into()),
        None => Ok(()),
    }
}

/// Answers what is asked with the credentials of any other request.
pub fn body_is_answered(admission: &mut Admission<'_>, body: &Bytes) -> Result<(), Stop> {
    let handshaker = &admission.webhook.route.handshaker;
    handshaker
        .answer_body(&admission.to_verify(body))
        .map_or(Ok(()), |outcome| Err(stop(admission.webhook, outcome)))
}

fn stop(webhook: &Webhook, outcome: Outcome) -> Stop {
    match outcome {
        Outcome::Answer(answer) => {
            note(webhook);
            Stop::Answered(Prepared::from(&answer))
        }
        Outcome::Visit(url) => Stop::Pending(Pending::Visit(url)),
        Outcome::Refuse(fault) => Refusal::Handshake(fault).into(),
    }
}

fn not_open(webhook: &Webhook) -> Refusal {
    let detail = "The request has no signature, and if it brings the sender's secret: the webhook is not open for pairing.";
    Refusal::Denied(
        Denial::new(DenialCode::SignatureMissing, detail),
        webhook.challenge,
    )
}

impl Service {
    /// Does what a handshake takes, and answers it.
    ///
    /// # Errors
    /// The refusal when it cannot be done.
    pub async fn finish(&self, webhook: &Webhook, pending: Pending) -> Result<HttpResponse, Refusal> {
        let answer = match pending {
            Pending::Install(offer) => self.install(webhook, offer).await?,
            Pending::Visit(url) => self.visit(&url).await?,
        };
        note(webhook);
        Ok(answer)
    }

    /// Installs a secret. Every node learns of it before its sender has the answer, and so before it sends anything else.
    async fn install(&self, webhook: &Webhook, offer: Offer) -> Result<HttpResponse, Refusal> {
        let (scope, id, key) = (
            webhook.route.scope,
            webhook.route.webhook_id,
            self.master_key.clone(),
        );
        let installed = self
            .pool
            .run(move |conn| {
                scope
                    .transaction(conn, |conn| {
                        pairings::complete(conn, &scope, &key, id, &offer.secret)
                    })
                    .map(|secret| secret.map(|secret| (secret, offer.answer)))
            })
            .await
            .map_err(|error| {
                tracing::warn!(%error, webhook = %id, "a secret could not be installed");
                Refusal::StorageUnavailable
            })?;
        self.routes.forget(Change::Webhook(id));
        let Some((secret, answer)) = installed else {
            return Err(not_open(webhook));
        };
        tracing::info!(webhook = %id, %secret, "a webhook is paired");
        if let Err(error) = self.redis.announce(Change::Webhook(id)).await {
            tracing::warn!(%error, "a change was not announced; other nodes learn of it within two seconds");
        }
        Ok(Prepared::from(&answer).send_without_event())
    }

    /// Visits the URL at which Amazon SNS confirms a subscription. Nothing of its answer goes anywhere.
    async fn visit(&self, url: &SubscribeUrl) -> Result<HttpResponse, Refusal> {
        let outcome = tokio::time::timeout(VISIT, self.egress.get(url.url().clone())).await;
        let failure = match outcome {
            Ok(Ok(response)) if response.status().is_success() => return Ok(HttpResponse::Ok().finish()),
            Ok(Ok(response)) => format!("it answers {}", response.status().as_u16()),
            Ok(Err(failed)) => failed.to_string(),
            Err(_) => format!("it does not answer within {} seconds", VISIT.as_secs()),
        };
        Err(Refusal::NotConfirmed(failure))
    }
}

/// Counts a handshake that was answered.
fn note(webhook: &Webhook) {
    let kind = webhook.route.handshaker.handshake().kind();
    metrics::counter!("hookgate_handshakes_total", "kind" => kind).increment(1);
}
