//! How much requests may use: rates of URLs, webhooks and tenants, and what a tenant may receive in a month.
//!
//! What is not set costs nothing; what is set costs a few atomic operations of a request. Nodes share limits by drawing
//! parts of them from Redis ahead of need ([`rate`], [`quota`]).

mod charge;
mod drawer;
mod exceeded;
mod quota;
mod quota_drawer;
mod rate;
mod waiting_callers;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hookgate_domain::database::Database;
use hookgate_domain::gathered::Gathered;
use hookgate_domain::redis::Redis;
use hookgate_domain::redis::draws::Counted;
use hookgate_domain::routing::Route;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::usage::Received;
use hookgate_model::limits::TenantLimits;
use hookgate_model::rate::Rate;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::body_room::Held;
pub use charge::{Charge, Charged};
use drawer::Drawer;
pub use exceeded::Exceeded;
use exceeded::Whose;
use quota::SharedQuota;
use quota_drawer::QuotaDrawer;
use rate::SharedRate;
pub use waiting_callers::OneWaiting;
use waiting_callers::WaitingCallers;

/// Limits beyond which those that nobody uses are looked for.
const LOOK_THROUGH: usize = 1024;
/// How often what nobody uses of quotas is given back.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(5);

/// What this node knows of limits.
pub struct Limits {
    defaults: TenantLimits,
    redis: Redis,
    usage: Gathered<Received>,
    drawer: Drawer,
    quota_drawer: QuotaDrawer,
    known: Arc<Mutex<Known>>,
    giving_back: JoinHandle<()>,
}

#[derive(Default)]
struct Known {
    rates: HashMap<(Whose, Uuid), Arc<SharedRate>>,
    quotas: HashMap<(TenantScope, Counted), Arc<SharedQuota>>,
    waiting: HashMap<(Whose, Uuid), Arc<AtomicU32>>,
    bodies: HashMap<Uuid, Arc<Held>>,
    /// How many there may be before the unused ones are forgotten.
    enough: usize,
}

/// What the requests of one URL are limited by.
pub struct UrlLimits {
    rates: Vec<Arc<SharedRate>>,
    quotas: Vec<Arc<SharedQuota>>,
    waiting_callers: Vec<WaitingCallers>,
    /// What its tenant's requests hold of the room for bodies.
    pub bodies: Arc<Held>,
    /// The longest body, in bytes.
    pub body_bytes: usize,
}

impl Limits {
    /// Begins to draw from Redis, and to count. Tenants without limits of their own have the defaults.
    pub fn start(redis: Redis, database: Database, defaults: TenantLimits) -> Self {
        let usage = Gathered::start(database.clone());
        let known = Arc::<Mutex<Known>>::default();
        let giving = (redis.clone(), Arc::clone(&known));
        let giving_back = tokio::spawn(async move {
            let (redis, known) = giving;
            let mut ticks = tokio::time::interval(GIVE_BACK_EVERY);
            loop {
                ticks.tick().await;
                let quotas: Vec<_> = known.lock().quotas.values().cloned().collect();
                quota_drawer::give_back(&redis, quotas.iter(), false).await;
            }
        });
        Self {
            defaults,
            drawer: Drawer::start(redis.clone()),
            quota_drawer: QuotaDrawer::start(redis.clone(), database, usage.clone()),
            redis,
            usage,
            known,
            giving_back,
        }
    }

    /// Writes what was received, and gives back what is left of quotas.
    pub async fn stop(&self) {
        self.giving_back.abort();
        self.usage.flush().await;
        let quotas: Vec<_> = self.known.lock().quotas.values().cloned().collect();
        quota_drawer::give_back(&self.redis, quotas.iter(), true).await;
    }

    /// The limits of a URL.
    pub fn of(&self, route: &Route) -> UrlLimits {
        let tenant = TenantLimits::in_effect(route.tenant_limits, route.plan_limits, self.defaults);
        let rates = [
            (Whose::Url, route.url_id.uuid(), route.url_limits.rate()),
            (Whose::Webhook, route.webhook_id.uuid(), route.limits.rate()),
            (Whose::Tenant, route.scope.uuid(), tenant.rate()),
        ];
        let quotas = [
            (Counted::Events, tenant.events_per_month),
            (Counted::BodyBytes, tenant.body_bytes_per_month),
        ];
        let waiting = [
            (
                Whose::Webhook,
                route.webhook_id.uuid(),
                route.limits.waiting_callers.map(NonZeroU32::get),
            ),
            (Whose::Tenant, route.scope.uuid(), tenant.waiting_callers),
        ];
        let mut known = self.known.lock();
        known.forget_unused();
        UrlLimits {
            rates: rates
                .into_iter()
                .filter_map(|(whose, of, rate)| Some(known.rate(whose, of, rate?)))
                .collect(),
            quotas: quotas
                .into_iter()
                .filter_map(|(counted, most)| Some(known.quota(route.scope, counted, most?)))
                .collect(),
            waiting_callers: waiting
                .into_iter()
                .filter_map(|(whose, of, most)| Some(known.waiting_callers(whose, of, most?)))
                .collect(),
            bodies: Arc::clone(known.bodies.entry(route.scope.uuid()).or_default()),
            body_bytes: tenant
                .body_bytes
                .map_or(usize::MAX, |most| most as usize)
                .min(route.body_limit),
        }
    }

    /// Counts a request towards the rates of its URL, webhook and tenant.
    ///
    /// # Errors
    /// The first of them that it exceeds; it counts towards none then.
    pub async fn admit(&self, limits: &UrlLimits) -> Result<(), Exceeded> {
        for (place, rate) in limits.rates.iter().enumerate() {
            if let Err(exceeded) = rate.take(&self.drawer).await {
                limits.rates.iter().take(place).for_each(|rate| rate.give_back());
                return Err(exceeded);
            }
        }
        Ok(())
    }

    /// Takes an event's part of its tenant's quotas.
    ///
    /// # Errors
    /// The first of them that has too little left.
    pub async fn charge<'a>(&'a self, limits: &'a UrlLimits, event: Charged) -> Result<Charge<'a>, Exceeded> {
        Charge::take(&self.usage, &self.quota_drawer, &limits.quotas, event).await
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        self.giving_back.abort();
    }
}

impl UrlLimits {
    /// Lets one more caller wait for its result.
    ///
    /// # Errors
    /// When as many of the webhook or the tenant wait on this node as may.
    pub fn enter_waiting(&self) -> Result<Vec<OneWaiting>, Exceeded> {
        self.waiting_callers.iter().map(WaitingCallers::enter).collect()
    }

    /// Refuses what its quotas are known to have no room for, before its body is read.
    ///
    /// # Errors
    /// The first quota that has too little left.
    pub fn foresee(&self, declared_bytes: Option<u64>, now: DateTime<Utc>) -> Result<(), Exceeded> {
        for quota in &self.quotas {
            let least = match quota.counted() {
                Counted::Events => 1,
                Counted::BodyBytes => declared_bytes.unwrap_or(0),
            };
            if quota.is_used_up(least, now) {
                return Err(quota.exceeded(now));
            }
        }
        Ok(())
    }
}

impl Known {
    /// The rate as this node keeps it. A changed one goes on from what is known.
    fn rate(&mut self, whose: Whose, of: Uuid, rate: Rate) -> Arc<SharedRate> {
        let before = self.rates.get(&(whose, of));
        if let Some(same) = before.filter(|before| before.rate() == rate) {
            return Arc::clone(same);
        }
        let shared = Arc::new(SharedRate::new(whose, of, rate, before.map(Arc::as_ref)));
        self.rates.insert((whose, of), Arc::clone(&shared));
        shared
    }

    fn quota(&mut self, scope: TenantScope, counted: Counted, most: u64) -> Arc<SharedQuota> {
        let quota = self.quotas.entry((scope, counted));
        let quota = quota.or_insert_with(|| Arc::new(SharedQuota::new(scope, counted)));
        quota.set_most(most);
        Arc::clone(quota)
    }

    fn waiting_callers(&mut self, whose: Whose, of: Uuid, most: u32) -> WaitingCallers {
        WaitingCallers {
            whose,
            most,
            waiting: Arc::clone(self.waiting.entry((whose, of)).or_default()),
        }
    }

    fn len(&self) -> usize {
        self.rates.len() + self.quotas.len() + self.waiting.len() + self.bodies.len()
    }

    fn forget_unused(&mut self) {
        if self.len() < self.enough.max(LOOK_THROUGH) {
            return;
        }
        self.rates
            .retain(|_, rate| Arc::strong_count(rate) > 1 || !rate.is_unused());
        self.quotas
            .retain(|_, quota| Arc::strong_count(quota) > 1 || quota.has_tokens());
        self.waiting.retain(|_, waiting| Arc::strong_count(waiting) > 1);
        self.bodies.retain(|_, held| Arc::strong_count(held) > 1);
        self.enough = self.len() * 2;
    }
}
