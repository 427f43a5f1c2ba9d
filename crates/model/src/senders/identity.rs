//! What a sender calls its event, and the id by which it knows the delivery again.

use minijinja::value::Value as Variable;
use sha2::{Digest, Sha256};

use crate::flow::template::{Escape, TemplateError, TextTemplate};
use crate::flow::variables::BODY_VARIABLES;

/// The most characters of an event type; the rest is cut off.
pub const EVENT_TYPE_CHARACTERS: usize = 200;
/// The most bytes of a delivery id. A longer one counts as `sha256:` and its digest.
pub const DELIVERY_ID_BYTES: usize = 255;

/// The templates for the two, over the variables of a request; compiled once per webhook.
#[derive(Debug, Default)]
pub struct Identity {
    event_type: Option<TextTemplate>,
    delivery_id: Option<TextTemplate>,
    /// Whether the delivery id is part of what the sender signs. A replayer can change one that is not, so it counts
    /// only together with the body.
    pub delivery_id_is_signed: bool,
}

impl Identity {
    /// Compiles the templates.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn compile(
        event_type: Option<&str>,
        delivery_id: Option<&str>,
        delivery_id_is_signed: bool,
    ) -> Result<Self, TemplateError> {
        let compile = |source: &str| TextTemplate::compile(source, Escape::None);
        Ok(Self {
            event_type: event_type.map(compile).transpose()?,
            delivery_id: delivery_id.map(compile).transpose()?,
            delivery_id_is_signed,
        })
    }

    /// Whether the sender has an id for each delivery.
    pub fn has_delivery_id(&self) -> bool {
        self.delivery_id.is_some()
    }

    /// Whether there is no template.
    pub fn is_nothing(&self) -> bool {
        self.event_type.is_none() && self.delivery_id.is_none()
    }

    /// Whether a template looks into the body.
    pub fn needs_body(&self) -> bool {
        [&self.event_type, &self.delivery_id]
            .into_iter()
            .flatten()
            .flat_map(TextTemplate::roots)
            .any(|root| BODY_VARIABLES.contains(&root.as_str()))
    }

    /// The type of the event; `None` when the request does not say it. `variables` are those of
    /// [`Variables::of_request`](crate::flow::variables::Variables::of_request).
    pub fn event_type(&self, variables: &Variable) -> Option<String> {
        let text = evaluate(self.event_type.as_ref(), variables)?;
        let shown = |c: char| if c.is_control() { '\u{FFFD}' } else { c };
        Some(text.chars().take(EVENT_TYPE_CHARACTERS).map(shown).collect())
    }

    /// The id of the delivery; `None` when the request has none.
    pub fn delivery_id(&self, variables: &Variable) -> Option<String> {
        let text = evaluate(self.delivery_id.as_ref(), variables)?;
        if text.len() > DELIVERY_ID_BYTES || text.contains(char::is_control) {
            Some(format!(
                "sha256:{}",
                base16ct::lower::encode_string(&Sha256::digest(text))
            ))
        } else {
            Some(text)
        }
    }
}

/// A template's text, unless it is empty or a value is not there.
fn evaluate(template: Option<&TextTemplate>, variables: &Variable) -> Option<String> {
    let text = template?.evaluate(variables).ok()?;
    let is_nothing = text.trim().is_empty() || text == "null";
    (!is_nothing).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::variables::Variables;
    use crate::flow::variables::tests::event;

    fn identity(event_type: &str, delivery_id: &str) -> Identity {
        Identity::compile(Some(event_type), Some(delivery_id), true).expect("compiled")
    }

    #[test]
    fn templates_see_the_request() {
        let body = r#"{"id": "evt_1", "type": "order.paid", "nothing": null, "n": 7}"#;
        let variables = Variables::of_request(&event("application/json", body)).root();
        let table = [
            ("{{ body.type }}", Some("order.paid")),
            ("{{ headers['x-a'] }}.{{ body.n }}", Some("1, 2.7")),
            ("{{ body.n }}", Some("7")),
            ("{{ body.nothing }}", None),
            ("{{ body.absent }}", None),
            ("{{ body.absent.deeper }}", None),
            ("{{ ' ' }}", None),
            (
                "{{ body_text | sha256 }}",
                Some("bd44e34d1c25f79d528714a6ccd5248afd234cb2d822da3ae93f502cf0bced19"),
            ),
        ];
        for (template, expected) in table {
            let identity = identity(template, template);
            let found = identity.event_type(&variables);
            assert_eq!(found.as_deref(), expected, "{template}");
            assert_eq!(identity.delivery_id(&variables), found, "{template}");
        }
        assert_eq!(Identity::default().event_type(&variables), None);
        assert_eq!(Identity::default().delivery_id(&variables), None);
    }

    #[test]
    fn what_is_long_or_cannot_be_stored_is_made_fit() {
        let body = format!(r#"{{"long": "{}", "nul": "a\u0000b"}}"#, "ü".repeat(1000));
        let variables = Variables::of_request(&event("application/json", &body)).root();
        let long = identity("{{ body.long }}", "{{ body.long }}");
        assert_eq!(
            long.event_type(&variables).map(|text| text.chars().count()),
            Some(EVENT_TYPE_CHARACTERS)
        );
        let id = long.delivery_id(&variables).expect("an id");
        assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
        let nul = identity("{{ body.nul }}", "{{ body.nul }}");
        assert_eq!(nul.event_type(&variables).as_deref(), Some("a\u{FFFD}b"));
        assert!(
            nul.delivery_id(&variables)
                .is_some_and(|id| id.starts_with("sha256:"))
        );
    }
}
