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

/// What one tenant may use. A number is a limit, 0 is none; what is absent in a tenant's own limits is its plan's, and what is
/// absent there the operator's default.
///
/// What a newer version has stored besides is passed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
    /// Days that what it received is kept, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
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
        retention_days: Some(0),
    };

    /// The limits in effect, each by itself: a tenant's own, else its plan's, else the operator's default. No limit is `None` here.
    #[must_use]
    pub fn in_effect(own: Self, plan: Option<Self>, defaults: Self) -> Self {
        let plan = plan.unwrap_or_default();
        let in_effect = |of: fn(&Self) -> Option<u32>| {
            let said = of(&own).or(of(&plan)).or(of(&defaults));
            said.filter(|&most| most > 0)
        };
        let in_effect_of_month = |of: fn(&Self) -> Option<u64>| {
            let said = of(&own).or(of(&plan)).or(of(&defaults));
            said.filter(|&most| most > 0)
        };
        Self {
            requests_per_second: in_effect(|limits| limits.requests_per_second),
            burst: in_effect(|limits| limits.burst),
            events_per_month: in_effect_of_month(|limits| limits.events_per_month),
            body_bytes_per_month: in_effect_of_month(|limits| limits.body_bytes_per_month),
            body_bytes: in_effect(|limits| limits.body_bytes),
            waiting_callers: in_effect(|limits| limits.waiting_callers),
            retention_days: in_effect(|limits| limits.retention_days),
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
    fn a_limit_is_the_tenants_own_else_its_plans_else_the_default() {
        // Own, of the plan, by default: in effect.
        let cases = [
            ((Some(1), Some(2), Some(3)), Some(1)),
            ((None, Some(2), Some(3)), Some(2)),
            ((None, None, Some(3)), Some(3)),
            ((None, None, None), None),
            // 0 is no limit, whatever stands behind it.
            ((Some(0), Some(2), Some(3)), None),
            ((None, Some(0), Some(3)), None),
            ((None, None, Some(0)), None),
            ((Some(1), Some(0), Some(0)), Some(1)),
        ];
        let all = |most: Option<u32>| TenantLimits {
            requests_per_second: most,
            burst: most,
            events_per_month: most.map(u64::from),
            body_bytes_per_month: most.map(u64::from),
            body_bytes: most,
            waiting_callers: most,
            retention_days: most,
        };
        for ((own, plan, default), expected) in cases {
            let in_effect = TenantLimits::in_effect(all(own), Some(all(plan)), all(default));
            assert_eq!(in_effect, all(expected), "{own:?}, {plan:?}, {default:?}");
            if plan.is_none() {
                assert_eq!(
                    TenantLimits::in_effect(all(own), None, all(default)),
                    all(expected)
                );
            }
        }
    }

    #[test]
    fn each_limit_goes_its_own_way() {
        let read = |limits| serde_json::from_value::<TenantLimits>(limits).expect("limits");
        let own = read(json!({"events_per_month": 10}));
        let plan = read(json!({"events_per_month": 20, "requests_per_second": 50}));
        let defaults = read(json!({"requests_per_second": 100, "burst": 0, "body_bytes": 512}));
        let in_effect = TenantLimits::in_effect(own, Some(plan), defaults);
        let expected = read(json!({"events_per_month": 10, "requests_per_second": 50, "body_bytes": 512}));
        assert_eq!(in_effect, expected);
        let rate = in_effect.rate().expect("a rate");
        assert_eq!((rate.per_second.get(), rate.burst.get()), (50, 50));
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
