//! What is kept of refused requests: whole and sealed what could be let in after all, and shown without credentials.

use std::time::Duration;

use hookgate_domain::refusals::RefusedRequest;
use hookgate_ingress::Settings;
use hookgate_model::ids::RefusalId;
use hookgate_testkit::eventually;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use serde_json::{Value, json};

use crate::harness::{Harness, StoredRefusal, master_key};

const PATIENCE: Duration = Duration::from_secs(10);

async fn refusals(harness: &Harness, webhook: &Webhook, count: usize) -> Vec<StoredRefusal> {
    eventually(PATIENCE, format!("{count} refusals are kept"), async || {
        let kept = harness.refusals(webhook);
        (kept.len() >= count).then_some(kept)
    })
    .await
}

fn open(harness: &Harness, refusal: &StoredRefusal) -> Option<RefusedRequest> {
    let sealed = refusal.request.as_deref()?;
    let id = RefusalId::from(refusal.id);
    Some(RefusedRequest::open(&master_key(), harness.tenant, id, sealed).expect("it opens"))
}

fn token(harness: &Harness, at: Value) -> NewWebhook {
    let secret = harness.secret("right");
    NewWebhook {
        authentication: json!({"kind": "static_token", "at": at, "secrets": [secret]}),
        ..NewWebhook::default()
    }
}

#[tokio::test]
async fn a_refused_request_is_kept_whole_and_shown_without_its_credentials() {
    let harness = Harness::start().await;
    let webhook = harness.webhook(token(&harness, json!({"in": "header", "name": "x-shop-token"})));
    let answer = harness
        .request(
            reqwest::Method::POST,
            &format!("{}?api_key=hush-1&page=2", webhook.production.path),
        )
        .header("x-shop-token", "hush-2")
        .header("x-event", "order")
        .body("the body")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 401);
    assert!(!answer.text().await.expect("text").contains("x-shop-token"));
    let refusal = refusals(&harness, &webhook, 1).await.remove(0);
    assert_eq!(refusal.reason, "credentials_wrong");
    let shown = [
        &refusal.headers[..],
        &refusal.body_preview,
        refusal.query.as_bytes(),
    ]
    .concat();
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(
        !shown.contains("hush") && !refusal.detail.contains("hush"),
        "{shown}"
    );
    assert!(
        shown.contains("page=2") && shown.contains("x-event: order") && shown.contains("the body"),
        "{shown}"
    );
    let sealed = refusal.request.as_deref().expect("it is kept");
    assert!(!sealed.windows(4).any(|bytes| bytes == b"hush"), "it is sealed");
    let kept = open(&harness, &refusal).expect("it is kept");
    assert_eq!(kept.body, "the body");
    assert_eq!(kept.path_and_query(), ("orders", "api_key=hush-1&page=2"));
    assert!(String::from_utf8_lossy(&kept.headers).contains("x-shop-token: hush-2"));
}

#[tokio::test]
async fn a_credential_in_the_body_is_not_shown() {
    let harness = Harness::start().await;
    let webhook = harness.webhook(token(&harness, json!({"in": "body", "pointer": "/auth/token"})));
    harness
        .post(&webhook.production)
        .header("content-type", "application/json")
        .body(r#"{"auth":{"token":"hush"},"order":7}"#)
        .send()
        .await
        .expect("an answer");
    let refusal = refusals(&harness, &webhook, 1).await.remove(0);
    let preview = String::from_utf8_lossy(&refusal.body_preview);
    assert!(
        !preview.contains("hush") && preview.contains("order"),
        "{preview}"
    );
    assert!(String::from_utf8_lossy(&open(&harness, &refusal).expect("kept").body).contains("hush"));
}

#[tokio::test]
async fn what_cannot_be_let_in_is_not_kept_whole() {
    let harness = Harness::with(Settings {
        refused_request_bytes: 2_000,
        refused_bytes_per_minute: 3_000,
        ..Settings::default()
    })
    .await;
    let webhook = harness.webhook(token(&harness, json!({"in": "header", "name": "x-token"})));
    let send = async |bytes: usize| {
        let request = harness.post(&webhook.production).header("x-token", "wrong");
        let answer = request.body("x".repeat(bytes)).send().await.expect("an answer");
        assert_eq!(answer.status(), 401);
    };
    send(1_500).await;
    assert!(refusals(&harness, &webhook, 1).await[0].request.is_some());
    // Too long for one, then past what the webhook may keep in a minute.
    send(2_500).await;
    assert!(refusals(&harness, &webhook, 2).await[1].request.is_none());
    send(1_500).await;
    assert!(refusals(&harness, &webhook, 3).await[2].request.is_none());

    let protected = harness.webhook(NewWebhook {
        methods: vec!["PUT".to_owned()],
        ..NewWebhook::default()
    });
    harness.execute(&format!(
        "UPDATE webhooks SET data_protection = '{{\"mask\": [\"body.card\"]}}' WHERE id = '{}'",
        protected.id.uuid()
    ));
    harness
        .post(&protected.production)
        .body("{}")
        .send()
        .await
        .expect("an answer");
    let refusal = refusals(&harness, &protected, 1).await.remove(0);
    assert_eq!(
        (refusal.reason.as_str(), refusal.request),
        ("method_not_allowed", None)
    );
}
