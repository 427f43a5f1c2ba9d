//! What is held while a webhook is not active, and how it is released.

use std::time::Duration;

use diesel::PgConnection;
use hookgate_domain::jobs::held;
use hookgate_model::ids::EventId;
use hookgate_testkit::fixtures::Webhook;
use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, eventually};
use hookgate_worker::Settings;
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Stage, http_step, set_only, settings};

impl Stage {
    /// Sets a webhook's status, as the management service does, and tells of it.
    async fn set_status(&self, webhook: &Webhook, status: &str) {
        let id = webhook.id.uuid();
        self.execute(&format!(
            "UPDATE webhooks SET status = '{status}' WHERE id = '{id}'"
        ));
        let change = hookgate_domain::redis::changes::Change::Webhook(webhook.id);
        self.database.redis().announce(change).await.expect("announced");
    }

    fn held(&self) -> i64 {
        self.number("SELECT count(*) AS number FROM jobs WHERE is_held")
    }

    async fn until_held(&self, jobs: i64) {
        eventually(PATIENCE, format!("{jobs} jobs are held"), async || {
            (self.held() == jobs).then_some(())
        })
        .await;
    }

    async fn until_no_jobs(&self) {
        eventually(PATIENCE, "no job is left", async || {
            (self.jobs() == 0).then_some(())
        })
        .await;
    }
}

/// The numbers in the bodies that a receiver got, in their order.
fn numbers(receiver: &Receiver) -> Vec<u64> {
    let number = |body: &[u8]| serde_json::from_slice::<Value>(body).expect("JSON")["n"].as_u64();
    let received = receiver.received();
    received
        .iter()
        .map(|received| number(&received.body).expect("a number"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn held_events_begin_in_the_order_in_which_they_came_also_when_they_are_held_again() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage.destination(&receiver.url()).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [http_step(destination, json!({}))] } }));
    stage.set_status(&webhook, "paused").await;
    let mut numbers_sent = 0..;
    for events in [1, 3, 1, 7, 1, 1, 5].into_iter().cycle().take(40) {
        let bodies: Vec<Value> = numbers_sent
            .by_ref()
            .take(events)
            .map(|n| json!({ "n": n }))
            .collect();
        stage.events(&webhook, &bodies, None);
    }
    let sent = numbers_sent.next().expect("a number");
    // What runs side by side is not in order: one call at a time shows in what order they are taken up.
    let one_by_one = Settings {
        jobs: 1,
        calls_per_job: 1,
        ..settings()
    };
    let worker = stage.worker(one_by_one);
    stage.until_held(40).await;
    assert_eq!(receiver.received().len(), 0);

    // The second call is answered late, so that the pause comes in the midst.
    receiver.script([
        Reply::status(200),
        Reply::status(200).after(Duration::from_millis(500)),
    ]);
    stage.set_status(&webhook, "active").await;
    receiver.wait_for(2, PATIENCE).await;
    stage.set_status(&webhook, "paused").await;
    eventually(PATIENCE, "all that has not begun is held again", async || {
        (stage.held() == stage.jobs()).then_some(())
    })
    .await;
    assert!(stage.held() > 30, "{}", stage.held());
    stage.events(&webhook, &[json!({ "n": sent })], None);
    stage.set_status(&webhook, "active").await;
    stage.until_no_jobs().await;
    assert_eq!(numbers(&receiver), (0..=sent).collect::<Vec<_>>());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_what_has_not_begun_and_nothing_else() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage.destination(&receiver.url()).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [http_step(destination, json!({}))] } }));
    receiver.script([Reply::status(503)]);
    let begun = stage.event(&webhook, json!({ "n": 1 }));
    let worker = stage.worker(settings());
    eventually(PATIENCE, "it has begun, and is to be retried", async || {
        stage.due_at(begun)
    })
    .await;
    worker.stop().await;

    for status in ["paused", "disabled"] {
        stage.set_status(&webhook, status).await;
        let waited_for = stage.events(&webhook, &[json!({ "n": 2 })], Some("node-1"))[0];
        let crashed = stage.event(&webhook, json!({ "n": 3 }));
        stage.execute(&format!(
            "UPDATE jobs SET attempt = 1 WHERE id = '{}'",
            crashed.uuid()
        ));
        let waiting = stage.event(&webhook, json!({ "n": 4 }));
        let others = stage.event(&stage.webhook(set_only()), json!({ "n": 5 }));
        let worker = stage.worker(settings());
        for event in [begun, waited_for, crashed, others] {
            assert_eq!(stage.run_of(event).await.outcome, "succeeded");
        }
        stage.until_held(1).await;
        assert!(stage.find_run(waiting).is_none());
        stage.set_status(&webhook, "active").await;
        assert_eq!(stage.run_of(waiting).await.outcome, "succeeded");
        worker.stop().await;
    }
}

/// Between an activation and the release of what is held, something new may be due first.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_does_not_overtake_what_is_held() {
    let stage = Stage::new();
    let [webhook, other] = [(); 2].map(|()| stage.webhook(set_only()));
    let [begun, older, new] = [1, 2, 3].map(|n| stage.event(&webhook, json!({ "n": n })));
    let others = stage.event(&other, json!({ "n": 4 }));
    stage.execute(&format!(
        "UPDATE jobs SET is_held = (id = '{older}'), attempt = (id = '{begun}')::int WHERE id IN ('{older}', '{begun}')",
        older = older.uuid(),
        begun = begun.uuid(),
    ));
    let claim = async || -> Vec<EventId> {
        let claimed = stage.claim(10, PATIENCE).await;
        claimed.iter().map(|job| job.event_ids[0]).collect()
    };
    assert_eq!(claim().await, [begun, others]);
    assert_eq!(stage.held(), 2);
    let release = |conn: &mut PgConnection| match held::to_release(conn)?[..] {
        [holding] => held::release(conn, holding, 10),
        _ => Ok(0),
    };
    assert_eq!(stage.database.worker().run(release).await.expect("released"), 2);
    assert_eq!(claim().await, [older, new]);
}

/// An ingress that has not heard of the activation yet holds what nobody would release any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_after_the_activation_is_released_too() {
    let stage = Stage::new();
    let [active, paused, disabled, deleted] = [(); 4].map(|()| stage.webhook(set_only()));
    stage.set_status(&paused, "paused").await;
    stage.set_status(&disabled, "disabled").await;
    stage.execute(&format!(
        "DELETE FROM webhooks WHERE id = '{}'",
        deleted.id.uuid()
    ));
    let worker = stage.worker(settings());
    let warm = stage.event(&active, json!({ "n": 0 }));
    stage.run_of(warm).await;
    let held = |webhook: &Webhook| -> EventId {
        let id: EventId = hookgate_domain::clock::new_id();
        stage.execute(&format!(
            "WITH event AS (
               INSERT INTO events SELECT (jsonb_populate_record(events, jsonb_build_object('id', '{id}', 'webhook_id', '{webhook}'))).*
               FROM events WHERE id = '{warm}')
             INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, is_held)
             VALUES ('{tenant}', '{id}', '{webhook}', '{revision}', ARRAY['{id}'::uuid], true)",
            id = id.uuid(),
            warm = warm.uuid(),
            webhook = webhook.id.uuid(),
            tenant = stage.tenant.uuid(),
            revision = webhook.revision.uuid(),
        ));
        id
    };
    let events = [&active, &deleted, &paused, &disabled].map(held);
    assert_eq!(stage.run_of(events[0]).await.outcome, "succeeded");
    let ended = stage.run_of(events[1]).await;
    assert_eq!(ended.error.as_deref(), Some("the webhook was deleted"));
    assert_eq!((stage.held(), stage.jobs()), (2, 2));
    worker.stop().await;
}
