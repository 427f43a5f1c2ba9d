//! What one event takes of its tenant's quotas, and that it is counted.
//!
//! An event counts as soon as nothing but its storing is left, whether its caller stays for that or not; it is taken back
//! only when it is known not to be stored.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hookgate_domain::redis::draws::Counted;
use hookgate_domain::scope::TenantScope;
use hookgate_model::ids::WebhookId;

use super::exceeded::Exceeded;
use super::quota::{Attempt, SharedQuota};
use super::quota_drawer::QuotaDrawer;
use super::usage::Usage;

/// How long a request waits for a draw. Then it passes: when neither Redis nor Postgres answers, it will not be stored.
const PATIENCE: Duration = Duration::from_millis(500);

/// The event that is charged.
#[derive(Debug, Clone, Copy)]
pub struct Charged {
    /// Whose it is.
    pub scope: TenantScope,
    /// The webhook that received it.
    pub webhook_id: WebhookId,
    /// When.
    pub at: DateTime<Utc>,
    /// The bytes of its body.
    pub body_bytes: u64,
}

impl Charged {
    fn amount(&self, counted: Counted) -> u64 {
        match counted {
            Counted::Events => 1,
            Counted::BodyBytes => self.body_bytes,
        }
    }
}

/// What an event has taken.
pub struct Charge<'a> {
    usage: &'a Usage,
    quotas: &'a [Arc<SharedQuota>],
    /// The number of quotas that it was taken of.
    taken: usize,
    event: Charged,
    is_counted: bool,
}

impl<'a> Charge<'a> {
    /// Takes an event's part of each quota, and counts it.
    ///
    /// # Errors
    /// The first quota that has too little left; nothing is taken then.
    pub async fn take(
        usage: &'a Usage,
        drawer: &QuotaDrawer,
        quotas: &'a [Arc<SharedQuota>],
        event: Charged,
    ) -> Result<Self, Exceeded> {
        let mut charge = Self {
            usage,
            quotas,
            taken: 0,
            event,
            is_counted: false,
        };
        for quota in quotas {
            take(drawer, quota, event.amount(quota.counted()), event.at).await?;
            charge.taken += 1;
        }
        charge.is_counted = true;
        charge.add(1);
        Ok(charge)
    }

    /// The event is not stored after all.
    pub fn take_back(mut self) {
        if std::mem::replace(&mut self.is_counted, false) {
            self.add(-1);
        }
    }

    fn add(&self, sign: i64) {
        let Charged {
            scope,
            webhook_id,
            at,
            body_bytes,
        } = self.event;
        let bytes = i64::try_from(body_bytes).unwrap_or(i64::MAX);
        self.usage
            .count((scope, webhook_id, at.date_naive()), sign, sign * bytes);
    }
}

impl Drop for Charge<'_> {
    /// Puts back what was taken of an event that does not count: a caller can leave while a part is being drawn.
    fn drop(&mut self) {
        if !self.is_counted {
            for quota in self.quotas.iter().take(self.taken) {
                quota.put_back(self.event.amount(quota.counted()), self.event.at);
            }
        }
    }
}

async fn take(
    drawer: &QuotaDrawer,
    quota: &Arc<SharedQuota>,
    amount: u64,
    at: DateTime<Utc>,
) -> Result<(), Exceeded> {
    match quota.attempt(amount, at) {
        Attempt::Passes { draw } => {
            if draw {
                drawer.draw(quota);
            }
            return Ok(());
        }
        Attempt::Refused => return Err(quota.exceeded(at)),
        Attempt::Unknown => {}
    }
    let _wanted = Wanted::new(quota, amount);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut told = std::pin::pin!(quota.told.notified());
        told.as_mut().enable();
        match quota.attempt(amount, at) {
            Attempt::Passes { .. } => return Ok(()),
            Attempt::Refused => return Err(quota.exceeded(at)),
            Attempt::Unknown => drawer.draw(quota),
        }
        if tokio::time::timeout_at(deadline, told).await.is_err() {
            return Ok(());
        }
    }
}

/// What one who waits wants; taken from the wish when dropped.
struct Wanted<'a> {
    quota: &'a SharedQuota,
    amount: u64,
}

impl<'a> Wanted<'a> {
    fn new(quota: &'a SharedQuota, amount: u64) -> Self {
        quota.want(amount, true);
        Self { quota, amount }
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.quota.want(self.amount, false);
    }
}
