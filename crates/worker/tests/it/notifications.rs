//! What a tenant is told of: failed runs and callbacks, paused destinations; each once, within bounds, and never in a circle.

use hookgate_domain::notifications;
use hookgate_model::ids::DestinationId;
use hookgate_model::notification::{HEADER, Kind};
use hookgate_testkit::fixtures::Webhook;
use hookgate_testkit::receiver::{Received, Reply};
use hookgate_testkit::{Receiver, eventually};
use hookgate_worker::Settings;
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Stage, http_step, settings};

/// A stage whose tenant is told everything, and a webhook whose calls fail for good.
async fn set_up(alerts: &Receiver, failing: &Receiver) -> (Stage, Webhook, DestinationId) {
    let stage = Stage::new();
    let told_at = stage.destination(&alerts.url()).await;
    stage
        .manage(move |conn, scope| notifications::put(conn, scope, told_at, Kind::ALL))
        .await;
    failing.otherwise(Reply::status(400));
    let called = stage.destination(&failing.url()).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [http_step(called, json!({}))] } }));
    (stage, webhook, called)
}

fn told(received: &Received) -> Value {
    serde_json::from_slice(&received.body).expect("JSON")
}

fn mark(received: &Received) -> String {
    let mark = received.header(HEADER);
    mark.expect("a mark").to_owned()
}

async fn nothing_is_due(stage: &Stage) {
    eventually(PATIENCE, "nothing is due", async || {
        (stage.jobs() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_is_told_signed_and_again_until_it_is_taken() {
    let (alerts, failing) = (Receiver::start().await, Receiver::start().await);
    let (stage, webhook, _) = set_up(&alerts, &failing).await;
    alerts.script([Reply::status(503)]);
    let event = stage.event(&webhook, json!({ "n": 1 }));
    let worker = stage.worker(settings());
    alerts.wait_for(1, PATIENCE).await;
    eventually(PATIENCE, "it is put off", async || {
        (stage.number("SELECT count(*) AS number FROM jobs WHERE is_retry") == 1).then_some(())
    })
    .await;
    stage.execute("UPDATE jobs SET due_at = now()");
    let received = alerts.wait_for(2, PATIENCE).await;
    nothing_is_due(&stage).await;
    worker.stop().await;

    for one in &received {
        assert_eq!((one.method.as_str(), one.target.as_str()), ("POST", "/"));
        let mark = one.header("hookgate-notification").expect("a mark");
        assert!(mark.starts_with("run.failed; id=msg_"), "{mark}");
        assert!(mark.contains(one.header("webhook-id").expect("an id")), "{mark}");
        assert!(
            one.header("webhook-signature")
                .is_some_and(|value| value.starts_with("v1,"))
        );
        assert_eq!(one.header("webhook-id"), received[0].header("webhook-id"));
    }
    let mut body = told(&received[1]);
    assert!(body["timestamp"].take().is_string());
    let id = event.to_string();
    assert_eq!(
        body,
        json!({ "type": "run.failed", "timestamp": null, "suppressed": 0, "data": {
            "run_id": id.replace("evt_", "run_"), "event_id": id, "webhook_id": webhook.id, "revision_id": webhook.revision,
            "outcome": "failed", "error": "crm: the destination answered 400", "can_be_retried": true } })
    );
    let attempts = stage.number("SELECT count(*) AS number FROM attempts WHERE step = 'run.failed'");
    assert_eq!(attempts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_gone_is_told_once_and_a_lost_callback_is_told() {
    let (alerts, failing) = (Receiver::start().await, Receiver::start().await);
    let (stage, webhook, called) = set_up(&alerts, &failing).await;
    failing.otherwise(Reply::status(410));
    let events = stage.events(
        &webhook,
        &[json!({ "n": 1 }), json!({ "n": 2 }), json!({ "n": 3 })],
        None,
    );
    let worker = stage.worker(settings());
    eventually(PATIENCE, "the pause is told", async || {
        let told: Vec<Value> = alerts.received().iter().map(told).collect();
        told.iter()
            .any(|one| one["type"] == "destination.paused")
            .then_some(())
    })
    .await;
    stage
        .manage(move |conn, scope| hookgate_domain::destinations::resume(conn, scope, called))
        .await;
    failing.otherwise(Reply::status(200));
    for event in events {
        stage.run_of(event).await;
    }
    let step = json!({ "name": "notify", "kind": "callback", "destination": called });
    let webhook = stage.webhook(json!({ "flow": { "steps": [step] } }));
    failing.otherwise(Reply::status(404));
    let event = stage.event(&webhook, json!({}));
    stage.run_of(event).await;
    nothing_is_due(&stage).await;
    worker.stop().await;

    let told: Vec<Value> = alerts.received().iter().map(told).collect();
    let of = |kind: &str| told.iter().filter(|one| one["type"] == kind).collect::<Vec<_>>();
    let paused = of("destination.paused");
    assert_eq!(paused.len(), 1, "{told:?}");
    assert_eq!(
        (&paused[0]["data"]["destination_id"], &paused[0]["data"]["reason"]),
        (&json!(called), &json!("it answered 410 Gone"))
    );
    let lost = of("callback.failed");
    assert_eq!(lost.len(), 1, "{told:?}");
    let data = &lost[0]["data"];
    assert_eq!(
        (
            &data["step"],
            &data["status"],
            &data["attempts"],
            &data["event_id"]
        ),
        (&json!("notify"), &json!(404), &json!(1), &json!(event))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_of_what_a_notification_causes() {
    let (alerts, failing) = (Receiver::start().await, Receiver::start().await);
    let (stage, webhook, called) = set_up(&alerts, &failing).await;
    let worker = stage.worker(settings());
    stage.run_of(stage.event(&webhook, json!({ "n": 0 }))).await;
    let mark = mark(&alerts.wait_for(1, PATIENCE).await[0]);
    nothing_is_due(&stage).await;

    let notify = json!({ "name": "notify", "kind": "callback", "destination": called });
    let caused = stage.webhook(json!({ "flow": { "steps": [notify, http_step(called, json!({}))] } }));
    let event = stage.event_with(HEADER, &mark, &caused, json!({ "n": 1 }));
    assert_eq!(stage.run_of(event).await.outcome, "failed");
    let received = failing.wait_for(3, PATIENCE).await;
    for one in &received[1..] {
        assert_eq!(self::mark(one), mark, "{}", one.target);
    }
    nothing_is_due(&stage).await;
    assert_eq!(alerts.received().len(), 1);

    // One that is refused, and then one that ends its own destination.
    for status in [400, 410] {
        alerts.otherwise(Reply::status(status));
        stage.run_of(stage.event(&webhook, json!({ "n": 2 }))).await;
        eventually(PATIENCE, "the attempt is recorded", async || {
            let made = format!(
                "SELECT count(*) AS number FROM attempts WHERE status = {status} AND step = 'run.failed'"
            );
            (stage.number(&made) == 1).then_some(())
        })
        .await;
    }
    nothing_is_due(&stage).await;
    worker.stop().await;
    let told: Vec<Value> = alerts.received().iter().map(told).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().all(|one| one["type"] == "run.failed"), "{told:?}");
    assert_eq!(
        stage.number("SELECT count(*) AS number FROM destination_pauses"),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sender_hides_that_a_run_failed() {
    let (alerts, failing) = (Receiver::start().await, Receiver::start().await);
    let (stage, webhook, _) = set_up(&alerts, &failing).await;
    let (elsewhere, others, _) = set_up(&alerts, &failing).await;
    let theirs = elsewhere.worker(settings());
    elsewhere.run_of(elsewhere.event(&others, json!({}))).await;
    let foreign = mark(&alerts.wait_for(1, PATIENCE).await[0]);
    theirs.stop().await;

    let worker = stage.worker(settings());
    stage.run_of(stage.event(&webhook, json!({}))).await;
    let own = mark(&alerts.wait_for(2, PATIENCE).await[1]);
    for (count, forged) in [
        "run.failed".to_owned(),
        own.replace("run.failed", "callback.failed"),
        own.replace("mac=", "mac=A"),
        foreign.clone(),
    ]
    .iter()
    .enumerate()
    {
        let event = stage.event_with(HEADER, forged, &webhook, json!({}));
        stage.run_of(event).await;
        let told = alerts.wait_for(3 + count, PATIENCE).await;
        let told = told.last().expect("one");
        assert_eq!(self::told(told)["data"]["event_id"], json!(event), "{forged}");
        let marks = mark(told);
        // The other tenant knows its own by it, should it be told of this.
        assert_eq!(marks.contains(&foreign), *forged == foreign, "{marks}");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_failures_is_told_in_part_and_counted() {
    let (alerts, failing) = (Receiver::start().await, Receiver::start().await);
    let (stage, webhook, _) = set_up(&alerts, &failing).await;
    let bodies: Vec<Value> = (0..7).map(|n| json!({ "n": n })).collect();
    let events = stage.events(&webhook, &bodies, None);
    let worker = stage.worker(Settings {
        notifications_per_minute: 2,
        ..settings()
    });
    for event in events {
        stage.run_of(event).await;
    }
    nothing_is_due(&stage).await;
    assert_eq!(alerts.received().len(), 2);
    let suppressed = "SELECT suppressed AS number FROM notification_settings";
    assert_eq!(stage.number(suppressed), 5);

    stage.execute("UPDATE notification_settings SET window_started_at = now() - interval '1 minute'");
    stage.run_of(stage.event(&webhook, json!({ "n": 8 }))).await;
    let received = alerts.wait_for(3, PATIENCE).await;
    worker.stop().await;
    let told: Vec<Value> = received
        .iter()
        .map(|one| told(one)["suppressed"].clone())
        .collect();
    assert_eq!(told, [0, 0, 5]);
    assert_eq!(stage.number(suppressed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_wanted_is_told() {
    let (alerts, failing) = (Receiver::start().await, Receiver::start().await);
    let (stage, webhook, called) = set_up(&alerts, &failing).await;
    let worker = stage.worker(settings());
    stage
        .manage(move |conn, scope| notifications::put(conn, scope, called, &[Kind::DestinationPaused]))
        .await;
    stage.run_of(stage.event(&webhook, json!({ "n": 1 }))).await;
    stage.manage(notifications::remove).await;
    stage.run_of(stage.event(&webhook, json!({ "n": 2 }))).await;
    nothing_is_due(&stage).await;
    worker.stop().await;
    assert_eq!(alerts.received().len(), 0);
    assert_eq!(failing.received().len(), 2, "the calls of the flow alone");
}
