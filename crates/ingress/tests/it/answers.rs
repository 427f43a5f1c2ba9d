//! What callers get: at once, with the flow's result, or when the deadline is over.

use std::time::Duration;

use hookgate_domain::redis::Redis;
use hookgate_ingress::Settings;
use hookgate_model::answer::Answer;
use hookgate_model::ids::EventId;
use hookgate_testkit::eventually;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::Harness;

const PATIENCE: Duration = Duration::from_secs(10);

fn waiting(timeout_ms: u32) -> NewWebhook {
    let revision = json!({ "response": { "mode": "wait", "timeout_ms": timeout_ms, "status": 200 } });
    NewWebhook {
        revision,
        ..NewWebhook::default()
    }
}

/// The event and the node of the one job of a webhook.
async fn the_job(harness: &Harness, webhook: &Webhook) -> (EventId, String) {
    #[derive(diesel::QueryableByName)]
    struct Job {
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        id: Uuid,
        #[diesel(sql_type = diesel::sql_types::Text)]
        answer_to: String,
    }
    let find = async || {
        let query = diesel::sql_query("SELECT id, answer_to FROM jobs WHERE webhook_id = $1")
            .bind::<diesel::sql_types::Uuid, _>(webhook.id.uuid());
        diesel::RunQueryDsl::load::<Job>(query, &mut harness.database.superuser())
            .expect("jobs")
            .pop()
    };
    let job = eventually(PATIENCE, "the event's job", find).await;
    (EventId::from(job.id), job.answer_to)
}

fn answer(status: u16) -> Answer {
    Answer {
        status,
        headers: vec![("x-order".into(), "42".into())],
        body: b"done".to_vec(),
    }
}

#[tokio::test]
async fn an_immediate_answer_can_be_made_from_the_request() {
    let mut harness = Harness::start().await;
    let revision = json!({ "response": { "status": 202, "headers": { "x-echo": "{{ query.a }}" }, "body": { "got": "{{ body.n }}" } } });
    let webhook = harness.webhook(NewWebhook {
        revision,
        ..NewWebhook::default()
    });
    let path = format!("{}?a=hello", webhook.production.path);
    let sent = harness
        .request(reqwest::Method::POST, &path)
        .body(r#"{"n": 7}"#)
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        (sent.status().as_u16(), &sent.headers()["x-echo"]),
        (202, &"hello".parse().expect("a value"))
    );
    assert_eq!(sent.json::<Value>().await.expect("json"), json!({ "got": 7 }));
    let nothing = json!({ "response": { "status": 204, "body": null } });
    let webhook = harness.webhook(NewWebhook {
        revision: nothing,
        ..NewWebhook::default()
    });
    let sent = harness.post(&webhook.production).send().await.expect("an answer");
    assert_eq!(sent.status(), 204);
    assert!(!sent.headers().contains_key("content-length") && !sent.headers().contains_key("content-type"));
    harness.stop().await;
}

#[tokio::test]
async fn the_test_url_runs_the_draft_and_production_what_is_published() {
    let mut harness = Harness::start().await;
    let revision = json!({ "response": { "status": 201 }, "flow": { "steps": [{ "name": "a", "kind": "set", "values": {} }] } });
    let webhook = harness.webhook(NewWebhook {
        revision,
        published: false,
        ..NewWebhook::default()
    });
    assert_eq!(
        harness
            .post(&webhook.test)
            .send()
            .await
            .expect("an answer")
            .status(),
        201
    );
    assert_eq!(
        harness
            .post(&webhook.production)
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    harness.stop().await;
    let events = harness.events(&webhook);
    assert_eq!(events[0].revision_id, Some(webhook.revision.uuid()));
    assert_eq!(
        (events[1].environment.as_str(), events[1].revision_id),
        ("production", None)
    );
    assert_eq!(harness.count("SELECT count(*) FROM jobs"), 1);
}

#[tokio::test]
async fn a_waiting_caller_gets_the_answer_over_redis() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(waiting(20_000));
    let caller = tokio::spawn(harness.post(&webhook.production).body("{}").send());
    let (event, node) = the_job(&harness, &webhook).await;
    harness
        .database
        .redis()
        .send_answer(&node, event, &answer(201))
        .await
        .expect("sent");
    let got = caller.await.expect("no panic").expect("an answer");
    assert_eq!(
        (got.status().as_u16(), &got.headers()["x-order"]),
        (201, &"42".parse().expect("a value"))
    );
    assert_eq!(got.headers()["hookgate-event-id"], event.to_string());
    assert_eq!(got.text().await.expect("text"), "done");
    harness.stop().await;
}

#[tokio::test]
async fn a_waiting_caller_gets_the_answer_from_postgres_without_redis() {
    let database = hookgate_testkit::TestDatabase::create();
    let nowhere = Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let mut harness = Harness::on_redis(database, hookgate_ingress::Settings::default(), nowhere).await;
    let webhook = harness.webhook(waiting(20_000));
    let caller = tokio::spawn(harness.post(&webhook.production).body("{}").send());
    let (event, _) = the_job(&harness, &webhook).await;
    let stored: String = answer(202)
        .encode()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    harness.execute(&format!(
        "INSERT INTO runs (tenant_id, id, webhook_id, revision_id, outcome, started_at, finished_at, steps, answer) \
         VALUES ('{}', '{}', '{}', '{}', 'succeeded', now(), now(), '', '\\x{stored}')",
        harness.tenant.uuid(), event.uuid(), webhook.id.uuid(), webhook.revision.uuid(),
    ));
    let got = caller.await.expect("no panic").expect("an answer");
    assert_eq!(
        (got.status().as_u16(), got.text().await.expect("text")),
        (202, "done".to_owned())
    );
    harness.stop().await;
}

#[tokio::test]
async fn a_caller_waits_no_longer_than_configured() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(waiting(100));
    let got = harness.post(&webhook.production).send().await.expect("an answer");
    assert_eq!(got.status(), 202);
    let id = got.headers()["hookgate-event-id"]
        .to_str()
        .expect("text")
        .to_owned();
    assert_eq!(got.json::<Value>().await.expect("json")["event_id"], json!(id));
    assert_eq!(
        harness.count("SELECT count(*) FROM jobs WHERE answer_to IS NOT NULL"),
        1,
        "the run goes on"
    );
    harness.stop().await;
}

#[tokio::test]
async fn who_waits_when_the_ingress_stops_is_answered() {
    let stops_soon = Settings {
        shutdown_timeout_seconds: 1,
        ..Settings::default()
    };
    let mut harness = Harness::with(stops_soon).await;
    let webhook = harness.webhook(waiting(60_000));
    let request = tokio::spawn(harness.post(&webhook.production).send());
    let (event, _) = the_job(&harness, &webhook).await;
    harness.stop().await;
    let got = request.await.expect("it ends").expect("an answer");
    assert_eq!(got.status(), 202);
    assert_eq!(got.headers()["hookgate-event-id"], event.to_string().as_str());
}

#[tokio::test]
async fn a_paused_webhook_stores_and_holds() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook {
        status: "paused".into(),
        ..waiting(20_000)
    });
    assert_eq!(
        harness
            .post(&webhook.production)
            .send()
            .await
            .expect("an answer")
            .status(),
        202
    );
    assert_eq!(harness.events(&webhook).len(), 1);
    assert_eq!(
        harness.count("SELECT count(*) FROM jobs WHERE is_held AND answer_to IS NULL"),
        1
    );
    harness.stop().await;
}

#[tokio::test]
async fn who_has_waited_too_long_finds_the_answer_at_the_status_url() {
    let mut harness = Harness::start().await;
    let mut new = waiting(100);
    new.revision["response"]["body"] = json!({ "done": "{{ body.n }}" });
    new.revision["flow"] = json!({ "steps": [{ "name": "a", "kind": "set", "values": {} }] });
    new.revision["response"]["status"] = json!(201);
    let webhook = harness.webhook(new);
    let timed_out = harness
        .post(&webhook.production)
        .json(&json!({ "n": 7 }))
        .send()
        .await
        .expect("an answer");
    assert_eq!(timed_out.status().as_u16(), 202);
    let location = timed_out.headers()["location"].to_str().expect("text").to_owned();
    let event = timed_out.headers()["hookgate-event-id"].clone();
    let body: Value = timed_out.json().await.expect("JSON");
    assert_eq!(body["status_url"], json!(location));
    let path = location
        .split_once("/status/")
        .expect("a status URL")
        .1
        .to_owned();
    let ask = async |token: &str| {
        let asked = harness
            .request(reqwest::Method::GET, &format!("/status/{token}"))
            .send();
        asked.await.expect("an answer")
    };

    let processing = ask(&path).await;
    assert_eq!(processing.status().as_u16(), 202);
    assert_eq!(processing.headers()["retry-after"], "2");
    let worker = harness.worker();
    let finished = async || {
        let answer = ask(&path).await;
        (answer.status().as_u16() == 201).then_some(answer)
    };
    let answer = eventually(PATIENCE, "the run is over", finished).await;
    assert_eq!(answer.headers()["hookgate-event-id"], event);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.json::<Value>().await.expect("JSON"), json!({ "done": 7 }));
    worker.stop().await;

    let changed = format!(
        "{}{}",
        &path[..path.len() - 2],
        if path.ends_with("AA") { "BB" } else { "AA" }
    );
    for nobody in [changed.as_str(), "x", ""] {
        assert_eq!(ask(nobody).await.status().as_u16(), 404, "{nobody}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn the_status_url_can_be_put_into_an_answer_of_ones_own() {
    let mut harness = Harness::start().await;
    let mut new = waiting(100);
    new.revision["response"]["on"] =
        json!({ "timed_out": { "status": 303, "headers": { "Location": "{{ status_url }}" } } });
    let webhook = harness.webhook(new);
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let request = harness.post(&webhook.production).build().expect("a request");
    let answer = client.execute(request).await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 303);
    assert!(
        answer.headers()["location"]
            .to_str()
            .expect("text")
            .contains("/status/")
    );
    harness.stop().await;
}
