//! What a webhook has from the sender that it knows.

use super::expand;
use super::handshake::Handshake;
use super::identity::Identity;
use super::preset::{Preset, find};
use crate::authentication::{Authentication, SenderSettings};

/// The known sender in an authentication, wherever it stands in it.
fn sender(authentication: &Authentication) -> Option<&SenderSettings> {
    match authentication {
        Authentication::Sender(settings) => Some(settings),
        Authentication::AllOf { of } | Authentication::AnyOf { of } => of.iter().find_map(sender),
        _ => None,
    }
}

/// What tells a webhook's events and deliveries apart: as the sender of its authentication has it, else as the system does
/// that it names.
pub fn identity(authentication: &Authentication, system: &str) -> Identity {
    let name = sender(authentication).map_or(system, |settings| &settings.sender);
    find(name).map(Preset::identity).unwrap_or_default()
}

/// A webhook's handshake: what it sets, else that of the sender of its authentication. A system alone brings none, for a
/// handshake answers strangers.
pub fn effective_handshake(own: Option<&Handshake>, authentication: &Authentication) -> Handshake {
    if let Some(own) = own {
        return own.clone();
    }
    let settings = sender(authentication);
    let handshake = settings.and_then(|settings| expand::handshake(settings).ok());
    handshake.unwrap_or(Handshake::None {})
}

/// The sender with which a webhook can be paired.
///
/// # Errors
/// Says why it cannot be.
pub fn pairing_sender(
    own: Option<&Handshake>,
    authentication: &Authentication,
) -> Result<&'static Preset, &'static str> {
    let Authentication::Sender(settings) = authentication else {
        return Err("only a webhook whose `authentication` is of kind `sender` can be paired");
    };
    let preset = find(&settings.sender).filter(|preset| preset.pairs());
    let preset = preset.ok_or("this sender brings no secret; GET /v1/templates says which do")?;
    if effective_handshake(own, authentication).is_pairing() {
        Ok(preset)
    } else {
        Err("the webhook's own `handshake` stands instead of the sender's")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SecretId;
    use serde_json::{Value, json};

    fn authentication(value: Value) -> Authentication {
        serde_json::from_value(value).expect("an authentication")
    }

    #[test]
    fn the_sender_goes_before_the_system() {
        let secret = SecretId::new(chrono::DateTime::UNIX_EPOCH, [1; 8]);
        let slack = authentication(json!({ "kind": "sender", "sender": "slack", "secrets": [secret] }));
        let nested = authentication(json!({ "kind": "all_of", "of": [{ "kind": "api_key" },
            { "kind": "any_of", "of": [{ "kind": "sender", "sender": "slack", "secrets": [secret] }] }] }));
        let none = Authentication::default();
        for (authentication, system, handshake, signed) in [
            (&slack, "custom", "slack", true),
            (&slack, "github", "slack", true),
            (&nested, "github", "slack", true),
            (&none, "slack", "none", true),
            (&none, "github", "none", false),
            (&none, "custom", "none", false),
        ] {
            assert_eq!(effective_handshake(None, authentication).kind(), handshake);
            assert_eq!(
                identity(authentication, system).delivery_id_is_signed,
                signed,
                "{system}"
            );
            let own = Handshake::Dropbox {};
            assert_eq!(effective_handshake(Some(&own), authentication), own);
        }
        let off = Handshake::None {};
        assert_eq!(effective_handshake(Some(&off), &slack), off);
    }

    #[test]
    fn a_webhook_is_paired_with_its_own_sender_alone() {
        let notion = authentication(json!({ "kind": "sender", "sender": "notion" }));
        assert_eq!(
            pairing_sender(None, &notion).map(|preset| preset.name),
            Ok("notion")
        );
        let off = Handshake::None {};
        assert!(pairing_sender(Some(&off), &notion).is_err());
        for other in [
            json!({ "kind": "none" }),
            json!({ "kind": "sender", "sender": "slack" }),
            json!({ "kind": "all_of", "of": [{ "kind": "sender", "sender": "notion" }] }),
        ] {
            assert!(pairing_sender(None, &authentication(other)).is_err());
        }
    }
}
