//! One event's run, from effect to effect.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use hookgate_domain::jobs::{
    Again, ClaimedJob, FinishedRun, Lease, NewAttempt, NewCallback, Progress, StoredCallback, Waits,
    callback_id, save_progress,
};
use hookgate_domain::trace::{self, Kind, Span, TraceContext};
use hookgate_domain::{Error, clock};
use hookgate_model::answer::Answer;
use hookgate_model::flow::advance::{Decision, Outcome, advance, give_up, written};
use hookgate_model::flow::compiled::CompiledRevision;
use hookgate_model::flow::secrets::FlowSecrets;
use hookgate_model::flow::session::Session;
use hookgate_model::flow::state::State;
use hookgate_model::flow::step::record::{RecordWrite, RecordWritten};
use hookgate_model::flow::template;
use hookgate_model::flow::variables::Request;
use hookgate_model::headers;
use hookgate_model::ids::{DestinationId, EventId, RevisionId, WebhookId};
use hookgate_model::notification;

use crate::Shared;
use crate::effects::record::{self, Wrote};
use crate::failpoint::reached;
use crate::outgoing::{Called, Outgoing};
use crate::protection::Protected;
use crate::record::{Caller, attempt, finished_run};
use crate::turns::Waiting;

/// What was made of a body is kept from one effect to the next if it takes less memory than this, in bytes.
const KEPT_MEMORY: usize = 1 << 20;

/// What a run's steps share: the job that it belongs to.
pub struct Job {
    pub shared: Arc<Shared>,
    pub lease: Lease,
    /// On whose behalf it runs.
    of: (WebhookId, RevisionId),
    pub revision: Arc<CompiledRevision>,
    /// What its calls can send.
    secrets: Arc<FlowSecrets>,
    pub answer_to: Option<String>,
    /// For an event that is stored masked: what may be recorded.
    pub protected: Option<Arc<Protected>>,
    /// Whether the progress is kept from one effect to the next; the job has one event then.
    keeps_progress: bool,
    outgoing: Outgoing,
}

/// A run in hand.
pub struct Run {
    request: Arc<Request>,
    state: State,
    decision: Decision,
    attempts: Vec<NewAttempt>,
    callbacks: Vec<NewCallback>,
    /// Whether an effect was carried out since the progress was last stored.
    is_unstored: bool,
    /// The answer that is stored, and may not have been sent: the worker that stored it did not live to complete the run.
    unsent: Option<Answer>,
    /// The answer that was sent from the middle of the run.
    sent: Option<Answer>,
}

/// How far a run came.
pub struct Ended {
    pub event: EventId,
    pub end: End,
    pub attempts: Vec<NewAttempt>,
    /// The calls that it leaves behind.
    pub callbacks: Vec<NewCallback>,
    pub sent: Option<Answer>,
    /// The event's session, with what it holds by now.
    pub session: Option<Session>,
}

/// What is left of a run.
pub enum End {
    /// Nothing. The caller's answer goes along, as the record may not show it.
    Finished(FinishedRun, Option<Answer>),
    /// It goes on later.
    Again(Again),
    /// Another worker has it.
    LeaseLost,
}

impl End {
    /// For traces.
    fn name(&self) -> &'static str {
        match self {
            Self::Finished(run, _) => run.outcome.as_str(),
            Self::Again(_) => "put_off",
            Self::LeaseLost => "lease_lost",
        }
    }
}

impl Job {
    pub fn new(
        shared: Arc<Shared>,
        claimed: &ClaimedJob,
        revision: Arc<CompiledRevision>,
        secrets: Arc<FlowSecrets>,
        protected: Option<Protected>,
    ) -> Arc<Self> {
        let outgoing = Outgoing::new(Arc::clone(&shared), claimed);
        Arc::new(Self {
            keeps_progress: revision.keeps_progress(),
            shared,
            lease: claimed.lease,
            of: (claimed.webhook_id, claimed.revision_id),
            revision,
            secrets,
            answer_to: claimed.answer_to.clone(),
            protected: protected.map(Arc::new),
            outgoing,
        })
    }
}

impl Run {
    /// Begins a run, or goes on with one: up to its first effect, for `longest` at most.
    pub fn begin(
        revision: &CompiledRevision,
        secrets: &FlowSecrets,
        request: Arc<Request>,
        state: Option<State>,
        longest: Duration,
    ) -> Self {
        let state = state.unwrap_or_else(|| State::new(clock::now()));
        let unsent = state.answer().cloned();
        let decision = Decision::Retry { due_at: clock::now() };
        let mut run = Self {
            request,
            state,
            decision,
            attempts: Vec::new(),
            callbacks: Vec::new(),
            is_unstored: false,
            unsent,
            sent: None,
        };
        run.advance(revision, secrets, Outcome::Begin, longest);
        run
    }

    /// Whether there is nothing more to be done.
    pub fn is_done(&self) -> bool {
        matches!(self.decision, Decision::Done(_))
    }

    /// Goes on to the next effect. What was made of a long body does not stay in memory while the effect is carried out:
    /// it is made again when it is needed again.
    fn advance(
        &mut self,
        revision: &CompiledRevision,
        secrets: &FlowSecrets,
        outcome: Outcome,
        longest: Duration,
    ) {
        let (now, random) = (clock::now(), rand::random());
        let started = Instant::now();
        let is_over = move || started.elapsed() > longest;
        let decided = catch_unwind(AssertUnwindSafe(|| {
            template::until(is_over, || {
                advance(
                    revision,
                    &self.request,
                    secrets,
                    &mut self.state,
                    outcome,
                    now,
                    random,
                )
            })
        }));
        self.decision = decided.unwrap_or_else(|_| {
            tracing::error!(event = %self.request.event().id, "a flow's evaluation panicked");
            Decision::Done(give_up(
                revision,
                None,
                &self.state,
                "the flow's evaluation crashed",
            ))
        });
        if self.request.most_memory() > KEPT_MEMORY {
            self.request = self.request.anew();
        }
    }

    /// [`Self::advance`] off the async threads.
    async fn advance_aside(mut self, job: &Job, outcome: Outcome) -> Option<Self> {
        let memory = self.request.most_memory();
        let (revision, secrets) = (Arc::clone(&job.revision), Arc::clone(&job.secrets));
        let longest = job.shared.settings.template_timeout();
        let advance = move || {
            self.advance(&revision, &secrets, outcome, longest);
            self
        };
        job.shared.apart.run(memory, advance).await
    }

    /// Takes the run on until it is over, must wait, or is given back, in the trace of its event.
    pub async fn drive(self, job: &Job) -> Ended {
        let event = self.request.event();
        let traceparent = headers::find(&event.headers, trace::HEADER);
        let received = TraceContext::of_event(traceparent, event.id.uuid(), trace::ratio());
        let (context, event, started_at) = (received.child(rand::random()), event.id, SystemTime::now());
        let ended = trace::scope(context, self.drive_within(job)).await;
        trace::record(context, || Span {
            context,
            parent: Some(TraceContext::span_of(event.uuid())),
            kind: Kind::Consumer,
            name: "run".into(),
            started_at,
            ended_at: SystemTime::now(),
            attributes: vec![
                ("hookgate.event", event.to_string()),
                ("hookgate.tenant", job.lease.scope.tenant().to_string()),
                ("hookgate.webhook", job.of.0.to_string()),
                ("hookgate.outcome", ended.end.name().to_owned()),
            ],
            is_error: matches!(&ended.end, End::Finished(run, _) if run.error.is_some()),
        });
        ended
    }

    async fn drive_within(mut self, job: &Job) -> Ended {
        // A second time does no harm.
        if let Some(answer) = self.unsent.take() {
            self.send(job, answer).await;
        }
        let event = self.request.event().id;
        #[cfg(feature = "failpoints")]
        let tenant = job.lease.scope.tenant();
        loop {
            let outcome = match &self.decision {
                Decision::Done(_) => return self.ended(job),
                Decision::Retry { due_at } => {
                    let due_at = *due_at;
                    metrics::counter!("hookgate_retries_total").increment(1);
                    return self.again(job, due_at, true);
                }
                Decision::Answer(answer) => {
                    let answer = answer.clone();
                    reached!(tenant, "before_store");
                    if !self.store(job).await {
                        return self.end(End::LeaseLost);
                    }
                    reached!(tenant, "stored");
                    self.send(job, answer).await;
                    reached!(tenant, "sent");
                    Outcome::Answered
                }
                Decision::Write(write) => {
                    let write = write.clone();
                    reached!(tenant, "before_write");
                    let wrote = self.write(job, write).await;
                    reached!(tenant, "written");
                    match wrote {
                        Ok(outcome) => outcome,
                        Err(end) => return self.end(end),
                    }
                }
                Decision::Call(call) => {
                    let mut call = call.clone();
                    notification::mark(&mut call, &self.request.event().headers);
                    if job.keeps_progress && self.is_unstored && !self.store(job).await {
                        return self.end(End::LeaseLost);
                    }
                    reached!(tenant, "before_call");
                    let made = tokio::select! {
                        biased;
                        () = job.shared.releasing.cancelled() => None,
                        called = job.outgoing.make(&call, event) => Some(called),
                    };
                    reached!(tenant, "called");
                    let made = match made {
                        Some(Called::Made(made)) => made.hide(&job.secrets),
                        Some(Called::Waits(waiting)) => return self.wait(job, call.destination, waiting),
                        None => {
                            let is_retry = self.state.attempts() > 0;
                            return self.again(job, clock::now(), is_retry);
                        }
                    };
                    self.attempts
                        .push(attempt(event, &call, &made, job.protected.as_deref()));
                    self.is_unstored = true;
                    Outcome::Called(made.outcome)
                }
            };
            match self.advance_aside(job, outcome).await {
                Some(advanced) => self = advanced,
                // The runtime is being shut down.
                None => {
                    return Ended {
                        event,
                        end: End::LeaseLost,
                        attempts: Vec::new(),
                        callbacks: Vec::new(),
                        sent: None,
                        session: None,
                    };
                }
            }
        }
    }

    /// Writes a row with the progress; tries again while Postgres is away.
    async fn write(&mut self, job: &Job, write: RecordWrite) -> Result<Outcome, End> {
        let now = clock::now();
        self.hand_over(job);
        loop {
            let (revision, protected) = (Arc::clone(&job.revision), job.protected.clone());
            let mut state = self.state.clone();
            let (attempts, callbacks) = (self.attempts.clone(), self.callbacks.clone());
            let progress = move |row: &RecordWritten| {
                written(&revision, &mut state, row, now);
                Some(Progress {
                    state: stored(&state, protected.as_deref())?,
                    attempts,
                    callbacks,
                })
            };
            match record::write(&job.shared, job.lease, job.of, write.clone(), progress).await {
                Ok(Wrote::Stored(row)) => {
                    self.attempts.clear();
                    self.callbacks.clear();
                    written(&job.revision, &mut self.state, &row, now);
                    self.is_unstored = false;
                    return Ok(Outcome::Begin);
                }
                Ok(Wrote::Refused(detail)) => return Ok(Outcome::NotWritten(detail)),
                Ok(Wrote::LeaseLost) => return Err(End::LeaseLost),
                // Somebody else wrote the row, or deleted the collection, at the same time: now it is seen.
                Err(Error::Constraint(_)) => {}
                Err(error) if error.is_transient() => {
                    if job.shared.releasing.is_cancelled() {
                        return Err(self.later(job, clock::now(), false));
                    }
                    tracing::warn!(%error, "a record could not be written; trying again");
                    tokio::time::sleep(crate::job::RETRY_DELAY).await;
                }
                Err(error) => {
                    tracing::error!(%error, "a record could not be written");
                    return Ok(Outcome::NotWritten("the record cannot be stored".to_owned()));
                }
            }
        }
    }

    /// Stores the progress, if something would be lost with it: the answer to a caller, or steps that must not be done
    /// again. Returns whether the lease is still held.
    async fn store(&mut self, job: &Job) -> bool {
        if job.answer_to.is_none() && !job.keeps_progress {
            return true;
        }
        self.hand_over(job);
        let (lease, of, Some(state)) = (job.lease, job.of, self.stored_state(job)) else {
            return false;
        };
        loop {
            let progress = Progress {
                state: state.clone(),
                attempts: self.attempts.clone(),
                callbacks: self.callbacks.clone(),
            };
            let save = move |conn: &mut _| {
                lease
                    .scope
                    .transaction(conn, |conn| save_progress(conn, &lease, of, &progress))
            };
            match job.shared.database.run(save).await {
                Ok(held) => {
                    self.attempts.clear();
                    self.callbacks.clear();
                    self.is_unstored = false;
                    return held;
                }
                Err(error) if error.is_transient() && !job.shared.releasing.is_cancelled() => {
                    tracing::warn!(%error, "an answer could not be stored; trying again");
                    tokio::time::sleep(crate::job::RETRY_DELAY).await;
                }
                Err(error) => {
                    tracing::error!(%error, "an answer could not be stored");
                    return false;
                }
            }
        }
    }

    async fn send(&mut self, job: &Job, answer: Answer) {
        if let Some(node) = &job.answer_to {
            send_answer(&job.shared, node, self.request.event().id, &answer).await;
            self.sent = Some(answer);
        }
    }

    /// How far the run has come, as it is stored in its job.
    fn stored_state(&self, job: &Job) -> Option<Vec<u8>> {
        stored(&self.state, job.protected.as_deref())
    }

    fn ended(mut self, job: &Job) -> Ended {
        let Decision::Done(finished) = self.decision.clone() else {
            return self.again(job, clock::now(), false);
        };
        let answer = finished.answer.clone();
        let caller = Caller::of(job.answer_to.as_deref());
        let event = self.request.event().id;
        self.hand_over(job);
        let run = finished_run(event, &self.state, finished, caller, job.protected.as_deref());
        self.end(End::Finished(run, answer))
    }

    fn again(mut self, job: &Job, due_at: DateTime<Utc>, is_retry: bool) -> Ended {
        self.hand_over(job);
        let later = self.later(job, due_at, is_retry);
        self.end(later)
    }

    fn later(&self, job: &Job, due_at: DateTime<Utc>, is_retry: bool) -> End {
        End::Again(Again {
            event_ids: vec![self.request.event().id],
            due_at,
            state: self.stored_state(job),
            claims: 0,
            is_retry,
            waits: Waits::Nothing,
        })
    }

    /// Puts the run off until it is its turn to call. It queues with the retries: what waits for a slow destination is not to
    /// be looked at before what has not begun.
    fn wait(self, job: &Job, destination: DestinationId, waiting: Waiting) -> Ended {
        let (due_at, waits) = waiting.until(destination);
        let mut ended = self.again(job, due_at, true);
        if let End::Again(again) = &mut ended.end {
            again.waits = waits;
        }
        ended
    }

    /// Makes jobs of the callbacks: they are committed with what is stored of the run next. So its progress never holds what they
    /// send.
    fn hand_over(&mut self, job: &Job) {
        let (event, scope) = (self.request.event().id, job.lease.scope);
        for mut callback in self.state.take_callbacks() {
            notification::mark(&mut callback.call, &self.request.event().headers);
            let id = callback_id(event, &callback.call.step);
            let secrets = job
                .protected
                .as_ref()
                .map(|protected| protected.secrets().clone());
            let stored = StoredCallback {
                callback,
                secrets,
                sent: FlowSecrets::clone(&job.secrets),
                traceparent: trace::current().map(TraceContext::header),
            };
            match stored.seal(&job.shared.master_key, &scope, id) {
                Ok(state) => self.callbacks.push(NewCallback {
                    event_id: event,
                    id,
                    state,
                }),
                Err(error) => tracing::error!(%event, %error, "a callback could not be sealed, and is lost"),
            }
        }
    }

    fn end(self, end: End) -> Ended {
        Ended {
            event: self.request.event().id,
            end,
            attempts: self.attempts,
            callbacks: self.callbacks,
            sent: self.sent,
            session: self.state.session().cloned(),
        }
    }
}

/// The progress as it is stored.
fn stored(state: &State, protected: Option<&Protected>) -> Option<Vec<u8>> {
    match protected {
        Some(protected) => protected.seal_state(state),
        None => Some(state.encode()),
    }
}

/// Sends an answer that is committed. That it does not arrive is no loss: the ingress finds it in Postgres.
pub async fn send_answer(shared: &Shared, node: &str, event: EventId, answer: &Answer) {
    if let Err(error) = shared.redis.send_answer(node, event, answer).await {
        tracing::debug!(%event, %error, "an answer was not sent; the ingress reads it from Postgres");
    }
}
