//! Callbacks: calls that runs leave behind.

use std::time::Duration;

use hookgate_domain::failed_callbacks::{self, FailedCallbackFilter};
use hookgate_model::flow::state::StepOutcome;
use hookgate_model::ids::DestinationId;
use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, eventually};
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Stage, http_step, settings};

fn callback(destination: DestinationId, delays_seconds: &[u32]) -> Value {
    json!({ "name": "notify", "kind": "callback", "destination": destination, "path": "/done",
        "body": { "n": "{{ body.n }}" }, "retry": { "delays_seconds": delays_seconds } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_holds_up_neither_the_answer_nor_the_run_and_is_repeated() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage.destination(&receiver.url()).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [callback(destination, &[1])] },
        "response": { "mode": "wait", "body": { "done": true } } }));
    receiver.script([Reply::status(503).after(Duration::from_millis(500))]);
    let worker = stage.worker(settings());
    let event = stage.events(&webhook, &[json!({ "n": 7 })], Some("node-1"))[0];
    let run = stage.run_of(event).await;
    assert_eq!(
        (run.outcome.as_str(), run.steps[0].outcome),
        ("succeeded", StepOutcome::Succeeded)
    );
    assert_eq!(run.answer.expect("an answer").body, br#"{"done":true}"#);
    assert_eq!(
        stage.attempts(event).len(),
        0,
        "the run was over before the first attempt"
    );

    let received = receiver.wait_for(2, PATIENCE).await;
    assert!(
        received
            .iter()
            .all(|request| request.target == "/done" && request.body == br#"{"n":7}"#)
    );
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    eventually(PATIENCE, "the callback is over", async || {
        (stage.jobs() == 0).then_some(())
    })
    .await;
    let attempts = stage.attempts(event);
    let facts: Vec<_> = attempts
        .iter()
        .map(|a| (a.number, a.outcome.as_str(), a.status))
        .collect();
    assert_eq!(facts, [(1, "failed", Some(503)), (2, "succeeded", Some(200))]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_leaves_when_its_run_has_to_wait_and_once_alone() {
    let (stage, receiver, crm) = (Stage::new(), Receiver::start().await, Receiver::start().await);
    let destination = stage.destination(&receiver.url()).await;
    let other = stage.destination(&crm.url()).await;
    let step = http_step(other, json!({ "retry": { "delays_seconds": [3600] } }));
    let webhook = stage.webhook(json!({ "flow": { "steps": [callback(destination, &[1]), step] } }));
    crm.script([Reply::status(503)]);
    let worker = stage.worker(settings());
    let event = stage.event(&webhook, json!({ "n": 1 }));
    receiver.wait_for(1, PATIENCE).await;
    assert!(stage.find_run(event).is_none(), "the run waits for an hour");
    stage.execute("UPDATE jobs SET due_at = now()");
    assert_eq!(stage.run_of(event).await.outcome, "succeeded");
    eventually(PATIENCE, "nothing is left", async || {
        (stage.jobs() == 0).then_some(())
    })
    .await;
    assert_eq!(receiver.received().len(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_callback_sends_is_not_readable_in_its_job() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage.destination(&receiver.url()).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [callback(destination, &[3600])] } }));
    receiver.otherwise(Reply::status(503));
    let worker = stage.worker(settings());
    let event = stage.event(&webhook, json!({ "n": "4111-1111" }));
    stage.run_of(event).await;
    receiver.wait_for(1, PATIENCE).await;
    eventually(PATIENCE, "it waits", async || {
        (stage.attempts(event).len() == 1).then_some(())
    })
    .await;
    let readable =
        "SELECT count(*) AS number FROM jobs WHERE is_callback AND encode(state, 'escape') NOT LIKE '%4111%'";
    assert_eq!(stage.number(readable), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_did_not_arrive_goes_on_alone_with_all_its_retries() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage.destination(&receiver.url()).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [callback(destination, &[1])] } }));
    receiver.otherwise(Reply::status(503));
    let event = stage.event(&webhook, json!({ "n": 7 }));
    // Before there is a worker, as it makes a scope.
    stage.manage(|_, _| Ok(())).await;
    let worker = stage.worker(settings());
    let over = async || {
        eventually(PATIENCE, "the callback is over", async || {
            (stage.jobs() == 0 && stage.find_run(event).is_some()).then_some(())
        })
        .await;
    };
    over().await;
    let retry = async |step: &'static str| {
        stage
            .manage(move |conn, scope| {
                failed_callbacks::retry(conn, scope, &FailedCallbackFilter::of_step(event.into(), step), 1)
            })
            .await
    };
    assert_eq!(retry("another").await, 0);
    assert_eq!(retry("notify").await, 1);
    over().await;
    assert_eq!(retry("notify").await, 1, "it failed once more");
    receiver.otherwise(Reply::status(200));
    over().await;
    assert_eq!(retry("notify").await, 0, "it arrived");
    worker.stop().await;

    let received = receiver.received();
    let key = received[0].header("webhook-id");
    assert!(
        received
            .iter()
            .all(|call| call.header("webhook-id") == key && call.body == br#"{"n":7}"#)
    );
    let numbers: Vec<_> = stage
        .attempts(event)
        .iter()
        .map(|attempt| attempt.number)
        .collect();
    let counted: Vec<i32> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, counted);
    assert!((5..=6).contains(&numbers.len()), "{numbers:?}");
    assert_eq!(stage.number("SELECT count(*) AS number FROM runs"), 1);
}
