//! What one event takes of its tenant's quotas, and that it is counted.
//!
//! An event counts as soon as nothing but its storing is left, and what it takes is given back when it is not stored:
//! because its caller leaves before, because it came before, or because it is refused. A caller who leaves after the event was
//! handed over changes nothing: what becomes of it then is waited for in the caller's place.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hookgate_domain::appender::{AppendError, Appended, Ticket};
use hookgate_domain::gathered::Gathered;
use hookgate_domain::redis::draws::Counted;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::usage::Received;
use hookgate_model::ids::WebhookId;

use super::exceeded::Exceeded;
use super::quota::{Attempt, SharedQuota};
use super::quota_drawer::QuotaDrawer;

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

/// What an event has taken; given back when dropped, unless it is [kept](Self::keep).
pub struct Charge<'a> {
    usage: Cow<'a, Gathered<Received>>,
    quotas: Cow<'a, [Arc<SharedQuota>]>,
    /// Of which of the quotas something was taken.
    taken: [bool; QUOTAS],
    event: Charged,
    is_counted: bool,
}

/// The most quotas that an event is charged to: one of each kind.
const QUOTAS: usize = 2;

impl<'a> Charge<'a> {
    /// Takes an event's part of each quota, and counts it.
    ///
    /// # Errors
    /// The first quota that has too little left; nothing is taken then.
    pub async fn take(
        usage: &'a Gathered<Received>,
        drawer: &QuotaDrawer,
        quotas: &'a [Arc<SharedQuota>],
        event: Charged,
    ) -> Result<Self, Exceeded> {
        let mut charge = Self {
            usage: Cow::Borrowed(usage),
            quotas: Cow::Borrowed(quotas),
            taken: [false; QUOTAS],
            event,
            is_counted: false,
        };
        for (place, quota) in quotas.iter().enumerate().take(QUOTAS) {
            let is_taken = take(drawer, quota, event.amount(quota.counted()), event.at).await?;
            if let Some(taken) = charge.taken.get_mut(place) {
                *taken = is_taken;
            }
        }
        charge.is_counted = true;
        charge.add(1);
        Ok(charge)
    }

    /// Waits for what becomes of the event, and keeps the charge if it is stored. That is so too when the future is dropped,
    /// since the event is stored all the same.
    ///
    /// # Errors
    /// Those of the appender.
    pub async fn settle(self, ticket: Ticket) -> Result<Appended, AppendError> {
        let mut submitted = Submitted(Some((self, ticket)));
        let outcome = match &mut submitted.0 {
            Some((_, ticket)) => ticket.await,
            None => Err(AppendError::Unavailable),
        };
        if let Some((charge, _)) = submitted.0.take() {
            charge.settle_with(&outcome);
        }
        outcome
    }

    fn settle_with(self, outcome: &Result<Appended, AppendError>) {
        if matches!(outcome, Ok(Appended::Stored)) {
            self.keep();
        }
    }

    /// The event is stored.
    fn keep(mut self) {
        self.taken = [false; QUOTAS];
        self.is_counted = false;
    }

    /// The same charge, for longer than the request; this one is empty then.
    fn take_over(&mut self) -> Charge<'static> {
        Charge {
            usage: Cow::Owned(self.usage.as_ref().clone()),
            quotas: Cow::Owned(self.quotas.to_vec()),
            taken: std::mem::take(&mut self.taken),
            event: self.event,
            is_counted: std::mem::take(&mut self.is_counted),
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
        self.usage.add(Received {
            scope,
            webhook_id,
            day: at.date_naive(),
            events: sign,
            body_bytes: sign * bytes,
        });
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        if self.is_counted {
            self.add(-1);
        }
        for (quota, _) in self.quotas.iter().zip(self.taken).filter(|(_, taken)| *taken) {
            quota.put_back(self.event.amount(quota.counted()), self.event.at);
        }
    }
}

/// An event that is handed over and may become stored.
struct Submitted<'a>(Option<(Charge<'a>, Ticket)>);

impl Drop for Submitted<'_> {
    /// The caller has left: somebody else waits for the outcome.
    fn drop(&mut self) {
        let Some((mut charge, ticket)) = self.0.take() else {
            return;
        };
        let charge = charge.take_over();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move { charge.settle_with(&ticket.await) })),
            // The service ends without knowing: rather one event too many is counted than one too few.
            Err(_) => charge.keep(),
        }
    }
}

/// Takes so much of a quota; false when it passes without, as nobody knows what is left.
async fn take(
    drawer: &QuotaDrawer,
    quota: &Arc<SharedQuota>,
    amount: u64,
    at: DateTime<Utc>,
) -> Result<bool, Exceeded> {
    match quota.attempt(amount, at) {
        Attempt::Passes { draw } => {
            if draw {
                drawer.draw(quota);
            }
            return Ok(true);
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
            Attempt::Passes { .. } => return Ok(true),
            Attempt::Refused => return Err(quota.exceeded(at)),
            Attempt::Unknown => drawer.draw(quota),
        }
        if tokio::time::timeout_at(deadline, told).await.is_err() {
            return Ok(false);
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
