//! One job, from its claim to its record.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use hookgate_domain::jobs::{self, Again, ClaimedJob, Completion, JobResult, Lease, Payload, Waits};
use hookgate_domain::{Error, clock, events, secrets};
use hookgate_model::answer::Answer;
use hookgate_model::flow::advance::{Finished, RunOutcome, give_up};
use hookgate_model::flow::compiled::{CompiledRevision, failed_by_default};
use hookgate_model::flow::secrets::FlowSecrets;
use hookgate_model::flow::state::State;
use hookgate_model::flow::variables::{EventInput, Request};
use hookgate_model::ids::EventId;
use tracing::Instrument;

use crate::Shared;
use crate::callback;
use crate::failpoint::reached;
use crate::leases::InHand;
use crate::notices;
use crate::protection::Protected;
use crate::record::{Caller, finished_run};
use crate::revisions;
use crate::run::{End, Ended, Job, Run, send_answer};
use crate::session::{self, Begun};

/// How long to wait before something is tried again while Postgres is away.
pub const RETRY_DELAY: Duration = Duration::from_millis(500);
/// The most bytes of bodies that are in memory for one job, but for a single event with more.
const BODY_BYTES: i64 = 4 * 1024 * 1024;

/// Works at a job until it is recorded, or lost.
pub async fn work(shared: &Arc<Shared>, claimed: ClaimedJob, in_hand: InHand) {
    let lease = claimed.lease;
    let span = tracing::info_span!("job", tenant = %lease.scope.tenant(), job = %lease.job, webhook = %claimed.webhook_id);
    let lost = in_hand.lost();
    tokio::select! {
        () = lost.cancelled() => {
            metrics::counter!("hookgate_leases_lost_total").increment(1);
            tracing::warn!(job = %lease.job, "the lease was lost: another worker has the job");
        }
        () = async {
            if claimed.is_callback {
                callback::carry_out(shared, claimed, &in_hand).await;
            } else {
                carry_out(shared, claimed, &in_hand).await;
            }
        }.instrument(span) => {}
    }
}

/// What becomes of a job's events, gathered while it is worked at.
pub struct Gathered {
    pub result: JobResult,
    /// The answers to the callers who wait.
    answers: Vec<(EventId, Answer)>,
    /// Answers that were sent before the end.
    sent: HashMap<EventId, Answer>,
}

async fn carry_out(shared: &Arc<Shared>, claimed: ClaimedJob, in_hand: &InHand) {
    let mut gathered = Gathered {
        result: JobResult {
            lease: claimed.lease,
            webhook_id: claimed.webhook_id,
            revision_id: claimed.revision_id,
            answer_to: claimed.answer_to.clone(),
            session_id: claimed.session_id,
            session: None,
            finished: Vec::new(),
            attempts: Vec::new(),
            again: Vec::new(),
            callbacks: Vec::new(),
            is_callback: false,
            failed_callback: None,
            notices: Vec::new(),
        },
        answers: Vec::new(),
        sent: HashMap::new(),
    };
    reached!(claimed.lease.scope.tenant(), "claimed");
    let Some(compiled) = patiently(shared, || {
        revisions::compiled(
            shared,
            claimed.lease.scope,
            claimed.webhook_id,
            claimed.revision_id,
        )
    })
    .await
    else {
        return;
    };
    let payload = if claimed.has_payload {
        let payload = patiently(shared, || open(shared, claimed.lease)).await;
        if payload.is_none() && !is_poisonous(shared, &claimed) {
            return;
        }
        payload
    } else {
        None
    };
    match compiled {
        Err(error) => gathered.fail_all(&claimed, &error),
        Ok(revision) if is_poisonous(shared, &claimed) => {
            gathered.isolate(&claimed, &revision, payload.as_ref());
        }
        Ok(revision) => {
            if !run_all(shared, &claimed, &revision, payload, &mut gathered).await {
                return;
            }
        }
    }
    reached!(claimed.lease.scope.tenant(), "before_record");
    in_hand.let_go();
    gathered.record(shared).await;
}

/// Tries again while Postgres is away; `None` when that makes no sense, and the lease is left to run out.
pub async fn patiently<T, F: Future<Output = Result<T, Error>>>(
    shared: &Shared,
    mut query: impl FnMut() -> F,
) -> Option<T> {
    loop {
        match query().await {
            Ok(found) => return Some(found),
            Err(error) if error.is_transient() && !shared.releasing.is_cancelled() => {
                tracing::warn!(%error, "a job could not be loaded; trying again");
                tokio::time::sleep(RETRY_DELAY).await;
            }
            Err(error) => {
                tracing::error!(%error, "a job could not be loaded; it is tried again when its lease ends");
                return None;
            }
        }
    }
}

/// Whether workers have died of this job, or could not complete it, several times.
fn is_poisonous(shared: &Shared, claimed: &ClaimedJob) -> bool {
    let claims = u32::try_from(claimed.claims).unwrap_or(0);
    // Of several events one is at fault: they are taken apart early, so that each alone has tries left.
    let most = if claimed.event_ids.len() > 1 {
        shared.settings.claims / 2
    } else {
        shared.settings.claims
    };
    claims > most.max(1)
}

/// What a job holds of its event, which is stored masked.
async fn open(shared: &Shared, lease: Lease) -> Result<Payload, Error> {
    let (scope, job) = (lease.scope, lease.job);
    let read = move |conn: &mut _| scope.transaction(conn, |conn| jobs::payload(conn, &scope, job));
    let sealed = shared.database.run(read).await?.ok_or(Error::NotFound)?;
    Payload::open(&shared.master_key, &scope, EventId::from(job.uuid()), &sealed)
}

fn stored_state(claimed: &ClaimedJob, protected: Option<&Protected>) -> Option<State> {
    let stored = claimed.state.as_deref()?;
    match protected {
        Some(protected) => protected.open_state(stored),
        None => State::decode(stored),
    }
}

/// Runs the events, some at a time. Returns whether there is something to record.
async fn run_all(
    shared: &Arc<Shared>,
    claimed: &ClaimedJob,
    revision: &Arc<CompiledRevision>,
    mut payload: Option<Payload>,
    gathered: &mut Gathered,
) -> bool {
    if revision.keeps_progress() && claimed.event_ids.len() > 1 {
        gathered.take_apart(claimed, 0, false);
        return true;
    }
    let mut waiting = claimed.event_ids.as_slice();
    while !waiting.is_empty() {
        if shared.releasing.is_cancelled() {
            gathered.result.again.push(Again {
                event_ids: waiting.to_vec(),
                due_at: clock::now(),
                state: claimed.state.clone(),
                claims: 0,
                is_retry: claimed.state.is_some(),
                waits: Waits::Nothing,
            });
            return true;
        }
        let (scope, ids) = (claimed.lease.scope, waiting.to_vec());
        let load = || {
            let ids = ids.clone();
            shared.database.run(move |conn| {
                scope.transaction(conn, |conn| events::inputs(conn, &scope, &ids, BODY_BYTES))
            })
        };
        let Some(mut inputs) = patiently(shared, load).await else {
            return false;
        };
        let Some(last) = inputs.last().map(|input| input.id) else {
            tracing::error!(events = waiting.len(), "events of a job are gone");
            return true;
        };
        waiting = &waiting[waiting.partition_point(|id| *id <= last)..];
        let protected = payload.as_ref().map(Protected::new);
        // A job with a payload has one event.
        if let (Some(payload), [input]) = (payload.take(), &mut inputs[..]) {
            payload.restore(input);
        }
        if !run_some(shared, claimed, revision, inputs, protected, gathered).await {
            return false;
        }
    }
    true
}

/// What the calls of a flow can send, as it is now.
async fn secrets_of(shared: &Shared, lease: Lease, revision: &CompiledRevision) -> Option<Arc<FlowSecrets>> {
    if revision.secrets().is_empty() {
        return Some(Arc::default());
    }
    let (scope, wanted) = (lease.scope, revision.secrets());
    let read = || {
        let (key, wanted) = (shared.master_key.clone(), wanted.clone());
        shared.database.run(move |conn| {
            scope.transaction(conn, |conn| secrets::open_for_flow(conn, &scope, &key, &wanted))
        })
    };
    patiently(shared, read).await.map(Arc::new)
}

async fn run_some(
    shared: &Arc<Shared>,
    claimed: &ClaimedJob,
    revision: &Arc<CompiledRevision>,
    inputs: Vec<EventInput>,
    protected: Option<Protected>,
    gathered: &mut Gathered,
) -> bool {
    let mut state = stored_state(claimed, protected.as_ref());
    let begin_with = Arc::clone(revision);
    let requests: Vec<_> = inputs.into_iter().map(Request::new).collect();
    // A job of events with sessions has one event.
    if let ([request], None, Some(_)) = (&requests[..], &state, revision.session()) {
        match session::begin(shared, revision, request, gathered).await {
            Begun::With(begun) => state = Some(*begun),
            Begun::Failed(error) => {
                gathered.fail_all(claimed, &error);
                return true;
            }
            Begun::NotNow => return false,
        }
    }
    // A run forgets what it made of a long body, so that one at a time takes memory.
    let memory = requests.iter().map(|request| request.most_memory()).max();
    let longest = shared.settings.template_timeout();
    let Some(secrets) = secrets_of(shared, claimed.lease, revision).await else {
        return false;
    };
    let sent = Arc::clone(&secrets);
    let begin = move || {
        let begin = |request| Run::begin(&begin_with, &sent, request, state.clone(), longest);
        requests.into_iter().map(begin).collect::<Vec<_>>()
    };
    let begun = shared.apart.run(memory.unwrap_or_default(), begin);
    let Some(runs) = begun.await else { return false };
    let job = Job::new(
        Arc::clone(shared),
        claimed,
        Arc::clone(revision),
        secrets,
        protected,
    );
    let (done, open): (Vec<_>, Vec<_>) = runs.into_iter().partition(Run::is_done);
    let at_once = shared.settings.calls_per_job.max(1);
    let mut ends = stream::iter(done.into_iter().chain(open))
        .map(|run| run.drive(&job))
        .buffer_unordered(at_once);
    while let Some(ended) = ends.next().await {
        if !gathered.take(ended, &job) {
            return false;
        }
    }
    true
}

impl Gathered {
    /// Takes the end of a run; returns whether the job is still this worker's.
    fn take(&mut self, ended: Ended, job: &Job) -> bool {
        self.result.attempts.extend(ended.attempts);
        self.result.callbacks.extend(ended.callbacks);
        if let Some(answer) = ended.sent {
            self.sent.insert(ended.event, answer);
        }
        match ended.end {
            End::Finished(run, answer) => {
                if let (Some(session), Some(id)) = (ended.session, self.result.session_id) {
                    self.result.session = session::left(&job.revision, session, id, job.protected.as_deref());
                }
                self.answers.extend(answer.map(|answer| (run.event_id, answer)));
                self.result.finished.push(run);
            }
            End::Again(again) => self.result.again.push(again),
            End::LeaseLost => return false,
        }
        true
    }

    /// Takes a job apart that no worker survives, and gives up the event that is alone already.
    fn isolate(&mut self, claimed: &ClaimedJob, revision: &CompiledRevision, payload: Option<&Payload>) {
        if let [event] = claimed.event_ids[..] {
            tracing::error!(%event, claims = claimed.claims, "a run was given up: no worker completed it");
            let protected = payload.map(Protected::new);
            let state = stored_state(claimed, protected.as_ref()).unwrap_or_else(|| State::new(clock::now()));
            let error = format!("given up: no worker completed it in {} tries", claimed.claims - 1);
            // Without the event: whatever it does to a worker, it must not do it again.
            let finished = give_up(revision, None, &state, &error);
            self.finish(event, &state, finished, protected.as_ref());
            return;
        }
        tracing::warn!(
            events = claimed.event_ids.len(),
            "no worker completed the job: its events are taken apart"
        );
        self.take_apart(claimed, claimed.claims - 1, true);
    }

    /// Gives each event a job of its own.
    fn take_apart(&mut self, claimed: &ClaimedJob, claims: i32, is_retry: bool) {
        self.result
            .again
            .extend(claimed.event_ids.iter().map(|event| Again {
                event_ids: vec![*event],
                due_at: clock::now(),
                state: None,
                claims,
                is_retry,
                waits: Waits::Nothing,
            }));
    }

    fn fail_all(&mut self, claimed: &ClaimedJob, error: &str) {
        let state = State::new(clock::now());
        let answer = claimed.answer_to.is_some().then(|| failed_by_default().clone());
        let finished = Finished {
            outcome: RunOutcome::Failed,
            error: Some(error.to_owned()),
            answer,
        };
        for event in &claimed.event_ids {
            self.finish(*event, &state, finished.clone(), None);
        }
    }

    fn finish(&mut self, event: EventId, state: &State, finished: Finished, protected: Option<&Protected>) {
        let answer = finished.answer.clone();
        self.answers.extend(answer.map(|answer| (event, answer)));
        let caller = Caller::of(self.result.answer_to.as_deref());
        let run = finished_run(event, state, finished, caller, protected);
        self.result.finished.push(run);
    }

    /// Writes what there is, then tells the caller who waits.
    async fn record(mut self, shared: &Shared) {
        self.result.notices = notices::of_runs(&self.result);
        let node = self.result.answer_to.clone();
        let lease = self.result.lease;
        match shared.recorder.record(self.result).await {
            Some(Completion::Written) => {}
            Some(Completion::LeaseLost) => {
                metrics::counter!("hookgate_leases_lost_total").increment(1);
                tracing::warn!(job = %lease.job, "the lease was lost before the job was recorded");
                return;
            }
            None => return,
        }
        reached!(lease.scope.tenant(), "recorded");
        let Some(node) = node else { return };
        for (event, answer) in self.answers {
            if self.sent.get(&event) != Some(&answer) {
                send_answer(shared, &node, event, &answer).await;
            }
        }
    }
}
