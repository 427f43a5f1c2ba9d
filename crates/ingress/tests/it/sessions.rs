//! Conversations: the events of one session, from the request to the answer.

use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use serde_json::{Value, json};

use crate::harness::Harness;

async fn say(harness: &Harness, webhook: &Webhook, chat: &str) -> i64 {
    let sent = harness
        .post(&webhook.production)
        .json(&json!({ "chat": chat }))
        .send();
    let answer = sent.await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    let body: Value = answer.json().await.expect("JSON");
    body["count"].as_i64().expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_counts_its_messages() {
    let harness = Harness::start().await;
    let count = json!({ "count": "{{ session.count | default(0) + 1 }}" });
    let webhook = harness.webhook(NewWebhook {
        revision: json!({
            "session": { "key": "{{ body.chat }}" },
            "flow": { "steps": [{ "name": "counting", "kind": "session", "values": count }] },
            "response": { "mode": "wait", "timeout_ms": 20000, "body": { "count": "{{ session.count }}" } },
        }),
        ..NewWebhook::default()
    });
    let worker = harness.worker();
    for n in 1..=3 {
        assert_eq!(say(&harness, &webhook, "a").await, n);
    }
    assert_eq!(say(&harness, &webhook, "b").await, 1);
    // All at once: each has its turn, and none is counted twice.
    let many = futures_util::future::join_all((0..20).map(|_| say(&harness, &webhook, "a")));
    let mut counts = many.await;
    counts.sort_unstable();
    assert_eq!(counts, (4..=23).collect::<Vec<_>>());
    worker.stop().await;
}

#[tokio::test]
async fn an_event_of_a_session_has_a_job_of_its_own_that_knows_it() {
    let harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook {
        revision: json!({
            "session": { "key": "{{ body.chat | default('') }}" },
            "flow": { "steps": [{ "name": "a", "kind": "set", "values": {} }] },
        }),
        ..NewWebhook::default()
    });
    let send = async |body: Value| {
        harness
            .post(&webhook.production)
            .json(&body)
            .send()
            .await
            .expect("an answer")
    };
    futures_util::future::join_all((0..8).map(|n| send(json!({ "chat": format!("c{}", n % 2) })))).await;
    send(json!({})).await;
    let id = |chat: &str| hookgate_model::flow::session::id(webhook.id, chat);
    for (chat, jobs) in [("c0", 4), ("c1", 4)] {
        let query = format!(
            "SELECT count(*) AS count FROM jobs WHERE session_id = '{}'",
            id(chat)
        );
        assert_eq!(harness.count(&query), jobs);
    }
    assert_eq!(
        harness.count("SELECT count(*) AS count FROM jobs WHERE session_id IS NULL"),
        1
    );
}
