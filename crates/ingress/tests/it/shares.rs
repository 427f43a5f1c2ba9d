//! What tenants share on a node: one tenant's flood leaves something for the others.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hookgate_ingress::Settings;
use hookgate_testkit::eventually;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::harness::Harness;
use crate::wire::{connect, next_status, send};

const PATIENCE: Duration = Duration::from_secs(10);

/// A webhook of the tenant that floods, and one of another.
fn two_tenants(harness: &Harness, new: NewWebhook) -> [Webhook; 2] {
    let neighbour = harness.database.tenant("Neighbour");
    [
        harness.webhook(new.clone()),
        harness.database.webhook(neighbour, new),
    ]
}

/// Begins a request with a body of so many bytes, and sends as many of them.
async fn begin(harness: &Harness, webhook: &Webhook, declared: usize, sent: usize) -> TcpStream {
    let path = &webhook.production.path;
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {declared}\r\n\r\n");
    let mut stream = connect(harness.address).await;
    send(&mut stream, &[head.as_bytes(), &vec![b'x'; sent]]).await;
    stream
}

/// Waits until so many connections have been refused; the others have no answer.
async fn refused(streams: &mut [TcpStream], refused: usize) {
    let mut statuses: FuturesUnordered<_> = streams.iter_mut().map(next_status).collect();
    for _ in 0..refused {
        assert_eq!(statuses.next().await, Some(503));
    }
    assert_eq!(futures_util::FutureExt::now_or_never(statuses.next()), None);
}

async fn problem(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn large_bodies_of_one_leave_memory_for_another() {
    let settings = Settings {
        body_memory_bytes: 4 << 20,
        ..Settings::default()
    };
    let mut harness = Harness::with(settings).await;
    let [flooding, modest] = two_tenants(&harness, NewWebhook::default());
    let mut flood = Vec::new();
    // Two of 900 kB are less than a half; a third is not. What is refused gives its room back.
    let body = vec![b'x'; 900_000];
    let told = eventually(PATIENCE, "the share is used up", async || {
        flood.push(begin(&harness, &flooding, 1_000_000, 900_000).await);
        let answer = harness.post(&flooding.production).body(body.clone()).send().await;
        let (status, problem) = problem(answer.expect("an answer")).await;
        (status == 503).then_some(problem)
    })
    .await;
    assert_eq!(told["code"], "share_used_up");
    for _ in 0..3 {
        let answer = harness.post(&modest.production).body(body.clone()).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    drop(flood);
    // Once they are gone, there is room again.
    eventually(PATIENCE, "the room is given back", async || {
        let answer = harness.post(&flooding.production).body(body.clone()).send().await;
        (answer.expect("an answer").status() == 200).then_some(())
    })
    .await;
    harness.stop().await;
}

#[tokio::test]
async fn bodies_that_do_not_come_leave_connections_for_another() {
    let settings = Settings {
        // Of each of two threads.
        connections: 20,
        body_grace_ms: 60_000,
        ..Settings::default()
    };
    let mut harness = Harness::with(settings).await;
    let [flooding, modest] = two_tenants(&harness, NewWebhook::default());
    let mut flood = Vec::new();
    for _ in 0..24 {
        flood.push(begin(&harness, &flooding, 2, 0).await);
    }
    // Twenty are a half of all; the others hear so.
    refused(&mut flood, 4).await;
    let mut stream = begin(&harness, &modest, 2, 0).await;
    send(&mut stream, &[b"{}"]).await;
    assert_eq!(next_status(&mut stream).await, 200);
    drop(flood);
    harness.stop().await;
}

#[tokio::test]
async fn a_queue_that_fills_has_places_for_another() {
    let settings = Settings {
        waiting_events: 20,
        commit_timeout_ms: 60_000,
        ..Settings::default()
    };
    let mut harness = Harness::with(settings).await;
    let [flooding, modest] = two_tenants(&harness, NewWebhook::default());
    for webhook in [&flooding, &modest] {
        let answer = harness.post(&webhook.production).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    let mut superuser = harness.database.superuser();
    let mut execute = |statement: &str| {
        diesel::RunQueryDsl::execute(diesel::sql_query(statement), &mut superuser).expect("done");
    };
    execute("BEGIN");
    execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE");
    let post = |webhook: &Webhook| {
        let request = harness.post(&webhook.production);
        tokio::spawn(async move { problem(request.send().await.expect("an answer")).await })
    };
    let mut flood: Vec<_> = (0..100).map(|_| post(&flooding)).collect();
    let ended = |flood: &[JoinHandle<(u16, Value)>]| flood.iter().filter(|task| task.is_finished()).count();
    eventually(PATIENCE, "the share is used up", async || {
        (ended(&flood) >= 40).then_some(())
    })
    .await;
    let others: Vec<_> = (0..4).map(|_| post(&modest)).collect();
    // A committer that took a batch just now left room for a few; the rest hear that their share is used up.
    eventually(PATIENCE, "more of the flood is refused", async || {
        flood.push(post(&flooding));
        (ended(&flood) > 100).then_some(())
    })
    .await;
    // None of the others is refused: they wait for Postgres.
    assert!(others.iter().all(|task| !task.is_finished()));
    execute("ROLLBACK");
    for other in others {
        assert_eq!(other.await.expect("an answer").0, 200);
    }
    let mut told = BTreeMap::new();
    for task in flood {
        let (status, problem) = task.await.expect("an answer");
        assert!(status == 200 || problem["code"] == "share_used_up", "{problem}");
        *told.entry(status).or_insert(0) += 1;
    }
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), [200, 503], "{told:?}");
    harness.stop().await;
    assert_eq!(harness.events(&modest).len(), 5);
    assert_eq!(harness.events(&flooding).len(), 1 + told[&200]);
}

#[tokio::test]
async fn waiting_callers_leave_places_for_another() {
    let settings = Settings {
        waiting_callers: 4,
        ..Settings::default()
    };
    let mut harness = Harness::with(settings).await;
    let waits = NewWebhook {
        revision: json!({"flow": {"steps": [{"name": "a", "kind": "set", "values": {"x": 1}}]},
            "response": {"mode": "wait", "timeout_ms": 30_000}}),
        ..NewWebhook::default()
    };
    let [flooding, modest] = two_tenants(&harness, waits);
    let post = |webhook: &Webhook| {
        let request = harness.post(&webhook.production);
        tokio::spawn(async move { request.send().await.expect("an answer").status().as_u16() })
    };
    // There is no worker yet: two wait, the others hear at once that it takes longer.
    let mut flood: Vec<_> = (0..5).map(|_| post(&flooding)).collect();
    eventually(PATIENCE, "the share is used up", async || {
        (flood.iter().filter(|task| task.is_finished()).count() == 3).then_some(())
    })
    .await;
    let other = post(&modest);
    eventually(PATIENCE, "it is stored", async || {
        (harness.events(&modest).len() == 1).then_some(())
    })
    .await;
    flood.push(post(&flooding));
    eventually(PATIENCE, "one more hears so", async || {
        (flood.iter().filter(|task| task.is_finished()).count() == 4).then_some(())
    })
    .await;
    assert!(!other.is_finished());
    let worker = harness.worker();
    assert_eq!(other.await.expect("an answer"), 200);
    let mut told = Vec::new();
    for task in flood {
        told.push(task.await.expect("an answer"));
    }
    told.sort_unstable();
    assert_eq!(told, [200, 200, 202, 202, 202, 202]);
    worker.stop().await;
    harness.stop().await;
}
