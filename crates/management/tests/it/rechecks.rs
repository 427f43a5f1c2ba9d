//! Refused requests that are judged again, and taken.

use serde_json::{Value, json};

use crate::service::{Caller, Service};
use crate::stored;
use crate::webhooks::{create, path_of};

async fn recheck(owner: &Caller, refusal: &str, accept: bool) -> Value {
    let path = format!("/v1/refusals/{refusal}/recheck");
    owner.post(&path, json!({"accept": accept})).await.is(200)
}

fn count(service: &Service, table: &str) -> String {
    let sql = format!("SELECT count(*)::text FROM {table}");
    service.database.query_text(&sql).remove(0)
}

/// A webhook that demands a token of the secret `hush`, and one of its secrets that is wrong.
async fn guarded(owner: &Caller, more: Value) -> (Value, String) {
    let secret = owner
        .post(
            "/v1/secrets",
            json!({"name": "wrong at first", "value": "another"}),
        )
        .await
        .is(201);
    let secret = secret["id"].as_str().expect("an id").to_owned();
    let mut settings = json!({"name": "Orders", "authentication": {"kind": "static_token",
        "at": {"in": "header", "name": "x-token"}, "secrets": [secret]}});
    for (name, value) in more.as_object().expect("settings") {
        settings[name] = value.clone();
    }
    (create(owner, settings).await, secret)
}

const HEADERS: &str = "content-type: application/json\r\nx-token: hush\r\nx-delivery: 7\r\n";

#[tokio::test]
async fn a_refused_request_becomes_an_event_once_its_secret_is_right() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let (webhook, secret) = guarded(&owner, json!({})).await;
    let flow = json!({"flow": {"steps": [{"name": "keep", "kind": "set", "values": {"n": "{{ body.n }}"}}]}});
    owner
        .send(
            reqwest::Method::PUT,
            &format!("{}/draft", path_of(&webhook)),
            Some(flow.to_string()),
        )
        .await
        .is(200);
    owner
        .post(&format!("{}/publish", path_of(&webhook)), json!({}))
        .await
        .is(200);
    let refusal = stored::refused(&service, &webhook, "credentials_wrong", HEADERS, b"{\"n\":7}");
    let shown = owner.get(&format!("/v1/refusals/{refusal}")).await.is(200);
    assert_eq!(
        (&shown["recheckable"], &shown["event_id"]),
        (&json!(true), &Value::Null)
    );

    let judged = recheck(&owner, &refusal, true).await;
    assert_eq!(
        judged["verification"]["refusal"]["reason"], "credentials_wrong",
        "{judged}"
    );
    assert_eq!(judged["event_id"], Value::Null);
    assert!(!judged.to_string().contains("hush"), "{judged}");

    let value = json!({"value": "hush"});
    owner.patch(&format!("/v1/secrets/{secret}"), value).await.is(200);
    let judged = recheck(&owner, &refusal, false).await;
    assert_eq!(
        (&judged["verification"]["accepted"], &judged["event_id"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(count(&service, "events"), "0");

    let taken = recheck(&owner, &refusal, true).await;
    let event = owner
        .get(&format!(
            "/v1/events/{}",
            taken["event_id"].as_str().expect("an event")
        ))
        .await
        .is(200);
    assert_eq!(
        (&event["refusal_id"], &event["status"]),
        (&json!(refusal), &json!("pending"))
    );
    assert_eq!(
        (&event["body"]["json"], &event["query"]),
        (&json!({"n": 7}), &json!("a=b"))
    );
    assert_eq!(
        (&event["method"], &event["address"]),
        (&json!("POST"), &json!("203.0.113.7"))
    );
    let shown = owner.get(&format!("/v1/refusals/{refusal}")).await.is(200);
    assert_eq!(shown["event_id"], taken["event_id"]);
    // Again and at the same time: it is one event, with one job, counted once.
    let again = futures_util::future::join_all((0..4).map(|_| recheck(&owner, &refusal, true))).await;
    assert!(again.iter().all(|again| again["event_id"] == taken["event_id"]));
    for table in ["events", "jobs"] {
        assert_eq!(count(&service, table), "1");
    }
    assert_eq!(
        service.database.query_text("SELECT sum(events)::text FROM usage"),
        ["1"]
    );
}

#[tokio::test]
async fn several_who_take_a_request_at_the_same_time_get_one_event() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let refusal = stored::refused(&service, &webhook, "webhook_disabled", HEADERS, b"{}");
    let taken = futures_util::future::join_all((0..8).map(|_| recheck(&owner, &refusal, true))).await;
    assert!(
        taken[0]["event_id"].is_string() && taken.iter().all(|one| one["event_id"] == taken[0]["event_id"])
    );
    assert_eq!(count(&service, "events"), "1");
}

#[tokio::test]
async fn a_delivery_that_came_again_meanwhile_is_not_taken_twice() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let key = json!({"key": "{{ headers['x-delivery'] }}", "remember_hours": 1});
    let webhook = create(&owner, json!({"name": "Orders", "deduplication": key})).await;
    let refused = || stored::refused(&service, &webhook, "webhook_disabled", HEADERS, b"{}");
    let (first, second) = (refused(), refused());
    let first = recheck(&owner, &first, true).await;
    let second_taken = recheck(&owner, &second, true).await;
    assert_eq!(first["event_id"], second_taken["event_id"]);
    assert_eq!(count(&service, "events"), "1");
}

#[tokio::test]
async fn what_is_taken_while_the_webhook_is_paused_is_held() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = path_of(&webhook);
    let flow = json!({"flow": {"steps": [{"name": "keep", "kind": "set", "values": {"n": 1}}]}});
    owner
        .send(
            reqwest::Method::PUT,
            &format!("{path}/draft"),
            Some(flow.to_string()),
        )
        .await
        .is(200);
    owner.post(&format!("{path}/publish"), json!({})).await.is(200);
    owner.post(&format!("{path}/pause"), json!({})).await.is(200);
    let refusal = stored::refused(&service, &webhook, "api_key_missing", HEADERS, b"{}");
    recheck(&owner, &refusal, true).await;
    let held = service.database.query_text("SELECT is_held::text FROM jobs");
    assert_eq!(held, ["true"]);
}

#[tokio::test]
async fn what_is_not_kept_or_may_not_be_stored_is_not_taken() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let refusal = stored::refused(&service, &webhook, "api_key_missing", HEADERS, b"{}");
    let path = format!("/v1/refusals/{refusal}/recheck");
    let protection = json!({"data_protection": {"mask": ["body.card"]}});
    owner.patch(&path_of(&webhook), protection).await.is(200);
    owner
        .post(&path, json!({"accept": true}))
        .await
        .is_problem(409, "data_protected");
    service.database.execute("UPDATE refusals SET request = NULL");
    owner.post(&path, json!({})).await.is_problem(409, "wrong_state");
    owner
        .post(&path, json!({"accept": "yes"}))
        .await
        .is_invalid(&[("/accept", "wrong_type")]);
    assert_eq!(count(&service, "events"), "0");
}
