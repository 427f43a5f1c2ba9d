//! Known senders in webhooks: their settings, their handshakes, and pairing.

use hookgate_model::senders;
use serde_json::{Value, json};

use crate::service::{Caller, Service};
use crate::stored;

async fn secret(caller: &Caller, generate: &str, name: &str) -> String {
    let body = json!({"name": name, "generate": generate});
    let made = caller.post("/v1/secrets", body).await.is(201);
    made["id"].as_str().expect("an id").to_owned()
}

/// Puts ids of secrets where a template has an example of one.
fn with_secret(value: &mut Value, id: &str) {
    match value {
        Value::String(text) if text == "sec_…" => *text = id.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| with_secret(item, id)),
        Value::Object(members) => members.values_mut().for_each(|member| with_secret(member, id)),
        _ => {}
    }
}

#[tokio::test]
async fn every_template_makes_a_webhook() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    // Examples of keys are cut short, so these are filled in.
    let keys = json!({
        "sendgrid": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr/LjnP/P/bRh0PD8ZYBzuuzjqQY5kTRVzTnBEGhVjkBmgjqlFFkhVm9pfDxDwVuTPOXwmuHrrnmVNkgVxKyQ==",
        "discord": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "standard-webhooks-ed25519": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    });
    for preset in senders::all() {
        let template = caller
            .get(&format!("/v1/templates/{}", preset.name))
            .await
            .is(200);
        let form = template["secrets"]["generate"].as_str().unwrap_or("hex");
        let id = secret(&caller, form, preset.name).await;
        let mut webhook = template["webhook"].clone();
        with_secret(&mut webhook, &id);
        if let Some(key) = keys[preset.name].as_str() {
            webhook["authentication"]["public_keys"] = json!([key]);
        }
        let made = caller.post("/v1/webhooks", webhook.clone()).await.is(201);
        assert_eq!(made["system"], preset.name);
        assert_eq!(made["handshake"], Value::Null);
        assert_eq!(made["authentication"]["sender"], preset.name);
    }
}

#[tokio::test]
async fn what_a_sender_lacks_is_told_where_it_is_missing() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    let id = secret(&caller, "hex", "one").await;
    for (authentication, pointer, code) in [
        (json!({"sender": "nobody"}), "/authentication/sender", "not_found"),
        (json!({"sender": "stripe"}), "/authentication/secrets", "required"),
        (
            json!({"sender": "paypal"}),
            "/authentication/options/webhook_id",
            "required",
        ),
        (
            json!({"sender": "stripe", "secrets": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}),
            "/authentication/secrets/0",
            "not_found",
        ),
        (
            json!({"sender": "meta", "secrets": [id], "options": {"verify_token": "sec_01k9z3v8e5f2q8r7w6t5y4x3m2"}}),
            "/authentication/options/verify_token",
            "not_found",
        ),
    ] {
        let mut authentication = authentication;
        authentication["kind"] = json!("sender");
        let body = json!({"name": "a", "authentication": authentication});
        let refused = caller.post("/v1/webhooks", body).await;
        refused.is_invalid(&[(pointer, code)]);
    }
}

#[tokio::test]
async fn a_webhook_can_have_a_handshake_of_its_own() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    let id = secret(&caller, "hex", "verify token").await;
    let handshake = json!({"kind": "meta", "secrets": [id]});
    let body = json!({"name": "a", "handshake": handshake});
    let made = caller.post("/v1/webhooks", body).await.is(201);
    assert_eq!(made["handshake"], handshake);
    let path = format!("/v1/webhooks/{}", made["id"].as_str().expect("an id"));
    // What it names stays.
    caller
        .delete(&format!("/v1/secrets/{id}"))
        .await
        .is_problem(409, "in_use");
    let changed = caller
        .patch(
            &path,
            json!({"handshake": {"kind": "cloud_events", "secrets": null}}),
        )
        .await
        .is(200);
    assert_eq!(
        changed["handshake"],
        json!({"kind": "cloud_events", "allowed_origins": [], "requests_per_minute": null})
    );
    let renamed = caller.patch(&path, json!({"name": "b"})).await.is(200);
    assert_eq!(renamed["handshake"], changed["handshake"]);
    let without = caller.patch(&path, json!({"handshake": null})).await.is(200);
    assert_eq!(without["handshake"], Value::Null);
    caller.delete(&format!("/v1/secrets/{id}")).await.is(204);
    for (handshake, pointer, code) in [
        (json!({"kind": "magic"}), "/handshake/kind", "invalid"),
        (json!({"kind": "notion"}), "/handshake/kind", "invalid"),
        (
            json!({"kind": "meta", "secrets": []}),
            "/handshake/secrets",
            "required",
        ),
        (
            json!({"kind": "meta", "secrets": [id]}),
            "/handshake/secrets/0",
            "not_found",
        ),
        (
            json!({"kind": "slack", "colour": 1}),
            "/handshake/colour",
            "unknown",
        ),
        (
            json!({"kind": "cloud_events", "allowed_origins": ["https://a"]}),
            "/handshake/allowed_origins/0",
            "invalid",
        ),
    ] {
        let refused = caller.patch(&path, json!({ "handshake": handshake })).await;
        refused.is_invalid(&[(pointer, code)]);
    }
}

#[tokio::test]
async fn a_webhook_is_paired_and_its_secret_revealed_once() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    let body = json!({"name": "Notion", "authentication": {"kind": "sender", "sender": "notion"}});
    let webhook = caller.post("/v1/webhooks", body).await.is(201);
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let pairing = format!("{path}/pairing");
    assert_eq!(caller.get(&pairing).await.is(200)["state"], "never");
    caller.delete(&pairing).await.is(204);
    let reveal = format!("{pairing}/reveal");
    caller
        .post(&reveal, json!({}))
        .await
        .is_problem(409, "wrong_state");

    let opened = caller.post(&pairing, json!({"open_seconds": 120})).await.is(201);
    assert_eq!(
        (&opened["state"], &opened["sender"]),
        (&json!("open"), &json!("notion"))
    );
    caller
        .post(&reveal, json!({}))
        .await
        .is_problem(409, "wrong_state");
    caller.delete(&pairing).await.is(204);
    assert_eq!(caller.get(&pairing).await.is(200)["state"], "expired");
    caller
        .post(&pairing, json!({"open_seconds": 59}))
        .await
        .is_invalid(&[("/open_seconds", "out_of_range")]);

    caller.post(&pairing, json!({})).await.is(201);
    let secret = stored::paired_secret(&service, &webhook, "secret_of_notion");
    let done = caller.get(&pairing).await.is(200);
    assert_eq!(
        (&done["state"], &done["secret_id"]),
        (&json!("completed"), &json!(secret))
    );
    let webhook = caller.get(&path).await.is(200);
    assert_eq!(webhook["authentication"]["secrets"], json!([secret]));
    assert_eq!(
        caller.post(&reveal, json!({})).await.is(200),
        json!({"value": "secret_of_notion"})
    );
    caller
        .post(&reveal, json!({}))
        .await
        .is_problem(409, "wrong_state");
    assert!(caller.get(&pairing).await.is(200)["revealed_at"].is_string());
    assert_eq!(
        caller.patch(&path, json!({"name": "still valid"})).await.is(200)["name"],
        "still valid"
    );
}

#[tokio::test]
async fn only_a_sender_that_brings_its_secret_is_paired() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    let id = secret(&caller, "hex", "one").await;
    for body in [
        json!({"name": "a"}),
        json!({"name": "a", "authentication": {"kind": "sender", "sender": "slack", "secrets": [id]}}),
        json!({"name": "a", "authentication": {"kind": "sender", "sender": "notion"}, "handshake": {"kind": "none"}}),
    ] {
        let webhook = caller.post("/v1/webhooks", body).await.is(201);
        let path = format!("/v1/webhooks/{}/pairing", webhook["id"].as_str().expect("an id"));
        caller.post(&path, json!({})).await.is_problem(409, "wrong_state");
    }
}
