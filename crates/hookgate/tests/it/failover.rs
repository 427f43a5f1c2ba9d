//! PostgreSQL with a synchronous standby, which takes over when the primary is lost.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookgate_devservers::{Options, Servers};
use hookgate_model::ids::EventId;
use hookgate_testkit::{eventually, http_client};
use reqwest::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::chaos::{DATABASE, storage};
use crate::installation::{Installation, Storage};

const PATIENCE: Duration = Duration::from_secs(60);
const SENDERS: usize = 8;
/// Events that are acknowledged before the primary is lost, and after it.
const EACH: usize = 300;

/// Sends until it is over; what is refused meanwhile is told with 503, and is not sent again.
async fn send(url: String, acknowledged: Arc<Mutex<Vec<EventId>>>, is_over: Arc<AtomicBool>) {
    let (client, mut ticks) = (http_client(), tokio::time::interval(Duration::from_millis(5)));
    while !is_over.load(Ordering::Relaxed) {
        ticks.tick().await;
        let answer = client.post(&url).json(&json!({ "n": 1 })).send().await.unwrap();
        match answer.status() {
            StatusCode::OK => {
                let id = answer.headers()["hookgate-event-id"].to_str().unwrap();
                acknowledged.lock().unwrap().push(id.parse().unwrap());
            }
            StatusCode::SERVICE_UNAVAILABLE => assert!(answer.headers().contains_key("retry-after")),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_a_synchronous_standby_takes_over() {
    let mut primary = Servers::start_temporary(&Options::default()).unwrap();
    let single = storage(&primary);
    let following = Options {
        standby_of: Some(primary.address()),
        ..Options::default()
    };
    let standby = Servers::start_temporary(&following).unwrap();
    // From now on a commit is confirmed when it is on both.
    let system = |sql: &str| primary.postgres.execute("postgres", sql).unwrap();
    system("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'");
    system("SELECT pg_reload_conf()");
    eventually(PATIENCE, "the standby follows", async || {
        let state = system("SELECT sync_state FROM pg_stat_replication");
        (state == "quorum").then_some(())
    })
    .await;

    let url = |role: &str| {
        primary
            .address()
            .postgres_with(&standby.address(), role, DATABASE)
    };
    let both = Storage {
        ingress: url("hookgate_ingress"),
        management: url("hookgate_management"),
        worker: url("hookgate_worker"),
        ..single
    };
    let installation = Installation::start(&both, &[]).await;
    let flow = json!({ "flow": { "steps": [{ "name": "seen", "kind": "set", "values": { "n": "{{ body.n }}" } }] } });
    let webhook = json!({ "name": "Orders" });
    let url = installation.api.webhook(&webhook, Some(&flow)).await;
    let (acknowledged, is_over) = (
        Arc::<Mutex<Vec<EventId>>>::default(),
        Arc::<AtomicBool>::default(),
    );
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        senders.spawn(send(url.clone(), Arc::clone(&acknowledged), Arc::clone(&is_over)));
    }
    let reach = async |count: usize| {
        let enough = async || (acknowledged.lock().unwrap().len() >= count).then_some(());
        eventually(PATIENCE, format!("{count} events are acknowledged"), enough).await;
    };
    reach(EACH).await;
    primary.postgres.kill();
    let before = acknowledged.lock().unwrap().len();
    standby
        .postgres
        .execute("postgres", "SELECT pg_promote()")
        .unwrap();
    reach(before + EACH).await;
    is_over.store(true, Ordering::Relaxed);
    while let Some(sender) = senders.join_next().await {
        sender.unwrap();
    }

    let acknowledged = acknowledged.lock().unwrap().clone();
    let ids = |sql: &str| -> HashSet<String> {
        let found = standby.postgres.execute(DATABASE, sql).unwrap();
        found.lines().map(str::to_owned).collect()
    };
    let stored = ids("SELECT id FROM events");
    let lost = acknowledged
        .iter()
        .filter(|id| !stored.contains(&id.uuid().to_string()));
    assert_eq!(lost.count(), 0, "of {} acknowledged", acknowledged.len());
    eventually(PATIENCE, "every event has run", async || {
        let ran = ids("SELECT id FROM runs WHERE outcome = 'succeeded'");
        (ran == stored).then_some(())
    })
    .await;
    println!(
        "{} acknowledged, {} of them before the failover",
        acknowledged.len(),
        before
    );
    installation.stop();
}
