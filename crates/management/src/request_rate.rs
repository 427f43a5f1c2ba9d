//! How many requests a tenant may send to this API: counted in Redis over all nodes, as the ingress counts its rates, before anything is
//! asked of Postgres. While Redis is away nobody is refused.

use std::num::NonZeroU32;
use std::time::Duration;

use hookgate_domain::redis::Redis;
use hookgate_model::ids::TenantId;
use hookgate_model::rate::{Rate, whole_seconds};
use quick_cache::sync::Cache;

use crate::Settings;
use crate::error::{ApiError, ApiResult};

/// The name of the limit in headers.
pub const NAME: &str = "tenant";
/// How long Redis may take for an answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(100);
/// The most management keys whose tenants are remembered.
const KEYS: usize = 10_000;

/// The rate of each tenant, and whose the management keys are: so a node counts all but the first request of a key before it looks
/// for it. Nothing is allowed by that.
pub struct RequestRate {
    rate: Option<Rate>,
    tenants: Cache<[u8; 32], TenantId>,
}

impl RequestRate {
    /// That of the settings.
    pub fn new(settings: &Settings) -> Self {
        let per_second = NonZeroU32::new(settings.requests_per_second);
        let burst = NonZeroU32::new(settings.requests_at_once.max(settings.requests_per_second));
        Self {
            rate: per_second
                .zip(burst)
                .map(|(per_second, burst)| Rate { per_second, burst }),
            tenants: Cache::new(KEYS),
        }
    }

    /// Counts a request of a tenant.
    ///
    /// # Errors
    /// 429 when there are too many.
    pub async fn take(&self, redis: &Redis, tenant: TenantId) -> ApiResult<()> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        let asked = tokio::time::timeout(ANSWER_WITHIN, redis.take_api_request(tenant, rate)).await;
        match asked {
            Ok(Ok(Some(wait))) => {
                metrics::counter!("hookgate_api_rate_limited_total").increment(1);
                Err(ApiError::rate_limited(rate, whole_seconds(wait)))
            }
            Ok(Ok(None)) => Ok(()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "Redis does not count requests");
                Ok(())
            }
            Err(_) => {
                tracing::debug!("Redis does not count requests: it is slow");
                Ok(())
            }
        }
    }

    /// Whose a key is, by its digest, if that is known.
    pub fn tenant_of(&self, key: &[u8; 32]) -> Option<TenantId> {
        self.tenants.get(key)
    }

    /// Remembers whose a key is, which never changes.
    pub fn remember(&self, key: [u8; 32], tenant: TenantId) {
        if self.rate.is_some() {
            self.tenants.insert(key, tenant);
        }
    }
}
