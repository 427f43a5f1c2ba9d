//! Whether it is a call's turn. No work stays in a worker's hands for a destination that is slow, away or paused: it is put
//! off, and others of the tenant, and other tenants, have the room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use hookgate_domain::clock;
use hookgate_domain::jobs::Waits;
use hookgate_domain::redis::turns::{Breaker, CallOutcome, Turn, TurnWish};
use hookgate_egress::Permit;
use hookgate_model::flow::step::http::{HttpFailure, HttpOutcome};
use hookgate_model::ids::{DestinationId, TenantId};
use uuid::Uuid;

use crate::Shared;
use crate::effects::target::Target;

/// How long a call waits in place, altogether, for others that end quickly.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long at least it is put off for.
const LEAST: Duration = Duration::from_millis(250);

/// The answer to a call that wants its turn.
pub enum Asked {
    /// It is its turn.
    Now(Taken),
    /// It is put off.
    Later(Waiting),
}

/// Until when a call is put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// For a while. It may have been given its turn then, which need not be counted again.
    For { delay: Duration, has_turn: bool },
    /// Until somebody resumes the destination.
    Held,
}

impl Waiting {
    /// When the work that waits is due, and what it waits for besides.
    pub fn until(self, destination: DestinationId) -> (DateTime<Utc>, Waits) {
        let (delay, waits) = match self {
            Self::Held => (Duration::ZERO, Waits::Resumption(destination)),
            Self::For {
                delay,
                has_turn: true,
            } => (delay, Waits::Turn(destination)),
            Self::For { delay, .. } => (delay, Waits::Nothing),
        };
        let delay = TimeDelta::from_std(delay).unwrap_or(TimeDelta::hours(1));
        (clock::now() + delay, waits)
    }
}

/// A call's turn: given back with what the call came to, or without, when it is dropped.
pub struct Taken {
    shared: Arc<Shared>,
    of: (TenantId, DestinationId),
    /// The call, as Redis counts it; `None` when Redis was away.
    call: Option<Uuid>,
    began: Instant,
    _permit: Permit,
}

/// Asks whether it is a call's turn.
pub async fn ask(shared: &Arc<Shared>, target: &Target, mut has_turn: bool) -> Asked {
    if target.is_paused {
        return Asked::Later(Waiting::Held);
    }
    let put_off = |delay: Duration, has_turn| {
        let delay = delay.max(LEAST);
        Asked::Later(Waiting::For {
            delay: delay + delay.mul_f64(rand::random::<f64>() / 2.0),
            has_turn,
        })
    };
    let permit = shared.calls.acquire(target.key.0);
    let Ok(Some(permit)) = tokio::time::timeout(PATIENCE, permit).await else {
        return put_off(LEAST * 2, has_turn);
    };
    let (asked, call) = (Instant::now(), Uuid::new_v4());
    let at_once = target
        .calls_at_once
        .unwrap_or(shared.settings.calls_per_destination);
    let call = loop {
        let wish = TurnWish {
            of: target.key,
            call,
            at_once,
            per_second: target.calls_per_second,
            has_turn,
        };
        let patience = PATIENCE.saturating_sub(asked.elapsed());
        match shared.redis.take_turn(&wish).await {
            Ok(Turn::Now) => break Some(call),
            Ok(Turn::Soon(wait)) if wait <= patience => tokio::time::sleep(wait).await,
            Ok(Turn::At(wait)) if wait <= patience => {
                tokio::time::sleep(wait).await;
                has_turn = true;
            }
            Ok(Turn::Soon(wait) | Turn::Busy(wait)) => return put_off(wait, has_turn),
            Ok(Turn::Open(wait) | Turn::Later(wait)) => return put_off(wait, false),
            Ok(Turn::At(delay)) => {
                let has_turn = true;
                return Asked::Later(Waiting::For { delay, has_turn });
            }
            Err(error) => {
                tracing::debug!(%error, "the limits of destinations are not kept while Redis is away");
                break None;
            }
        }
    };
    Asked::Now(Taken {
        shared: Arc::clone(shared),
        of: target.key,
        call,
        began: Instant::now(),
        _permit: permit,
    })
}

impl Taken {
    /// Gives the turn back.
    pub async fn give(mut self, outcome: &HttpOutcome) {
        if let Some(call) = self.call.take() {
            give(
                &self.shared,
                self.of,
                call,
                said_by(outcome),
                self.began.elapsed(),
            )
            .await;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(call) = self.call.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (shared, of, took) = (Arc::clone(&self.shared), self.of, self.began.elapsed());
        runtime.spawn(async move { give(&shared, of, call, CallOutcome::Neither, took).await });
    }
}

async fn give(
    shared: &Shared,
    of: (TenantId, DestinationId),
    call: Uuid,
    outcome: CallOutcome,
    took: Duration,
) {
    let settings = &shared.settings;
    let breaker = Breaker {
        failures: settings.breaker_failures,
        open_first: Duration::from_secs(settings.breaker_open_seconds),
        open_most: Duration::from_secs(settings.breaker_open_most_seconds),
    };
    match shared.redis.give_turn(of, call, outcome, took, &breaker).await {
        Ok(None) => {}
        Ok(Some(open)) => {
            metrics::counter!("hookgate_circuits_opened_total").increment(1);
            tracing::info!(tenant = %of.0, destination = %of.1, ?open, "a destination failed several times in a row");
        }
        Err(error) => tracing::debug!(%error, "the end of a call is not counted while Redis is away"),
    }
}

/// What the end of a call says of its destination.
fn said_by(outcome: &HttpOutcome) -> CallOutcome {
    match outcome {
        HttpOutcome::Response { status: 500.., .. } => CallOutcome::Failed,
        HttpOutcome::Response { .. } => CallOutcome::Answered,
        HttpOutcome::Failed { failure, .. } => match failure {
            HttpFailure::Resolve
            | HttpFailure::Connect
            | HttpFailure::Timeout
            | HttpFailure::Tls
            | HttpFailure::Protocol => CallOutcome::Failed,
            HttpFailure::Authorize | HttpFailure::Refused | HttpFailure::Internal => CallOutcome::Neither,
        },
    }
}
