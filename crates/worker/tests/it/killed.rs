//! A worker that is killed, wherever in a run: the run finishes once, what it writes is written once, what it calls is called
//! again at most, and then with the same key.

use std::collections::BTreeSet;
use std::time::Duration;

use hookgate_model::flow::session;
use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, eventually};
use hookgate_worker::failpoint::{POINTS, stand_still};
use hookgate_worker::{Settings, Worker};
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Stage, http_step, settings};

/// A worker in a runtime of its own: when that ends, all it was doing ends where it was, as in a killed process.
struct Killable {
    runtime: Option<tokio::runtime::Runtime>,
    _worker: Worker,
}

impl Killable {
    fn start(stage: &Stage, settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let worker = {
            let _entered = runtime.enter();
            stage.worker(settings)
        };
        Self {
            runtime: Some(runtime),
            _worker: worker,
        }
    }

    fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn flow(receiver: hookgate_model::ids::DestinationId) -> Value {
    let count = json!({ "count": "{{ session.count | default(0) + 1 }}" });
    json!({
        "session": { "key": "{{ body.chat }}" },
        "flow": { "steps": [
            http_step(receiver, json!({ "name": "first", "path": "/first" })),
            { "name": "save", "kind": "record", "collection": "orders", "operation": "insert", "key": "{{ event.id }}", "data": { "n": "{{ body.n }}" } },
            { "name": "counting", "kind": "session", "values": count },
            { "name": "reply", "kind": "respond", "status": 201, "body": { "saved": "{{ save.change }}", "count": "{{ session.count }}" } },
            http_step(receiver, json!({ "name": "second", "path": "/second" })),
            { "name": "notify", "kind": "callback", "destination": receiver, "path": "/notify" },
        ] },
        "response": { "mode": "wait" },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_finishes_once_wherever_its_worker_is_killed() {
    for point in POINTS {
        let (stage, receiver) = (Stage::new(), Receiver::start().await);
        receiver.otherwise(Reply::json(200, &json!({ "ok": true })));
        stage.collection(None).await;
        let destination = stage.destination(&receiver.url()).await;
        let webhook = stage.webhook(flow(destination));
        let event = stage.events(&webhook, &[json!({ "chat": "a", "n": 1 })], Some("node-1"))[0];
        stage.execute(&format!(
            "UPDATE jobs SET session_id = '{}'",
            session::id(webhook.id, "a")
        ));

        let still = stand_still(stage.tenant, point);
        let short = Settings {
            lease_ms: 600,
            ..settings()
        };
        let killed = Killable::start(&stage, short.clone());
        tokio::time::timeout(PATIENCE, still.notified())
            .await
            .unwrap_or_else(|_| panic!("{point} was not reached"));
        killed.kill();

        let worker = stage.worker(short);
        let run = stage.run_of(event).await;
        eventually(PATIENCE, format!("{point}: nothing is due"), async || {
            (stage.jobs() == 0).then_some(())
        })
        .await;
        worker.stop().await;
        assert_eq!((run.outcome.as_str(), run.error), ("succeeded", None), "{point}");
        let answer = run.answer.expect("an answer");
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (201, br#"{"saved":"created","count":1}"#.as_slice()),
            "{point}"
        );
        assert_eq!(run.steps.len(), 6, "{point}");
        assert_eq!(stage.number("SELECT count(*) AS number FROM runs"), 1, "{point}");
        assert_eq!(
            stage.number("SELECT sum(version)::bigint AS number FROM records"),
            1,
            "{point}"
        );
        let received = receiver.received();
        for path in ["/first", "/second", "/notify"] {
            let calls: Vec<_> = received
                .iter()
                .filter(|call| call.target.ends_with(path))
                .collect();
            let keys: BTreeSet<_> = calls.iter().map(|call| call.header("idempotency-key")).collect();
            assert!(
                (1..=2).contains(&calls.len()),
                "{point}: {} calls of {path}",
                calls.len()
            );
            assert_eq!(keys.len(), 1, "{point}: {keys:?}");
        }
        // The progress is kept: what came before the answer is not done again after it.
        if ["stored", "sent", "before_record", "recorded"].contains(&point) {
            let first = received
                .iter()
                .filter(|call| call.target.ends_with("/first"))
                .count();
            assert_eq!(first, 1, "{point}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_share_a_job_are_all_run_when_their_worker_is_killed() {
    for point in ["claimed", "called", "before_record", "recorded"] {
        let (stage, receiver) = (Stage::new(), Receiver::start().await);
        receiver.otherwise(Reply::status(200));
        let destination = stage.destination(&receiver.url()).await;
        let webhook = stage.webhook(json!({ "flow": { "steps": [http_step(destination, json!({}))] } }));
        let bodies: Vec<Value> = (0..5).map(|n| json!({ "n": n })).collect();
        let events = stage.events(&webhook, &bodies, None);
        let still = stand_still(stage.tenant, point);
        let short = Settings {
            lease_ms: 600,
            ..settings()
        };
        let killed = Killable::start(&stage, short.clone());
        tokio::time::timeout(PATIENCE, still.notified())
            .await
            .expect(point);
        killed.kill();
        let worker = stage.worker(short);
        for event in &events {
            assert_eq!(stage.run_of(*event).await.outcome, "succeeded", "{point}");
        }
        worker.stop().await;
        let received = receiver.wait_for(5, Duration::from_secs(1)).await;
        let keys: BTreeSet<_> = received
            .iter()
            .map(|call| call.header("idempotency-key"))
            .collect();
        assert_eq!((keys.len(), stage.jobs()), (5, 0), "{point}");
    }
}
