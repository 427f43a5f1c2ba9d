//! Who sends: the steps of admission that ask the webhook's verifier, before and after the body is read.

use bytes::Bytes;
use hookgate_egress::published_keys::{Asked, PublishedKeys};
use hookgate_model::authentication::{Authentication, Trace, Verdict, Verifier};

use crate::admission::{Admission, Stop};
use crate::refusal::Refusal;
use crate::webhook::Webhook;

/// What a refused sender is told to authenticate with (RFC 9110, section 11.6.1). The schemes of signatures are the
/// senders' own, so they have no registered name.
pub fn challenge(authentication: &Authentication) -> &'static str {
    match authentication {
        Authentication::Basic(_) => "Basic realm=\"webhook\", charset=\"UTF-8\"",
        Authentication::Hmac(_)
        | Authentication::PublicKey(_)
        | Authentication::Digest(_)
        | Authentication::Sender(_) => "Signature realm=\"webhook\"",
        Authentication::None {}
        | Authentication::ApiKey(_)
        | Authentication::AppKeySign(_)
        | Authentication::StaticToken(_)
        | Authentication::Jwt(_) => "Bearer realm=\"webhook\"",
        Authentication::AllOf { of } | Authentication::AnyOf { of } => {
            of.first().map_or("Bearer realm=\"webhook\"", challenge)
        }
    }
}

/// Decides what needs no body; what is missing or old is refused before anybody reads one.
pub fn credentials_are_valid(admission: &mut Admission<'_>) -> Result<(), Stop> {
    if admission.admitted.may_pair {
        return Ok(());
    }
    let verifier = verifier(admission)?;
    let verdict = verifier.verify_head(&admission.to_verify(&[]), admission.keys, &mut Trace::off());
    verdict.map_or(Ok(()), |verdict| decide(admission, verdict))
}

/// Decides what needs the body, over its exact bytes.
pub fn signature_is_valid(admission: &mut Admission<'_>, body: &Bytes) -> Result<(), Stop> {
    if admission.admitted.accepted.is_some() {
        return Ok(());
    }
    let verifier = verifier(admission)?;
    let verdict = verifier.verify(&admission.to_verify(body), admission.keys, &mut Trace::off());
    decide(admission, verdict)
}

fn verifier<'a>(admission: &Admission<'a>) -> Result<&'a Verifier, Stop> {
    let verifier = admission.webhook.verifier.as_ref();
    verifier.map_err(|reason| Refusal::AuthenticationUnusable(reason.clone()).into())
}

fn decide(admission: &mut Admission<'_>, verdict: Verdict) -> Result<(), Stop> {
    match verdict {
        Verdict::Accepted(accepted) => {
            admission.admitted.accepted = Some(accepted);
            Ok(())
        }
        Verdict::Denied(denial) => Err(Refusal::Denied(denial, admission.webhook.challenge).into()),
        Verdict::NeedsKeys(keys) => Err(Stop::NeedsKeys(keys)),
    }
}

/// Gets what a step lacks, so that it can be repeated.
///
/// # Errors
/// The stop itself when it is final; the refusal when the keys that a step lacks cannot be had.
pub async fn overcome(
    stop: Stop,
    asked: &mut Asked,
    keys: &PublishedKeys,
    webhook: &Webhook,
) -> Result<(), Stop> {
    let Stop::NeedsKeys(wanted) = stop else {
        return Err(stop);
    };
    let fetched = asked.fetch(keys, webhook.route.scope.tenant(), wanted).await;
    fetched.map_err(|denial| Refusal::Denied(denial, webhook.challenge).into())
}
