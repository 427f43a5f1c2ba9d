//! Nothing is lost: under load, the ingress, the worker, PostgreSQL and Redis are killed and started again, over and over.
//!
//! Every request has a body of its own. What was answered with 2xx must be stored once, byte for byte, and must have run;
//! everything else must have been refused with 503 and `Retry-After`, unless there was no ingress to answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::sql_types::{BigInt, Binary, Integer, SmallInt, Text};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use hookgate_devservers::{OWNER, Options, Servers};
use hookgate_testkit::eventually;
use parking_lot::Mutex;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use crate::installation::{Installation, Storage};
use crate::process;

const SENDERS: u64 = 12;
/// One sender's pace: all together send some hundred requests a second.
const PACE: Duration = Duration::from_millis(40);
/// How long something stays dead.
const OUTAGE: Duration = Duration::from_millis(700);
/// How soon requests must be acknowledged again after the outage, without help.
const RECOVER_WITHIN: Duration = Duration::from_secs(30);
/// A request is answered within this, whatever is dead behind the ingress.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How soon the last event of a flow has run after the load.
const RUN_WITHIN: Duration = Duration::from_secs(60);
pub const DATABASE: &str = "hookgate";

/// What is done to the installation in one round.
#[derive(Debug, Clone, Copy)]
enum Blow {
    KillIngress,
    KillWorker,
    StopPostgresImmediately,
    KillPostgres,
    KillRedis,
    FlushRedis,
    KillEverything,
}

const ROUNDS: [Blow; 13] = [
    Blow::KillIngress,
    Blow::KillPostgres,
    Blow::KillRedis,
    Blow::KillWorker,
    Blow::StopPostgresImmediately,
    Blow::FlushRedis,
    Blow::KillPostgres,
    Blow::KillIngress,
    Blow::StopPostgresImmediately,
    Blow::KillWorker,
    Blow::KillRedis,
    Blow::KillEverything,
    Blow::FlushRedis,
];

/// What the senders saw.
#[derive(Default)]
struct Ledger {
    /// The senders finish the request in hand and end.
    over: AtomicBool,
    /// Counts up when the ingress goes and when it comes back: odd while it is dead.
    ingress_changes: AtomicU64,
    acknowledged: AtomicU64,
    unavailable: AtomicU64,
    unanswered: AtomicU64,
    /// The event ids of acknowledged requests, and their bodies.
    bodies: Mutex<Vec<(String, Vec<u8>)>>,
    /// Answers that must not be.
    wrong: Mutex<Vec<String>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    let mut servers = Servers::start_temporary(&Options::default()).unwrap();
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(
            servers
                .postgres
                .execute("postgres", &format!("SHOW {setting}"))
                .unwrap(),
            "on"
        );
    }
    let storage = storage(&servers);
    let mut installation = Installation::start(&storage, &[("HOOKGATE_WORKER__LEASE_MS", "3000")]).await;
    let plain = installation
        .api
        .webhook(&json!({ "name": "Plain", "suffix": "plain" }), None)
        .await;
    let flow = json!({ "flow": { "steps": [{ "name": "seen", "kind": "set", "values": { "n": "{{ body.number }}" } }] } });
    let running = installation
        .api
        .webhook(&json!({ "name": "Flow", "suffix": "flow" }), Some(&flow))
        .await;

    let ledger = Arc::new(Ledger::default());
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let url = if sender % 2 == 0 { &plain } else { &running };
        senders.spawn(send(sender, url.clone(), Arc::clone(&ledger)));
    }
    let started = Instant::now();
    some_acknowledged(&ledger).await;
    for blow in ROUNDS {
        strike(blow, &mut installation, &mut servers, &ledger).await;
        some_acknowledged(&ledger).await;
    }
    ledger.over.store(true, Ordering::SeqCst);
    senders.join_all().await;
    let took = started.elapsed();

    let acknowledged = std::mem::take(&mut *ledger.bodies.lock());
    println!(
        "{} rounds in {:.0} s: {} acknowledged, {} told to come back, {} unanswered while the ingress was dead",
        ROUNDS.len(),
        took.as_secs_f64(),
        acknowledged.len(),
        ledger.unavailable.load(Ordering::Relaxed),
        ledger.unanswered.load(Ordering::Relaxed)
    );
    let wrong = std::mem::take(&mut *ledger.wrong.lock());
    let some = &wrong[..wrong.len().min(5)];
    assert!(
        wrong.is_empty(),
        "{} wrong answers, such as {some:?}",
        wrong.len()
    );
    assert!(acknowledged.len() > 500, "too little load to prove anything");
    assert!(
        ledger.unavailable.load(Ordering::Relaxed) > 0,
        "no request met a dead PostgreSQL"
    );
    compare(&servers, &acknowledged).await;
    let metrics = installation.ingress.metrics().await;
    assert!(
        metrics.contains("# TYPE"),
        "the restarted ingress has metrics: {metrics}"
    );
    installation.stop();
    servers.stop().unwrap();
}

/// Migrates the private database with the program itself.
pub fn storage(servers: &Servers) -> Storage {
    servers.postgres.ensure_database(DATABASE).unwrap();
    let address = servers.address();
    let url = |role: &str| address.postgres(role, DATABASE);
    let environment = [("HOOKGATE_DATABASE__OWNER_URL".to_owned(), url(OWNER))];
    let migrated = process::run(["migrate"], &environment);
    assert!(
        migrated.status.success(),
        "{}",
        String::from_utf8_lossy(&migrated.stderr)
    );
    Storage {
        ingress: url("hookgate_ingress"),
        management: url("hookgate_management"),
        worker: url("hookgate_worker"),
        redis: address.redis(""),
    }
}

/// Kills something, leaves it dead for a moment, and starts it again.
async fn strike(blow: Blow, installation: &mut Installation, servers: &mut Servers, ledger: &Ledger) {
    let ingress_too = matches!(blow, Blow::KillIngress | Blow::KillEverything);
    if ingress_too {
        ledger.ingress_changes.fetch_add(1, Ordering::SeqCst);
    }
    match blow {
        Blow::KillIngress => installation.ingress.kill(),
        Blow::KillWorker => installation.worker.kill(),
        Blow::StopPostgresImmediately => servers.postgres.stop_immediately().unwrap(),
        Blow::KillPostgres => servers.postgres.kill(),
        Blow::KillRedis => servers.redis.kill(),
        Blow::FlushRedis => servers.redis.flush().unwrap(),
        Blow::KillEverything => {
            servers.postgres.kill();
            servers.redis.kill();
            installation.worker.kill();
            installation.ingress.kill();
        }
    }
    // The outage itself, not a wait for anything.
    tokio::time::sleep(OUTAGE).await;
    installation.ingress.start();
    installation.worker.start();
    servers.redis.start().unwrap();
    servers.postgres.start().unwrap();
    if ingress_too {
        installation.ingress.ready().await;
        ledger.ingress_changes.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits until requests are acknowledged: at the beginning, and after each blow without anybody's help.
async fn some_acknowledged(ledger: &Ledger) {
    let before = ledger.acknowledged.load(Ordering::SeqCst);
    eventually(RECOVER_WITHIN, "requests are acknowledged", async || {
        (ledger.acknowledged.load(Ordering::SeqCst) >= before + 100).then_some(())
    })
    .await;
}

/// Sends requests one after another, each with a body that nobody else sends.
async fn send(sender: u64, url: String, ledger: Arc<Ledger>) {
    // A new connection each time: one that an ingress before left open says nothing about the one that runs.
    let client = Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(ANSWER_WITHIN)
        .build()
        .unwrap();
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for number in 0_u64.. {
        pace.tick().await;
        if ledger.over.load(Ordering::SeqCst) {
            return;
        }
        let body = body(sender, number);
        let changes = ledger.ingress_changes.load(Ordering::SeqCst);
        let request = client
            .post(&url)
            .header("content-type", "application/json")
            .body(body.clone());
        match request.send().await {
            Ok(answer) if answer.status().is_success() => {
                let event = answer
                    .headers()
                    .get("hookgate-event-id")
                    .and_then(|id| id.to_str().ok());
                match event {
                    Some(event) => {
                        ledger.bodies.lock().push((event.to_owned(), body));
                        ledger.acknowledged.fetch_add(1, Ordering::SeqCst);
                    }
                    None => ledger
                        .wrong
                        .lock()
                        .push("an acknowledgement without an event".to_owned()),
                }
            }
            Ok(answer)
                if answer.status() == StatusCode::SERVICE_UNAVAILABLE
                    && answer.headers().contains_key("retry-after") =>
            {
                ledger.unavailable.fetch_add(1, Ordering::SeqCst);
            }
            Ok(answer) => {
                let status = answer.status();
                let text = answer.text().await.unwrap_or_default();
                ledger.wrong.lock().push(format!("{status}: {text}"));
            }
            Err(error) => {
                let alive =
                    changes.is_multiple_of(2) && ledger.ingress_changes.load(Ordering::SeqCst) == changes;
                if alive {
                    ledger
                        .wrong
                        .lock()
                        .push(format!("no answer from a living ingress: {error:?}"));
                } else {
                    ledger.unanswered.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }
}

/// Some bodies are stored as they are, some compressed.
fn body(sender: u64, number: u64) -> Vec<u8> {
    let filler = "0123456789".repeat(usize::try_from(number % 5).unwrap() * 100);
    json!({ "sender": sender, "number": number, "filler": filler })
        .to_string()
        .into_bytes()
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    id: uuid::Uuid,
    #[diesel(sql_type = SmallInt)]
    body_codec: i16,
    #[diesel(sql_type = Integer)]
    body_bytes: i32,
    #[diesel(sql_type = Binary)]
    body: Vec<u8>,
}

impl Stored {
    /// The exact bytes, read here without Hookgate's own code.
    fn original(&self) -> Vec<u8> {
        match self.body_codec {
            0 => self.body.clone(),
            1 => lz4_flex::block::decompress(&self.body, usize::try_from(self.body_bytes).unwrap()).unwrap(),
            other => panic!("body codec {other}"),
        }
    }
}

/// Compares what was acknowledged with what is stored, and waits until all of the flow's events have run.
async fn compare(servers: &Servers, acknowledged: &[(String, Vec<u8>)]) {
    let url = servers.address().postgres_superuser(DATABASE);
    let mut superuser = PgConnection::establish(&url).unwrap();
    let query = sql_query("SELECT id, body_codec, body_bytes, body FROM events");
    let stored: Vec<Stored> = query.load(&mut superuser).unwrap();
    let mut times_stored: HashMap<Vec<u8>, u32> = HashMap::new();
    for event in &stored {
        *times_stored.entry(event.original()).or_default() += 1;
    }
    let by_id: HashMap<uuid::Uuid, &Stored> = stored.iter().map(|event| (event.id, event)).collect();
    let (mut lost, mut changed, mut doubled) = (0, 0, 0);
    for (event, body) in acknowledged {
        let id: hookgate_model::ids::EventId = event.parse().unwrap();
        match by_id.get(&id.uuid()) {
            None => lost += 1,
            Some(stored) if stored.original() != *body => changed += 1,
            Some(_) if times_stored[body] != 1 => doubled += 1,
            Some(_) => {}
        }
    }
    let outcome = (lost, changed, doubled);
    assert_eq!(
        outcome,
        (0, 0, 0),
        "lost, changed, doubled of {} acknowledged",
        acknowledged.len()
    );
    everything_ran(&mut superuser).await;
}

/// Every event of the flow, acknowledged or not, has run and no work is left.
async fn everything_ran(superuser: &mut PgConnection) {
    #[derive(Debug, QueryableByName)]
    struct Left {
        #[diesel(sql_type = BigInt)]
        not_run: i64,
        #[diesel(sql_type = BigInt)]
        not_succeeded: i64,
        #[diesel(sql_type = BigInt)]
        jobs: i64,
        #[diesel(sql_type = Text)]
        some: String,
    }
    let query = "SELECT count(*) FILTER (WHERE runs.id IS NULL) AS not_run, \
        count(*) FILTER (WHERE outcome <> 'succeeded') AS not_succeeded, (SELECT count(*) FROM jobs) AS jobs, \
        (SELECT coalesce(string_agg(job::text, '; '), '') FROM (SELECT id, due_at, leased_until, lease_token, attempt, \
        cardinality(event_ids), state FROM jobs LIMIT 3) AS job) AS some \
        FROM events LEFT JOIN runs USING (tenant_id, id) WHERE suffix = 'flow'";
    let deadline = Instant::now() + RUN_WITHIN;
    loop {
        let left: Left = sql_query(query).get_result(superuser).unwrap();
        if (left.not_run, left.not_succeeded, left.jobs) == (0, 0, 0) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "not everything has run: {left:?}; jobs left: {}",
            left.some
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
