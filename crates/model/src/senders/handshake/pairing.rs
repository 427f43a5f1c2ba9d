//! Handshakes that bring the secret of the requests to come: Notion's and Asana's.

use std::fmt;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::Fault;
use crate::answer::Answer;
use crate::authentication::Request;

/// How long a secret may be, in bytes. A short one would be no secret.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=512;

/// A secret that a request brings, and the answer when it is taken.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// The secret.
    pub secret: Zeroizing<String>,
    /// What the sender gets.
    pub answer: Answer,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").finish_non_exhaustive()
    }
}

/// Notion's verification token (<https://developers.notion.com/reference/webhooks#step-2-verifying-the-subscription>).
pub(super) fn notion(body: &[u8]) -> Option<Result<Offer, Fault>> {
    #[derive(Deserialize)]
    struct Message {
        verification_token: String,
    }
    let message: Message = serde_json::from_slice(body).ok()?;
    Some(offer(Zeroizing::new(message.verification_token), |_| Vec::new()))
}

/// Asana's handshake (<https://developers.asana.com/docs/webhooks-guide#the-webhook-handshake>).
pub(super) fn asana(request: &Request<'_>) -> Option<Result<Offer, Fault>> {
    let secret = request.headers.value("x-hook-secret", 0)?;
    let secret = Zeroizing::new(String::from_utf8_lossy(secret).into_owned());
    Some(offer(secret, |secret| {
        vec![("x-hook-secret".to_owned(), secret.to_owned())]
    }))
}

fn offer(
    secret: Zeroizing<String>,
    headers: impl FnOnce(&str) -> Vec<(String, String)>,
) -> Result<Offer, Fault> {
    if !SECRET_BYTES.contains(&secret.len()) || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Fault::Malformed(
            "The secret that it brings is not of 16 to 512 visible ASCII characters.",
        ));
    }
    Ok(Offer {
        answer: Answer {
            status: 200,
            headers: headers(&secret),
            body: Vec::new(),
        },
        secret,
    })
}
