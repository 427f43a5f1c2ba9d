//! How much a destination takes, and that one that is slow, away or paused holds up nobody else.

use std::time::{Duration, Instant};

use hookgate_domain::destinations::{self, DestinationSettings};
use hookgate_model::base_url::BaseUrl;
use hookgate_model::ids::{DestinationId, EventId};
use hookgate_testkit::fixtures::Webhook;
use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, eventually};
use hookgate_worker::Settings;
use serde_json::json;

use crate::stage::{PATIENCE, Stage, http_step, settings};

impl Stage {
    async fn limited(
        &self,
        receiver: &Receiver,
        change: impl FnOnce(&mut DestinationSettings),
    ) -> DestinationId {
        let base = BaseUrl::parse(&receiver.url()).expect("a base URL");
        let mut settings = DestinationSettings::new(receiver.url(), base);
        change(&mut settings);
        self.destination_with(settings).await
    }

    fn calling(&self, destination: DestinationId, timeout_ms: u32) -> Webhook {
        let step = http_step(destination, json!({ "timeout_ms": timeout_ms }));
        self.webhook(json!({ "flow": { "steps": [step] } }))
    }

    /// So many events, each with a job of its own.
    fn many(&self, webhook: &Webhook, count: usize) -> Vec<EventId> {
        (0..count)
            .map(|n| self.event(webhook, json!({ "n": n })))
            .collect()
    }

    async fn all_succeed(&self, events: Vec<EventId>) {
        for event in events {
            let run = self.run_of(event).await;
            assert_eq!(run.outcome, "succeeded", "{:?}", run.error);
        }
    }

    fn waiting(&self) -> i64 {
        self.number("SELECT count(*) AS number FROM jobs WHERE is_held AND waits_for IS NOT NULL")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_gone_is_paused_and_what_waits_goes_on_when_it_is_resumed() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage
        .limited(&receiver, |limits| limits.calls_at_once = Some(1))
        .await;
    let webhook = stage.calling(destination, 1_000);
    receiver.script([Reply::status(410)]);
    let gone = stage.event(&webhook, json!({ "n": 0 }));
    let worker = stage.worker(settings());
    assert_eq!(stage.run_of(gone).await.outcome, "failed");
    let events = stage.many(&webhook, 5);
    eventually(PATIENCE, "the others wait", async || {
        (stage.waiting() == 5).then_some(())
    })
    .await;
    assert_eq!(receiver.received().len(), 1);
    stage
        .manage(move |conn, scope| destinations::resume(conn, scope, destination))
        .await;
    stage.all_succeed(events).await;
    assert_eq!(stage.jobs(), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_can_be_an_answer_like_any_other() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage
        .limited(&receiver, |limits| limits.pauses_on_gone = false)
        .await;
    let webhook = stage.calling(destination, 1_000);
    receiver.script([Reply::status(410)]);
    let gone = stage.event(&webhook, json!({ "n": 0 }));
    let worker = stage.worker(settings());
    assert_eq!(stage.run_of(gone).await.outcome, "failed");
    stage.all_succeed(stage.many(&webhook, 1)).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_by_several_workers_together() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage
        .limited(&receiver, |limits| limits.calls_per_second = Some(8))
        .await;
    let webhook = stage.calling(destination, 1_000);
    let events = stage.many(&webhook, 24);
    let workers = [stage.worker(settings()), stage.worker(settings())];
    stage.all_succeed(events).await;
    let mut at: Vec<Instant> = receiver.received().iter().map(|request| request.at).collect();
    at.sort();
    assert_eq!(at.len(), 24);
    // Eight at once, then one every 125 ms.
    let took = at[23] - at[0];
    assert!(took >= Duration::from_millis(1_900), "{took:?}");
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_calls_are_under_way_than_a_destination_takes() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage
        .limited(&receiver, |limits| limits.calls_at_once = Some(2))
        .await;
    let webhook = stage.calling(destination, 5_000);
    receiver.otherwise(Reply::status(200).after(Duration::from_millis(150)));
    let events = stage.many(&webhook, 10);
    let workers = [stage.worker(settings()), stage.worker(settings())];
    stage.all_succeed(events).await;
    let mut at: Vec<Instant> = receiver.received().iter().map(|request| request.at).collect();
    at.sort();
    for (first, third) in at.iter().zip(&at[2..]) {
        let apart = *third - *first;
        assert!(apart >= Duration::from_millis(145), "{apart:?}");
    }
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_opens_after_failures_in_a_row_and_closes_when_one_call_gets_through() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage
        .limited(&receiver, |limits| limits.calls_at_once = Some(1))
        .await;
    let step = http_step(
        destination,
        json!({ "retry": { "attempts": 25, "initial_delay_ms": 100, "max_delay_ms": 1000 } }),
    );
    let webhook = stage.webhook(json!({ "flow": { "steps": [step] } }));
    receiver.otherwise(Reply::status(503));
    let breaker = Settings {
        breaker_failures: 3,
        breaker_open_seconds: 1,
        breaker_open_most_seconds: 2,
        ..settings()
    };
    let workers = [stage.worker(breaker.clone()), stage.worker(breaker)];
    let events = stage.many(&webhook, 6);
    let received = receiver.wait_for(5, PATIENCE).await;
    let apart = |n: usize| received[n].at - received[n - 1].at;
    // After three failures a pause, after one more a longer one.
    assert!(apart(3) >= Duration::from_millis(950), "{:?}", apart(3));
    assert!(apart(4) >= Duration::from_millis(1_950), "{:?}", apart(4));
    receiver.otherwise(Reply::status(200));
    stage.all_succeed(events).await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_never_answers_holds_nobody_up() {
    let (stage, silent, quick) = (Stage::new(), Receiver::start().await, Receiver::start().await);
    silent.otherwise(Reply::status(200).after(Duration::from_secs(600)));
    let hanging = stage.destination(&silent.url()).await;
    let answering = stage.destination(&quick.url()).await;
    let slow = stage.calling(hanging, 15_000);
    let fast = stage.calling(answering, 1_000);
    stage.many(&slow, 300);
    let worker = stage.worker(Settings {
        jobs: 64,
        jobs_per_tenant: 64,
        stop_timeout_ms: 100,
        ..settings()
    });
    silent.wait_for(32, PATIENCE).await;
    let began = Instant::now();
    stage.all_succeed(stage.many(&fast, 50)).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(
        silent.received().len(),
        32,
        "no more are under way than the default allows"
    );
    worker.stop().await;
}
