//! Runs the flows of stored events: claim, load, advance, effect, record.
//!
//! [`claim_loop`] takes up jobs and gives each to [`job`], which loads the events, drives each run ([`run`]) from effect to
//! effect ([`effects`]) and hands the result to [`recorder`]. [`leases`] keeps what is in hand. Decisions are those of
//! `hookgate_model::flow`.

mod callback;
mod claim_loop;
mod effects;
pub mod failpoint;
mod job;
mod leases;
mod maintenance;
mod notices;
mod outgoing;
mod protection;
mod queue;
mod record;
mod recorder;
mod release;
mod replays;
mod revisions;
mod run;
mod session;
mod settings;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use hookgate_domain::apart::Apart;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::Database;
use hookgate_domain::notifications::Notifier;
use hookgate_domain::redis::Redis;
use hookgate_egress::{Client, Permits};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use settings::Settings;

/// What everything in the worker shares.
struct Shared {
    settings: Settings,
    database: Database,
    redis: Redis,
    master_key: MasterKey,
    http: effects::http::HttpClient,
    identities: effects::target::Identities,
    apart: Apart,
    calls: Permits,
    revisions: revisions::Revisions,
    leases: leases::Leases,
    recorder: recorder::Recorder,
    notifier: Notifier,
    /// Cancelled when no more work is to be taken up.
    stopping: CancellationToken,
    /// Cancelled when the work in hand is to be given back.
    releasing: CancellationToken,
}

/// A running worker.
pub struct Worker {
    shared: Arc<Shared>,
    jobs: TaskTracker,
    services: TaskTracker,
    ended: CancellationToken,
}

/// Starts a worker on the running tokio runtime. Postgres and Redis may be away: it waits for them.
pub fn start(
    settings: Settings,
    database: Database,
    redis: Redis,
    master_key: MasterKey,
    egress: Client,
) -> Worker {
    let notifier = Notifier {
        master_key: master_key.clone(),
        per_minute: settings.notifications_per_minute,
    };
    let (recorder, recording) = recorder::Recorder::new(database.clone(), notifier.clone());
    let shared = Arc::new(Shared {
        calls: Permits::new(settings.calls, settings.calls_per_tenant),
        revisions: revisions::Revisions::new(),
        leases: leases::Leases::default(),
        apart: Apart::new(settings.body_memory_bytes),
        stopping: CancellationToken::new(),
        releasing: CancellationToken::new(),
        settings,
        database,
        redis,
        master_key,
        http: effects::http::HttpClient::new(egress),
        identities: effects::target::Identities::new(),
        recorder,
        notifier,
    });
    let (jobs, services, ended) = (TaskTracker::new(), TaskTracker::new(), CancellationToken::new());
    services.spawn(recording);
    services.spawn(leases::keep(Arc::clone(&shared), ended.clone()));
    services.spawn(maintenance::keep(Arc::clone(&shared)));
    services.spawn(queue::watch(Arc::clone(&shared)));
    services.spawn(release::keep(Arc::clone(&shared)));
    services.spawn(replays::keep(Arc::clone(&shared)));
    jobs.spawn(claim_loop::run(Arc::clone(&shared), jobs.clone()));
    Worker {
        shared,
        jobs,
        services,
        ended,
    }
}

impl Worker {
    /// Takes up no more work, lets the jobs in hand go on for a while, then gives the rest back. All that is done is
    /// recorded when this returns, unless Postgres is away.
    pub async fn stop(self) {
        self.shared.stopping.cancel();
        self.jobs.close();
        let patience = Duration::from_millis(self.shared.settings.stop_timeout_ms);
        if tokio::time::timeout(patience, self.jobs.wait()).await.is_err() {
            self.shared.releasing.cancel();
            if tokio::time::timeout(RELEASE_TIMEOUT, self.jobs.wait())
                .await
                .is_err()
            {
                tracing::warn!(
                    "some jobs could not be given back; another worker takes them over when their leases end"
                );
            }
        }
        self.ended.cancel();
        self.services.close();
        let Self { shared, services, .. } = self;
        drop(shared);
        // The recorder ends when nobody can hand it anything any more.
        let _ = tokio::time::timeout(RELEASE_TIMEOUT, services.wait()).await;
    }
}

/// How long giving back the jobs in hand may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
