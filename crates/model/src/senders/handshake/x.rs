//! X's challenge-response check
//! (<https://docs.x.com/x-api/webhooks/quickstart#challenge-response-check-crc>).
//!
//! The check is an oracle: anybody who knows the URL gets the HMAC, under the key that signs X's requests, of a text of
//! his choice. So only what can be a token is answered, and no request whose body could be one is taken for signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::answers::{json, parameter};
use super::{Fault, Outcome};
use crate::authentication::Request;

/// The longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 256;

/// Answers a token with its HMAC.
pub(super) fn answer(request: &Request<'_>, secrets: &[Zeroizing<Vec<u8>>]) -> Option<Outcome> {
    let token = parameter(request, "crc_token")?;
    Some(match token.and_then(|token| respond(&token, secrets)) {
        Ok(response) => Outcome::Answer(json(&serde_json::json!({ "response_token": response }))),
        Err(fault) => Outcome::Refuse(fault),
    })
}

fn respond(token: &str, secrets: &[Zeroizing<Vec<u8>>]) -> Result<String, Fault> {
    if !is_token(token.as_bytes()) {
        return Err(Fault::Malformed(
            "`crc_token` is not of 1 to 256 letters, digits and `-`, `_`, `.`, `+`, `/`, `=`.",
        ));
    }
    let secret = secrets.first().ok_or(Fault::SecretMissing)?;
    let mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| Fault::SecretMissing)?;
    let signature = mac.chain_update(token).finalize().into_bytes();
    Ok(format!("sha256={}", STANDARD.encode(signature)))
}

/// Refuses a body for which the check itself would have given the signature.
pub(super) fn refuse_token_as_body(body: &[u8]) -> Option<Outcome> {
    is_token(body).then_some(Outcome::Refuse(Fault::Malformed(
        "The body has the form of a challenge, and no event has: its signature proves nothing.",
    )))
}

fn is_token(text: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+/=".contains(byte);
    (1..=MAX_TOKEN_BYTES).contains(&text.len()) && text.iter().all(fits)
}
