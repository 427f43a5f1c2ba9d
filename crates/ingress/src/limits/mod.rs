//! How much of everything requests may use: rates of URLs, webhooks and tenants.
//!
//! What is not set costs nothing; what is set costs a few atomic operations of a request ([`rate`]).

mod drawer;
mod rate;

use std::collections::HashMap;
use std::sync::Arc;

use hookgate_domain::redis::Redis;
use hookgate_domain::routing::Route;
use hookgate_model::limits::TenantLimits;
use parking_lot::Mutex;
use uuid::Uuid;

use drawer::Drawer;
use rate::SharedRate;
pub use rate::{Exceeded, Whose};

/// Rates beyond which those that nobody uses are looked for.
const LOOK_THROUGH: usize = 1024;

/// What this node knows of limits.
pub struct Limits {
    defaults: TenantLimits,
    drawer: Drawer,
    rates: Mutex<Rates>,
}

#[derive(Default)]
struct Rates {
    known: HashMap<(Whose, Uuid), Arc<SharedRate>>,
    /// How many there may be before the unused ones are forgotten.
    enough: usize,
}

/// What the requests of one URL are limited by.
pub struct UrlLimits {
    rates: Vec<Arc<SharedRate>>,
}

impl Limits {
    /// Begins to draw from Redis. Tenants without limits of their own have the defaults.
    pub fn start(redis: Redis, defaults: TenantLimits) -> Self {
        Self {
            defaults,
            drawer: Drawer::start(redis),
            rates: Mutex::default(),
        }
    }

    /// The limits of a URL, with the longest body that its tenant may receive.
    pub fn of(&self, route: &Route) -> (UrlLimits, usize) {
        let tenant = route.tenant_limits.over(self.defaults);
        let rates = [
            (Whose::Url, route.url_id.uuid(), route.url_limits.rate()),
            (Whose::Webhook, route.webhook_id.uuid(), route.limits.rate()),
            (Whose::Tenant, route.scope.uuid(), tenant.rate()),
        ];
        let mut shared = self.rates.lock();
        let rates = rates
            .into_iter()
            .filter_map(|(whose, of, rate)| Some(shared.get(whose, of, rate?)))
            .collect();
        let longest = tenant.body_bytes.map_or(usize::MAX, |most| most as usize);
        (UrlLimits { rates }, longest.min(route.body_limit))
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
}

impl Rates {
    /// The rate as this node keeps it. A changed one goes on from what is known.
    fn get(&mut self, whose: Whose, of: Uuid, rate: hookgate_model::rate::Rate) -> Arc<SharedRate> {
        let before = self.known.get(&(whose, of));
        if let Some(same) = before.filter(|before| before.rate() == rate) {
            return Arc::clone(same);
        }
        let shared = Arc::new(SharedRate::new(whose, of, rate, before.map(Arc::as_ref)));
        self.known.insert((whose, of), Arc::clone(&shared));
        if self.known.len() >= self.enough.max(LOOK_THROUGH) {
            self.known
                .retain(|_, rate| Arc::strong_count(rate) > 1 || !rate.is_unused());
            self.enough = self.known.len() * 2;
        }
        shared
    }
}
