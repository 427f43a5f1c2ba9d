//! A delivery that a thousand clients send and send again is one event, whatever is killed meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use hookgate_devservers::{Options, Servers};
use hookgate_testkit::eventually;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use crate::chaos::{DATABASE, storage};
use crate::installation::Installation;

const CLIENTS: usize = 1_000;
/// A client tries again after this.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
enum Blow {
    KillIngress,
    KillPostgres,
}

/// What a client saw on its way to its answer.
#[derive(Default)]
struct Seen {
    begun: AtomicUsize,
    acknowledged: AtomicUsize,
    again: AtomicUsize,
}

/// What the answers of one delivery have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    event: String,
    body: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_identical_deliveries_are_one_event_across_restarts() {
    let mut servers = Servers::start_temporary(&Options::default()).unwrap();
    let storage = storage(&servers);
    let mut installation = Installation::start(&storage, &[("HOOKGATE_WORKER__LEASE_MS", "3000")]).await;
    let webhook = |name: &str| {
        json!({ "name": name, "suffix": name,
            "deduplication": { "key": "{{ headers['x-delivery'] }}", "remember_hours": 1 } })
    };
    let steps =
        json!([{ "name": "seen", "kind": "set", "values": { "client": "{{ headers['x-client'] }}" } }]);
    let steps = &steps;
    let revision = |response| json!({ "flow": { "steps": steps }, "response": response });
    // Every client would get another answer if its delivery were not recognised.
    let made_at_once = revision(
        json!({ "status": 201, "body": { "event": "{{ event.id }}", "client": "{{ headers['x-client'] }}" } }),
    );
    let waited_for = revision(
        json!({ "mode": "wait", "timeout_ms": 30000, "status": 201, "body": { "client": "{{ seen.client }}" } }),
    );
    let at_once = installation
        .api
        .webhook(&webhook("at-once"), Some(&made_at_once))
        .await;
    let waiting = installation
        .api
        .webhook(&webhook("waiting"), Some(&waited_for))
        .await;

    let rounds = [
        (&at_once, Blow::KillIngress, 0),
        (&at_once, Blow::KillIngress, CLIENTS / 4),
        (&at_once, Blow::KillPostgres, 0),
        (&at_once, Blow::KillPostgres, CLIENTS / 4),
        (&waiting, Blow::KillIngress, 0),
        (&waiting, Blow::KillIngress, CLIENTS / 4),
        (&waiting, Blow::KillPostgres, CLIENTS / 4),
    ];
    // No connection is used again: one that an ingress before left open says nothing about the one that runs.
    let client = Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(ANSWER_WITHIN)
        .build()
        .unwrap();
    let mut met = 0;
    for (round, (url, blow, acknowledged)) in rounds.into_iter().enumerate() {
        let seen = Arc::new(Seen::default());
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(deliver(
                client.clone(),
                number,
                url.clone(),
                format!("delivery-{round}"),
                Arc::clone(&seen),
            ));
        }
        eventually(ANSWER_WITHIN, "the blow is due", async || {
            let is_due = seen.begun.load(Ordering::SeqCst) >= 100
                && seen.acknowledged.load(Ordering::SeqCst) >= acknowledged;
            is_due.then_some(())
        })
        .await;
        match blow {
            Blow::KillIngress => {
                installation.ingress.kill();
                installation.ingress.start();
            }
            Blow::KillPostgres => {
                servers.postgres.kill();
                servers.postgres.start().unwrap();
            }
        }
        let before = seen.acknowledged.load(Ordering::SeqCst);
        let answers = clients.join_all().await;
        println!(
            "round {round}, {blow:?}: {before} answered before, {} sent again",
            seen.again.load(Ordering::SeqCst)
        );
        met += usize::from(seen.again.load(Ordering::SeqCst) > 0);
        let first = &answers[0];
        assert_eq!(first.status, StatusCode::CREATED);
        let other = answers.iter().find(|answer| *answer != first);
        assert_eq!(other, None, "in round {round} others got {first:?}");
    }
    // A blow may come when everybody has what they need: an answer that waits in Redis needs no Postgres.
    assert!(met >= 4, "somebody met only {met} of the blows");
    let mut superuser = PgConnection::establish(&servers.address().postgres_superuser(DATABASE)).unwrap();
    let mut count = |table: &str| {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let row: Row = sql_query(format!("SELECT count(*) FROM {table}"))
            .get_result(&mut superuser)
            .unwrap();
        usize::try_from(row.count).unwrap()
    };
    assert_eq!(count("events"), rounds.len());
    eventually(ANSWER_WITHIN, "every event has run", async || {
        (count("jobs") == 0).then_some(())
    })
    .await;
    assert_eq!(count("runs"), rounds.len());
    installation.stop();
    servers.stop().unwrap();
}

/// Sends a delivery until it is acknowledged.
async fn deliver(client: Client, number: usize, url: String, delivery: String, seen: Arc<Seen>) -> Answer {
    loop {
        seen.begun.fetch_add(1, Ordering::SeqCst);
        let request = client
            .post(&url)
            .header("x-delivery", &delivery)
            .header("x-client", number)
            .body("{}");
        match request.send().await {
            // On a machine that is busy with all of this, heads can come too slowly for the ingress.
            Ok(answer)
                if ![StatusCode::SERVICE_UNAVAILABLE, StatusCode::REQUEST_TIMEOUT]
                    .contains(&answer.status()) =>
            {
                let status = answer.status();
                let event = answer
                    .headers()
                    .get("hookgate-event-id")
                    .map(|id| id.to_str().unwrap().to_owned());
                // An answer that was cut off acknowledges nothing.
                if let Ok(body) = answer.text().await {
                    seen.acknowledged.fetch_add(1, Ordering::SeqCst);
                    let event = event.unwrap_or_else(|| panic!("{status} without an event: {body}"));
                    return Answer { status, event, body };
                }
            }
            Ok(_) | Err(_) => {}
        }
        seen.again.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}
