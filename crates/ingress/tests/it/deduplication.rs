//! A delivery that came before gets the first one's answer, and starts nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use hookgate_domain::redis::Redis;
use hookgate_ingress::Settings;
use hookgate_model::answer::Answer;
use hookgate_testkit::fixtures::{NewWebhook, PublicUrl, Webhook};
use hookgate_testkit::{TestDatabase, eventually};
use reqwest::Response;
use serde_json::{Value, json};

use crate::harness::Harness;

const PATIENCE: Duration = Duration::from_secs(10);

fn keyed(key: &str, revision: Value) -> NewWebhook {
    NewWebhook {
        deduplication: Some(json!({ "key": key, "remember_hours": 1 })),
        revision,
        ..NewWebhook::default()
    }
}

pub fn by_id(revision: Value) -> NewWebhook {
    keyed("{{ body.id }}", revision)
}

fn working(response: Value) -> Value {
    json!({ "flow": { "steps": [{ "name": "a", "kind": "set", "values": {} }] }, "response": response })
}

/// What a caller can tell an answer by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Got {
    pub status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Got {
    async fn of(response: Response) -> Self {
        let text = |value: &reqwest::header::HeaderValue| value.to_str().expect("text").to_owned();
        let headers = response.headers().iter().filter(|(name, _)| *name != "date");
        let mut headers: Vec<_> = headers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        headers.sort();
        Self {
            status: response.status().as_u16(),
            headers,
            body: response.text().await.expect("text"),
        }
    }

    pub fn event(&self) -> &str {
        let header = self.headers.iter().find(|(name, _)| name == "hookgate-event-id");
        &header.expect("an event's id").1
    }
}

pub async fn post(harness: &Harness, url: &PublicUrl, body: &str) -> Got {
    let sent = harness.post(url).body(body.to_owned()).send();
    Got::of(sent.await.expect("an answer")).await
}

/// Stores the run of a webhook's one event, as the worker does.
fn finish_run(harness: &Harness, webhook: &Webhook, answer: &Answer) {
    let stored: String = answer.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    harness.execute(&format!(
        "INSERT INTO runs (tenant_id, id, webhook_id, revision_id, outcome, started_at, finished_at, steps, answer) \
         SELECT tenant_id, id, webhook_id, revision_id, 'succeeded', now(), now(), '', '\\x{stored}' FROM events \
         WHERE webhook_id = '{}'",
        webhook.id.uuid()
    ));
}

#[tokio::test]
async fn a_duplicate_gets_the_first_answer_and_starts_nothing() {
    let mut harness = Harness::start().await;
    let revision = working(
        json!({ "status": 201, "headers": { "x-at": "{{ event.received_at }}" }, "body": { "n": "{{ body.n }}", "id": "{{ event.id }}" } }),
    );
    let webhook = harness.webhook(by_id(revision));
    let first = post(&harness, &webhook.production, r#"{"id": "a", "n": 1}"#).await;
    assert_eq!(first.status, 201);
    // Another body under the same key: still the first one's answer.
    assert_eq!(
        post(&harness, &webhook.production, r#"{"id": "a", "n": 2}"#).await,
        first
    );
    let other = post(&harness, &webhook.production, r#"{"id": "b", "n": 1}"#).await;
    assert_ne!(other.event(), first.event());
    harness.stop().await;
    let stored: Vec<_> = harness
        .events(&webhook)
        .iter()
        .map(|event| event.event_id())
        .collect();
    assert_eq!(stored, [first.event(), other.event()]);
    assert_eq!(
        harness.count("SELECT sum(cardinality(event_ids))::bigint AS count FROM jobs"),
        2
    );
    let counted = harness
        .database
        .query_text("SELECT event_id::text || ' ' || count FROM duplicates");
    assert_eq!(counted, [format!("{} 1", harness.events(&webhook)[0].id)]);
    assert_eq!(
        harness.count("SELECT count(*) FROM events WHERE deduplication = 'remembered'"),
        2
    );
}

#[tokio::test]
async fn a_constant_answer_stays_what_it_was_when_the_webhook_changes() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(by_id(json!({ "response": { "status": 202, "body": "first" } })));
    let first = post(&harness, &webhook.production, r#"{"id": 1}"#).await;
    assert_eq!((first.status, first.body.as_str()), (202, "first"));
    harness.execute(r#"UPDATE revisions SET document = '{"response": {"status": 200, "body": "second"}}'"#);
    harness.stop().await;
    // A node that has never seen the webhook as it was.
    let mut harness = harness.beside().await;
    assert_eq!(post(&harness, &webhook.production, r#"{"id": 1}"#).await, first);
    assert_eq!(
        post(&harness, &webhook.production, r#"{"id": 2}"#).await.body,
        "second"
    );
    harness.stop().await;
}

#[tokio::test]
async fn two_nodes_store_each_delivery_once() {
    let mut one = Harness::start().await;
    let webhook = one.webhook(by_id(working(json!({ "body": { "id": "{{ body.id }}" } }))));
    let mut two = one.beside().await;
    let requests: Vec<_> = (0..600)
        .map(|number| {
            let node = if number % 2 == 0 { &one } else { &two };
            let sent = node
                .post(&webhook.production)
                .body(format!("{{\"id\": {}}}", number / 6))
                .send();
            tokio::spawn(async move { Got::of(sent.await.expect("an answer")).await })
        })
        .collect();
    let mut answers = Vec::new();
    for request in requests {
        answers.push(request.await.expect("no panic"));
    }
    for same in answers.chunks(6) {
        assert_eq!(same[0].status, 200);
        assert!(same.iter().all(|answer| answer == &same[0]), "{same:?}");
    }
    one.stop().await;
    two.stop().await;
    let stored: BTreeSet<_> = one
        .events(&webhook)
        .iter()
        .map(|event| event.event_id())
        .collect();
    let told: BTreeSet<_> = answers.iter().map(|answer| answer.event().to_owned()).collect();
    assert_eq!((stored.len(), stored), (100, told));
    assert_eq!(
        one.count("SELECT sum(cardinality(event_ids))::bigint AS count FROM jobs"),
        100
    );
    assert_eq!(
        one.count("SELECT sum(count)::bigint AS count FROM duplicates"),
        500
    );
}

#[tokio::test]
async fn keys_are_the_webhooks_and_the_environments_own() {
    let mut harness = Harness::start().await;
    let [one, two] = [(); 2].map(|()| harness.webhook(by_id(json!({}))));
    let stranger = harness.database.tenant("Stranger");
    let three = harness.database.webhook(stranger, by_id(json!({})));
    let mut events = BTreeSet::new();
    for url in [&one.production, &one.test, &two.production, &three.production] {
        events.insert(post(&harness, url, r#"{"id": "a"}"#).await.event().to_owned());
    }
    assert_eq!(events.len(), 4);
    harness.stop().await;
}

#[tokio::test]
async fn without_a_key_nothing_is_lost() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(by_id(json!({})));
    for body in ["{}", "{}", r#"{"id": null}"#, r#"{"id": ""}"#, "no json", ""] {
        assert_eq!(post(&harness, &webhook.production, body).await.status, 200);
    }
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 6);
    assert_eq!(
        harness.count("SELECT count(*) FROM events WHERE deduplication = 'no_key'"),
        6
    );
    assert_eq!(harness.count("SELECT count(*) FROM deduplication_keys"), 0);
}

#[tokio::test]
async fn a_key_from_the_headers_and_one_from_a_long_body() {
    let mut harness = Harness::start().await;
    let by_header = harness.webhook(keyed("{{ headers['x-id'] }}", json!({})));
    for body in ["a", "b"] {
        let sent = harness.post(&by_header.production).header("x-id", "7").body(body);
        assert_eq!(sent.send().await.expect("an answer").status(), 200);
    }
    assert_eq!(harness.events(&by_header).len(), 1);
    let by_body = harness.webhook(by_id(json!({})));
    let long = json!({ "filler": "x".repeat(300_000), "id": "a" }).to_string();
    let first = post(&harness, &by_body.production, &long).await;
    assert_eq!(post(&harness, &by_body.production, r#"{"id": "a"}"#).await, first);
    harness.stop().await;
}

#[tokio::test]
async fn what_is_remembered_is_forgotten_when_its_time_is_over() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(by_id(json!({})));
    let first = post(&harness, &webhook.production, r#"{"id": "a"}"#).await;
    harness.execute("UPDATE deduplication_keys SET expires_at = now() - interval '1 second'");
    let second = post(&harness, &webhook.production, r#"{"id": "a"}"#).await;
    assert_ne!(second.event(), first.event());
    assert_eq!(
        post(&harness, &webhook.production, r#"{"id": "a"}"#).await,
        second
    );
    assert_eq!(
        harness.count("SELECT count(*) FROM deduplication_keys WHERE expires_at BETWEEN now() + interval '59 minutes' AND now() + interval '61 minutes'"),
        1
    );
    harness.stop().await;
}

#[tokio::test]
async fn a_duplicate_waits_for_the_first_ones_run() {
    let mut one = Harness::start().await;
    let webhook = one.webhook(by_id(
        json!({ "response": { "mode": "wait", "timeout_ms": 20_000 } }),
    ));
    let two = one.beside().await;
    let send = |node: &Harness| {
        let sent = node.post(&webhook.production).body(r#"{"id": "a"}"#).send();
        tokio::spawn(async move { Got::of(sent.await.expect("an answer")).await })
    };
    let first = send(&one);
    eventually(PATIENCE, "the event is stored", async || {
        (one.events(&webhook).len() == 1).then_some(())
    })
    .await;
    let again: Vec<_> = [&one, &two, &two, &one].into_iter().map(send).collect();
    eventually(PATIENCE, "the duplicates are recognised", async || {
        (one.count("SELECT coalesce(sum(count), 0)::bigint AS count FROM duplicates") == 4).then_some(())
    })
    .await;
    let answer = Answer {
        status: 207,
        headers: vec![("x-order".into(), "42".into())],
        body: b"done".to_vec(),
    };
    finish_run(&one, &webhook, &answer);
    let first = first.await.expect("no panic");
    assert_eq!((first.status, first.body.as_str()), (207, "done"));
    for again in again {
        assert_eq!(again.await.expect("no panic"), first);
    }
    // And when all is over.
    assert_eq!(send(&two).await.expect("no panic"), first);
    assert_eq!(one.count("SELECT count(*) FROM jobs"), 1);
    one.stop().await;
}

#[tokio::test]
async fn a_duplicate_waits_no_longer_than_configured() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(by_id(
        json!({ "response": { "mode": "wait", "timeout_ms": 100 } }),
    ));
    let first = post(&harness, &webhook.production, r#"{"id": "a"}"#).await;
    let again = post(&harness, &webhook.production, r#"{"id": "a"}"#).await;
    // Each has a status URL of its own, which names the first event.
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(again.event(), first.event());
    harness.stop().await;
}

#[tokio::test]
async fn a_paused_webhook_recognises_duplicates() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook {
        status: "paused".into(),
        ..by_id(json!({ "response": { "mode": "wait", "timeout_ms": 20_000 } }))
    });
    let first = post(&harness, &webhook.production, r#"{"id": "a"}"#).await;
    let again = post(&harness, &webhook.production, r#"{"id": "a"}"#).await;
    // Each has a status URL of its own, which names the first event.
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(again.event(), first.event());
    harness.stop().await;
    assert_eq!(harness.count("SELECT count(*) FROM jobs"), 1);
}

#[tokio::test]
async fn an_answer_too_long_to_keep_is_made_again() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(by_id(
        json!({ "response": { "body": "{{ event.id }} {{ body.filler }}" } }),
    ));
    let body = json!({ "id": "a", "filler": "x".repeat(300_000) }).to_string();
    let first = post(&harness, &webhook.production, &body).await;
    assert!(first.body.starts_with(first.event()));
    assert_eq!(post(&harness, &webhook.production, &body).await, first);
    assert_eq!(
        harness.count("SELECT count(*) FROM deduplication_keys WHERE answer IS NULL"),
        1
    );
    harness.stop().await;
}

#[tokio::test]
async fn events_are_recognised_while_redis_is_away() {
    let nowhere = Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let mut harness = Harness::on_redis(TestDatabase::create(), Settings::default(), nowhere).await;
    let webhook = harness.webhook(by_id(json!({})));
    let first = post(&harness, &webhook.production, r#"{"id": "a"}"#).await;
    assert_eq!(post(&harness, &webhook.production, r#"{"id": "a"}"#).await, first);
    harness.stop().await;
}

#[tokio::test]
async fn a_key_that_somebody_holds_for_long_holds_up_nobody_else() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(by_id(json!({})));
    let stranger = harness.database.tenant("Stranger");
    let others = harness.database.webhook(stranger, by_id(json!({})));
    let plain = harness.webhook(NewWebhook::default());
    let first = post(&harness, &webhook.production, r#"{"id": "a"}"#).await;
    // Somebody takes the key over, and stands still before the commit.
    harness.execute("UPDATE deduplication_keys SET expires_at = now() - interval '1 second'");
    let mut stuck = harness.database.superuser();
    diesel::connection::SimpleConnection::batch_execute(
        &mut stuck,
        "BEGIN; SELECT FROM deduplication_keys FOR UPDATE",
    )
    .expect("a lock");
    let send = |url: &PublicUrl, body: &'static str| {
        let sent = harness.post(url).body(body).send();
        tokio::spawn(async move { Got::of(sent.await.expect("an answer")).await })
    };
    let held: Vec<_> = (0..20)
        .map(|_| send(&webhook.production, r#"{"id": "a"}"#))
        .collect();
    let free: Vec<_> = (0..20)
        .flat_map(|_| {
            [
                send(&plain.production, "{}"),
                send(&others.production, r#"{"id": "b"}"#),
            ]
        })
        .collect();
    for answer in free {
        assert_eq!(answer.await.expect("no panic").status, 200);
    }
    for answer in held {
        let answer = answer.await.expect("no panic");
        assert_eq!(answer.status, 503, "the sender tries again");
        assert!(answer.headers.iter().any(|(name, _)| name == "retry-after"));
    }
    drop(stuck);
    let second = post(&harness, &webhook.production, r#"{"id": "a"}"#).await;
    assert_ne!(second.event(), first.event());
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 2);
}

#[tokio::test]
async fn a_duplicate_can_have_an_answer_of_its_own() {
    let mut harness = Harness::start().await;
    let duplicate = json!({ "status": 208, "body": { "first": "{{ event.id }}", "n": "{{ body.n }}" } });
    let revision = working(json!({ "status": 201, "on": { "duplicate": duplicate } }));
    let webhook = harness.webhook(by_id(revision));
    let first = post(&harness, &webhook.production, r#"{"id": "a", "n": 1}"#).await;
    assert_eq!(first.status, 201);
    let again = post(&harness, &webhook.production, r#"{"id": "a", "n": 2}"#).await;
    assert_eq!((again.status, again.event()), (208, first.event()));
    assert_eq!(again.body, format!(r#"{{"first":"{}","n":2}}"#, first.event()));
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 1);
}
