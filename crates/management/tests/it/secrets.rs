//! The life of a secret.

use serde_json::{Value, json};

use crate::service::Service;

fn path_of(secret: &Value) -> String {
    format!("/v1/secrets/{}", secret["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_value_is_never_shown_but_when_it_is_generated() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let stored = || {
        service
            .database
            .query_text("SELECT encode(value, 'escape') FROM secrets ORDER BY id")
    };
    let made = owner
        .post("/v1/secrets", json!({"name": "GitHub", "value": " top secret\n"}))
        .await;
    assert_eq!(made.is(201)["value"], Value::Null);
    assert!(!made.text.contains("top secret"), "{}", made.text);
    assert!(!stored()[0].contains("top secret"));
    let path = path_of(&made.json());
    assert!(!owner.get(&path).await.text.contains("\"value\""));
    assert!(!owner.get("/v1/secrets").await.text.contains("\"value\""));

    let generated = owner
        .post("/v1/secrets", json!({"name": "Svix", "generate": "whsec"}))
        .await
        .is(201);
    let value = generated["value"].as_str().expect("a value").to_owned();
    assert!(value.starts_with("whsec_"), "{value}");
    let read = owner.get(&path_of(&generated)).await;
    assert!(!read.text.contains(&value) && read.is(200)["name"] == "Svix");
    assert!(stored().iter().all(|sealed| !sealed.contains(&value[6..])));
}

#[tokio::test]
async fn a_secret_is_renamed_rotated_and_deleted() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let made = owner
        .post("/v1/secrets", json!({"name": "GitHub", "generate": "hex"}))
        .await;
    let (before, path) = (made.is(201), path_of(&made.json()));
    let sealed = || {
        service
            .database
            .query_text("SELECT encode(value, 'hex') FROM secrets")
    };
    let first = sealed();
    let renamed = owner
        .with("if-match", made.header("etag"))
        .patch(&path, json!({"name": "GitHub, orders"}))
        .await;
    assert_eq!(
        (
            &renamed.is(200)["name"],
            &renamed.json()["value"],
            renamed.header("etag")
        ),
        (&json!("GitHub, orders"), &Value::Null, "\"2\"")
    );
    assert_eq!(renamed.json()["value_changed_at"], before["value_changed_at"]);
    assert_eq!(sealed(), first);

    let rotated = owner.patch(&path, json!({"generate": "base64"})).await.is(200);
    assert_eq!(rotated["value"].as_str().map(str::len), Some(44));
    assert_ne!(rotated["value_changed_at"], before["value_changed_at"]);
    assert_ne!(sealed(), first);
    let given = owner.patch(&path, json!({"value": "given"})).await;
    assert_eq!(given.is(200)["value"], Value::Null);
    assert!(!given.text.contains("given"));

    let stale = owner.with("if-match", "\"1\"");
    stale
        .patch(&path, json!({}))
        .await
        .is_problem(412, "precondition_failed");
    stale.delete(&path).await.is_problem(412, "precondition_failed");
    owner
        .post("/v1/secrets", json!({"name": "GitHub, orders", "value": "x"}))
        .await
        .is_problem(409, "name_taken");
    owner.delete(&path).await.is(204);
    owner.get(&path).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn what_is_wrong_is_told_at_once_and_no_value_is_echoed() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let answer = owner
        .post(
            "/v1/secrets",
            json!({"name": "", "value": "hush\u{0}", "generate": "hush"}),
        )
        .await;
    answer.is_invalid(&[
        ("/name", "too_short"),
        ("/value", "invalid"),
        ("/generate", "invalid"),
    ]);
    assert!(!answer.text.contains("hush"), "{}", answer.text);
    for (body, pointer, code) in [
        (json!({"name": "a"}), "/value", "required"),
        (json!({"name": "a", "value": ["hush"]}), "/value", "wrong_type"),
        (json!({"name": "a", "value": " "}), "/value", "too_short"),
        (
            json!({"name": "a", "value": "hush".repeat(5000)}),
            "/value",
            "too_long",
        ),
        (
            json!({"name": "a", "value": "hush", "generate": "hex"}),
            "/generate",
            "invalid",
        ),
    ] {
        let answer = owner.post("/v1/secrets", body).await;
        answer.is_invalid(&[(pointer, code)]);
        assert!(!answer.text.contains("hush"), "{}", answer.text);
    }
}
