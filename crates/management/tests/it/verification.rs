//! Asking a webhook about a request.

use serde_json::{Value, json};

use crate::service::{Caller, Service};
use crate::stored;
use crate::webhooks::{create, path_of};

/// Asks, and gives the answer.
async fn ask(owner: &Caller, webhook: &Value, request: Value) -> Value {
    let path = format!("{}/verify", path_of(webhook));
    owner.post(&path, json!({"request": request})).await.is(200)
}

/// The names of the steps that did not pass.
fn failed(answer: &Value) -> Vec<&str> {
    let steps = answer["steps"].as_array().expect("steps");
    let failed = steps.iter().filter(|step| step["passed"] == false);
    failed
        .map(|step| step["name"].as_str().expect("a name"))
        .collect()
}

#[tokio::test]
async fn every_rule_of_admission_says_what_it_decides() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let list = json!({"name": "Office", "entries": [{"network": "203.0.113.0/24"}]});
    let list = owner.post("/v1/allowlists", list).await.is(201);
    let webhook = create(
        &owner,
        json!({"name": "Orders", "suffix": "orders/{id}", "allowlists": [list["id"]], "limits": {"body_bytes": 10}}),
    )
    .await;
    let url = webhook["urls"][0]["public_url"]
        .as_str()
        .expect("a URL")
        .replace("{id}", "42");
    let good = json!({"method": "POST", "url": format!("{url}?a=b"), "address": "203.0.113.7", "body": "0123456789"});
    let answer = ask(&owner, &webhook, good.clone()).await;
    assert_eq!(
        (&answer["accepted"], &answer["refusal"]),
        (&json!(true), &Value::Null),
        "{answer}"
    );
    assert!(answer["steps"].to_string().contains("203.0.113.0/24"), "{answer}");

    let with = |field: &str, value: Value| {
        let mut changed = good.clone();
        changed[field] = value;
        changed
    };
    for (request, step, reason) in [
        (with("method", json!("GET")), "method", "method_not_allowed"),
        (
            with("address", json!("198.51.100.1")),
            "address",
            "address_not_allowed",
        ),
        (with("body", json!("0123456789a")), "body_size", "body_too_large"),
        (
            with("url", json!(url.replace("orders", "other"))),
            "url",
            "suffix_mismatch",
        ),
        (
            with("url", json!("/5x3k9z3v8e5f2q8r7w6t5y4x3m/orders/42")),
            "url",
            "unknown_url",
        ),
    ] {
        let answer = ask(&owner, &webhook, request).await;
        assert_eq!(
            (&answer["refusal"]["reason"], failed(&answer)),
            (&json!(reason), vec![step]),
            "{answer}"
        );
    }
    owner
        .post(&format!("{}/disable", path_of(&webhook)), json!({}))
        .await
        .is(200);
    let answer = ask(&owner, &webhook, good).await;
    assert_eq!(answer["refusal"]["reason"], "webhook_disabled");
}

#[tokio::test]
async fn a_credential_is_judged_and_not_repeated() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(
        &owner,
        json!({"name": "Orders", "authentication": {"kind": "api_key"}}),
    )
    .await;
    let keys = format!("{}/api-keys", path_of(&webhook));
    let key = owner.post(&keys, json!({"name": "shop"})).await.is(201);
    let url = &webhook["urls"][0]["public_url"];
    let request = |value: &str| json!({"method": "POST", "url": url, "headers": [{"name": "X-Api-Key", "value": value}], "body": "{}"});
    let right = key["key"].as_str().expect("a key");
    assert_eq!(ask(&owner, &webhook, request(right)).await["accepted"], true);
    let wrong = format!("{}x", &right[..right.len() - 1]);
    let answer = ask(&owner, &webhook, request(&wrong)).await;
    assert_eq!(answer["refusal"]["reason"], "api_key_wrong", "{answer}");
    assert!(!answer.to_string().contains(&wrong), "{answer}");
    let answer = ask(&owner, &webhook, json!({"method": "POST", "url": url})).await;
    assert_eq!(answer["refusal"]["reason"], "api_key_missing", "{answer}");
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_told_at_once() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = format!("{}/verify", path_of(&webhook));
    let request = json!({"url": "https://example.com", "headers": [{"name": "a b", "value": "x\r\ny: z"}],
        "body": "a", "body_base64": "?", "address": "here", "received_at": "now", "more": 1});
    owner.post(&path, json!({"request": request})).await.is_invalid(&[
        ("/request/method", "required"),
        ("/request/url", "invalid"),
        ("/request/headers/0/name", "invalid"),
        ("/request/headers/0/value", "invalid"),
        ("/request/body_base64", "invalid"),
        ("/request/address", "invalid"),
        ("/request/received_at", "invalid"),
        ("/request/more", "unknown"),
    ]);
    owner.post(&path, json!({})).await.is_invalid(&[("", "invalid")]);
    let event = json!({"event_id": "evt_01k9z3v8e5f2q8r7w6t5y4x3m2"});
    owner
        .post(&path, event)
        .await
        .is_invalid(&[("/event_id", "not_found")]);
}

#[tokio::test]
async fn a_masked_event_cannot_be_verified() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let event = stored::event(&service, &webhook, &stored::NewEvent::default());
    let path = format!("{}/verify", path_of(&webhook));
    owner.post(&path, json!({"event_id": event})).await.is(200);
    let masked = r#"{"sensitive": false, "paths": ["body.card", "address"], "body_removed": null}"#;
    service.database.execute(&format!(
        "UPDATE events SET masked = '{masked}', address = '203.0.113.0/24'"
    ));
    let refused = owner.post(&path, json!({"event_id": event})).await;
    refused.is_problem(409, "data_protected");
    let shown = owner.get(&format!("/v1/events/{event}")).await.is(200);
    assert_eq!(shown["masked"]["paths"], json!(["body.card", "address"]));
    assert_eq!(shown["address"], "203.0.113.0/24");
}
