//! The life of a destination.

use hookgate_testkit::tls::ClientIdentity;
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

#[tokio::test]
async fn an_authentication_names_secrets_that_are_of_use_and_stay_there() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let secret = async |name: &str, value: &str| {
        let made = owner
            .post("/v1/secrets", json!({"name": name, "value": value}))
            .await;
        made.is(201)["id"].clone()
    };
    let (token, broken) = (secret("token", "hush").await, secret("broken", "hüsh").await);
    let with = |authentication: Value| json!({"name": "CRM", "base_url": "https://crm.example.com", "authentication": authentication});
    for (authentication, pointer) in [
        (
            json!({"kind": "bearer", "token": broken}),
            "/authentication/token",
        ),
        (
            json!({"kind": "basic", "username": "a:b", "password": token}),
            "/authentication/username",
        ),
        (
            json!({"kind": "api_key", "header": "webhook-id", "value": token}),
            "/authentication/header",
        ),
    ] {
        let refused = owner.post("/v1/destinations", with(authentication)).await;
        refused.is_invalid(&[(pointer, "invalid")]);
        assert!(!refused.text.contains("hüsh"), "{}", refused.text);
    }
    let mut body = with(json!({"kind": "bearer", "token": token}));
    let made = owner.post("/v1/destinations", body.clone()).await;
    assert_eq!(made.is(201)["authentication"], body["authentication"]);
    let path = format!("/v1/destinations/{}", made.json()["id"].as_str().expect("an id"));
    let secret_path = format!("/v1/secrets/{}", token.as_str().expect("an id"));
    owner.delete(&secret_path).await.is_problem(409, "in_use");
    owner
        .patch(&secret_path, json!({"value": "hüsh"}))
        .await
        .is_invalid(&[("/value", "invalid")]);
    owner
        .patch(&secret_path, json!({"value": "hush again"}))
        .await
        .is(200);

    let (own, foreign) = (ClientIdentity::generate(), ClientIdentity::generate());
    let key = secret("key", &own.private_key).await;
    body["client_certificate"] = json!({"certificate": foreign.certificate, "private_key": key});
    let refused = owner.patch(&path, body.clone()).await;
    refused.is_invalid(&[("/client_certificate", "invalid")]);
    body["client_certificate"]["certificate"] = json!(own.certificate);
    owner.patch(&path, body).await.is(200);
    let nothing = json!({"authentication": {"kind": "none"}, "client_certificate": null});
    let bare = owner.patch(&path, nothing).await;
    assert_eq!(bare.is(200)["authentication"], json!({"kind": "none"}));
    owner.delete(&secret_path).await.is(204);
}

#[tokio::test]
async fn a_rotation_keeps_the_secret_before_for_a_while_and_shows_the_public_key() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let body = json!({"name": "CRM", "base_url": "https://crm.example.com", "signature_version": "v1a"});
    let made = owner.post("/v1/destinations", body).await.is(201);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    assert!(text(&made["signing_secret"]).starts_with("whsk_"));
    assert!(text(&made["public_key"]).starts_with("whpk_"));
    assert_eq!(made["signature_version"], "v1a");
    let path = format!("/v1/destinations/{}", text(&made["id"]));
    assert_eq!(owner.get(&path).await.is(200)["public_key"], made["public_key"]);

    let rotate = format!("{path}/rotate-secret");
    let rotated = owner.post(&rotate, json!({"grace_seconds": 3600})).await.is(200);
    assert_eq!(
        (&rotated["signature_version"], &rotated["public_key"]),
        (&json!("v1"), &Value::Null)
    );
    assert!(rotated["previous_secret_expires_at"].is_string());
    let at_once = owner.post(&rotate, json!({"grace_seconds": 0})).await.is(200);
    assert_eq!(at_once["previous_secret_expires_at"], Value::Null);
    let stored = service
        .database
        .query_text("SELECT (previous_signing_secret IS NULL)::text FROM destinations");
    assert_eq!(stored, ["true"], "what does not sign any more is not kept");
    let contradiction =
        json!({"signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "signature_version": "v1a"});
    owner
        .post(&rotate, contradiction)
        .await
        .is_invalid(&[("/signature_version", "invalid")]);
}

#[tokio::test]
async fn a_destination_has_limits_and_is_paused_and_resumed() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let body =
        json!({"name": "CRM", "base_url": "https://crm.example.com", "limits": {"calls_per_second": 10}});
    let made = owner.post("/v1/destinations", body).await.is(201);
    assert_eq!(
        made["limits"],
        json!({"calls_per_second": 10, "calls_at_once": null})
    );
    assert_eq!(
        (&made["pauses_on_gone"], &made["status"]),
        (&json!(true), &json!("active"))
    );
    let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
    for wrong in [0, 1_001] {
        owner
            .patch(&path, json!({"limits": {"calls_at_once": wrong}}))
            .await
            .is_invalid(&[("/limits/calls_at_once", "out_of_range")]);
    }
    let changed = json!({"limits": {"calls_at_once": 4, "calls_per_second": null}, "pauses_on_gone": false});
    let changed = owner.patch(&path, changed).await.is(200);
    assert_eq!(
        changed["limits"],
        json!({"calls_per_second": null, "calls_at_once": 4})
    );

    let paused = owner.post(&format!("{path}/pause"), json!({})).await.is(200);
    assert_eq!(paused["status"], "paused");
    assert!(paused["paused_at"].is_string() && paused["paused_reason"].is_string());
    let again = owner.post(&format!("{path}/pause"), json!({})).await.is(200);
    assert_eq!(again["paused_at"], paused["paused_at"]);
    let listed = owner.get("/v1/destinations").await.is(200);
    assert_eq!(listed["data"][0]["status"], "paused");
    assert_eq!(owner.get(&path).await.is(200)["paused_at"], paused["paused_at"]);
    let resumed = owner.post(&format!("{path}/resume"), json!({})).await.is(200);
    assert_eq!(
        (&resumed["status"], &resumed["paused_at"]),
        (&json!("active"), &Value::Null)
    );
    assert_eq!(owner.get(&path).await.is(200)["status"], "active");
}

#[tokio::test]
async fn who_has_secrets_sent_somewhere_needs_the_scope_for_secrets() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let secret = json!({"name": "CRM", "value": "a-token-of-the-CRM"});
    let secret = owner.post("/v1/secrets", secret).await.is(201)["id"].clone();
    let bearer = json!({"kind": "bearer", "token": secret});
    let oauth2 = |host: &str| json!({"kind": "oauth2", "token_url": format!("https://{host}/token"), "client_id": "a", "client_secret": secret});
    let settings = |name: &str, authentication: &Value| json!({"name": name, "base_url": "https://crm.example.com/v1", "authentication": authentication});
    let machine = owner.key(&["destinations:read", "destinations:write"]).await;
    machine
        .post("/v1/destinations", settings("own", &bearer))
        .await
        .is_problem(403, "forbidden");
    let plain = machine
        .post("/v1/destinations", settings("plain", &json!({"kind": "none"})))
        .await
        .is(201);
    let own = owner
        .post("/v1/destinations", settings("own", &oauth2("login.example.com")))
        .await
        .is(201);
    let path = |made: &Value| format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
    for (made, patch) in [
        (&plain, json!({"base_url": "https://evil.example.net/v1"})),
        (&plain, json!({"base_url": "http://crm.example.com/v1"})),
        (&plain, json!({"base_url": "https://crm.example.com:8443/v1"})),
        (&plain, json!({"authentication": bearer})),
        (&own, json!({"authentication": oauth2("evil.example.net")})),
    ] {
        machine
            .patch(&path(made), patch.clone())
            .await
            .is_problem(403, "forbidden");
        owner.patch(&path(made), patch).await.is(200);
    }
    // What leads nothing elsewhere takes the one scope.
    for patch in [
        json!({"base_url": "https://crm.example.com:8443/v2"}),
        json!({"name": "another"}),
        json!({"authentication": {"kind": "none"}}),
    ] {
        machine.patch(&path(&plain), patch).await.is(200);
    }
}
