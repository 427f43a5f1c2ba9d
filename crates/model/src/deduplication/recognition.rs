//! What is read from every request of a webhook before it is stored: the event's type, the delivery's id, the keys.

use std::sync::Arc;
use std::time::Duration;

use super::{Deduplication, KeyDigest, KeySecret, KeyTemplate, KeyTemplateError};
use crate::flow::variables::{Request, Variables};
use crate::ids::WebhookId;
use crate::senders::Identity;

/// How a webhook reads them; compiled once.
#[derive(Debug, Default)]
pub struct Recognition {
    identity: Identity,
    by: Option<By>,
    remember: Duration,
}

#[derive(Debug)]
enum By {
    Template(KeyTemplate),
    DeliveryId,
}

/// The keys of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// The webhook takes every request for a new one.
    Off,
    /// The webhook remembers deliveries, and this one gave no key: it is taken for a new one.
    Missing,
    /// One or two for each secret; any of them makes it a duplicate, the first of them says of what.
    Known(Vec<KeyDigest>),
}

impl Recognition {
    /// Compiles what the sender's preset and the webhook's settings say.
    ///
    /// # Errors
    /// When the key's template cannot be one.
    pub fn compile(
        identity: Identity,
        deduplication: Option<&Deduplication>,
    ) -> Result<Self, KeyTemplateError> {
        let by = match deduplication.map(|settings| &settings.key) {
            Some(Some(key)) => Some(By::Template(KeyTemplate::compile(key)?)),
            Some(None) => identity.has_delivery_id().then_some(By::DeliveryId),
            None => None,
        };
        Ok(Self {
            identity,
            by,
            remember: deduplication.map(Deduplication::remember).unwrap_or_default(),
        })
    }

    /// Whether there is nothing to read.
    pub fn is_idle(&self) -> bool {
        self.by.is_none() && self.identity.is_nothing()
    }

    /// Whether it looks into the body.
    pub fn needs_body(&self) -> bool {
        let key_does = match &self.by {
            None => false,
            Some(By::Template(template)) => template.needs_body(),
            Some(By::DeliveryId) => !self.identity.delivery_id_is_signed,
        };
        key_does || self.identity.needs_body()
    }

    /// Whether reading takes little time whatever the tenant wrote, but for the length of the body.
    pub fn is_plain(&self) -> bool {
        match &self.by {
            Some(By::Template(template)) => template.is_plain(),
            _ => true,
        }
    }

    /// How long a delivery is remembered.
    pub fn remember(&self) -> Duration {
        self.remember
    }

    /// Reads a request; returns it with its type and delivery id. Its keys are made with each of the secrets, so that what
    /// was remembered under any of them is recognised.
    pub fn read(
        &self,
        secrets: &[KeySecret],
        webhook: WebhookId,
        request: Arc<Request>,
    ) -> (Arc<Request>, Keys) {
        let root = Variables::of_request(&request).root();
        let event_type = self.identity.event_type(&root);
        let delivery_id = self.identity.delivery_id(&root);
        drop(root);
        let request = request.identified(event_type, delivery_id);
        let event = request.event();
        let (text, body) = match &self.by {
            None => return (request, Keys::Off),
            Some(By::Template(template)) => (template.text(&Variables::of_request(&request)), false),
            // Whoever replays a request can change an id that is not signed, or leave it out.
            Some(By::DeliveryId) => (event.delivery_id.clone(), !self.identity.delivery_id_is_signed),
        };
        let mut keys = Vec::new();
        for secret in secrets {
            let of_text = |text: &str| KeyDigest::of_text(secret, webhook, event.environment, text);
            keys.extend(text.as_deref().map(of_text));
            if body {
                let event_type = event.event_type.as_deref();
                keys.push(KeyDigest::of_body(
                    secret,
                    webhook,
                    event.environment,
                    event_type,
                    &event.body,
                ));
            }
        }
        let keys = if keys.is_empty() {
            Keys::Missing
        } else {
            Keys::Known(keys)
        };
        (request, keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::variables::tests::event;

    fn recognition(delivery_id_is_signed: bool, settings: Option<&str>) -> Recognition {
        let identity = Identity::compile(
            Some("{{ body.type }}"),
            Some("{{ body.id }}"),
            delivery_id_is_signed,
        )
        .expect("an identity");
        let settings = settings.map(|settings| serde_json::from_str(settings).expect("settings"));
        Recognition::compile(identity, settings.as_ref()).expect("a recognition")
    }

    fn secret(byte: u8) -> KeySecret {
        KeySecret::new(zeroize::Zeroizing::new([byte; 32]))
    }

    fn keys(recognition: &Recognition, body: &str) -> Keys {
        let webhook = WebhookId::from(uuid::Uuid::nil());
        recognition
            .read(&[secret(7)], webhook, event("application/json", body))
            .1
    }

    fn known(recognition: &Recognition, body: &str) -> Vec<KeyDigest> {
        match keys(recognition, body) {
            Keys::Known(keys) => keys,
            other => panic!("{other:?}"),
        }
    }

    const BY_ID: Option<&str> = Some(r#"{"remember_hours": 1}"#);

    #[test]
    fn the_request_learns_its_type_and_its_delivery() {
        let webhook = WebhookId::from(uuid::Uuid::nil());
        let body = r#"{"type": "a", "id": "1"}"#;
        let (request, keys) = recognition(true, None).read(&[secret(7)], webhook, event("", body));
        assert_eq!(request.event().event_type.as_deref(), Some("a"));
        assert_eq!(request.event().delivery_id.as_deref(), Some("1"));
        assert_eq!(keys, Keys::Off);
        let by_type = recognition(
            true,
            Some(r#"{"key": "{{ event.type }}/{{ event.delivery_id }}", "remember_hours": 1}"#),
        );
        let plain = recognition(true, Some(r#"{"key": "{{ body.key }}", "remember_hours": 1}"#));
        assert_eq!(known(&by_type, body), known(&plain, r#"{"key": "a/1"}"#));
    }

    #[test]
    fn what_was_remembered_under_a_previous_secret_is_recognised() {
        let webhook = WebhookId::from(uuid::Uuid::nil());
        let recognition = recognition(false, BY_ID);
        let keys = |secrets: &[KeySecret]| {
            let read = recognition.read(secrets, webhook, event("application/json", r#"{"id": "1"}"#));
            match read.1 {
                Keys::Known(keys) => keys,
                other => panic!("{other:?}"),
            }
        };
        let (before, after) = (keys(&[secret(7)]), keys(&[secret(8)]));
        assert_eq!(keys(&[secret(8), secret(7)]), [&after[..], &before[..]].concat());
        assert!(before.len() == 2 && before.iter().all(|key| !after.contains(key)));
    }

    #[test]
    fn a_signed_id_counts_alone() {
        let signed = recognition(true, BY_ID);
        let keys_of = |body| known(&signed, body);
        assert_eq!(keys_of(r#"{"id": "1"}"#), keys_of(r#"{"id": "1", "n": 2}"#));
        assert_ne!(keys_of(r#"{"id": "1"}"#), keys_of(r#"{"id": "2"}"#));
        assert_eq!(keys(&signed, "{}"), Keys::Missing);
        assert!(
            !Recognition::compile(Identity::default(), None)
                .expect("nothing")
                .needs_body()
        );
        assert!(Recognition::default().is_idle() && !signed.is_idle() && signed.needs_body());
    }

    #[test]
    fn beside_an_id_that_is_not_signed_the_body_counts() {
        let unsigned = recognition(false, BY_ID);
        let [one, same] = [r#"{"id": "1", "type": "a"}"#; 2].map(|body| known(&unsigned, body));
        assert_eq!(one.len(), 2);
        assert_eq!(one, same);
        let other = known(&unsigned, r#"{"id": "1", "type": "a", "n": 1}"#);
        assert_eq!(one[0], other[0]);
        assert_ne!(one[1], other[1]);
        // Without an id the body still does.
        assert_eq!(known(&unsigned, "{}").len(), 1);
    }
}
