//! What browsers ask: OPTIONS, HEAD, and whether a page may read an answer.

use hookgate_testkit::fixtures::NewWebhook;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde_json::json;

use crate::harness::Harness;

/// The headers that CORS is about, as `name: value`, sorted.
fn told(headers: &HeaderMap) -> Vec<String> {
    let names = |name: &str| name.starts_with("access-control-") || name == "vary" || name == "allow";
    let mut told: Vec<String> = headers
        .iter()
        .filter(|(name, _)| names(name.as_str()))
        .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
        .collect();
    told.sort();
    told
}

fn with_cors(cors: serde_json::Value) -> NewWebhook {
    NewWebhook {
        methods: vec!["POST".into(), "GET".into()],
        authentication: json!({"kind": "api_key"}),
        cors: Some(cors),
        ..NewWebhook::default()
    }
}

async fn preflight(harness: &Harness, path: &str, origin: &str) -> Response {
    let request = harness.request(Method::OPTIONS, path);
    let request = request
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-api-key, x-other");
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn a_page_may_call_and_read_when_its_origin_is_allowed() {
    let mut harness = Harness::start().await;
    let cors = json!({"allowed_origins": ["https://app.example.com"], "allowed_headers": ["content-type", "x-api-key"],
        "exposed_headers": ["hookgate-event-id"], "max_age_seconds": 60, "allow_credentials": true});
    let webhook = harness.webhook(with_cors(cors));
    let path = &webhook.production.path;

    let allowed = preflight(&harness, path, "https://app.example.com").await;
    assert_eq!(allowed.status(), 204);
    assert_eq!(
        told(allowed.headers()),
        [
            "access-control-allow-credentials: true",
            "access-control-allow-headers: content-type, x-api-key",
            "access-control-allow-methods: GET, POST",
            "access-control-allow-origin: https://app.example.com",
            "access-control-expose-headers: hookgate-event-id",
            "access-control-max-age: 60",
            "allow: GET, POST, HEAD, OPTIONS",
            "vary: access-control-request-headers",
            "vary: origin",
        ]
    );
    let strange = preflight(&harness, path, "https://evil.example").await;
    assert_eq!(strange.status(), 204);
    assert_eq!(
        told(strange.headers()),
        [
            "allow: GET, POST, HEAD, OPTIONS",
            "vary: access-control-request-headers",
            "vary: origin"
        ]
    );

    // The preflight lets nobody in: without the key the page reads why.
    let post = |origin: &'static str| harness.post(&webhook.production).header("origin", origin).send();
    let refused = post("https://app.example.com").await.expect("an answer");
    assert_eq!(refused.status(), 401);
    assert_eq!(
        told(refused.headers()),
        [
            "access-control-allow-credentials: true",
            "access-control-allow-origin: https://app.example.com",
            "access-control-expose-headers: hookgate-event-id",
            "vary: origin",
        ]
    );
    let strange = post("https://evil.example").await.expect("an answer");
    assert_eq!(
        (strange.status().as_u16(), told(strange.headers())),
        (401, vec!["vary: origin".to_owned()])
    );
    let oversized = harness
        .request(Method::DELETE, path)
        .header("origin", "https://app.example.com");
    let oversized = oversized.send().await.expect("an answer");
    assert_eq!(
        (oversized.status().as_u16(), &oversized.headers()["allow"]),
        (405, &"GET, POST, HEAD, OPTIONS".parse().expect("a value"))
    );
    assert!(oversized.headers().contains_key("access-control-allow-origin"));

    // An URL that there is not looks the same with and without CORS.
    let other = path.replace("orders", "other");
    let hidden = preflight(&harness, &other, "https://app.example.com").await;
    assert_eq!(
        (hidden.status().as_u16(), told(hidden.headers())),
        (404, Vec::new())
    );
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 0);
}

#[tokio::test]
async fn any_page_may_read_with_a_star() {
    let mut harness = Harness::start().await;
    let cors = json!({"allowed_origins": ["*"], "allowed_headers": ["*"], "exposed_headers": [], "max_age_seconds": 0,
        "allow_credentials": false});
    let revision = json!({"response": {"status": 201, "headers": {"Access-Control-Allow-Origin": "https://wrong.example"},
        "body": {"got": "{{ body.n }}"}}});
    let webhook = harness.webhook(NewWebhook {
        revision,
        authentication: json!({"kind": "none"}),
        ..with_cors(cors)
    });
    let asked = preflight(&harness, &webhook.production.path, "https://any.example").await;
    assert_eq!(
        told(asked.headers()),
        [
            "access-control-allow-headers: x-api-key, x-other",
            "access-control-allow-methods: GET, POST",
            "access-control-allow-origin: *",
            "access-control-max-age: 0",
            "allow: GET, POST, HEAD, OPTIONS",
            "vary: access-control-request-headers",
        ]
    );
    let posted = harness
        .post(&webhook.production)
        .header("origin", "https://any.example");
    let posted = posted.body("{\"n\": 1}").send().await.expect("an answer");
    assert_eq!(posted.status(), 201);
    assert_eq!(told(posted.headers()), ["access-control-allow-origin: *"]);
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 1);
}

#[tokio::test]
async fn without_cors_options_names_the_methods_alone() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook::default());
    let asked = preflight(&harness, &webhook.production.path, "https://any.example").await;
    assert_eq!(
        (asked.status().as_u16(), told(asked.headers())),
        (204, vec!["allow: POST, OPTIONS".to_owned()])
    );
    let posted = harness
        .post(&webhook.production)
        .header("origin", "https://any.example");
    assert!(told(posted.send().await.expect("an answer").headers()).is_empty());
    harness.stop().await;
    assert_eq!(harness.refusals(&webhook).len(), 0);
}

#[tokio::test]
async fn head_is_answered_like_get_and_changes_nothing() {
    let mut harness = Harness::start().await;
    let constant = harness.webhook(NewWebhook {
        methods: vec!["GET".into()],
        revision: json!({"response": {"status": 202, "headers": {"x-a": "b"}, "body": {"ok": true}}}),
        ..NewWebhook::default()
    });
    let head = async |path: &str| {
        harness
            .request(Method::HEAD, path)
            .send()
            .await
            .expect("an answer")
    };
    let answer = head(&constant.production.path).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-a"]),
        (202, &"b".parse().expect("a value"))
    );
    assert_eq!(answer.headers()["content-length"], "11");
    assert_eq!(answer.text().await.expect("text"), "");
    let templated = harness.webhook(NewWebhook {
        methods: vec!["GET".into()],
        revision: json!({"response": {"status": 202, "body": "{{ query.x }}"}}),
        ..NewWebhook::default()
    });
    assert_eq!(head(&templated.production.path).await.status(), 200);
    let posted = harness.webhook(NewWebhook::default());
    assert_eq!(head(&posted.production.path).await.status(), 405);
    let keyed = harness.webhook(NewWebhook {
        methods: vec!["GET".into()],
        authentication: json!({"kind": "api_key"}),
        ..NewWebhook::default()
    });
    assert_eq!(head(&keyed.production.path).await.status(), 401);
    harness.stop().await;
    for webhook in [&constant, &templated, &posted, &keyed] {
        assert_eq!(harness.events(webhook).len(), 0);
    }
}
