//! Keys: the template that gives a key's text, and the digest under which it is remembered.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::flow::template::JsonTemplate;
use crate::flow::variables::{BODY_VARIABLES, REQUEST_VARIABLES, Variables};
use crate::ids::WebhookId;
use crate::webhook::Environment;

/// The template of a key.
#[derive(Debug)]
pub struct KeyTemplate {
    template: JsonTemplate,
    is_plain: bool,
}

/// Why a template cannot be one of a key. The text is for the tenant who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyTemplateError(String);

impl KeyTemplate {
    /// Compiles it.
    ///
    /// # Errors
    /// When it cannot be read, names what no request has, or is the same for every request: all but the first would be lost.
    pub fn compile(source: &str) -> Result<Self, KeyTemplateError> {
        let template = JsonTemplate::compile(&Value::String(source.to_owned())).map_err(|errors| {
            let first = errors.into_iter().next();
            KeyTemplateError(first.map_or_else(String::new, |found| found.error.to_string()))
        })?;
        let roots: Vec<String> = template
            .roots()
            .into_iter()
            .flat_map(|(_, roots)| roots)
            .collect();
        if let Some(root) = roots
            .iter()
            .find(|root| !REQUEST_VARIABLES.contains(&root.as_str()))
        {
            let known = REQUEST_VARIABLES.join(", ");
            return Err(KeyTemplateError(format!(
                "there is no variable `{root}`; here are {known}"
            )));
        }
        if roots.is_empty() {
            return Err(KeyTemplateError(
                "a key must say something of the request, such as `{{ body.event_id }}`: the same key for all would make all but the first duplicates".into(),
            ));
        }
        Ok(Self {
            template,
            is_plain: is_plain(source),
        })
    }

    /// Whether it looks into the body.
    pub fn needs_body(&self) -> bool {
        let mut roots = self.template.roots().into_iter().flat_map(|(_, roots)| roots);
        roots.any(|root| BODY_VARIABLES.contains(&root.as_str()))
    }

    /// Whether it only names values of the request, so that it takes little time: no filters, loops or arithmetic.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The key's text; `None` when the request gives none. A number that JSON cannot tell from its neighbours is none
    /// either: two deliveries could look like one.
    pub fn text(&self, variables: &Variables) -> Option<String> {
        match self.template.evaluate(&variables.root()).ok()? {
            Value::Null => None,
            Value::String(text) => Some(text).filter(|text| !text.trim().is_empty()),
            Value::Number(number) if !is_exact(&number) => None,
            other => Some(other.to_string()),
        }
    }
}

fn is_plain(source: &str) -> bool {
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || "_-.[]'\" ".contains(c);
    let mut expressions = source.split("{{").skip(1);
    !source.contains("{%")
        && expressions.all(|rest| {
            let expression = rest.split_once("}}").map(|(expression, _)| expression);
            expression.is_some_and(|expression| expression.chars().all(is_of_path))
        })
}

/// Whether a number is the one that was sent: from 2^53 on, floating point has no longer each whole number.
fn is_exact(number: &serde_json::Number) -> bool {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.abs() < EXACT)
}

/// What keys are made with, the same for all of an installation. Data protection may mask what a key is made of, and a body
/// of which little is unknown could else be found out from its digest by trying.
#[derive(Clone)]
pub struct KeySecret(Zeroizing<[u8; 32]>);

impl KeySecret {
    /// Takes 32 random bytes.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(…)")
    }
}

/// A key: HMAC-SHA256 over the webhook, the environment of the URL, the kind of the key and its value. What was sent to the
/// test URL is thus forgotten by the production URL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest([u8; 32]);

/// Begins every digest; a change of what follows changes it.
const VERSION: &[u8] = b"hookgate delivery 1\0";

impl KeyDigest {
    /// The key of a text: a template's, or a delivery id.
    pub fn of_text(secret: &KeySecret, webhook: WebhookId, environment: Environment, text: &str) -> Self {
        Self::of(secret, webhook, environment, b't', &[text.as_bytes()])
    }

    /// The key of a body under its event's type, byte for byte.
    pub fn of_body(
        secret: &KeySecret,
        webhook: WebhookId,
        environment: Environment,
        event_type: Option<&str>,
        body: &[u8],
    ) -> Self {
        let event_type = event_type.unwrap_or_default().as_bytes();
        let length = u64::try_from(event_type.len()).unwrap_or(u64::MAX).to_be_bytes();
        Self::of(secret, webhook, environment, b'b', &[&length, event_type, body])
    }

    #[allow(clippy::expect_used)]
    fn of(
        secret: &KeySecret,
        webhook: WebhookId,
        environment: Environment,
        kind: u8,
        parts: &[&[u8]],
    ) -> Self {
        let environment = match environment {
            Environment::Test => b't',
            Environment::Production => b'p',
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(&*secret.0).expect("a key of any length");
        mac.update(VERSION);
        mac.update(webhook.uuid().as_bytes());
        mac.update(&[environment, kind]);
        parts.iter().for_each(|part| mac.update(part));
        Self(mac.finalize().into_bytes().into())
    }

    /// The stored form.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads the stored form.
    pub fn from_slice(stored: &[u8]) -> Option<Self> {
        stored.try_into().ok().map(Self)
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::flow::variables::tests::event;

    fn text(template: &str, body: &str) -> Option<String> {
        let template = KeyTemplate::compile(template).expect("a key");
        template.text(&Variables::of_request(&event("application/json", body)))
    }

    #[test]
    fn a_key_is_what_the_template_gives() {
        let body = r#"{"id": "evt_1", "n": 7, "big": 18446744073709551615, "bigger": 184467440737095516150, "x": 1.5,
            "none": null, "blank": " ", "list": [1, "a"]}"#;
        for (template, expected) in [
            ("{{ body.id }}", Some("evt_1")),
            ("{{ body.n }}", Some("7")),
            ("{{ body.n }}/{{ body.id }}", Some("7/evt_1")),
            ("{{ body.big }}", Some("18446744073709551615")),
            ("{{ body.bigger }}", Some("184467440737095516150")),
            ("{{ body.x }}", Some("1.5")),
            ("{{ body.list }}", Some(r#"[1,"a"]"#)),
            ("{{ headers['x-a'] }}", Some("1, 2")),
            ("{{ event.type }}", Some("order.paid")),
            ("{{ body.none }}", None),
            ("{{ body.blank }}", None),
            ("{{ body.absent }}", None),
            ("{{ body.absent.deeper }}", None),
            ("{{ body.absent }}-{{ body.id }}", None),
        ] {
            assert_eq!(text(template, body).as_deref(), expected, "{template}");
        }
        assert_eq!(text("{{ body.id }}", "no json"), None);
    }

    #[test]
    fn a_key_must_depend_on_the_request() {
        for template in [
            "",
            "order",
            "{{ 'order' }}",
            "{{ body.id",
            "{{ order.id }}",
            "{{ namespace() }}",
        ] {
            assert!(KeyTemplate::compile(template).is_err(), "{template}");
        }
        let is_plain = |template| KeyTemplate::compile(template).expect("a key").is_plain();
        assert!(is_plain("{{ body.id }}") && is_plain("{{ headers['x-id'] }}/{{ body.items[0].id }}"));
        for template in [
            "{{ body.id | upper }}",
            "{{ body_text * 9 }}",
            "{% for x in body %}{{ x }}{% endfor %}",
        ] {
            assert!(!is_plain(template), "{template}");
        }
        let needs_body = |template| KeyTemplate::compile(template).expect("a key").needs_body();
        assert!(needs_body("{{ body.id }}") && needs_body("{{ headers.a }}{{ body_text }}"));
        assert!(!needs_body(
            "{{ headers.a }}{{ query.b }}{{ path.c }}{{ event.method }}"
        ));
    }

    #[test]
    fn digests_differ_in_everything_that_they_cover() {
        let webhook = |number| WebhookId::from(Uuid::from_u128(number));
        let secret = KeySecret::new(Zeroizing::new([7; 32]));
        let other = KeySecret::new(Zeroizing::new([8; 32]));
        let (test, production) = (Environment::Test, Environment::Production);
        let mut digests = vec![
            KeyDigest::of_text(&secret, webhook(1), production, "a"),
            KeyDigest::of_text(&secret, webhook(2), production, "a"),
            KeyDigest::of_text(&other, webhook(1), production, "a"),
            KeyDigest::of_text(&secret, webhook(1), test, "a"),
            KeyDigest::of_text(&secret, webhook(1), production, "b"),
            KeyDigest::of_body(&secret, webhook(1), production, None, b"a"),
            KeyDigest::of_body(&secret, webhook(1), production, Some("a"), b""),
            KeyDigest::of_body(&secret, webhook(1), production, Some("ab"), b"c"),
            KeyDigest::of_body(&secret, webhook(1), production, Some("a"), b"bc"),
        ];
        let count = digests.len();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), count);
        assert_eq!(
            digests[0],
            KeyDigest::from_slice(digests[0].as_bytes()).expect("a digest")
        );
    }
}
