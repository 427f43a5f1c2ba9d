//! Workers as processes that are killed (SIGKILL, sent to itself at a named point of a run) or stopped for too long: each run
//! finishes once, each effect happens at least once with the same key, and the caller gets the right answer.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use hookgate_testkit::receiver::{Received, Reply};
use hookgate_testkit::{Receiver, TestDatabase, eventually, http_client};
use hookgate_worker::failpoint::POINTS;
use serde_json::{Value, json};

use crate::installation::{Installation, Storage};

const PATIENCE: Duration = Duration::from_secs(30);
const SIGKILL: i32 = 9;
/// Settings of a worker that is soon found to be dead.
const WORKER: [(&str, &str); 3] = [
    ("HOOKGATE_EGRESS__ALLOWED_PRIVATE_NETWORKS", r#"["127.0.0.0/8"]"#),
    ("HOOKGATE_WORKER__LEASE_MS", "1000"),
    ("HOOKGATE_WORKER__POLL_MOST_MS", "200"),
];

fn revision(destination: &Value) -> Value {
    let call = |name: &str, kind: &str| {
        json!({ "name": name, "kind": kind, "destination": destination, "path": format!("/{name}"),
            "body": { "point": "{{ body.point }}" } })
    };
    json!({
        "session": { "key": "{{ body.point }}" },
        "flow": { "steps": [
            call("first", "http"),
            { "name": "save", "kind": "record", "collection": "orders", "operation": "insert", "key": "{{ body.point }}",
              "data": { "event": "{{ event.id }}" } },
            { "name": "counting", "kind": "session", "values": { "count": "{{ session.count | default(0) + 1 }}" } },
            { "name": "reply", "kind": "respond", "status": 201,
              "body": { "saved": "{{ save.change }}", "count": "{{ session.count }}" } },
            call("second", "http"),
            call("notify", "callback"),
        ] },
        "response": { "mode": "wait", "timeout_ms": 25000 },
    })
}

/// The calls to a path for a point.
fn calls<'a>(received: &'a [Received], path: &str, point: &str) -> Vec<&'a Received> {
    let body = json!({ "point": point }).to_string().into_bytes();
    received
        .iter()
        .filter(|call| call.target == path && call.body == body)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_finishes_once_wherever_its_workers_process_is_killed() {
    let database = TestDatabase::create();
    let mut installation = Installation::start(&Storage::of(&database), &WORKER).await;
    let receiver = Receiver::start().await;
    receiver.otherwise(Reply::json(200, &json!({ "ok": true })));
    let destination = json!({ "name": "Receiver", "base_url": receiver.url() });
    let destination = installation.api.post("/destinations", &destination).await["id"].clone();
    installation
        .api
        .post("/collections", &json!({ "name": "orders" }))
        .await;
    let webhook = json!({ "name": "Orders" });
    let url = installation
        .api
        .webhook(&webhook, Some(&revision(&destination)))
        .await;

    for point in POINTS {
        installation.worker.kill();
        installation.worker.start_with(&[("FAILPOINT", point)]);
        let sending = http_client().post(&url).json(&json!({ "point": point })).send();
        let answering = tokio::spawn(sending);
        let ended = installation.worker.wait_for_end(PATIENCE).await;
        assert_eq!(ended.signal(), Some(SIGKILL), "{point}: {ended}");
        installation.worker.start();

        let answer = answering.await.unwrap().unwrap();
        assert_eq!(answer.status(), 201, "{point}");
        let event = answer.headers()["hookgate-event-id"].to_str().unwrap().to_owned();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body, json!({ "saved": "created", "count": 1 }), "{point}");

        let (api, id) = (&installation.api, event.replace("evt_", "run_"));
        let arrived = async || {
            let run = api.get_eventually(&format!("/runs/{id}")).await;
            (run["callbacks"][0]["outcome"] == "succeeded").then_some(run)
        };
        let run = eventually(PATIENCE, format!("{point}: the callback arrives"), arrived).await;
        assert_eq!(
            (&run["outcome"], &run["error"]),
            (&json!("succeeded"), &Value::Null),
            "{point}"
        );
        let steps: Vec<&Value> = run["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| &step["name"])
            .collect();
        assert_eq!(
            steps,
            ["first", "save", "counting", "reply", "second", "notify"],
            "{point}"
        );
        let record = api.get(&format!("/collections/orders/records/{point}")).await;
        assert_eq!(
            record["data"]["event"],
            json!(event),
            "{point}: an insert works once"
        );

        let received = receiver.received();
        let attempts = api.get(&format!("/attempts?run_id={id}")).await;
        for step in ["first", "second", "notify"] {
            let calls = calls(&received, &format!("/{step}"), point);
            let keys: BTreeSet<_> = calls.iter().map(|call| call.header("idempotency-key")).collect();
            assert!(
                (1..=2).contains(&calls.len()),
                "{point}: {} calls of {step}",
                calls.len()
            );
            assert_eq!(keys.len(), 1, "{point}: {keys:?}");
            let attempts = attempts["data"].as_array().unwrap().iter();
            let recorded = attempts.filter(|attempt| attempt["step"] == step).count();
            assert!(
                (1..=calls.len()).contains(&recorded),
                "{point}: {recorded} attempts of {step}"
            );
        }
    }
    let runs = installation.api.get("/runs?limit=200").await;
    assert_eq!(runs["data"].as_array().unwrap().len(), POINTS.len());
    installation.worker.ready().await;
    installation.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stood_still_for_longer_than_its_lease_completes_nothing() {
    let database = TestDatabase::create();
    let mut installation = Installation::start(&Storage::of(&database), &WORKER).await;
    let receiver = Receiver::start().await;
    receiver.script([Reply::status(500).after(Duration::from_secs(2))]);
    let api = &installation.api;
    let destination = json!({ "name": "Receiver", "base_url": receiver.url() });
    let destination = api.post("/destinations", &destination).await["id"].clone();
    let flow = json!({ "flow": { "steps": [{ "name": "call", "kind": "http", "destination": destination,
        "retry": { "attempts": 1 } }] } });
    let url = api.webhook(&json!({ "name": "Orders" }), Some(&flow)).await;
    let answer = http_client().post(url).json(&json!({})).send().await.unwrap();
    let event = answer.headers()["hookgate-event-id"].to_str().unwrap().to_owned();
    receiver.wait_for(1, PATIENCE).await;
    installation.worker.signal("STOP");

    let mut other = installation.worker.another();
    other.start();
    let path = format!("/runs/{}", event.replace("evt_", "run_"));
    let run = api.get_eventually(&path).await;
    assert_eq!(run["outcome"], "succeeded", "by the worker that took over: {run}");
    installation.worker.signal("CONT");
    let told = async || {
        let metrics = installation.worker.metrics().await;
        metrics.contains("hookgate_leases_lost_total 1").then_some(())
    };
    eventually(PATIENCE, "the first worker learns that it lost its lease", told).await;

    assert_eq!(api.get(&path).await, run);
    let attempts = api.get("/attempts").await;
    let outcomes: Vec<_> = attempts["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["outcome"])
        .collect();
    assert_eq!(outcomes, ["succeeded"], "what the first got is not recorded");
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(
        received[0].header("idempotency-key"),
        received[1].header("idempotency-key")
    );
    other.stop();
    installation.stop();
}
