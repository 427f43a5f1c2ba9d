//! Who may send: secrets, keys that senders publish, and what a refused sender is told.

use hookgate_testkit::eventually;
use hookgate_testkit::fixtures::NewWebhook;
use serde_json::{Value, json};
use std::time::Duration;

use crate::harness::Harness;

const PATIENCE: Duration = Duration::from_secs(10);

fn webhook(authentication: Value) -> NewWebhook {
    NewWebhook {
        authentication,
        ..NewWebhook::default()
    }
}

#[tokio::test]
async fn nobody_gets_in_while_an_authentication_cannot_be_used() {
    let harness = Harness::start().await;
    let deleted = harness.secret("gone");
    let webhook = harness.webhook(webhook(json!({"kind": "static_token", "secrets": [deleted],
        "at": {"in": "header", "name": "x-token"}})));
    harness.execute("DELETE FROM secrets");
    let answer = harness
        .post(&webhook.production)
        .header("x-token", "gone")
        .body("{}")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (503, &"60".parse().unwrap())
    );
    let problem: Value = answer.json().await.expect("a problem");
    assert_eq!(problem["code"], "authentication_unusable");
    assert!(!problem["detail"].as_str().unwrap().contains("sec_"), "{problem}");
    let refusal = eventually(PATIENCE, "the refusal is kept", async || {
        harness.refusals(&webhook).pop()
    })
    .await;
    assert_eq!(refusal.reason, "authentication_unusable");
    assert!(harness.events(&webhook).is_empty());
}
