//! Runs that failed and go on.

use hookgate_domain::runs::{self, RetryFilter};
use hookgate_model::ids::RunId;
use hookgate_testkit::Receiver;
use hookgate_testkit::receiver::Reply;
use serde_json::json;

use crate::stage::{Stage, http_step, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_goes_on_at_the_step_that_failed() {
    let (stage, crm, erp) = (Stage::new(), Receiver::start().await, Receiver::start().await);
    crm.script([Reply::json(200, &json!({ "id": 9 }))]);
    erp.script([Reply::status(404)]);
    let first = stage.destination(&crm.url()).await;
    let second = stage.destination(&erp.url()).await;
    let step = http_step(
        second,
        json!({ "name": "erp", "body": { "id": "{{ crm.body.id }}" } }),
    );
    let webhook = stage.webhook(json!({ "flow": { "steps": [http_step(first, json!({})), step] } }));
    let event = stage.event(&webhook, json!({ "n": 1 }));
    let worker = stage.worker(settings());
    assert_eq!(stage.run_of(event).await.outcome, "failed");

    let filter = RetryFilter {
        id: Some(RunId::from(event)),
        ..RetryFilter::default()
    };
    let again = filter.clone();
    let retried = stage
        .manage(move |conn, scope| {
            assert_eq!(runs::count_retryable(conn, scope, &filter)?, 1);
            runs::retry(conn, scope, &filter, 10)
        })
        .await;
    assert_eq!(retried, 1);
    let run = stage.run_of(event).await;
    assert_eq!((run.outcome.as_str(), run.error), ("succeeded", None));
    let names: Vec<_> = run.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["crm", "erp"]);
    assert_eq!(crm.received().len(), 1, "what succeeded is not done again");
    let calls = erp.received();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.body == br#"{"id":9}"#));
    assert_eq!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
    let left = stage
        .manage(move |conn, scope| runs::retry(conn, scope, &again, 10))
        .await;
    assert_eq!(left, 0, "it succeeded");
    worker.stop().await;
}
