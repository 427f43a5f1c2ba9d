//! Meta's verification request
//! (<https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests>).

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::answers::{challenge, parameter, plain_text};
use super::{Fault, Outcome};
use crate::authentication::Request;

/// Repeats `hub.challenge` to whoever knows the verify token.
pub(super) fn answer(request: &Request<'_>, tokens: &[Zeroizing<Vec<u8>>]) -> Option<Outcome> {
    let mode = parameter(request, "hub.mode")?;
    Some(match mode.and_then(|mode| check(request, &mode, tokens)) {
        Ok(challenge) => Outcome::Answer(plain_text(challenge)),
        Err(fault) => Outcome::Refuse(fault),
    })
}

fn check(request: &Request<'_>, mode: &str, tokens: &[Zeroizing<Vec<u8>>]) -> Result<String, Fault> {
    if mode != "subscribe" {
        return Err(Fault::Mismatch("`hub.mode` is not `subscribe`."));
    }
    let missing = || Err(Fault::Mismatch("There is no `hub.verify_token`."));
    let token = parameter(request, "hub.verify_token").unwrap_or_else(missing)?;
    // Digests are compared, so that the time tells nothing of a token, not even its length.
    let digest = Sha256::digest(&token);
    let known = tokens.iter().fold(subtle::Choice::from(0), |known, stored| {
        known | Sha256::digest(stored.as_slice()).ct_eq(&digest)
    });
    if !bool::from(known) {
        return Err(Fault::Mismatch(
            "`hub.verify_token` is not the webhook's verify token.",
        ));
    }
    let missing = || Err(Fault::Malformed("There is no `hub.challenge`."));
    parameter(request, "hub.challenge")
        .unwrap_or_else(missing)
        .and_then(challenge)
}
