//! The way of an answer to the caller who waits.

use std::sync::Arc;

use diesel::PgConnection;
use hookgate_domain::answers;
use hookgate_domain::redis::answers::AnswerNotice;
use hookgate_model::answer::Answer;
use hookgate_model::ids::EventId;
use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, eventually};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::stage::{PATIENCE, Stage, http_step, settings};

/// Listens as the ingress node `node-1` does.
async fn listen(
    stage: &Stage,
) -> (
    hookgate_domain::redis::Subscription,
    UnboundedReceiver<(EventId, Answer)>,
) {
    let (sender, receiver) = unbounded_channel();
    let connected = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&connected);
    let subscription = stage
        .database
        .redis()
        .on_answer("node-1", move |notice| match notice {
            AnswerNotice::Connected => told.notify_one(),
            AnswerNotice::Answered(event, answer) => {
                let _ = sender.send((event, answer));
            }
            AnswerNotice::Lost => {}
        });
    connected.notified().await;
    (subscription, receiver)
}

async fn from_postgres(stage: &Stage, event: EventId) -> Option<Answer> {
    // Any scope of this tenant; the ingress has that of the URL.
    let job = stage.claim(100, PATIENCE).await;
    let scope = job.first().map(|job| job.lease.scope);
    let scope = match scope {
        Some(scope) => scope,
        None => return None,
    };
    let read = move |conn: &mut PgConnection| {
        scope.transaction(conn, |conn| answers::read(conn, &scope, &[(event, None)]))
    };
    let found = stage.database.ingress().run(read).await.expect("readable");
    found.into_iter().next()?.1.expect("readable")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_goes_to_the_caller_who_waits() {
    let stage = Stage::new();
    let (_subscription, mut answers) = listen(&stage).await;
    let webhook = stage.webhook(json!({
        "flow": { "only_if": "{{ body.n > 0 }}", "steps": [
            { "name": "a", "kind": "set", "values": { "double": "{{ body.n * 2 }}" } },
            { "name": "b", "kind": "set", "values": { "x": "{{ 10 // body.n if body.n < 9 else body.absent }}" } },
        ] },
        "response": { "mode": "wait", "status": 201, "body": { "double": "{{ a.double }}" },
            "on": { "filtered": { "status": 422, "body": "filtered" }, "failed": { "status": 502, "body": "{{ error.step }}" } } },
    }));
    let worker = stage.worker(settings());
    for (n, status, body) in [(4, 201, r#"{"double":8}"#), (0, 422, "filtered"), (9, 502, "b")] {
        let event = stage.events(&webhook, &[json!({ "n": n })], Some("node-1"))[0];
        let (answered, answer) = tokio::time::timeout(PATIENCE, answers.recv())
            .await
            .expect("in time")
            .expect("an answer");
        assert_eq!(
            (answered, answer.status, answer.body.as_slice()),
            (event, status, body.as_bytes())
        );
        let run = stage
            .find_run(event)
            .expect("the run is stored before its answer is sent");
        assert_eq!(run.answer, Some(answer));
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_the_middle_is_stored_then_sent_and_the_flow_goes_on() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let (_subscription, mut answers) = listen(&stage).await;
    receiver.otherwise(Reply::status(503));
    let destination = stage.destination(&receiver.url()).await;
    let later = json!({ "retry": { "attempts": 2, "initial_delay_ms": 3600000, "max_delay_ms": 3600000 } });
    let webhook = stage.webhook(json!({
        "flow": { "steps": [
            { "name": "reply", "kind": "respond", "status": 202, "body": "got {{ body.n }}" },
            http_step(destination, later),
        ] },
        "response": { "mode": "wait" },
    }));
    let event = stage.events(&webhook, &[json!({ "n": 1 })], Some("node-1"))[0];
    let worker = stage.worker(settings());
    let (_, answer) = tokio::time::timeout(PATIENCE, answers.recv())
        .await
        .expect("in time")
        .expect("an answer");
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (202, b"got 1".as_slice())
    );
    eventually(PATIENCE, "the call is put off", async || stage.due_at(event)).await;
    assert!(stage.find_run(event).is_none());

    // The ingress finds the answer while the run goes on, and after it is over.
    worker.stop().await;
    stage.execute("UPDATE jobs SET due_at = now()");
    assert_eq!(from_postgres(&stage, event).await, Some(answer.clone()));
    stage.execute("UPDATE jobs SET leased_until = NULL");
    let worker = stage.worker(settings());
    let run = stage.run_of(event).await;
    assert_eq!(
        (run.outcome.as_str(), run.answer.as_ref()),
        ("failed", Some(&answer))
    );
    stage.events(&webhook, &[json!({ "n": 2 })], None);
    worker.stop().await;
    // Whatever came again over Redis was the same answer.
    while let Ok((_, again)) = answers.try_recv() {
        assert_eq!(again.status, 202);
    }
}
