//! Limits as the operator sets them, for a tenant or a plan.

use hookgate_model::limits::{RATE_MOST, TenantLimits};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::{Fields, FromFields, integer};

/// The greatest whole number that every reader of JSON keeps exactly.
const WHOLE: i64 = (1 << 53) - 1;
/// The most days that can be set.
const DAYS_MOST: i64 = 3_650;

/// Limits of a tenant's own, or of a plan. A number is a limit and 0 is none; null leaves it to what comes next: after a tenant's own
/// limits its plan, after that the operator's settings (`tenant_limits`).
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = Limits, example = json!({"requests_per_second": 100, "burst": 500, "events_per_month": 1_000_000, "body_bytes_per_month": null,
    "body_bytes": null, "waiting_callers": 50, "retention_days": 30}))]
pub struct OwnLimits {
    /// Requests per second to all webhooks of a tenant together, in the long run.
    #[schema(maximum = 100_000)]
    requests_per_second: Option<u32>,
    /// Requests that may come at once after a pause.
    #[schema(maximum = 100_000)]
    burst: Option<u32>,
    /// Events of one calendar month (UTC).
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    events_per_month: Option<u64>,
    /// Bytes of the bodies of those events.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    body_bytes_per_month: Option<u64>,
    /// The longest body, in bytes, whatever a webhook allows.
    #[schema(maximum = 4_294_967_295_i64)]
    body_bytes: Option<u32>,
    /// Callers that may wait for a result at the same time, on each node of the ingress.
    #[schema(maximum = 4_294_967_295_i64)]
    waiting_callers: Option<u32>,
    /// Days that what the tenant received is kept, at most; what the installation keeps (`worker.retention_days`) goes before.
    #[schema(maximum = 3_650)]
    retention_days: Option<u32>,
}

impl FromFields for OwnLimits {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let rate = 0..=i64::from(RATE_MOST);
        let count = 0..=i64::from(u32::MAX);
        let requests_per_second = fields.optional("requests_per_second", integer(rate.clone()));
        let burst = fields.optional("burst", integer(rate));
        let events_per_month = fields.optional("events_per_month", integer(0..=WHOLE));
        let body_bytes_per_month = fields.optional("body_bytes_per_month", integer(0..=WHOLE));
        let body_bytes = fields.optional("body_bytes", integer(count.clone()));
        let waiting_callers = fields.optional("waiting_callers", integer(count));
        let retention_days = fields.optional("retention_days", integer(0..=DAYS_MOST));
        Some(Self {
            requests_per_second: requests_per_second?,
            burst: burst?,
            events_per_month: events_per_month?,
            body_bytes_per_month: body_bytes_per_month?,
            body_bytes: body_bytes?,
            waiting_callers: waiting_callers?,
            retention_days: retention_days?,
        })
    }
}

impl From<TenantLimits> for OwnLimits {
    fn from(limits: TenantLimits) -> Self {
        let TenantLimits {
            requests_per_second,
            burst,
            events_per_month,
            body_bytes_per_month,
            body_bytes,
            waiting_callers,
            retention_days,
        } = limits;
        Self {
            requests_per_second,
            burst,
            events_per_month,
            body_bytes_per_month,
            body_bytes,
            waiting_callers,
            retention_days,
        }
    }
}

impl From<OwnLimits> for TenantLimits {
    fn from(limits: OwnLimits) -> Self {
        let OwnLimits {
            requests_per_second,
            burst,
            events_per_month,
            body_bytes_per_month,
            body_bytes,
            waiting_callers,
            retention_days,
        } = limits;
        Self {
            requests_per_second,
            burst,
            events_per_month,
            body_bytes_per_month,
            body_bytes,
            waiting_callers,
            retention_days,
        }
    }
}
