//! The life of a destination.

use serde_json::{Value, json};

use crate::service::Service;
use crate::webhooks::{create, path_of};

#[tokio::test]
async fn a_secret_is_shown_once_and_kept_sealed() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let made = owner
        .post(
            "/v1/destinations",
            json!({"name": "CRM", "base_url": "https://crm.example.com/api"}),
        )
        .await;
    let destination = made.is(201);
    let secret = destination["signing_secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    assert_eq!(destination["signed"], true);
    let path = format!("/v1/destinations/{}", destination["id"].as_str().expect("an id"));
    let stored = || {
        service
            .database
            .query_text("SELECT coalesce(encode(signing_secret, 'escape'), 'none') FROM destinations")
    };
    assert!(!stored()[0].contains(&secret[6..]));

    let read = owner.get(&path).await;
    assert!(!read.text.contains("whsec_") && read.is(200)["signed"] == json!(true));
    let rotated = owner
        .post(&format!("{path}/rotate-secret"), json!({}))
        .await
        .is(200);
    assert_ne!(rotated["signing_secret"], json!(secret));
    let given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let rotated = owner
        .post(&format!("{path}/rotate-secret"), json!({"signing_secret": given}))
        .await
        .is(200);
    assert_eq!(rotated["signing_secret"], given);
    owner.delete(&format!("{path}/signing-secret")).await.is(204);
    assert_eq!(owner.get(&path).await.is(200)["signed"], false);
    assert_eq!(stored(), ["none"]);
    assert!(!owner.get("/v1/destinations").await.text.contains("whsec_"));
}

#[tokio::test]
async fn a_destination_is_changed_and_deleted() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let body = json!({"name": "CRM", "base_url": "https://crm.example.com", "signed": false});
    let made = owner.post("/v1/destinations", body.clone()).await;
    assert_eq!(
        (&made.is(201)["signing_secret"], &made.json()["signed"]),
        (&Value::Null, &json!(false))
    );
    let path = format!("/v1/destinations/{}", made.json()["id"].as_str().expect("an id"));
    owner
        .post("/v1/destinations", body)
        .await
        .is_problem(409, "name_taken");
    let changed = owner
        .with("if-match", "\"1\"")
        .patch(&path, json!({"base_url": "http://crm.example.com/v2"}))
        .await;
    assert_eq!(
        (&changed.is(200)["base_url"], changed.header("etag")),
        (&json!("http://crm.example.com/v2"), "\"2\"")
    );
    owner
        .with("if-match", "\"1\"")
        .patch(&path, json!({}))
        .await
        .is_problem(412, "precondition_failed");
    owner
        .with("if-match", "\"1\"")
        .delete(&path)
        .await
        .is_problem(412, "precondition_failed");
    owner.delete(&path).await.is(204);
    owner.get(&path).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn what_is_wrong_with_a_destination_is_told_at_once_and_no_secret_is_echoed() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let wrong = json!({"name": "", "base_url": "https://u:hush@example.com", "signing_secret": "hush", "signed": "yes"});
    let answer = owner.post("/v1/destinations", wrong).await;
    answer.is_invalid(&[
        ("/name", "too_short"),
        ("/base_url", "invalid"),
        ("/signed", "wrong_type"),
        ("/signing_secret", "invalid"),
    ]);
    assert!(!answer.text.contains("hush"), "{}", answer.text);
    let contradiction = json!({"name": "a", "base_url": "https://example.com", "signed": false,
        "signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
    owner
        .post("/v1/destinations", contradiction)
        .await
        .is_invalid(&[("/signing_secret", "invalid")]);
}

#[tokio::test]
async fn a_destination_that_a_draft_calls_cannot_be_deleted() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let body = json!({"name": "CRM", "base_url": "https://crm.example.com"});
    let destination = owner.post("/v1/destinations", body).await.is(201);
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let draft =
        json!({"flow": {"steps": [{"name": "crm", "kind": "http", "destination": destination["id"]}]}});
    let path = format!("{}/draft", path_of(&webhook));
    owner
        .send(reqwest::Method::PUT, &path, Some(draft.to_string()))
        .await
        .is(200);
    let destination = format!("/v1/destinations/{}", destination["id"].as_str().expect("an id"));
    let problem = owner.delete(&destination).await.is_problem(409, "in_use");
    assert!(
        problem["detail"]
            .as_str()
            .expect("text")
            .contains(webhook["id"].as_str().expect("an id"))
    );
    owner
        .send(reqwest::Method::PUT, &path, Some("{}".to_owned()))
        .await
        .is(200);
    owner.delete(&destination).await.is(204);
}
