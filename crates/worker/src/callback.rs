//! A call that a run left behind: one attempt each time that its job is claimed.

use std::sync::Arc;

use hookgate_domain::clock;
use hookgate_domain::jobs::{Again, ClaimedJob, Completion, JobResult, StoredCallback, Waits};
use hookgate_domain::trace::{self, TraceContext};
use hookgate_model::flow::step::callback::Next;
use hookgate_model::ids::EventId;
use hookgate_model::notification;
use hookgate_model::retry::Verdict;

use crate::Shared;
use crate::effects::http::Made;
use crate::failpoint::reached;
use crate::leases::InHand;
use crate::notices;
use crate::outgoing::{Called, Outgoing, given_up};
use crate::protection::Protected;
use crate::record::attempt;

/// Makes the next attempt, and records it with what follows.
pub async fn carry_out(shared: &Arc<Shared>, claimed: ClaimedJob, in_hand: &InHand) {
    let (lease, claims) = (claimed.lease, claimed.claims);
    let mut result = JobResult {
        lease,
        webhook_id: claimed.webhook_id,
        revision_id: claimed.revision_id,
        answer_to: None,
        finished: Vec::new(),
        attempts: Vec::new(),
        again: Vec::new(),
        callbacks: Vec::new(),
        is_callback: true,
        failed_callback: None,
        notices: Vec::new(),
        session: None,
        session_id: None,
    };
    reached!(lease.scope.tenant(), "callback_claimed");
    let sealed = claimed.state.clone().unwrap_or_default();
    let event = claimed.event_ids.first().copied();
    let opened = StoredCallback::open(&shared.master_key, &lease.scope, lease.job, &sealed);
    match (opened, event) {
        (Ok(stored), Some(event)) => {
            let outgoing = Outgoing::new(Arc::clone(shared), &claimed);
            let traceparent = stored.traceparent.as_deref().map(str::as_bytes);
            let context = TraceContext::of_event(traceparent, event.uuid(), trace::ratio());
            let is_poisonous = u32::try_from(claims).unwrap_or(0) > shared.settings.claims.max(1);
            let called = if is_poisonous {
                Called::Made(Box::new(given_up(claims - 1)))
            } else {
                tokio::select! {
                    biased;
                    () = shared.releasing.cancelled() => {
                        let again = later(event, sealed.clone(), clock::now(), Waits::Nothing);
                        result.again.push(again);
                        return record(shared, result, in_hand).await;
                    }
                    called = trace::scope(context, outgoing.make(&stored.callback.call, event)) => called,
                }
            };
            match called {
                Called::Waits(waiting) => {
                    let (due_at, waits) = waiting.until(stored.callback.call.destination);
                    result.again.push(later(event, sealed, due_at, waits));
                }
                Called::Made(made) => {
                    let made = made.hide(&stored.sent);
                    follow(shared, &mut result, stored, event, &made, is_poisonous);
                }
            }
        }
        (opened, _) => {
            // It is there for when the right key is: the lease runs out, and it is tried again.
            tracing::error!(job = %lease.job, error = ?opened.err(), "a callback cannot be read");
            return;
        }
    }
    reached!(lease.scope.tenant(), "callback_called");
    record(shared, result, in_hand).await;
    reached!(lease.scope.tenant(), "callback_recorded");
}

/// Records an attempt, and what follows.
fn follow(
    shared: &Shared,
    result: &mut JobResult,
    mut stored: StoredCallback,
    event: EventId,
    made: &Made,
    is_last: bool,
) {
    let protected = stored.secrets.as_ref().map(Protected::of);
    let call = &stored.callback.call;
    result
        .attempts
        .push(attempt(event, call, made, protected.as_ref()));
    let next = stored
        .callback
        .advance(&made.outcome, clock::now(), rand::random());
    if let (Next::Again { due_at }, false) = (next, is_last) {
        let lease = result.lease;
        metrics::counter!("hookgate_retries_total").increment(1);
        match stored.seal(&shared.master_key, &lease.scope, lease.job) {
            Ok(state) => result.again.push(later(event, state, due_at, Waits::Nothing)),
            Err(error) => tracing::error!(job = %lease.job, %error, "a callback cannot be sealed, and ends"),
        }
    } else if made.outcome.verdict() != Verdict::Success {
        let is_notification = notification::is_notification(&stored.callback.call);
        if !is_notification {
            let notice = notices::of_callback(&stored.callback.call, &made.outcome, event, result);
            result.notices.push(notice);
        }
        // A notification belongs to no run that could be asked for it. What a masked event's callback holds is gone with its job.
        if stored.secrets.is_none() && !is_notification {
            let lease = result.lease;
            stored.callback = stored.callback.renewed();
            match stored.seal(&shared.master_key, &lease.scope, lease.job) {
                Ok(state) => result.failed_callback = Some(state),
                Err(error) => {
                    tracing::error!(job = %lease.job, %error, "a callback cannot be sealed, and is not kept")
                }
            }
        }
    }
}

fn later(event: EventId, state: Vec<u8>, due_at: chrono::DateTime<chrono::Utc>, waits: Waits) -> Again {
    Again {
        event_ids: vec![event],
        due_at,
        state: Some(state),
        claims: 0,
        is_retry: true,
        waits,
    }
}

async fn record(shared: &Shared, result: JobResult, in_hand: &InHand) {
    in_hand.let_go();
    let job = result.lease.job;
    if shared.recorder.record(result).await == Some(Completion::LeaseLost) {
        metrics::counter!("hookgate_leases_lost_total").increment(1);
        tracing::warn!(%job, "the lease was lost before the callback's attempt was recorded");
    }
}
