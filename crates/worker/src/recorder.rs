//! Group commit of completions: what gathers while one transaction runs goes into the next.

use std::time::Duration;

use hookgate_domain::database::Database;
use hookgate_domain::gathered::Gathered;
use hookgate_domain::jobs::{self, Completion, FinishedRun, JobResult};
use hookgate_domain::notifications::Notifier;
use hookgate_domain::outcomes::{Counted, Outcome};
use tokio::sync::{mpsc, oneshot};

/// The most jobs in one transaction.
const JOBS_PER_COMMIT: usize = 64;
/// The most runs in one transaction, but for a single job with more.
const RUNS_PER_COMMIT: usize = 1_000;
/// How long to wait before a transaction is tried again while Postgres is away.
const RETRY_DELAY: Duration = Duration::from_millis(200);

type Waiting = (JobResult, oneshot::Sender<Option<Completion>>);

/// Takes completions.
pub struct Recorder(mpsc::UnboundedSender<Waiting>);

impl Recorder {
    /// Makes a recorder and the task that writes, which ends when the recorder is dropped.
    pub fn new(database: Database, notifier: Notifier) -> (Self, impl Future<Output = ()> + Send + 'static) {
        // As many completions as jobs in hand: bounded by those.
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), write(database, notifier, receiver))
    }

    /// Writes a result, however long Postgres is away; `None` when it cannot be written at all.
    pub async fn record(&self, result: JobResult) -> Option<Completion> {
        let (told, outcome) = oneshot::channel();
        self.0.send((result, told)).ok()?;
        outcome.await.ok().flatten()
    }
}

async fn write(database: Database, notifier: Notifier, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
    let outcomes = Gathered::start(database.clone());
    let mut next = None;
    loop {
        let Some(first) = (match next.take() {
            Some(first) => Some(first),
            None => waiting.recv().await,
        }) else {
            outcomes.flush().await;
            return;
        };
        let mut runs = first.0.finished.len();
        let (mut results, mut told) = (vec![first.0], vec![first.1]);
        while results.len() < JOBS_PER_COMMIT
            && let Ok(more) = waiting.try_recv()
        {
            runs += more.0.finished.len();
            if runs > RUNS_PER_COMMIT {
                next = Some(more);
                break;
            }
            results.push(more.0);
            told.push(more.1);
        }
        let ended: Vec<Vec<Counted>> = results.iter().map(runs_of).collect();
        let completions = commit(&database, &notifier, results).await;
        for ((told, completion), ended) in told.into_iter().zip(completions).zip(ended) {
            if matches!(completion, Some(Completion::Written)) {
                ended.into_iter().for_each(|run| outcomes.add(run));
            }
            // Whoever waited may have been stopped.
            let _ = told.send(completion);
        }
    }
}

/// The runs that a result ends, to be counted.
fn runs_of(result: &JobResult) -> Vec<Counted> {
    let counted = |run: &FinishedRun| Counted {
        scope: result.lease.scope,
        webhook_id: result.webhook_id,
        day: run.finished_at.date_naive(),
        outcome: Outcome::Ran(run.outcome),
        count: 1,
    };
    result.finished.iter().map(counted).collect()
}

/// Writes results together; one by one when Postgres refuses them together, so that one does not fail the others.
async fn commit(
    database: &Database,
    notifier: &Notifier,
    results: Vec<JobResult>,
) -> Vec<Option<Completion>> {
    match commit_together(database, notifier, results.clone()).await {
        Ok(completions) => completions.into_iter().map(Some).collect(),
        Err(error) if results.len() == 1 => {
            tracing::error!(%error, "a completion was refused; the job is tried again when its lease ends");
            vec![None]
        }
        Err(_) => {
            let mut completions = Vec::with_capacity(results.len());
            for result in results {
                let job = result.lease.job;
                completions.push(match commit_together(database, notifier, vec![result]).await {
                    Ok(completion) => completion.first().copied(),
                    Err(error) => {
                        tracing::error!(%error, %job, "a completion was refused; the job is tried again when its lease ends");
                        None
                    }
                });
            }
            completions
        }
    }
}

async fn commit_together(
    database: &Database,
    notifier: &Notifier,
    results: Vec<JobResult>,
) -> hookgate_domain::Result<Vec<Completion>> {
    loop {
        let (batch, notifier) = (results.clone(), notifier.clone());
        let complete = move |conn: &mut _| jobs::complete(conn, &notifier, &batch);
        match database.run(complete).await {
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "completions could not be written; trying again");
                tokio::time::sleep(RETRY_DELAY).await;
            }
            other => return other,
        }
    }
}
