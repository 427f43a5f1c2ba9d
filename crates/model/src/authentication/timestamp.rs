//! The time of signing, and how far it may be from the time of receipt, to both sides.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::place::Place;

/// The tolerance of settings that name none, in seconds.
const DEFAULT_TOLERANCE: u32 = 300;

/// Where the time of signing is, and how far it may be from the time of receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"at": {"in": "header", "name": "x-slack-request-timestamp"}, "unit": "seconds", "tolerance_seconds": 300}))]
pub struct TimestampSettings {
    /// Where it is.
    pub at: Place,
    /// In which form.
    #[serde(default)]
    pub unit: TimestampUnit,
    /// How far it may be from the time of receipt, into the past and into the future.
    #[serde(default = "default_tolerance")]
    #[schema(default = 300, minimum = 1, maximum = 86_400)]
    pub tolerance_seconds: u32,
}

fn default_tolerance() -> u32 {
    DEFAULT_TOLERANCE
}

/// The form of a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    /// Seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// A date and time such as `2026-11-21T12:00:00Z`.
    Rfc3339,
}
