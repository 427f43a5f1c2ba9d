//! How much a webhook or a URL takes, as the API takes and shows it.

use std::num::NonZeroU32;

use hookgate_model::limits::{Limits, RATE_MOST};
use hookgate_model::webhook::{DEFAULT_BODY_BYTES, MAX_BODY_BYTES};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::FieldCode;
use crate::fields::{Fields, FromFields, integer};

/// The most waiting callers that can be set.
const WAITING_CALLERS_MOST: i64 = 100_000;

/// What a webhook takes.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = WebhookLimits, example = json!({"body_bytes": 1_048_576, "requests_per_second": 50, "burst": 100,
    "waiting_callers": null}))]
pub struct LimitsBody {
    /// The longest body, in bytes; a longer one gets 413. The tenant's own limit may be lower.
    #[schema(required = false, default = 1_048_576, minimum = 1, maximum = 27_262_976)]
    pub body_bytes: i32,
    /// Requests per second to all URLs of the webhook together, in the long run; more get 429 with `Retry-After`. Null:
    /// no limit.
    #[schema(minimum = 1, maximum = 100_000)]
    pub requests_per_second: Option<u32>,
    /// Requests that may come at once after a pause; null: as many as may come in a second. Only with
    /// `requests_per_second`.
    #[schema(minimum = 1, maximum = 100_000)]
    pub burst: Option<u32>,
    /// Callers that may wait for the flow's result at the same time, on each node of the ingress; more get 429. Null: no
    /// limit of the webhook's own.
    #[schema(minimum = 1, maximum = 100_000)]
    pub waiting_callers: Option<u32>,
}

impl LimitsBody {
    /// What a webhook takes.
    pub fn new(body_bytes: i32, limits: Limits) -> Self {
        Self {
            body_bytes,
            requests_per_second: limits.requests_per_second.map(NonZeroU32::get),
            burst: limits.burst.map(NonZeroU32::get),
            waiting_callers: limits.waiting_callers.map(NonZeroU32::get),
        }
    }

    /// All but the body's length.
    pub fn limits(&self) -> Limits {
        Limits {
            requests_per_second: self.requests_per_second.and_then(NonZeroU32::new),
            burst: self.burst.and_then(NonZeroU32::new),
            waiting_callers: self.waiting_callers.and_then(NonZeroU32::new),
        }
    }
}

impl Default for LimitsBody {
    fn default() -> Self {
        Self::new(
            i32::try_from(DEFAULT_BODY_BYTES).unwrap_or(i32::MAX),
            Limits::default(),
        )
    }
}

impl FromFields for LimitsBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let most = i64::from(MAX_BODY_BYTES);
        let body_bytes = fields.or("body_bytes", Self::default().body_bytes, integer(1..=most));
        let rate = rate(fields);
        let waiting_callers = fields.optional("waiting_callers", count(WAITING_CALLERS_MOST));
        let limits = Limits {
            waiting_callers: waiting_callers?,
            ..rate?
        };
        Some(Self::new(body_bytes?, limits))
    }
}

/// What one URL takes, besides what its webhook does.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = UrlLimits, example = json!({"requests_per_second": 5, "burst": 20}))]
pub struct UrlLimitsBody {
    /// Requests per second, in the long run; more get 429 with `Retry-After`. Null: no limit of the URL's own.
    #[schema(minimum = 1, maximum = 100_000)]
    pub requests_per_second: Option<u32>,
    /// Requests that may come at once after a pause; null: as many as may come in a second. Only with
    /// `requests_per_second`.
    #[schema(minimum = 1, maximum = 100_000)]
    pub burst: Option<u32>,
}

impl From<Limits> for UrlLimitsBody {
    fn from(limits: Limits) -> Self {
        Self {
            requests_per_second: limits.requests_per_second.map(NonZeroU32::get),
            burst: limits.burst.map(NonZeroU32::get),
        }
    }
}

impl From<UrlLimitsBody> for Limits {
    fn from(body: UrlLimitsBody) -> Self {
        Self {
            requests_per_second: body.requests_per_second.and_then(NonZeroU32::new),
            burst: body.burst.and_then(NonZeroU32::new),
            waiting_callers: None,
        }
    }
}

impl FromFields for UrlLimitsBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        rate(fields).map(Self::from)
    }
}

fn rate(fields: &mut Fields) -> Option<Limits> {
    let most = i64::from(RATE_MOST);
    let requests_per_second = fields.optional("requests_per_second", count(most));
    let burst = fields.optional("burst", count(most));
    let limits = Limits {
        requests_per_second: requests_per_second?,
        burst: burst?,
        waiting_callers: None,
    };
    if limits.burst.is_some() && limits.requests_per_second.is_none() {
        fields.error(
            "/burst",
            FieldCode::Invalid,
            "needs `requests_per_second` beside it",
        );
        return None;
    }
    Some(limits)
}

fn count(most: i64) -> impl Fn(serde_json::Value) -> crate::fields::Read<NonZeroU32> {
    move |value| {
        let count: u32 = integer(1..=most)(value)?;
        NonZeroU32::new(count).map_or_else(
            || crate::fields::wrong(FieldCode::OutOfRange, "must be at least 1"),
            Ok,
        )
    }
}
