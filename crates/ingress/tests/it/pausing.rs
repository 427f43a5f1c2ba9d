//! Requests to a webhook that is paused and activated while they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hookgate_domain::redis::Redis;
use hookgate_domain::redis::changes::Change;
use hookgate_ingress::Settings;
use hookgate_testkit::eventually;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use serde_json::json;

use crate::harness::Harness;

const PATIENCE: Duration = Duration::from_secs(30);

async fn set_status(harness: &Harness, redis: &Redis, webhook: &Webhook, status: &str) {
    let id = webhook.id.uuid();
    harness.execute(&format!(
        "UPDATE webhooks SET status = '{status}' WHERE id = '{id}'"
    ));
    redis
        .announce(Change::Webhook(webhook.id))
        .await
        .expect("announced");
}

/// One of the two nodes hears of changes, the other believes the old status for up to two seconds.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_held_after_the_last_activation() {
    let mut harness = Harness::start().await;
    let nowhere = Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let deaf = Harness::node(
        &harness.database,
        Settings::default(),
        nowhere,
        &Default::default(),
    )
    .await;
    let webhook = harness.webhook(NewWebhook {
        revision: json!({"flow": {"steps": [{"name": "a", "kind": "set", "values": {"x": 1}}]}}),
        ..NewWebhook::default()
    });
    let (worker, redis) = (harness.worker(), harness.database.redis());
    let over = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = [harness.address, deaf.addresses()[0]]
        .into_iter()
        .cycle()
        .take(8)
        .map(|address| {
            let (client, over) = (harness.client.clone(), Arc::clone(&over));
            let url = format!("http://{address}{}", webhook.production.path);
            tokio::spawn(async move {
                let mut accepted = 0;
                while !over.load(Ordering::SeqCst) {
                    let answer = client.post(&url).body("{}").send().await.expect("an answer");
                    assert!(answer.status().is_success(), "{}", answer.status());
                    accepted += 1;
                }
                accepted
            })
        })
        .collect();

    let toggles = (0..3).map(|_| async {
        for status in ["paused", "active"].into_iter().cycle().take(30) {
            set_status(&harness, &redis, &webhook, status).await;
        }
    });
    join_all(toggles).await;
    set_status(&harness, &redis, &webhook, "paused").await;
    eventually(PATIENCE, "both nodes hold what comes", async || {
        let held = harness.count("SELECT count(*) FROM jobs WHERE is_held");
        let due = harness.count("SELECT count(*) FROM jobs WHERE NOT is_held");
        (held > 50 && due == 0).then_some(())
    })
    .await;
    set_status(&harness, &redis, &webhook, "active").await;
    // The deaf node still holds what it stores now.
    eventually(PATIENCE, "something is due again", async || {
        (harness.count("SELECT count(*) FROM runs WHERE finished_at > now() - interval '100 ms'") > 0)
            .then_some(())
    })
    .await;
    over.store(true, Ordering::SeqCst);
    let mut accepted = 0;
    for sender in senders {
        accepted += sender.await.expect("no panic");
    }
    eventually(PATIENCE, "everything has run", async || {
        (harness.count("SELECT count(*) FROM jobs") == 0).then_some(())
    })
    .await;
    assert_eq!(harness.count("SELECT count(*) FROM runs"), accepted);
    assert_eq!(harness.count("SELECT count(*) FROM events"), accepted);
    worker.stop().await;
    deaf.stop().await;
    harness.stop().await;
}
