//! Configuration changes reach a running ingress.

use std::time::{Duration, Instant};

use hookgate_domain::clock;
use hookgate_domain::redis::Redis;
use hookgate_domain::redis::changes::Change;
use hookgate_ingress::Settings;
use hookgate_model::ids::PlanId;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use hookgate_testkit::{TestDatabase, eventually};
use serde_json::json;

use crate::harness::Harness;

#[tokio::test]
async fn an_announced_change_counts_at_once() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook::default());
    // The first request may come before the subscription stands, so the entry may be short-lived: ask until it stays.
    let redis = harness.database.redis();
    for status in ["disabled", "active", "disabled"] {
        harness.execute(&format!("UPDATE webhooks SET status = '{status}'"));
        redis
            .announce(Change::Webhook(webhook.id))
            .await
            .expect("announced");
        let expected = if status == "active" { 200 } else { 403 };
        eventually(
            Duration::from_millis(1500),
            format!("{status} counts"),
            async || {
                let got = harness.post(&webhook.production).send().await.expect("an answer");
                (got.status() == expected).then_some(())
            },
        )
        .await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_plan_counts_for_the_tenants_that_have_it_and_its_change_at_once() {
    let mut harness = Harness::start().await;
    let (one, other) = (
        harness.webhook(NewWebhook::default()),
        harness.database.tenant("Neighbour"),
    );
    let other = harness.database.webhook(other, NewWebhook::default());
    let plan: PlanId = clock::new_id();
    harness.database.execute(&format!(
        "INSERT INTO plans (id, name, limits) VALUES ('{0}', 'Small', '{{\"body_bytes\": 4}}');
         UPDATE tenants SET plan_id = '{0}' WHERE id = '{1}'",
        plan.uuid(),
        one.tenant.uuid()
    ));
    let redis = harness.database.redis();
    let post = async |webhook: &Webhook| {
        let sent = harness.post(&webhook.production).body("123456789").send().await;
        sent.expect("an answer").status().as_u16()
    };
    for (limits, expected) in [
        (json!({"body_bytes": 4}), 413),
        (json!({"body_bytes": 400}), 200),
        (json!({"body_bytes": 8}), 413),
        (json!({}), 200),
    ] {
        harness.execute(&format!("UPDATE plans SET limits = '{limits}'"));
        redis.announce(Change::Plan(plan)).await.expect("announced");
        eventually(
            Duration::from_millis(1500),
            format!("{limits} counts"),
            async || (post(&one).await == expected).then_some(()),
        )
        .await;
        assert_eq!(post(&other).await, 200);
    }
    // What a tenant has of its own goes before its plan.
    harness.execute(&format!(
        "UPDATE tenants SET limits = '{{\"body_bytes\": 3}}' WHERE id = '{}'",
        one.tenant.uuid()
    ));
    redis
        .announce(Change::Tenant(one.tenant))
        .await
        .expect("announced");
    eventually(Duration::from_millis(1500), "its own counts", async || {
        (post(&one).await == 413).then_some(())
    })
    .await;
    harness.stop().await;
}

#[tokio::test]
async fn without_redis_a_change_counts_within_two_seconds() {
    let nowhere = Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let mut harness = Harness::on_redis(TestDatabase::create(), Settings::default(), nowhere).await;
    let webhook = harness.webhook(NewWebhook::default());
    assert_eq!(
        harness
            .post(&webhook.production)
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    harness.execute("UPDATE webhooks SET status = 'disabled'");
    let changed = Instant::now();
    eventually(Duration::from_secs(4), "the change counts", async || {
        let got = harness.post(&webhook.production).send().await.expect("an answer");
        (got.status() == 403).then_some(())
    })
    .await;
    assert!(
        changed.elapsed() < Duration::from_millis(2500),
        "{:?}",
        changed.elapsed()
    );
    harness.stop().await;
}

#[tokio::test]
async fn a_rotated_token_lives_on_for_its_grace_period() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook::default());
    harness.execute("UPDATE url_tokens SET expires_at = now() + interval '1 h'");
    assert_eq!(
        harness
            .post(&webhook.production)
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    harness.execute("UPDATE url_tokens SET expires_at = now() - interval '1 s'");
    harness
        .database
        .redis()
        .announce(Change::Webhook(webhook.id))
        .await
        .expect("announced");
    eventually(Duration::from_secs(4), "the old token is over", async || {
        let got = harness.post(&webhook.production).send().await.expect("an answer");
        (got.status() == 404).then_some(())
    })
    .await;
    harness.stop().await;
}
