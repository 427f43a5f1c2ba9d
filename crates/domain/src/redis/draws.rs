//! Tokens of limits that all nodes share. A node draws some ahead of its requests, so that these need no round trip; what
//! Redis keeps of a limit is one number, which it may lose: a rate begins anew then, a quota is told what Postgres knows.
//!
//! Redis' own clock counts, so the nodes' clocks need not agree.

use std::time::Duration;

use chrono::{DateTime, Datelike, Months, Utc};
use hookgate_model::ids::TenantId;
use hookgate_model::rate::Rate;
use uuid::Uuid;

use super::Redis;
use super::script::Script;
use crate::error::Result;

/// GCRA as in `hookgate_model::rate`, in microseconds since some moment of 2025, so that the fraction keeps its digits.
/// Counts what is owed, grants what it can of what is wanted, and tells how long until the limit would be unused.
const RATE: &str = r"
local time = redis.call('TIME')
local now = (time[1] - 1760000000) * 1000000 + time[2]
local interval, window, wanted, owed = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local unused_at = tonumber(redis.call('GET', KEYS[1]) or now)
if unused_at < now then unused_at = now end
unused_at = unused_at + owed * interval
if unused_at > now + window then unused_at = now + window end
local granted = math.min(wanted, math.floor((now + window - unused_at) / interval + 0.000001))
if granted + owed > 0 then
  unused_at = unused_at + granted * interval
  redis.call('SET', KEYS[1], string.format('%.3f', unused_at), 'PX', math.ceil((unused_at - now) / 1000) + 1)
end
return {granted, math.ceil(unused_at - now)}
";

/// Counts what a quota has given out. The caller tells what Postgres knows to be used: Redis may have been set back to an
/// older state. When it has forgotten the count, it begins with what was read just now, and else says so. Giving back is
/// drawing less than nothing.
const QUOTA: &str = r"
local most, known, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local used = tonumber(redis.call('GET', KEYS[1]) or -1)
if used < 0 and ARGV[5] == '0' then return {0, -1} end
if used < known then used = known end
local granted = math.max(math.min(wanted, most - used), math.min(wanted, 0))
redis.call('SET', KEYS[1], string.format('%.0f', math.max(used + granted, 0)), 'PX', ARGV[4])
return {granted, math.max(most - used - granted, 0)}
";

/// How long a quota's count is kept: longer than any month.
const QUOTA_KEPT: Duration = Duration::from_secs(40 * 24 * 3600);

/// A wish for requests of a rate.
#[derive(Debug, Clone, Copy)]
pub struct RateDraw {
    /// The URL, webhook or tenant that the rate is of.
    pub of: Uuid,
    /// The rate.
    pub rate: Rate,
    /// How many requests are wished.
    pub wanted: u32,
    /// How many were let through without asking. They count, whether the limit allows them or not.
    pub owed: u32,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateDrawn {
    /// The requests that may pass.
    pub granted: u32,
    /// How long until the limit would be unused.
    pub unused_in: Duration,
}

/// As the script answers.
impl From<(i64, i64)> for RateDrawn {
    fn from((granted, unused_in): (i64, i64)) -> Self {
        Self {
            granted: u32::try_from(granted).unwrap_or(0),
            unused_in: Duration::from_micros(u64::try_from(unused_in).unwrap_or(0)),
        }
    }
}

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Events.
    Events,
    /// Bytes of their bodies.
    BodyBytes,
}

impl Counted {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::BodyBytes => "body_bytes",
        }
    }
}

/// A wish for a part of a tenant's quota.
#[derive(Debug, Clone, Copy)]
pub struct QuotaDraw {
    /// The tenant.
    pub tenant: TenantId,
    /// What is counted.
    pub counted: Counted,
    /// The month, as year and number.
    pub month: (i32, u32),
    /// The quota.
    pub most: u64,
    /// What Postgres knows to be used.
    pub known: u64,
    /// Whether that was read just now.
    pub is_fresh: bool,
    /// How much is wished; below zero: is given back.
    pub wanted: i64,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaDrawn {
    /// How much may be used.
    pub granted: u64,
    /// What is left for others.
    pub left: u64,
}

static RATE_SCRIPT: Script = Script::new(RATE);
static QUOTA_SCRIPT: Script = Script::new(QUOTA);

impl Redis {
    /// Draws from rates, in one round trip; the answers are in the order of the wishes.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn draw_rates(&self, draws: &[RateDraw]) -> Result<Vec<RateDrawn>> {
        let calls: Vec<_> = draws
            .iter()
            .map(|draw| {
                let arguments = rate_arguments(draw.rate, draw.wanted, draw.owed);
                (self.name(&format!("hookgate:rate:{}", draw.of)), arguments)
            })
            .collect();
        let answers = RATE_SCRIPT.run(self, &calls).await?;
        Ok(answers.into_iter().map(RateDrawn::from).collect())
    }

    /// Takes one request to the management API of its tenant's rate. Gives how long until another may come when this one may not.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn take_api_request(&self, tenant: TenantId, rate: Rate) -> Result<Option<Duration>> {
        let key = self.name(&format!("hookgate:api-rate:{}", tenant.uuid()));
        let answers = RATE_SCRIPT
            .run(self, &[(key, rate_arguments(rate, 1, 0))])
            .await?;
        let drawn = answers.into_iter().map(RateDrawn::from).next();
        Ok(drawn.filter(|drawn| drawn.granted == 0).map(|drawn| {
            let ahead = u64::try_from(drawn.unused_in.as_nanos()).unwrap_or(u64::MAX);
            rate.retry_after(ahead, 0)
        }))
    }

    /// Draws from quotas, likewise. `None` for one whose count Redis has forgotten, when what Postgres knows was not read just
    /// now.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn draw_quotas(&self, draws: &[QuotaDraw]) -> Result<Vec<Option<QuotaDrawn>>> {
        let kept = QUOTA_KEPT.as_millis().to_string();
        let calls: Vec<_> = draws
            .iter()
            .map(|draw| {
                let key = quota_key(draw.tenant, draw.month, draw.counted);
                let arguments = vec![
                    draw.most.to_string(),
                    draw.known.to_string(),
                    draw.wanted.to_string(),
                    kept.clone(),
                    u8::from(draw.is_fresh).to_string(),
                ];
                (self.name(&key), arguments)
            })
            .collect();
        let answers = QUOTA_SCRIPT.run(self, &calls).await?;
        Ok(answers
            .into_iter()
            .map(|(granted, left)| {
                Some(QuotaDrawn {
                    // Below zero for who gives back.
                    granted: u64::try_from(granted).unwrap_or(0),
                    left: u64::try_from(left).ok()?,
                })
            })
            .collect())
    }

    /// Forgets what a tenant's quotas counted this month and the last.
    ///
    /// # Errors
    /// When Redis is away: what it counted expires by itself.
    pub async fn forget_quotas(&self, tenant: TenantId, now: DateTime<Utc>) -> Result<()> {
        let months = [now, now - Months::new(1)].map(|moment| (moment.year(), moment.month()));
        let keys: Vec<String> = months
            .into_iter()
            .flat_map(|month| [Counted::Events, Counted::BodyBytes].map(|counted| (month, counted)))
            .map(|(month, counted)| self.name(&quota_key(tenant, month, counted)))
            .collect();
        let mut connection = self.connection().await?;
        Ok(redis::cmd("DEL").arg(keys).query_async(&mut connection).await?)
    }
}

fn rate_arguments(rate: Rate, wanted: u32, owed: u32) -> Vec<String> {
    let micros = |nanos: u64| format!("{:.3}", nanos as f64 / 1000.0);
    vec![
        micros(rate.interval()),
        micros(rate.window()),
        wanted.to_string(),
        owed.to_string(),
    ]
}

fn quota_key(tenant: TenantId, (year, month): (i32, u32), counted: Counted) -> String {
    format!(
        "hookgate:quota:{}:{year}-{month:02}:{}",
        tenant.uuid(),
        counted.as_str()
    )
}
