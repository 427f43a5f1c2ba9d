//! What a webhook, a URL and a tenant are limited to, in the form in which it is stored.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::rate::Rate;

/// The highest rate that can be set, in requests per second, and the greatest burst.
pub const RATE_MOST: u32 = 100_000;

/// What a collection may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectionLimits {
    /// Records of one collection. Default 100,000.
    pub records: u32,
    /// Bytes of one record, as JSON. Default 65,536.
    pub record_bytes: usize,
}

impl Default for CollectionLimits {
    fn default() -> Self {
        Self {
            records: 100_000,
            record_bytes: 64 * 1024,
        }
    }
}

/// The limits of a URL or a webhook; what is not set is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests per second, in the long run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<NonZeroU32>,
    /// Requests that may come at once; as many as may come in a second when it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// Callers that may wait for a result at the same time, on each node. Of webhooks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_callers: Option<NonZeroU32>,
}

impl Limits {
    /// The rate, if one is set.
    pub fn rate(&self) -> Option<Rate> {
        rate(self.requests_per_second, self.burst)
    }
}

fn rate(per_second: Option<NonZeroU32>, burst: Option<NonZeroU32>) -> Option<Rate> {
    per_second.map(|per_second| Rate {
        per_second,
        burst: burst.unwrap_or(per_second),
    })
}

/// What one tenant may use. A number is a limit, 0 is none; what is absent in a tenant's own limits is the operator's
/// default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantLimits {
    /// Requests per second to all of its webhooks, in the long run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
    /// Requests that may come at once; as many as may come in a second when it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Events of one calendar month (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_per_month: Option<u64>,
    /// Bytes of the bodies of those events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes_per_month: Option<u64>,
    /// The longest body, whatever a webhook allows, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u32>,
    /// Callers that may wait for a result at the same time, on each node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_callers: Option<u32>,
}

impl TenantLimits {
    /// No limits at all, said of each of them.
    pub const NONE: Self = Self {
        requests_per_second: Some(0),
        burst: Some(0),
        events_per_month: Some(0),
        body_bytes_per_month: Some(0),
        body_bytes: Some(0),
        waiting_callers: Some(0),
    };

    /// What counts: a tenant's own limits, and the operator's defaults for the others. No limit is `None` here.
    #[must_use]
    pub fn over(self, defaults: Self) -> Self {
        Self {
            requests_per_second: self
                .requests_per_second
                .or(defaults.requests_per_second)
                .filter(|&most| most > 0),
            burst: self.burst.or(defaults.burst).filter(|&most| most > 0),
            events_per_month: self
                .events_per_month
                .or(defaults.events_per_month)
                .filter(|&most| most > 0),
            body_bytes_per_month: self
                .body_bytes_per_month
                .or(defaults.body_bytes_per_month)
                .filter(|&most| most > 0),
            body_bytes: self.body_bytes.or(defaults.body_bytes).filter(|&most| most > 0),
            waiting_callers: self
                .waiting_callers
                .or(defaults.waiting_callers)
                .filter(|&most| most > 0),
        }
    }

    /// The rate, if there is one; no higher than can be set for a webhook.
    pub fn rate(&self) -> Option<Rate> {
        let bounded = |value: u32| NonZeroU32::new(value.min(RATE_MOST));
        rate(
            self.requests_per_second.and_then(bounded),
            self.burst.and_then(bounded),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tenants_own_limits_stand_over_the_defaults() {
        let own: TenantLimits =
            serde_json::from_value(json!({"events_per_month": 10, "requests_per_second": 0}))
                .expect("limits");
        let defaults = TenantLimits {
            requests_per_second: Some(100),
            burst: Some(0),
            events_per_month: Some(1_000),
            body_bytes: Some(512),
            ..TenantLimits::default()
        };
        let effective = own.over(defaults);
        let expected = TenantLimits {
            events_per_month: Some(10),
            body_bytes: Some(512),
            ..TenantLimits::default()
        };
        assert_eq!(effective, expected);
        assert_eq!(effective.rate(), None);
        let rate = TenantLimits::default().over(defaults).rate().expect("a rate");
        assert_eq!((rate.per_second.get(), rate.burst.get()), (100, 100));
    }

    #[test]
    fn what_is_not_set_is_not_stored() {
        assert_eq!(serde_json::to_value(Limits::default()).expect("JSON"), json!({}));
        let limits: Limits =
            serde_json::from_value(json!({"requests_per_second": 5, "burst": 9})).expect("limits");
        assert_eq!(limits.rate().map(|rate| rate.burst.get()), Some(9));
        assert!(serde_json::from_value::<Limits>(json!({"requests_per_second": 0})).is_err());
    }
}
