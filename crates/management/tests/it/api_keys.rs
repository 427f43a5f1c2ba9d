//! The life of an API key.

use serde_json::{Value, json};

use crate::service::Service;
use crate::webhooks::{create, path_of};

#[tokio::test]
async fn a_key_is_shown_once_and_lives_until_it_is_revoked() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let keys = format!(
        "{}/api-keys",
        path_of(&create(&owner, json!({"name": "Orders"})).await)
    );
    let made = owner
        .post(
            &keys,
            json!({"name": "shop", "expires_at": "2030-01-01T00:00:00Z"}),
        )
        .await;
    let key = made.is(201);
    let text = key["key"].as_str().expect("a key");
    assert!(text.starts_with("hgk_") && text.len() == 47, "{text}");
    assert_eq!(key["hint"], text[text.len() - 4..]);
    let stored = service
        .database
        .query_text("SELECT encode(digest, 'hex') FROM api_keys");
    let digest: String = hookgate_domain::crypto::digest(text.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(stored, [digest]);

    let path = format!("{keys}/{}", key["id"].as_str().expect("an id"));
    let read = owner.get(&path).await;
    let listed = owner.get(&keys).await;
    for answer in [&read, &listed] {
        answer.is(200);
        assert!(!answer.text.contains(text), "{}", answer.text);
    }
    assert_eq!(listed.json()["data"][0], read.json());
    assert_eq!(read.json()["last_used_at"], Value::Null);

    let changed = owner
        .with("if-match", read.header("etag"))
        .patch(&path, json!({"name": "till", "expires_at": null}))
        .await;
    assert_eq!(
        (&changed.is(200)["name"], &changed.json()["expires_at"]),
        (&json!("till"), &Value::Null)
    );
    owner
        .with("if-match", read.header("etag"))
        .delete(&path)
        .await
        .is_problem(412, "precondition_failed");

    let revoked = owner.post(&format!("{path}/revoke"), json!({})).await.is(200);
    assert!(revoked["revoked_at"].is_string());
    assert_eq!(
        owner.post(&format!("{path}/revoke"), json!({})).await.is(200),
        revoked
    );
    owner.delete(&path).await.is(204);
    owner.get(&path).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_told_at_once() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let keys = format!(
        "{}/api-keys",
        path_of(&create(&owner, json!({"name": "Orders"})).await)
    );
    owner
        .post(&keys, json!({"name": 7, "expires_at": 3, "key": "mine"}))
        .await
        .is_invalid(&[
            ("/name", "wrong_type"),
            ("/expires_at", "wrong_type"),
            ("/key", "unknown"),
        ]);
    let past = json!({"name": "a", "expires_at": "2020-01-01T00:00:00Z"});
    owner
        .post(&keys, past)
        .await
        .is_invalid(&[("/expires_at", "out_of_range")]);
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_key() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let keys = format!(
        "{}/api-keys",
        path_of(&create(&owner, json!({"name": "Orders"})).await)
    );
    let caller = owner.with("idempotency-key", "one");
    let first = caller.post(&keys, json!({"name": "shop"})).await.is(201);
    let second = caller.post(&keys, json!({"name": "shop"})).await.is(201);
    assert_eq!(first, second);
    assert_eq!(
        owner.get(&keys).await.is(200)["data"].as_array().map(Vec::len),
        Some(1)
    );
}
