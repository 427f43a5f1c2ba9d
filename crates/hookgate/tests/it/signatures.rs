//! Signatures of calls and callbacks, through rotations, judged by others: `v1` by the published `standardwebhooks` and `svix`
//! libraries, `v1a` by Node's own Ed25519. None of them accepts a changed body.

use hookgate_testkit::{TestDatabase, http_client};
use serde_json::{Value, json};

use crate::installation::{Installation, Storage};
use crate::node::{NodeReceiver, node_packages};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_verify_signatures_through_rotations() {
    let receiver = NodeReceiver::start(&node_packages(), &[]);
    let database = TestDatabase::create();
    let private = [("HOOKGATE_EGRESS__ALLOWED_PRIVATE_NETWORKS", r#"["127.0.0.0/8"]"#)];
    let installation = Installation::start(&Storage::of(&database), &private).await;
    let api = &installation.api;
    let destination = api
        .post(
            "/destinations",
            &json!({ "name": "Receiver", "base_url": receiver.url }),
        )
        .await;
    let flow = json!({ "flow": { "steps": [
        { "name": "call", "kind": "http", "destination": destination["id"], "body": "{{ body }}",
          "retry": { "attempts": 1 }, "on_error": "continue" },
        { "name": "notify", "kind": "callback", "destination": destination["id"], "body": { "text": "{{ body.text }}" },
          "retry": { "attempts": 1, "delays_seconds": null } } ] } });
    let url = api.webhook(&json!({ "name": "Orders" }), Some(&flow)).await;
    let text_of = |destination: &Value, field: &str| destination[field].as_str().unwrap().to_owned();
    let rotate = async |body: Value| {
        let path = format!(
            "/destinations/{}/rotate-secret",
            destination["id"].as_str().unwrap()
        );
        api.post(&path, &body).await
    };
    // Sends an event; its call and its callback must be verified by these of the keys.
    let mut came = 0;
    let mut is_verified_by = async |keys: &[&str], expected: &[&str]| {
        receiver.take_keys(keys).await;
        let body = json!({ "text": "größer – 大きい", "n": came });
        http_client().post(&url).json(&body).send().await.unwrap();
        came += 2;
        let received = receiver.wait_for(came).await;
        for call in &received[came - 2..] {
            assert_eq!(call.verified, expected, "{}: {}", call.id, call.body);
        }
    };

    let first = text_of(&destination, "signing_secret");
    is_verified_by(&[&first], &[&first]).await;
    // Through a rotation a receiver may know the one or the other.
    let second = text_of(&rotate(json!({})).await, "signing_secret");
    is_verified_by(&[&first, &second], &[&first, &second]).await;
    // From HMAC to Ed25519, while those who know the secret alone go on to verify.
    let rotated = rotate(json!({ "signature_version": "v1a" })).await;
    let public = text_of(&rotated, "public_key");
    assert!(public.starts_with("whpk_"), "{rotated}");
    is_verified_by(&[&first, &second, &public], &[&second, &public]).await;
    // From one key to another, and to none before it.
    let other = text_of(&rotate(json!({ "signature_version": "v1a" })).await, "public_key");
    is_verified_by(&[&second, &public, &other], &[&public, &other]).await;
    let last = text_of(&rotate(json!({ "grace_seconds": 0 })).await, "signing_secret");
    is_verified_by(&[&public, &other, &last], &[&last]).await;
    installation.stop();
}
