//! Sessions: state that is kept between the events of one key.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::compiler::Compiler;
use super::definition::SessionSettings;
use super::template::{Escape, TextTemplate};
use super::variables::Variables;
use crate::ids::WebhookId;

/// The most characters of a session's key.
pub const MAX_KEY_CHARS: usize = 256;
/// The most bytes of a session's state, as JSON.
pub const MAX_STATE_BYTES: usize = 64 * 1024;
/// How long a session may be kept after its last event, in seconds: at most 400 days.
pub const TTL_SECONDS: std::ops::RangeInclusive<u32> = 1..=400 * 86_400;

/// A revision's sessions, compiled.
#[derive(Debug)]
pub struct CompiledSession {
    key: Option<TextTemplate>,
    /// How long a session is kept after its last event, in seconds.
    pub ttl_seconds: u32,
}

/// What a run knows of its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its key.
    pub key: String,
    /// What it holds by now.
    pub values: Map<String, Value>,
}

impl CompiledSession {
    pub(super) fn compile(compiler: &mut Compiler<'_>, settings: &SessionSettings) -> Self {
        compiler.range("/session/ttl_seconds", settings.ttl_seconds, &TTL_SECONDS);
        Self {
            key: compiler.text("/session/key", &settings.key, Escape::None),
            ttl_seconds: settings.ttl_seconds,
        }
    }

    /// The key of an event's session; `None` when the event has none, as the key is empty or null.
    ///
    /// # Errors
    /// What is wrong, for the tenant.
    pub fn key(&self, variables: &Variables) -> Result<Option<String>, String> {
        let Some(template) = &self.key else {
            return Ok(None);
        };
        let key = template
            .evaluate(&variables.root())
            .map_err(|error| error.to_string())?;
        if key.is_empty() || key == "null" {
            return Ok(None);
        }
        if key.chars().count() > MAX_KEY_CHARS || key.chars().any(char::is_control) {
            return Err(format!(
                "a session's key has at most {MAX_KEY_CHARS} characters, none of them a control character"
            ));
        }
        Ok(Some(key))
    }
}

/// The id of a session, made from its webhook and its key.
pub fn id(webhook: WebhookId, key: &str) -> Uuid {
    let digest = Sha256::new()
        .chain_update(webhook.uuid().as_bytes())
        .chain_update(key)
        .finalize();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(first).into_uuid()
}

impl Session {
    /// Changes what it holds: a field that is null is removed.
    ///
    /// # Errors
    /// When it would hold too much; nothing is changed then.
    pub(super) fn change(&mut self, clear: bool, values: Map<String, Value>) -> Result<(), String> {
        let mut changed = if clear { Map::new() } else { self.values.clone() };
        for (name, value) in values {
            if value.is_null() {
                changed.remove(&name);
            } else {
                changed.insert(name, value);
            }
        }
        let bytes = serde_json::to_vec(&changed).map_or(0, |json| json.len());
        if bytes > MAX_STATE_BYTES {
            return Err(format!(
                "a session holds at most {MAX_STATE_BYTES} bytes, not {bytes}"
            ));
        }
        self.values = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_are_a_webhooks_own() {
        let webhook = |n| WebhookId::from(Uuid::from_u128(n));
        assert_eq!(id(webhook(1), "a"), id(webhook(1), "a"));
        assert_ne!(id(webhook(1), "a"), id(webhook(1), "b"));
        assert_ne!(id(webhook(1), "a"), id(webhook(2), "a"));
    }

    #[test]
    fn state_changes_within_its_bound() {
        let mut session = Session {
            key: "k".into(),
            values: Map::new(),
        };
        let object = |value: Value| value.as_object().expect("an object").clone();
        session
            .change(false, object(json!({ "a": 1, "b": 2 })))
            .expect("fits");
        session
            .change(false, object(json!({ "a": null, "c": 3 })))
            .expect("fits");
        assert_eq!(Value::Object(session.values.clone()), json!({ "b": 2, "c": 3 }));
        let long = object(json!({ "long": "x".repeat(MAX_STATE_BYTES) }));
        assert!(session.change(false, long).is_err());
        assert_eq!(Value::Object(session.values.clone()), json!({ "b": 2, "c": 3 }));
        session.change(true, object(json!({ "d": 4 }))).expect("fits");
        assert_eq!(Value::Object(session.values), json!({ "d": 4 }));
    }
}
