//! Data protection, from the request to the last record of its run: masked values reach the flow and nothing else.

use std::time::Duration;

use hookgate_domain::database::PgConnection;
use hookgate_domain::jobs::{self, Claims};
use hookgate_domain::redis::Redis;
use hookgate_ingress::Settings;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use hookgate_testkit::receiver::{Receiver, Reply};
use hookgate_testkit::{TestDatabase, eventually};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::Harness;

const PATIENCE: Duration = Duration::from_secs(20);

const TOKEN: &str = "header-secret-0001";
const QUERY: &str = "query-secret-0002";
const PATH: &str = "path-secret-0003";
const CARD: &str = "4111111111110004";
const IBAN: &str = "DE89370400440532013005";
const PASSWORD: &str = "deep \"secret\" 0006";
const ADDRESS: &str = "203.0.113.77";
const SECRETS: [&str; 7] = [
    TOKEN,
    QUERY,
    PATH,
    CARD,
    IBAN,
    "deep \\\"secret\\\" 0006",
    ADDRESS,
];

fn masks() -> Value {
    json!({
        "mask": ["headers.x-token", "query.key", "path.customer", "body.card.number", "body.items[].iban",
            "body.**.password"],
        "mask_address": true,
    })
}

fn body() -> Value {
    json!({ "card": { "number": 4_111_111_111_110_004_u64, "holder": "Ada" }, "items": [{ "iban": IBAN, "n": 1 }],
        "a": [{ "b": { "password": PASSWORD } }], "kept": "visible" })
}

/// A flow that puts what it gets wherever it can, and what the destination echoes, too.
fn talkative(destination: Uuid) -> Value {
    let destination = destination.to_string();
    let id = hookgate_model::ids::DestinationId::from(destination.parse::<Uuid>().expect("an id"));
    let all = json!({ "token": "{{ headers['x-token'] }}", "key": "{{ query.key }}", "customer": "{{ path.customer }}",
        "body": "{{ body }}", "address": "{{ event.address }}", "text": "{{ body_text }}" });
    json!({
        "flow": { "steps": [
            { "name": "copy", "kind": "set", "values": all },
            { "name": "send", "kind": "http", "destination": id, "path": "/cards/{{ body.card.number }}/{{ path.customer }}",
              "headers": { "x-token": "{{ headers['x-token'] }}" }, "body": all,
              "retry": { "attempts": 3, "initial_delay_ms": 100, "max_delay_ms": 1000 } },
            { "name": "wrong", "kind": "set", "when": "{{ true }}", "on_error": "continue",
              "values": { "x": "{{ body.card.number | items }}" } },
        ] },
        "response": { "mode": "wait", "timeout_ms": 10000, "status": 200,
            "headers": { "x-card": "{{ body.card.number }}" }, "body": { "echo": "{{ copy }}", "got": "{{ send.body }}" } },
    })
}

async fn stage(protection: Value) -> (Harness, Receiver, Webhook) {
    stage_with(protection, None).await
}

async fn stage_with(protection: Value, redis: Option<Redis>) -> (Harness, Receiver, Webhook) {
    let settings = Settings {
        trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")],
        ..Settings::default()
    };
    let database = TestDatabase::create();
    let redis = redis.unwrap_or_else(|| database.redis());
    let harness = Harness::on_redis(database, settings, redis).await;
    let receiver = Receiver::start().await;
    receiver.otherwise(Reply::json(200, &body()));
    let destination = harness.destination(&receiver.url());
    let webhook = harness.webhook(NewWebhook {
        suffix: "orders/{customer}".into(),
        revision: talkative(destination),
        data_protection: protection,
        ..NewWebhook::default()
    });
    (harness, receiver, webhook)
}

fn send(
    harness: &Harness,
    webhook: &Webhook,
) -> impl Future<Output = reqwest::Result<reqwest::Response>> + use<> {
    let path = webhook.production.path.replace("{customer}", PATH);
    harness
        .request(reqwest::Method::POST, &format!("{path}?key={QUERY}&open=1"))
        .header("x-token", TOKEN)
        .header("x-forwarded-for", ADDRESS)
        .header("content-type", "application/json")
        .body(body().to_string())
        .send()
}

/// The masked values that the database holds, with their tables.
fn leaks(harness: &Harness, webhook: &Webhook) -> Vec<(&'static str, Vec<String>)> {
    let stored: String = harness
        .events(webhook)
        .iter()
        .map(|event| String::from_utf8_lossy(&event.body()).into_owned())
        .collect();
    let mut leaks: Vec<_> = SECRETS
        .iter()
        .map(|secret| (*secret, harness.database.tables_with(secret)))
        .filter(|(_, tables)| !tables.is_empty())
        .collect();
    leaks.extend(
        SECRETS
            .iter()
            .filter(|secret| stored.contains(*secret))
            .map(|secret| (*secret, vec!["bodies".to_owned()])),
    );
    leaks
}

fn assert_received(receiver: &Receiver, index: usize) {
    let received = &receiver.received()[index];
    assert_eq!(received.target, format!("/cards/{CARD}/{PATH}"));
    assert_eq!(received.header("x-token"), Some(TOKEN));
    let sent: Value = serde_json::from_slice(&received.body).expect("json");
    assert_eq!(sent["body"], body());
    assert_eq!((&sent["key"], &sent["address"]), (&json!(QUERY), &json!(ADDRESS)));
    assert_eq!(sent["text"].as_str(), Some(body().to_string().as_str()));
}

async fn finished(harness: &Harness, runs: i64) {
    eventually(PATIENCE, "the run is over", async || {
        let there = harness.count("SELECT count(*) FROM runs");
        let jobs = harness.count("SELECT count(*) FROM jobs");
        (there == runs && jobs == 0).then_some(())
    })
    .await;
}

fn masked_of(harness: &Harness, table: &str) -> Value {
    let text = harness
        .database
        .query_text(&format!("SELECT masked::text FROM {table}"));
    serde_json::from_str(&text[0]).expect("json")
}

#[tokio::test]
async fn masked_values_reach_the_flow_and_nothing_else() {
    let (mut harness, receiver, webhook) = stage(masks()).await;
    let worker = harness.worker();
    let answer = send(&harness, &webhook).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-card"], CARD);
    let told: Value = answer.json().await.expect("json");
    assert_eq!((&told["echo"]["body"], &told["got"]), (&body(), &body()));
    assert_received(&receiver, 0);
    finished(&harness, 1).await;
    assert_eq!(leaks(&harness, &webhook), []);

    let event = &harness.events(&webhook)[0];
    let stored: Value = serde_json::from_slice(&event.body()).expect("json");
    assert_eq!(
        stored,
        json!({ "card": { "number": "[masked]", "holder": "Ada" }, "items": [{ "iban": "[masked]", "n": 1 }],
            "a": [{ "b": { "password": "[masked]" } }], "kept": "visible" })
    );
    assert_eq!(event.query, "key=%5Bmasked%5D&open=1");
    assert_eq!(event.path, "orders/%5Bmasked%5D");
    let address = harness.database.query_text("SELECT address::text FROM events");
    assert_eq!(address, ["203.0.113.0/24"]);
    let masked = masked_of(&harness, "events");
    assert_eq!(masked["sensitive"], false);
    assert_eq!(masked["paths"].as_array().expect("paths").len(), 7);
    // What is not masked is there.
    let steps = harness
        .database
        .query_text("SELECT convert_from(steps, 'UTF8') FROM runs");
    assert!(
        steps[0].contains("visible") && steps[0].contains("[masked]"),
        "{}",
        steps[0]
    );
    assert!(
        harness
            .database
            .tables_with("visible")
            .contains(&"attempts".to_owned())
    );
    worker.stop().await;
    harness.stop().await;
}

#[tokio::test]
async fn a_caller_gets_the_real_answer_without_redis_and_nobody_afterwards() {
    let nowhere = Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let (mut harness, _receiver, webhook) = stage_with(masks(), Some(nowhere)).await;
    let worker = harness.worker();
    let answer = send(&harness, &webhook).await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-card"]),
        (200, &CARD.parse().expect("a value"))
    );
    let told: Value = answer.json().await.expect("json");
    assert_eq!(told["echo"]["body"], body());
    finished(&harness, 1).await;
    assert_eq!(leaks(&harness, &webhook), []);
    worker.stop().await;
    harness.stop().await;
}

#[tokio::test]
async fn what_a_retry_needs_is_sealed_in_its_job_and_survives_a_crash() {
    let (mut harness, receiver, webhook) = stage(masks()).await;
    receiver.script([Reply::status(503)]);
    harness.execute("UPDATE webhooks SET status = 'paused'");
    let answer = send(&harness, &webhook).await.expect("an answer");
    assert_eq!(answer.status(), 202);
    // Held: the payload is there, and sealed.
    assert_eq!(
        harness.count("SELECT count(*) FROM jobs WHERE payload IS NOT NULL AND is_held"),
        1
    );
    assert_eq!(leaks(&harness, &webhook), []);
    // A worker claims it, and dies.
    harness.execute("UPDATE webhooks SET status = 'active'");
    harness.execute("UPDATE jobs SET is_held = false");
    let claims = Claims {
        jobs: 1,
        per_tenant: 1,
        not_of: Vec::new(),
        lease: Duration::from_millis(200),
    };
    let claim = move |conn: &mut PgConnection| jobs::claim(conn, &claims, Uuid::nil());
    assert_eq!(
        harness
            .database
            .worker()
            .run(claim)
            .await
            .expect("claims")
            .jobs
            .len(),
        1
    );
    let worker = harness.worker();
    eventually(PATIENCE, "the retry is due", async || {
        let retries =
            "SELECT count(*) FROM jobs WHERE is_retry AND payload IS NOT NULL AND state IS NOT NULL";
        (receiver.received().len() == 1 && harness.count(retries) == 1).then_some(())
    })
    .await;
    assert_eq!(leaks(&harness, &webhook), []);
    finished(&harness, 1).await;
    assert_received(&receiver, 0);
    assert_received(&receiver, 1);
    assert_eq!(leaks(&harness, &webhook), []);
    worker.stop().await;
    harness.stop().await;
}

#[tokio::test]
async fn of_a_sensitive_request_nothing_is_recorded() {
    let (mut harness, receiver, webhook) =
        stage(json!({ "sensitive_if": "{{ body.items[0].n }}", "mask_address": true })).await;
    let worker = harness.worker();
    let answer = send(&harness, &webhook).await.expect("an answer");
    let told: Value = answer.json().await.expect("json");
    assert_eq!(told["echo"]["body"], body());
    assert_received(&receiver, 0);
    finished(&harness, 1).await;
    assert_eq!(leaks(&harness, &webhook), []);
    assert_eq!(harness.database.tables_with("visible"), [""; 0]);
    assert_eq!(harness.database.tables_with("Ada"), [""; 0]);
    let masked = masked_of(&harness, "events");
    assert_eq!(
        (&masked["sensitive"], &masked["body_removed"]),
        (&json!(true), &json!("masked"))
    );
    let event = &harness.events(&webhook)[0];
    assert_eq!(
        (event.body().len(), event.query.as_str()),
        (0, "key=%5Bmasked%5D&open=%5Bmasked%5D")
    );
    let attempts = harness
        .database
        .query_text("SELECT url || ' ' || status FROM attempts");
    assert_eq!(attempts, [format!("{}/ 200", receiver.url())]);
    worker.stop().await;
    harness.stop().await;
}

#[tokio::test]
async fn a_request_that_is_not_sensitive_is_stored_as_it_was_sent() {
    let (mut harness, _receiver, webhook) = stage(json!({ "sensitive_if": "{{ body.private }}" })).await;
    let worker = harness.worker();
    assert_eq!(send(&harness, &webhook).await.expect("an answer").status(), 200);
    finished(&harness, 1).await;
    let event = &harness.events(&webhook)[0];
    assert_eq!(event.body(), body().to_string().into_bytes());
    assert_eq!(
        harness.count("SELECT count(*) FROM events WHERE masked IS NULL"),
        1
    );
    // A body in which the flag cannot be looked up may be anything.
    let path = webhook.production.path.replace("{customer}", PATH);
    let odd = harness
        .request(reqwest::Method::POST, &path)
        .body("{\"private\": true");
    assert!(odd.send().await.is_ok());
    finished(&harness, 2).await;
    assert_eq!(harness.events(&webhook)[1].body(), b"");
    worker.stop().await;
    harness.stop().await;
}

#[tokio::test]
async fn without_a_flow_nothing_is_kept_for_later() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook {
        data_protection: json!({ "mask": ["body.card"] }),
        revision: json!({ "response": { "body": { "card": "{{ body.card }}" } } }),
        ..NewWebhook::default()
    });
    let post = |body: String| harness.post(&webhook.production).body(body).send();
    let answer = post(json!({ "card": CARD, "x": 1 }).to_string())
        .await
        .expect("an answer");
    assert_eq!(
        answer.json::<Value>().await.expect("json"),
        json!({ "card": CARD })
    );
    assert_eq!(
        post("card=4111111111110004".to_owned())
            .await
            .expect("an answer")
            .status(),
        200
    );
    // Long enough for a thread of its own.
    let long = json!({ "card": CARD, "fill": "x".repeat(200_000) }).to_string();
    assert_eq!(post(long.clone()).await.expect("an answer").status(), 200);
    let events = harness.events(&webhook);
    let bodies: Vec<String> = events
        .iter()
        .map(|event| String::from_utf8(event.body()).expect("text"))
        .collect();
    assert_eq!(bodies[0], r#"{"card":"[masked]","x":1}"#);
    assert_eq!(bodies[1], "");
    assert_eq!(bodies[2], long.replace(CARD, "[masked]"));
    assert_eq!(harness.count("SELECT count(*) FROM jobs"), 0);
    assert_eq!(harness.database.tables_with(CARD), [""; 0]);
    harness.stop().await;
}

#[tokio::test]
async fn refusals_are_masked_too() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook {
        data_protection: json!({ "mask": ["body.card", "query.key", "headers.x-token"] }),
        body_limit_bytes: 60,
        ..NewWebhook::default()
    });
    let secret_if = harness.webhook(NewWebhook {
        data_protection: json!({ "sensitive_if": "{{ body.private }}" }),
        body_limit_bytes: 60,
        ..NewWebhook::default()
    });
    for webhook in [&webhook, &secret_if] {
        let path = format!("{}?key={QUERY}", webhook.production.path);
        let long = json!({ "card": CARD, "fill": "x".repeat(100) }).to_string();
        // Without a declared length, so that the beginning of the body is read.
        let stream = reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(long)]));
        let refused = harness
            .request(reqwest::Method::POST, &path)
            .header("x-token", TOKEN)
            .body(stream)
            .send()
            .await
            .expect("an answer");
        assert_eq!(refused.status(), 413);
        let refused = harness
            .request(reqwest::Method::PUT, &path)
            .header("x-token", TOKEN)
            .send()
            .await;
        assert_eq!(refused.expect("an answer").status(), 405);
    }
    harness.stop().await;
    assert_eq!(harness.refusals(&webhook).len(), 2);
    assert_eq!(harness.refusals(&secret_if).len(), 2);
    for secret in [TOKEN, QUERY, CARD] {
        assert_eq!(harness.database.tables_with(secret), [""; 0], "{secret}");
    }
    assert_eq!(
        harness.count("SELECT count(*) FROM refusals WHERE masked IS NULL"),
        0
    );
}

#[tokio::test]
async fn a_template_that_takes_too_long_is_not_waited_for() {
    let mut harness = Harness::with(Settings {
        template_timeout_ms: 100,
        ..Settings::default()
    })
    .await;
    let slow = "{% for i in range(9000) %}{{ body_text | upper | lower | length }}{% endfor %}";
    let webhook = harness.webhook(NewWebhook {
        revision: json!({ "response": { "status": 201, "body": { "n": slow } } }),
        ..NewWebhook::default()
    });
    let protected = harness.webhook(NewWebhook {
        data_protection: json!({ "sensitive_if": "{{ range(9000) | map('string') | list | length and [body_text] * 9000 | map('upper') | map('lower') | list | length == 1 }}" }),
        ..NewWebhook::default()
    });
    let body = "ä".repeat(100_000);
    let answer = harness
        .post(&webhook.production)
        .body(body.clone())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.json::<Value>().await.expect("json"),
        json!({ "status": "accepted" })
    );
    let answer = harness
        .post(&protected.production)
        .body(body)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(harness.events(&webhook).len(), 1);
    assert_eq!(harness.events(&protected)[0].body(), b"");
    harness.stop().await;
}
