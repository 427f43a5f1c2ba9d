//! Handshakes that are signed like any other request: Slack's, Zoom's and Discord's.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::answers::{challenge, json, plain_text};
use super::{Fault, Outcome};
use crate::answer::Answer;

/// Repeats Slack's challenge (<https://docs.slack.dev/reference/events/url_verification>).
pub(super) fn slack(body: &[u8]) -> Option<Outcome> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        challenge: Option<String>,
    }
    let message: Message<'_> = serde_json::from_slice(body).ok()?;
    if message.kind != "url_verification" {
        return None;
    }
    let missing = || Err(Fault::Malformed("There is no `challenge`."));
    Some(match message.challenge.map_or_else(missing, challenge) {
        Ok(text) => Outcome::Answer(plain_text(text)),
        Err(fault) => Outcome::Refuse(fault),
    })
}

/// Answers Zoom's validation with the HMAC of its token (<https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint>).
pub(super) fn zoom(body: &[u8], secrets: &[Zeroizing<Vec<u8>>]) -> Option<Outcome> {
    #[derive(Deserialize)]
    struct Message<'a> {
        event: &'a str,
        payload: Option<Payload>,
    }
    #[derive(Deserialize)]
    struct Payload {
        #[serde(rename = "plainToken")]
        plain_token: Option<String>,
    }
    let message: Message<'_> = serde_json::from_slice(body).ok()?;
    if message.event != "endpoint.url_validation" {
        return None;
    }
    let token = message.payload.and_then(|payload| payload.plain_token);
    Some(
        match token.map_or_else(no_token, |token| encrypt(token, secrets)) {
            Ok((plain, encrypted)) => Outcome::Answer(json(
                &serde_json::json!({ "plainToken": plain, "encryptedToken": encrypted }),
            )),
            Err(fault) => Outcome::Refuse(fault),
        },
    )
}

fn no_token() -> Result<(String, String), Fault> {
    Err(Fault::Malformed("There is no `payload.plainToken`."))
}

/// A token and its HMAC. Zoom signs requests with the same key, as `v0:…`: a text with a colon is never signed here.
fn encrypt(token: String, secrets: &[Zeroizing<Vec<u8>>]) -> Result<(String, String), Fault> {
    let token = challenge(token)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+/=".contains(&byte);
    if !token.bytes().all(fits) {
        return Err(Fault::Malformed(
            "`payload.plainToken` holds other characters than such a token has.",
        ));
    }
    let secret = secrets.first().ok_or(Fault::SecretMissing)?;
    let mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| Fault::SecretMissing)?;
    let encrypted = mac.chain_update(&token).finalize().into_bytes();
    let encrypted = base16ct::lower::encode_string(&encrypted);
    Ok((token, encrypted))
}

/// Answers Discord's PING (<https://docs.discord.com/developers/events/webhook-events#setting-up-an-endpoint>).
pub(super) fn discord(body: &[u8]) -> Option<Outcome> {
    #[derive(Deserialize)]
    struct Message {
        #[serde(rename = "type")]
        kind: i64,
    }
    let message: Message = serde_json::from_slice(body).ok()?;
    (message.kind == 0).then(|| {
        Outcome::Answer(Answer {
            status: 204,
            // Discord wants a type, although there is no body.
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Vec::new(),
        })
    })
}
