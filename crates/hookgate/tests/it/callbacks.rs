//! What became of the calls that a run left behind, and one that goes on alone, over REST.

use std::time::Duration;

use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, TestDatabase, eventually, http_client};
use serde_json::{Value, json};

use crate::installation::{Installation, Storage};

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the callback of a run has come to something, and gives it.
async fn came_to(installation: &Installation, run: &str, outcome: &str) -> Value {
    let told = async || {
        let run = installation.api.get_eventually(&format!("/runs/{run}")).await;
        let callback = run["callbacks"][0].clone();
        assert_eq!(run["callbacks"].as_array()?.len(), 1, "{run}");
        (callback["outcome"] == outcome).then_some(callback)
    };
    eventually(PATIENCE, format!("the callback is {outcome}"), told).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_shows_what_became_of_its_callbacks_and_each_can_be_retried() {
    let database = TestDatabase::create();
    let private = [("HOOKGATE_EGRESS__ALLOWED_PRIVATE_NETWORKS", r#"["127.0.0.0/8"]"#)];
    let installation = Installation::start(&Storage::of(&database), &private).await;
    let api = &installation.api;
    let receiver = Receiver::start().await;
    let destination = json!({ "name": "Results", "base_url": receiver.url() });
    let destination = api.post("/destinations", &destination).await["id"].clone();
    let revision = json!({ "flow": { "steps": [
        { "name": "skipped", "kind": "callback", "when": "{{ false }}", "destination": destination },
        { "name": "notify", "kind": "callback", "destination": destination, "body": { "order": "{{ body.order }}" },
          "retry": { "delays_seconds": [3600] } } ] } });
    let open = api.webhook(&json!({ "name": "Open" }), Some(&revision)).await;
    let masked = json!({ "name": "Masked", "data_protection": { "mask": ["body.order"] } });
    let masked = api.webhook(&masked, Some(&revision)).await;
    let run_of = async |url: &str| {
        let answer = http_client()
            .post(url)
            .json(&json!({ "order": "o-1" }))
            .send()
            .await
            .unwrap();
        let event = answer.headers()["hookgate-event-id"].to_str().unwrap().to_owned();
        event.replace("evt_", "run_")
    };
    let retry = async |run: &str, step: &str| {
        let path = format!("/runs/{run}/callbacks/{step}/retry");
        api.try_post(&path, &json!({})).await
    };

    receiver.script([Reply::status(503)]);
    let run = run_of(&open).await;
    receiver.wait_for(1, PATIENCE).await;
    let put_off = async || {
        let callback = came_to(&installation, &run, "pending").await;
        (callback["attempts"] == 1).then_some(callback)
    };
    let pending = eventually(PATIENCE, "the attempt is shown", put_off).await;
    assert_eq!(
        pending,
        json!({ "step": "notify", "outcome": "pending", "attempts": 1, "status": 503 })
    );
    assert_eq!(retry(&run, "notify").await.0, 409, "it is not over");
    receiver.script([Reply::status(400)]);
    database.execute("UPDATE jobs SET due_at = now()");
    let failed = came_to(&installation, &run, "failed").await;
    assert_eq!((&failed["attempts"], &failed["status"]), (&json!(2), &json!(400)));

    for step in ["skipped", "nobody"] {
        assert_eq!(retry(&run, step).await.0, 404, "{step}");
    }
    let (status, again) = retry(&run, "notify").await;
    assert_eq!((status, &again["outcome"]), (200, &json!("pending")), "{again}");
    let arrived = came_to(&installation, &run, "succeeded").await;
    assert_eq!(
        (&arrived["attempts"], &arrived["status"]),
        (&json!(3), &json!(200))
    );
    assert_eq!(retry(&run, "notify").await.0, 409, "it arrived");
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    for call in &received {
        assert_eq!(call.header("webhook-id"), received[0].header("webhook-id"));
        assert_eq!(call.body, br#"{"order":"o-1"}"#);
    }

    receiver.otherwise(Reply::status(400));
    let run = run_of(&masked).await;
    came_to(&installation, &run, "failed").await;
    let (status, refused) = retry(&run, "notify").await;
    assert_eq!((status, &refused["code"]), (409, &json!("wrong_state")));
    assert!(
        refused["detail"].as_str().unwrap().contains("masked"),
        "{refused}"
    );
    // Of the two events that had it, a search finds the one that is stored as it was sent.
    let found = api.get("/events?text=o-1").await;
    assert_eq!(found["data"].as_array().unwrap().len(), 1, "{found}");
    installation.stop();
}
