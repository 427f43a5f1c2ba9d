//! Status URLs: where a caller who has waited too long asks again. The last part of one names the event, and proves, for a
//! while, that its bearer may have its answer: nothing is stored for it, and nobody can make one up.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hookgate_model::ids::EventId;
use uuid::Uuid;

use crate::crypto::MasterKey;
use crate::error::Result;
use crate::scope::TenantScope;

/// A key for each event, so that random nonces never meet again.
fn context(event: Uuid) -> String {
    format!("status/{event}")
}

/// The part that ends a status URL.
///
/// # Errors
/// None in practice: sealing fails for more than 64 GiB.
pub fn seal(
    master: &MasterKey,
    scope: &TenantScope,
    event: EventId,
    expires_at: DateTime<Utc>,
) -> Result<String> {
    let context = context(event.uuid());
    let open = [
        &scope.uuid().as_bytes()[..],
        &expires_at.timestamp().to_be_bytes(),
    ]
    .concat();
    let sealed = master.derived(&context).seal(&context, &open)?;
    Ok(URL_SAFE_NO_PAD.encode([&event.uuid().as_bytes()[..], &sealed].concat()))
}

/// The event whose answer the bearer may have; `None` when this was never given out, or its time is over.
pub fn open(master: &MasterKey, token: &str, now: DateTime<Utc>) -> Option<(TenantScope, EventId)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (event, sealed) = bytes.split_first_chunk::<16>()?;
    let event = Uuid::from_bytes(*event);
    let context = context(event);
    let open = master.derived(&context).open(&context, sealed).ok()?;
    let (tenant, expires_at) = open.split_first_chunk::<16>()?;
    let expires_at = i64::from_be_bytes(expires_at.try_into().ok()?);
    let scope = TenantScope::proven(Uuid::from_bytes(*tenant).into());
    (now.timestamp() < expires_at).then(|| (scope, event.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use chrono::TimeDelta;

    #[test]
    fn a_token_opens_until_its_time_is_over_and_cannot_be_changed() {
        let master = MasterKey::from_bytes(&[7; 32]);
        let scope = TenantScope::proven(clock::new_id());
        let (event, now): (EventId, _) = (clock::new_id(), clock::now());
        let token = seal(&master, &scope, event, now + TimeDelta::seconds(10)).expect("sealed");
        assert_eq!(open(&master, &token, now), Some((scope, event)));
        assert_eq!(open(&master, &token, now + TimeDelta::seconds(10)), None);
        assert_eq!(open(&MasterKey::from_bytes(&[8; 32]), &token, now), None);
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("text");
            // Some bits of the last character mean nothing.
            assert!(open(&master, &changed, now).is_none(), "{place}");
        }
        for nonsense in ["", "A", "status", &token[..40]] {
            assert_eq!(open(&master, nonsense, now), None);
        }
    }
}
