//! The outgoing calls of one job: to whom, in whose turn, and what a destination's answer means for all calls to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hookgate_domain::jobs::ClaimedJob;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::{Error, clock, destinations, notifications};
use hookgate_model::flow::step::http::{HttpCall, HttpFailure, HttpOutcome};
use hookgate_model::ids::{DestinationId, EventId, RevisionId, WebhookId};

use crate::Shared;
use crate::effects::http::Made;
use crate::effects::target::{self, Target};
use crate::notices;
use crate::turns::{self, Asked, Waiting};

/// The status by which a destination says that it is gone for good.
const GONE: u16 = 410;

type Targets = HashMap<DestinationId, Arc<Result<Target, String>>>;

/// The outgoing calls of one job.
pub struct Outgoing {
    shared: Arc<Shared>,
    scope: TenantScope,
    webhook: WebhookId,
    revision: RevisionId,
    /// Destinations, read once per job, so that a change holds for the next.
    targets: Mutex<Targets>,
    /// The destination whose turn the job has waited for.
    turn: Mutex<Option<DestinationId>>,
}

/// What became of a call.
pub enum Called {
    /// It was made, or cannot be.
    Made(Box<Made>),
    /// It is not its turn.
    Waits(Waiting),
}

impl Outgoing {
    pub fn new(shared: Arc<Shared>, claimed: &ClaimedJob) -> Self {
        Self {
            shared,
            scope: claimed.lease.scope,
            webhook: claimed.webhook_id,
            revision: claimed.revision_id,
            targets: Mutex::default(),
            turn: Mutex::new(claimed.turn_of),
        }
    }

    /// Makes a call for an event, once, if it is its turn.
    pub async fn make(&self, call: &HttpCall, event: EventId) -> Called {
        let made = |made: Made| Called::Made(Box::new(made));
        let target = match self.target(call.destination).await {
            Ok(target) => target,
            Err(error) => return made(not_made(&error)),
        };
        let target = match target.as_ref() {
            Ok(target) => target,
            Err(detail) => return made(none(HttpFailure::Refused, detail.clone())),
        };
        let taken = match turns::ask(&self.shared, target, self.has_turn(call.destination)).await {
            Asked::Now(taken) => taken,
            Asked::Later(waiting) => return Called::Waits(waiting),
        };
        let answer = self.shared.http.call(call, target).await;
        taken.give(&answer.outcome).await;
        if target.pauses_on_gone && matches!(answer.outcome, HttpOutcome::Response { status: GONE, .. }) {
            self.pause(call.destination, event).await;
        }
        made(answer)
    }

    async fn target(&self, id: DestinationId) -> Result<Arc<Result<Target, String>>, Error> {
        let known = self.targets().get(&id).cloned();
        if let Some(target) = known {
            return Ok(target);
        }
        let target = Arc::new(target::read(&self.shared, self.scope, id).await?);
        self.targets().insert(id, Arc::clone(&target));
        Ok(target)
    }

    /// Whether the job has waited for its turn there; it has so once.
    fn has_turn(&self, id: DestinationId) -> bool {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.take_if(|of| *of == id).is_some()
    }

    /// No further calls go to a destination that is gone, until somebody resumes it.
    async fn pause(&self, id: DestinationId, event: EventId) {
        let (scope, notifier) = (self.scope, self.shared.notifier.clone());
        let reason = "it answered 410 Gone";
        let notice = notices::of_pause(id, reason, event, self.webhook, self.revision);
        let pause = move |conn: &mut _| {
            scope.transaction(conn, |conn| {
                if destinations::pause(conn, &scope, id, reason)? {
                    notifications::announce(conn, &scope, &notifier, &[notice])?;
                }
                Ok::<_, Error>(())
            })
        };
        match self.shared.database.run(pause).await {
            Ok(_) => tracing::info!(destination = %id, "a destination is gone, and paused"),
            Err(error) => tracing::warn!(%error, destination = %id, "a destination could not be paused"),
        }
        self.targets().remove(&id);
    }

    fn targets(&self) -> std::sync::MutexGuard<'_, Targets> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Postgres did not say where to: an attempt like any other that failed, so that it is tried again later.
fn not_made(error: &Error) -> Made {
    tracing::warn!(%error, "a destination could not be read");
    none(
        HttpFailure::Internal,
        "the destination's settings could not be read".to_owned(),
    )
}

/// The attempt that a call ends with that no worker survived.
pub fn given_up(tries: i32) -> Made {
    none(
        HttpFailure::Internal,
        format!("given up: no worker completed it in {tries} tries"),
    )
}

fn none(failure: HttpFailure, detail: String) -> Made {
    Made {
        outcome: HttpOutcome::Failed { failure, detail },
        url: String::new(),
        started_at: clock::now(),
        duration: std::time::Duration::ZERO,
        timing: serde_json::json!({}),
    }
}
