//! Capture windows: requests become samples and start nothing.

use std::time::Duration;

use hookgate_domain::redis::changes::Change;
use hookgate_testkit::eventually;
use hookgate_testkit::fixtures::{NewWebhook, PublicUrl, Webhook};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::Harness;

/// Opens a window of a webhook, as the management API does, before anything has come to it.
fn open(harness: &Harness, webhook: &Webhook, url: Option<&PublicUrl>, most: i32) {
    let url = url.map_or("NULL".to_owned(), |url| format!("'{}'", url.id.uuid()));
    harness.execute(&format!(
        "INSERT INTO captures (tenant_id, webhook_id, url_id, opened_at, expires_at, most, most_samples, most_bytes)
         VALUES ('{}', '{}', {url}, now(), now() + interval '1 hour', {most}, 100, 100000)",
        webhook.tenant.uuid(),
        webhook.id.uuid(),
    ));
}

async fn send(harness: &Harness, url: &PublicUrl, body: &Value) -> Response {
    let answer = harness.post(url).json(body).send().await;
    answer.expect("an answer")
}

/// What a request became: its sample, or its event.
fn became(answer: &Response) -> &str {
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    header("hookgate-sample-id")
        .or(header("hookgate-event-id"))
        .unwrap_or_default()
}

fn samples(harness: &Harness, webhook: &Webhook) -> Vec<String> {
    harness.database.query_text(&format!(
        "SELECT concat_ws(' ', number, source, method, environment, convert_from(body, 'UTF8')) FROM samples \
         WHERE webhook_id = '{}' ORDER BY number",
        webhook.id.uuid()
    ))
}

#[tokio::test]
async fn a_window_takes_its_samples_and_ends() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook {
        methods: vec!["POST".to_owned(), "PUT".to_owned()],
        revision: json!({"response": {"status": 201, "body": {"got": "{{ body.n }}"}}}),
        ..NewWebhook::default()
    });
    open(&harness, &webhook, None, 2);
    let answer = send(&harness, &webhook.production, &json!({"n": 1})).await;
    assert!(became(&answer).starts_with("smp_"), "{:?}", answer.headers());
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.json::<Value>().await.expect("JSON"), json!({"got": 1}));
    let put = harness.request(Method::PUT, &webhook.test.path).body("2");
    assert!(became(&put.send().await.expect("an answer")).starts_with("smp_"));
    // Two are what it takes.
    let answer = send(&harness, &webhook.production, &json!({"n": 3})).await;
    assert!(became(&answer).starts_with("evt_"));
    harness.stop().await;
    assert_eq!(
        samples(&harness, &webhook),
        ["1 captured POST production {\"n\":1}", "2 captured PUT test 2"]
    );
    assert_eq!(harness.events(&webhook).len(), 1);
    assert_eq!(
        harness
            .database
            .query_text("SELECT concat(taken, ended_by) FROM captures"),
        ["2full"]
    );
}

#[tokio::test]
async fn nothing_else_of_the_webhook_happens() {
    let mut harness = Harness::start().await;
    let step = json!({"name": "a", "kind": "set", "values": {"b": "1"}});
    let webhook = harness.webhook(NewWebhook {
        status: "paused".to_owned(),
        deduplication: Some(json!({"key": "{{ body.id }}", "remember_hours": 1})),
        revision: json!({"expected_data": {"mode": "enforce", "body": [{"path": "order", "required": true}]},
            "flow": {"steps": [step]}, "response": {"mode": "wait", "body": {"b": "{{ a.b }}"}}}),
        ..NewWebhook::default()
    });
    open(&harness, &webhook, None, 100);
    for _ in 0..2 {
        // The flow's result is not there, so it is the answer that every webhook has.
        let answer = send(&harness, &webhook.production, &json!({"id": 7})).await;
        assert!(became(&answer).starts_with("smp_"));
        assert_eq!(
            answer.json::<Value>().await.expect("JSON"),
            json!({"status": "accepted"})
        );
    }
    assert_eq!(samples(&harness, &webhook).len(), 2);
    // A window that is closed is closed at once, whatever this node has in its cache.
    harness.execute("UPDATE captures SET ended_at = now(), ended_by = 'closed'");
    let answer = send(&harness, &webhook.production, &json!({"id": 7, "order": 1})).await;
    assert_eq!((answer.status().as_u16(), &became(&answer)[..4]), (202, "evt_"));
    harness.stop().await;
    assert_eq!(
        (samples(&harness, &webhook).len(), harness.events(&webhook).len()),
        (2, 1)
    );
    assert_eq!(harness.count("SELECT count(*) FROM jobs WHERE is_held"), 1);
    assert_eq!(harness.count("SELECT count(*) FROM usage WHERE events <> 1"), 0);
}

#[tokio::test]
async fn a_window_of_one_url_is_of_that_url() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook::default());
    open(&harness, &webhook, Some(&webhook.test), 100);
    let of = async |url: &PublicUrl| became(&send(&harness, url, &json!({})).await)[..4].to_owned();
    assert_eq!(
        (of(&webhook.test).await, of(&webhook.production).await),
        ("smp_".to_owned(), "evt_".to_owned())
    );
    harness.stop().await;
}

#[tokio::test]
async fn a_sample_is_masked_as_an_event_is() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook {
        data_protection: json!({"mask": ["body.card", "query.token"], "mask_address": true}),
        ..NewWebhook::default()
    });
    open(&harness, &webhook, None, 100);
    let path = format!("{}?token=hush&a=b", webhook.production.path);
    let answer = harness
        .request(Method::POST, &path)
        .json(&json!({"card": "4111", "id": 1}));
    assert!(became(&answer.send().await.expect("an answer")).starts_with("smp_"));
    harness.stop().await;
    assert_eq!(
        harness.database.query_text(
            "SELECT concat_ws(' ', convert_from(body, 'UTF8'), query LIKE '%hush%', address, masked ->> 'body_removed') FROM samples"
        ),
        ["{\"card\":\"[masked]\",\"id\":1} f 127.0.0.0/24"]
    );
}

#[tokio::test]
async fn what_does_not_fit_ends_the_window_and_is_an_event() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook::default());
    open(&harness, &webhook, None, 100);
    let noise: String = (0..6_000).map(|_| Uuid::new_v4().simple().to_string()).collect();
    let answer = send(&harness, &webhook.production, &json!(noise)).await;
    assert!(became(&answer).starts_with("evt_"));
    harness.stop().await;
    assert_eq!(
        harness.database.query_text("SELECT ended_by FROM captures"),
        ["full"]
    );
}

#[tokio::test]
async fn every_node_hears_of_an_opened_window() {
    let mut harness = Harness::start().await;
    let mut beside = harness.beside().await;
    let webhook = harness.webhook(NewWebhook::default());
    for node in [&harness, &beside] {
        let answer = send(node, &webhook.production, &json!({})).await;
        assert!(became(&answer).starts_with("evt_"));
    }
    open(&harness, &webhook, None, 1_000);
    let redis = harness.database.redis();
    redis
        .announce(Change::Webhook(webhook.id))
        .await
        .expect("announced");
    for node in [&harness, &beside] {
        eventually(Duration::from_secs(30), "the node captures", async || {
            let answer = send(node, &webhook.production, &json!({})).await;
            became(&answer).starts_with("smp_").then_some(())
        })
        .await;
    }
    harness.stop().await;
    beside.stop().await;
}
