//! What a webhook recognises a delivery by, as the API takes it.

use hookgate_model::authentication::Authentication;
use hookgate_model::deduplication::{DEFAULT_REMEMBER_HOURS, Deduplication, KeyTemplate, REMEMBER_HOURS};
use hookgate_model::senders;
use serde_json::Value;

use super::CUSTOM;
use crate::error::FieldCode;
use crate::fields::{Fields, FromFields, Read, integer, text, wrong};

/// The most characters of a key's template.
const KEY_CHARACTERS: usize = 4_000;

impl FromFields for Deduplication {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let key = fields.optional("key", key);
        let hours = i64::from(*REMEMBER_HOURS.start())..=i64::from(*REMEMBER_HOURS.end());
        let remember_hours = fields.or("remember_hours", DEFAULT_REMEMBER_HOURS, integer(hours));
        Some(Self {
            key: key?,
            remember_hours: remember_hours?,
        })
    }
}

fn key(value: Value) -> Read<String> {
    let key = text(1..=KEY_CHARACTERS)(value)?;
    match KeyTemplate::compile(&key) {
        Ok(_) => Ok(key),
        Err(error) => wrong(FieldCode::Invalid, error.to_string()),
    }
}

/// What a new webhook remembers by when it does not say: the delivery id of the sender that its authentication names.
pub(super) fn of_new(authentication: &Authentication) -> Option<Deduplication> {
    has_delivery_id(authentication, CUSTOM).then(Deduplication::default)
}

/// Without a key of its own a webhook needs a sender that has one.
pub(super) fn check(
    fields: &mut Fields,
    chosen: Option<&Deduplication>,
    authentication: &Authentication,
    system: &str,
) {
    let needs_sender = chosen.is_some_and(|chosen| chosen.key.is_none());
    if needs_sender && !has_delivery_id(authentication, system) {
        fields.error(
            "/deduplication/key",
            FieldCode::Required,
            "must be given: neither `authentication` nor `system` names a sender that has an id for each delivery",
        );
    }
}

fn has_delivery_id(authentication: &Authentication, system: &str) -> bool {
    senders::identity(authentication, system).has_delivery_id()
}
