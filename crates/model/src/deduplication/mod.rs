//! Recognising a delivery that came before: what makes two requests to a webhook the same one.
//!
//! A request has no key, one, or two; it is a duplicate when any of them was remembered. Keys are digests, so that they are
//! of one size and say nothing about what they were made of.

mod key;
mod recognition;

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use key::{KeyDigest, KeySecret, KeyTemplate, KeyTemplateError};
pub use recognition::{Keys, Recognition};

use crate::webhook::text_enum;

/// How long a delivery may be remembered: an hour to 90 days.
pub const REMEMBER_HOURS: RangeInclusive<u16> = 1..=2160;
/// How long it is remembered by default: 7 days, longer than senders try again.
pub const DEFAULT_REMEMBER_HOURS: u16 = 168;

/// What a webhook recognises a delivery by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"key": "{{ body.event_id }}", "remember_hours": 168}))]
pub struct Deduplication {
    /// A template over the request (`headers`, `query`, `path`, `body`, `body_text`, `files`, `event`): two requests for which it gives
    /// the same text are the same delivery. A request for which it gives nothing is taken for a new one. Without a template
    /// the delivery id of the sender's preset counts; where the sender does not sign that id, so does a body that is the
    /// same byte for byte.
    #[schema(max_length = 65_536, example = "{{ body.event_id }}")]
    pub key: Option<String>,
    /// How long a delivery is remembered, in hours: 1 to 2160 (90 days).
    #[schema(default = 168, minimum = 1, maximum = 2160)]
    pub remember_hours: u16,
}

impl Deduplication {
    /// How long a delivery is remembered.
    pub fn remember(&self) -> Duration {
        Duration::from_secs(u64::from(self.remember_hours) * 3600)
    }
}

impl Default for Deduplication {
    /// By the sender's delivery id, for 7 days.
    fn default() -> Self {
        Self {
            key: None,
            remember_hours: DEFAULT_REMEMBER_HOURS,
        }
    }
}

text_enum! {
    /// Whether an event is remembered.
    Remembered {
        /// It is recognised when it comes again.
        Yes = "remembered",
        /// Its webhook remembers deliveries, but this request gave no key: it is not recognised.
        NoKey = "no_key",
    }
}
