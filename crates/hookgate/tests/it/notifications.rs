//! A tenant is told of a failed run at a webhook of its own, which verifies what it gets, and fails as well: that is the end of
//! it.

use std::time::Duration;

use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, TestDatabase, eventually, http_client};
use serde_json::{Value, json};

use crate::installation::{Installation, Storage};

const PATIENCE: Duration = Duration::from_secs(30);
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_takes_notifications_and_fails_makes_no_circle() {
    let database = TestDatabase::create();
    let private = [("HOOKGATE_EGRESS__ALLOWED_PRIVATE_NETWORKS", r#"["127.0.0.0/8"]"#)];
    let installation = Installation::start(&Storage::of(&database), &private).await;
    let api = &installation.api;
    let receiver = Receiver::start().await;
    receiver.otherwise(Reply::status(400));
    let destination = json!({ "name": "Refuses", "base_url": receiver.url() });
    let refusing = api.post("/destinations", &destination).await["id"].clone();
    let failing = json!({ "flow": { "steps": [
        { "name": "call", "kind": "http", "destination": refusing, "body": { "about": "{{ body.type | default(none) }}" } } ] } });

    let secret = json!({ "name": "Signing", "value": SIGNING });
    let secret = api.post("/secrets", &secret).await["id"].clone();
    let webhook = json!({ "name": "Alerts", "authentication":
        { "kind": "sender", "sender": "standard-webhooks", "secrets": [secret] } });
    let alerts = api.webhook(&webhook, Some(&failing)).await;
    let destination = json!({ "name": "Alerts", "base_url": alerts, "signing_secret": SIGNING });
    let destination = api.post("/destinations", &destination).await["id"].clone();
    api.put("/tenant/notifications", &json!({ "destination_id": destination }))
        .await;

    let url = api.webhook(&json!({ "name": "Orders" }), Some(&failing)).await;
    let answer = http_client()
        .post(url)
        .json(&json!({ "order": 1 }))
        .send()
        .await
        .unwrap();
    let event = answer.headers()["hookgate-event-id"].to_str().unwrap().to_owned();
    let over = async || {
        let events = api.get("/events").await["data"].as_array()?.clone();
        let are_over = events.iter().all(|event| event["status"] == "failed");
        (events.len() == 2 && are_over).then_some(events)
    };
    let events = eventually(PATIENCE, "the webhook and the alert have failed", over).await;
    let told = api
        .bytes(&format!("/events/{}/body", events[0]["id"].as_str().unwrap()))
        .await;
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(
        (&told["type"], &told["data"]["event_id"]),
        (&json!("run.failed"), &json!(event))
    );
    let called: Vec<Value> = receiver
        .received()
        .iter()
        .map(|call| serde_json::from_slice(&call.body).unwrap())
        .collect();
    assert_eq!(
        called,
        [json!({ "about": null }), json!({ "about": "run.failed" })]
    );
    let attempts = api
        .get(&format!(
            "/attempts?destination_id={}",
            destination.as_str().unwrap()
        ))
        .await;
    assert_eq!(attempts["data"].as_array().unwrap().len(), 1, "{attempts}");
    installation.stop();
}
