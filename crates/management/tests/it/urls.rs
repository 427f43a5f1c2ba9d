//! The life of a URL.

use serde_json::{Value, json};

use crate::service::Service;
use crate::webhooks::{create, path_of};

fn url_path(webhook: &Value, url: &Value) -> String {
    format!("{}/urls/{}", path_of(webhook), url["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_url_is_made_changed_and_deleted() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let urls = format!("{}/urls", path_of(&webhook));
    let made = owner.post(&urls, json!({"name": "Berlin"})).await;
    let url = made.is(201);
    assert_eq!(
        (&url["environment"], &url["suffix"]),
        (&json!("production"), &json!("orders"))
    );
    let path = url_path(&webhook, &url);
    assert_eq!(owner.get(&path).await.is(200), url);
    let listed = owner.get(&urls).await.is(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(3));
    assert_eq!(listed["data"][0], url);

    let patch = json!({"name": "Hamburg", "expires_at": "2030-01-01T00:00:00+01:00"});
    let changed = owner
        .with("if-match", made.header("etag"))
        .patch(&path, patch)
        .await;
    assert_eq!(changed.is(200)["name"], "Hamburg");
    assert_eq!(changed.json()["expires_at"], "2029-12-31T23:00:00Z");
    assert_eq!(changed.json()["public_url"], url["public_url"], "the token stays");
    owner
        .with("if-match", made.header("etag"))
        .patch(&path, json!({}))
        .await
        .is_problem(412, "precondition_failed");
    assert_eq!(
        owner.patch(&path, json!({"expires_at": null})).await.is(200)["expires_at"],
        Value::Null
    );
    owner
        .patch(&path, json!({"public_url": "https://x"}))
        .await
        .is_invalid(&[("/public_url", "unknown")]);

    owner.delete(&path).await.is(204);
    owner.get(&path).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn what_is_wrong_with_a_url_is_told_at_once() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let urls = format!("{}/urls", path_of(&webhook));
    let wrong = json!({"environment": "staging", "suffix": "a b", "expires_at": "tomorrow"});
    owner.post(&urls, wrong).await.is_invalid(&[
        ("/name", "required"),
        ("/environment", "invalid"),
        ("/suffix", "invalid"),
        ("/expires_at", "invalid"),
    ]);
    let past = json!({"name": "old", "expires_at": "2020-01-01T00:00:00Z"});
    owner
        .post(&urls, past)
        .await
        .is_invalid(&[("/expires_at", "out_of_range")]);
}

#[tokio::test]
async fn a_rotated_url_has_a_new_token_and_a_grace_period() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let before = &webhook["urls"][0];
    let path = url_path(&webhook, before);
    let rotate = format!("{path}/rotate");
    let after = owner.post(&rotate, json!({"grace_seconds": 3600})).await.is(200);
    assert_ne!(after["public_url"], before["public_url"]);
    assert_eq!(after["id"], before["id"]);
    assert!(after["grace_until"].is_string());
    let live = || {
        service.database.query_text(&format!(
            "SELECT token::text FROM url_tokens WHERE url_id = '{}' AND (expires_at IS NULL OR expires_at > now())",
            crate::stored::uuid(&before["id"])
        ))
    };
    assert_eq!(live().len(), 2);
    // Rotating at once ends the token that was current, and leaves the one in its grace period.
    owner.post(&rotate, json!({"grace_seconds": 0})).await.is(200);
    assert_eq!(live().len(), 2);
    owner
        .post(&rotate, json!({"grace_seconds": -1}))
        .await
        .is_invalid(&[("/grace_seconds", "out_of_range")]);

    let revoked = owner.post(&format!("{path}/revoke"), json!({})).await.is(200);
    assert!(revoked["revoked_at"].is_string());
    let again = owner.post(&format!("{path}/revoke"), json!({})).await.is(200);
    assert_eq!(again["revoked_at"], revoked["revoked_at"]);
    owner
        .post(&rotate, json!({}))
        .await
        .is_problem(409, "wrong_state");
}

#[tokio::test]
async fn a_url_is_found_below_its_own_webhook_only() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let one = create(&owner, json!({"name": "One"})).await;
    let other = create(&owner, json!({"name": "Other"})).await;
    let path = url_path(&one, &other["urls"][0]);
    owner.get(&path).await.is_problem(404, "not_found");
    owner.delete(&path).await.is_problem(404, "not_found");
    owner
        .post(&format!("{path}/revoke"), json!({}))
        .await
        .is_problem(404, "not_found");
    owner
        .get(&format!("{}/urls/none", path_of(&one)))
        .await
        .is_problem(404, "not_found");
}

#[tokio::test]
async fn a_url_can_end_by_itself_and_says_so() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let urls = format!("{}/urls", path_of(&webhook));
    let make = async |new: Value| owner.post(&urls, new).await;
    let hour = make(json!({"name": "a test", "environment": "test", "expires_in_seconds": 3600}))
        .await
        .is(201);
    assert_eq!(hour["status"], "expiring");
    let ends: chrono::DateTime<chrono::Utc> = hour["expires_at"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    let left = ends
        .signed_duration_since(hookgate_domain::clock::now())
        .num_seconds();
    assert!((3500..=3600).contains(&left), "{left}");
    let week = make(json!({"name": "a week", "expires_in_seconds": 604_800}))
        .await
        .is(201);
    assert_eq!(week["status"], "active");
    make(json!({"name": "both", "expires_in_seconds": 60, "expires_at": "2030-01-01T00:00:00Z"}))
        .await
        .is_invalid(&[("/expires_in_seconds", "invalid")]);
    make(json!({"name": "never", "expires_in_seconds": 0}))
        .await
        .is_invalid(&[("/expires_in_seconds", "out_of_range")]);
    let path = url_path(&webhook, &hour);
    service
        .database
        .execute("UPDATE urls SET expires_at = now() - interval '1 second' WHERE name = 'a test'");
    assert_eq!(owner.get(&path).await.is(200)["status"], "expired");
    let revoked = owner.post(&format!("{path}/revoke"), json!({})).await.is(200);
    assert_eq!(revoked["status"], "revoked");
    let shown = owner.get(&path_of(&webhook)).await.is(200);
    let statuses: Vec<_> = shown["urls"]
        .as_array()
        .expect("urls")
        .iter()
        .map(|url| &url["status"])
        .collect();
    assert_eq!(statuses, ["active", "active", "revoked", "active"]);
}
