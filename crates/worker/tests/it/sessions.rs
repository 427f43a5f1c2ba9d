//! Events of one session: one at a time, in their order, with a state that is kept.

use hookgate_model::flow::session;
use hookgate_model::ids::EventId;
use hookgate_testkit::fixtures::Webhook;
use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, eventually};
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Stage, http_step, settings};

/// Gathers what came, in the order in which it ran.
fn gathering(mut more: Vec<Value>) -> Value {
    let values = json!({ "seen": "{{ (session.seen | default([]) | list) + [body.n] }}" });
    let mut steps = vec![json!({ "name": "remember", "kind": "session", "values": values })];
    steps.append(&mut more);
    json!({ "session": { "key": "{{ body.chat | default(none) }}" }, "flow": { "steps": steps },
        "response": { "body": null } })
}

impl Stage {
    /// Stores an event as an ingress does that knows its session.
    fn event_in_session(&self, webhook: &Webhook, chat: &str, n: i32) -> EventId {
        let event = self.event(webhook, json!({ "chat": chat, "n": n }));
        let id = session::id(webhook.id, chat);
        self.execute(&format!(
            "UPDATE jobs SET session_id = '{id}' WHERE id = '{}'",
            event.uuid()
        ));
        event
    }

    fn state(&self, webhook: &Webhook, chat: &str) -> Option<Value> {
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            state: String,
        }
        let id = session::id(webhook.id, chat);
        let query =
            format!("SELECT state::text AS state FROM sessions WHERE id = '{id}' AND expires_at > now()");
        let conn = &mut self.database.superuser();
        let rows: Vec<Row> = diesel::RunQueryDsl::load(diesel::sql_query(query), conn).expect("sessions");
        rows.first()
            .map(|row| serde_json::from_str(&row.state).expect("json"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_session_run_in_their_order_and_keep_its_state() {
    let stage = Stage::new();
    let webhook = stage.webhook(gathering(Vec::new()));
    let mut last = Vec::new();
    for n in 0..40 {
        last.push(stage.event_in_session(&webhook, ["a", "b", "c"][n as usize % 3], n));
    }
    let (first, second) = (stage.worker(settings()), stage.worker(settings()));
    for event in last {
        assert_eq!(stage.run_of(event).await.error, None);
    }
    for (index, chat) in ["a", "b", "c"].iter().enumerate() {
        let expected: Vec<i32> = (0..40).filter(|n| *n as usize % 3 == index).collect();
        assert_eq!(
            stage.state(&webhook, chat),
            Some(json!({ "seen": expected })),
            "{chat}"
        );
    }
    assert_eq!(stage.jobs(), 0);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_session_blocks_nobody_else() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    receiver.otherwise(Reply::status(503));
    let destination = stage.destination(&receiver.url()).await;
    let call = http_step(
        destination,
        json!({ "when": "{{ body.n == 0 }}", "retry": { "attempts": 2, "initial_delay_ms": 3600000, "max_delay_ms": 3600000 } }),
    );
    let webhook = stage.webhook(gathering(vec![call]));
    let stuck: Vec<EventId> = (0..60)
        .map(|n| stage.event_in_session(&webhook, "stuck", n))
        .collect();
    let free = stage.event_in_session(&webhook, "free", 1);
    let worker = stage.worker(settings());
    assert_eq!(stage.run_of(free).await.outcome, "succeeded");
    eventually(PATIENCE, "the call is put off", async || stage.due_at(stuck[0])).await;
    let queued = || stage.number("SELECT count(*) AS number FROM jobs WHERE is_queued");
    eventually(PATIENCE, "the others are queued", async || {
        (queued() == 59).then_some(())
    })
    .await;
    // What comes later to others is not held up either.
    let later = stage.event_in_session(&webhook, "free", 2);
    assert_eq!(stage.run_of(later).await.outcome, "succeeded");
    assert!(stage.find_run(stuck[1]).is_none());

    receiver.otherwise(Reply::status(200));
    stage.execute("UPDATE jobs SET due_at = now() WHERE is_retry");
    for event in &stuck {
        assert_eq!(stage.run_of(*event).await.outcome, "succeeded");
    }
    let expected: Vec<i32> = (0..60).collect();
    assert_eq!(stage.state(&webhook, "stuck"), Some(json!({ "seen": expected })));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_died_in_a_session_is_replaced_and_keeps_its_turn() {
    let stage = Stage::new();
    let webhook = stage.webhook(gathering(Vec::new()));
    let events: Vec<EventId> = (0..3).map(|n| stage.event_in_session(&webhook, "a", n)).collect();
    // One claims the first, and dies: the second does not begin before the first is over.
    let claimed = stage.claim(10, std::time::Duration::from_secs(60)).await;
    assert_eq!(claimed.len(), 1);
    assert!(stage.claim(10, PATIENCE).await.is_empty());
    stage
        .execute("UPDATE jobs SET leased_until = now() - interval '1 second' WHERE leased_until IS NOT NULL");
    let worker = stage.worker(settings());
    for event in events {
        assert_eq!(stage.run_of(event).await.outcome, "succeeded");
    }
    assert_eq!(stage.state(&webhook, "a"), Some(json!({ "seen": [0, 1, 2] })));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_no_ingress_knew_is_found_by_the_worker() {
    let stage = Stage::new();
    let webhook = stage.webhook(gathering(Vec::new()));
    let bodies: Vec<Value> = (0..12).map(|n| json!({ "chat": "a", "n": n })).collect();
    let events = stage.events(&webhook, &bodies, None);
    let (first, second) = (stage.worker(settings()), stage.worker(settings()));
    for event in events {
        assert_eq!(stage.run_of(event).await.error, None);
    }
    // None ran beside another: each saw what the one before it left.
    let seen = stage.state(&webhook, "a").expect("a state")["seen"].clone();
    let mut seen: Vec<i64> = seen
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_i64)
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..12).collect::<Vec<_>>());
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_and_are_cleared() {
    let stage = Stage::new();
    let webhook = stage.webhook(gathering(vec![
        json!({ "name": "forget", "kind": "session", "when": "{{ body.n == 9 }}", "clear": true }),
    ]));
    let worker = stage.worker(settings());
    let run = async |chat: Value, n: i32| {
        stage
            .run_of(stage.event(&webhook, json!({ "chat": chat, "n": n })))
            .await
    };
    run(json!("a"), 1).await;
    assert_eq!(stage.state(&webhook, "a"), Some(json!({ "seen": [1] })));
    stage.execute("UPDATE sessions SET expires_at = now() - interval '1 second'");
    run(json!("a"), 2).await;
    assert_eq!(stage.state(&webhook, "a"), Some(json!({ "seen": [2] })));
    run(json!("a"), 9).await;
    assert_eq!(stage.state(&webhook, "a"), None);

    let without = run(json!(""), 1).await;
    assert_eq!(
        without.error.as_deref(),
        Some("remember: the event has no session: its key is empty")
    );
    let bad = run(json!("x".repeat(300)), 1).await;
    assert!(bad.error.expect("an error").starts_with("session: "));
    worker.stop().await;
}
