//! What senders ask before they send is answered, whatever the webhook's methods and credentials, and becomes no event.

use hmac::{Hmac, KeyInit, Mac};
use hookgate_domain::clock;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::Harness;

fn hmac(key: &str, content: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key");
    mac.chain_update(content).finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

fn asking(handshake: Value) -> NewWebhook {
    NewWebhook {
        authentication: json!({ "kind": "api_key" }),
        handshake: Some(handshake),
        ..NewWebhook::default()
    }
}

fn of_sender(settings: Value) -> NewWebhook {
    let mut authentication = settings;
    authentication["kind"] = json!("sender");
    NewWebhook {
        authentication,
        ..NewWebhook::default()
    }
}

async fn text(response: Response) -> (u16, String, String) {
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map_or_else(String::new, |value| value.to_str().expect("text").to_owned())
    };
    let (status, kind, guard) = (
        response.status().as_u16(),
        header("content-type"),
        header("x-content-type-options"),
    );
    if status == 200 && !kind.is_empty() {
        assert_eq!(guard, "nosniff");
    }
    (status, kind, response.text().await.expect("a body"))
}

async fn get(harness: &Harness, webhook: &Webhook, query: &str) -> (u16, String, String) {
    let path = format!("{}?{query}", webhook.production.path);
    let response = harness.request(Method::GET, &path).send().await;
    text(response.expect("an answer")).await
}

fn reasons(harness: &Harness, webhook: &Webhook) -> Vec<String> {
    let refusals = harness.refusals(webhook).into_iter();
    // Of one millisecond, any may be the first.
    let mut reasons: Vec<String> = refusals.map(|refusal| refusal.reason).collect();
    reasons.sort_unstable();
    reasons
}

#[tokio::test]
async fn a_challenge_comes_back_although_the_webhook_takes_no_get() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(asking(json!({ "kind": "dropbox" })));
    let echoed = get(&harness, &webhook, "challenge=%3Cb%3E1").await;
    assert_eq!(echoed, (200, "text/plain; charset=utf-8".into(), "<b>1".into()));
    let too_long = get(&harness, &webhook, &format!("challenge={}", "a".repeat(1025))).await;
    assert_eq!(too_long.0, 400);
    // What is no handshake needs its method and its credentials.
    assert_eq!(get(&harness, &webhook, "a=1").await.0, 405);
    let post = harness.request(Method::POST, &format!("{}?challenge=1", webhook.production.path));
    assert_eq!(post.send().await.expect("an answer").status(), 401);
    harness.stop().await;
    assert!(harness.events(&webhook).is_empty());
    assert_eq!(
        reasons(&harness, &webhook),
        ["api_key_missing", "handshake_malformed", "method_not_allowed"]
    );
}

#[tokio::test]
async fn a_handshake_keeps_to_the_status_the_suffix_and_the_allowlists() {
    let mut harness = Harness::start().await;
    let handshake = || asking(json!({ "kind": "dropbox" }));
    let disabled = harness.webhook(NewWebhook {
        status: "disabled".into(),
        ..handshake()
    });
    assert_eq!(get(&harness, &disabled, "challenge=1").await.0, 403);
    let paused = harness.webhook(NewWebhook {
        status: "paused".into(),
        ..handshake()
    });
    assert_eq!(get(&harness, &paused, "challenge=1").await.0, 200);
    let elsewhere = harness.webhook(handshake());
    let path = elsewhere.production.path.replace("orders", "other");
    let response = harness
        .request(Method::GET, &format!("{path}?challenge=1"))
        .send()
        .await;
    assert_eq!(response.expect("an answer").status(), 404);
    let closed = harness.webhook(handshake());
    let (tenant, webhook, list) = (
        harness.tenant.uuid(),
        closed.id.uuid(),
        clock::new_id::<hookgate_model::ids::Allowlist>().uuid(),
    );
    harness.execute(&format!(
        "INSERT INTO allowlists (tenant_id, id, name) VALUES ('{tenant}', '{list}', 'none')"
    ));
    harness.execute(&format!(
        "INSERT INTO webhook_allowlists (tenant_id, webhook_id, allowlist_id) VALUES ('{tenant}', '{webhook}', '{list}')"
    ));
    assert_eq!(get(&harness, &closed, "challenge=1").await.0, 403);
    harness.stop().await;
}

#[tokio::test]
async fn meta_is_told_its_challenge_for_the_right_token() {
    let mut harness = Harness::start().await;
    let token = harness.secret("verify-me");
    let webhook = harness.webhook(asking(json!({ "kind": "meta", "secrets": [token] })));
    let ask = |token: &str| format!("hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1158201444");
    assert_eq!(get(&harness, &webhook, &ask("verify-me")).await.2, "1158201444");
    let (status, _, problem) = get(&harness, &webhook, &ask("guess")).await;
    assert_eq!(status, 403);
    assert!(
        problem.contains("handshake_refused") && !problem.contains("verify"),
        "{problem}"
    );
    assert_eq!(
        get(
            &harness,
            &webhook,
            "hub.mode=subscribe&hub.verify_token=verify-me"
        )
        .await
        .0,
        400
    );
    harness.stop().await;
    assert_eq!(
        reasons(&harness, &webhook),
        ["handshake_malformed", "handshake_refused"]
    );
    // A refusal does not keep what may be the token.
    assert_eq!(
        harness.count("SELECT count(*) FROM refusals WHERE query LIKE '%verify%'"),
        0
    );
}

#[tokio::test]
async fn x_is_shown_the_consumer_secret_by_an_hmac() {
    let mut harness = Harness::start().await;
    let secret = harness.secret("consumer");
    let webhook = harness.webhook(of_sender(json!({ "sender": "x", "secrets": [secret] })));
    let (status, kind, body) = get(&harness, &webhook, "crc_token=abc-1").await;
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    let expected = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        hmac("consumer", "abc-1"),
    );
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["response_token"], format!("sha256={expected}"));
    // What the check signs is taken for no request.
    let replay = harness
        .post(&webhook.production)
        .header("x-twitter-webhooks-signature", format!("sha256={expected}"))
        .body("abc-1");
    assert_eq!(replay.send().await.expect("an answer").status(), 400);
    assert_eq!(get(&harness, &webhook, "crc_token=%7B%7D").await.0, 400);
    harness.stop().await;
    assert!(harness.events(&webhook).is_empty());
}

#[tokio::test]
async fn okta_microsoft_and_cloud_events_are_answered() {
    let mut harness = Harness::start().await;
    let okta = harness.webhook(asking(json!({ "kind": "okta" })));
    let asked = harness
        .request(Method::GET, &okta.production.path)
        .header("X-Okta-Verification-Challenge", "a\"b");
    let (status, _, body) = text(asked.send().await.expect("an answer")).await;
    assert_eq!((status, body.as_str()), (200, r#"{"verification":"a\"b"}"#));

    let graph = harness.webhook(asking(json!({ "kind": "microsoft_graph" })));
    let path = format!("{}?validationToken=Validation%3a+Testing", graph.production.path);
    let asked = harness.request(Method::POST, &path);
    let answered = text(asked.send().await.expect("an answer")).await;
    assert_eq!(
        answered,
        (
            200,
            "text/plain; charset=utf-8".into(),
            "Validation: Testing".into()
        )
    );

    let cloud = harness.webhook(asking(
        json!({ "kind": "cloud_events", "allowed_origins": ["a.example.com"], "requests_per_minute": 60 }),
    ));
    let ask = |origin: &'static str| {
        harness
            .request(Method::OPTIONS, &cloud.production.path)
            .header("WebHook-Request-Origin", origin)
            .header("WebHook-Request-Rate", "120")
            .send()
    };
    let allowed = ask("a.example.com").await.expect("an answer");
    let header = |name: &str| allowed.headers()[name].to_str().expect("text");
    assert_eq!(allowed.status(), 200);
    assert_eq!(
        (
            header("allow"),
            header("webhook-allowed-origin"),
            header("webhook-allowed-rate")
        ),
        ("POST", "a.example.com", "60")
    );
    assert_eq!(ask("b.example.com").await.expect("an answer").status(), 403);
    harness.stop().await;
    for webhook in [okta, graph, cloud] {
        assert!(harness.events(&webhook).is_empty());
    }
}

#[tokio::test]
async fn event_grid_validates_with_its_credentials() {
    let mut harness = Harness::start().await;
    let secret = harness.secret("in-the-query");
    let webhook = harness.webhook(of_sender(json!({ "sender": "event-grid", "secrets": [secret] })));
    let validate = |query: &str| {
        harness
            .request(Method::POST, &format!("{}?{query}", webhook.production.path))
            .header("aeg-event-type", "SubscriptionValidation")
            .body(r#"[{"id":"1","data":{"validationCode":"512d38b6"},"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent"}]"#)
            .send()
    };
    let answered = text(validate("secret=in-the-query").await.expect("an answer")).await;
    assert_eq!(
        (answered.0, answered.2.as_str()),
        (200, r#"{"validationResponse":"512d38b6"}"#)
    );
    assert_eq!(validate("secret=other").await.expect("an answer").status(), 401);
    harness.stop().await;
    assert!(harness.events(&webhook).is_empty());
}

#[tokio::test]
async fn signed_handshakes_need_their_signature() {
    let mut harness = Harness::start().await;
    let secret = harness.secret("shhh");
    let now = clock::now().timestamp();
    let slack = harness.webhook(of_sender(json!({ "sender": "slack", "secrets": [secret] })));
    let zoom = harness.webhook(of_sender(json!({ "sender": "zoom", "secrets": [secret] })));
    let send = |webhook: &Webhook, names: [&'static str; 2], key: &str, body: &'static str| {
        let signature = format!("v0={}", hex(&hmac(key, &format!("v0:{now}:{body}"))));
        harness
            .post(&webhook.production)
            .header(names[0], signature)
            .header(names[1], now.to_string())
            .body(body)
            .send()
    };
    let slack_names = ["x-slack-signature", "x-slack-request-timestamp"];
    let ask = r#"{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY","type":"url_verification"}"#;
    let answered = text(send(&slack, slack_names, "shhh", ask).await.expect("an answer")).await;
    assert_eq!(
        answered,
        (
            200,
            "text/plain; charset=utf-8".into(),
            "3eZbrw1aBm2rZgRNFdxV2595E9CY".into()
        )
    );
    assert_eq!(
        send(&slack, slack_names, "other", ask)
            .await
            .expect("an answer")
            .status(),
        401
    );
    let event = r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}"#;
    assert_eq!(
        send(&slack, slack_names, "shhh", event)
            .await
            .expect("an answer")
            .status(),
        200
    );

    let zoom_names = ["x-zm-signature", "x-zm-request-timestamp"];
    let ask = r#"{"payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event":"endpoint.url_validation"}"#;
    let (status, _, body) = text(send(&zoom, zoom_names, "shhh", ask).await.expect("an answer")).await;
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({ "plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": hex(&hmac("shhh", "qgg8vlvZRS6UYooatFL8Aw")) })
    );
    assert_eq!(
        send(&zoom, zoom_names, "other", ask)
            .await
            .expect("an answer")
            .status(),
        401
    );
    harness.stop().await;
    assert_eq!(harness.events(&slack).len(), 1);
    assert!(harness.events(&zoom).is_empty());
}

#[tokio::test]
async fn a_handshake_can_be_turned_off() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook {
        handshake: Some(json!({ "kind": "none" })),
        ..of_sender(json!({ "sender": "okta", "secrets": [harness.secret("x")] }))
    });
    let asked = harness
        .request(Method::GET, &webhook.production.path)
        .header("X-Okta-Verification-Challenge", "a");
    assert_eq!(asked.send().await.expect("an answer").status(), 405);
    harness.stop().await;
}
