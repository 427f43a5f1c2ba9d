//! Rates: kept by all nodes together, and by each alone while Redis is away.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hookgate_domain::redis::Redis;
use hookgate_ingress::{Ingress, Settings};
use hookgate_model::limits::TenantLimits;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use hookgate_testkit::{TestDatabase, eventually};
use serde_json::{Value, json};

use crate::harness::Harness;

fn limit(harness: &Harness, table: &str, limits: &Value) {
    harness.execute(&format!("UPDATE {table} SET limits = '{limits}'"));
}

/// A second node beside the first.
async fn another(harness: &Harness) -> Ingress {
    let redis = harness.database.redis();
    Harness::node(&harness.database, Settings::default(), redis, &Default::default()).await
}

/// Posts until one is refused; the number that passed, and the refusal.
async fn until_refused(harness: &Harness, webhook: &Webhook) -> (u32, reqwest::Response) {
    let mut passed = 0;
    loop {
        let answer = harness.post(&webhook.production).send().await.expect("an answer");
        if answer.status() != 200 {
            return (passed, answer);
        }
        passed += 1;
    }
}

fn header<'a>(answer: &'a reqwest::Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().expect("text")
}

#[tokio::test]
async fn the_refusal_says_which_limit_decided_and_when_to_come_back() {
    // The name of the limit, where it is set, and its policy.
    let table = [
        ("url", "urls", "\"url\";q=3;w=3"),
        ("webhook", "webhooks", "\"webhook\";q=3;w=3"),
        ("tenant", "tenants", "\"tenant\";q=3;w=3"),
    ];
    for (name, place, policy) in table {
        let mut harness = Harness::start().await;
        let webhook = harness.webhook(NewWebhook::default());
        limit(&harness, place, &json!({"requests_per_second": 1, "burst": 3}));
        let began = Instant::now();
        let (passed, refused) = until_refused(&harness, &webhook).await;
        let grown = u32::try_from(began.elapsed().as_secs()).expect("a short time");
        assert!((3..=3 + grown).contains(&passed), "{name}: {passed}");
        assert_eq!(refused.status(), 429);
        assert_eq!(header(&refused, "retry-after"), "1");
        assert_eq!(header(&refused, "ratelimit-policy"), policy);
        assert_eq!(header(&refused, "ratelimit"), format!("\"{name}\";r=0;t=1"));
        let problem: Value = refused.json().await.expect("a problem");
        assert_eq!(problem["code"], "rate_limited");
        assert_eq!(problem["violated-policies"], json!([name]));
        // What is told is true: a second later one passes.
        eventually(Duration::from_secs(3), "one passes again", async || {
            let answer = harness.post(&webhook.production).send().await.expect("an answer");
            (answer.status() == 200).then_some(())
        })
        .await;
        harness.stop().await;
        let refusals = harness.refusals(&webhook);
        assert!(refusals.iter().all(|refusal| refusal.reason == "rate_limited"));
        assert!(!refusals.is_empty());
    }
}

#[tokio::test]
async fn a_limit_is_its_own_and_what_another_refuses_does_not_count() {
    let settings = Settings {
        tenant_limits: TenantLimits {
            requests_per_second: Some(1),
            burst: Some(4),
            ..TenantLimits::NONE
        },
        ..Settings::default()
    };
    let mut harness = Harness::with(settings).await;
    let (first, second) = (
        harness.webhook(NewWebhook::default()),
        harness.webhook(NewWebhook::default()),
    );
    harness.execute(&format!(
        "UPDATE webhooks SET limits = '{{\"requests_per_second\": 1, \"burst\": 2}}' WHERE id = '{}'",
        first.id.uuid()
    ));
    let began = Instant::now();
    let (passed, refused) = until_refused(&harness, &first).await;
    let problem: Value = refused.json().await.expect("a problem");
    assert_eq!(problem["violated-policies"], json!(["webhook"]));
    // Refused by its webhook, it was no request of the tenant: the other webhook gets all that is left.
    let (others, refused) = until_refused(&harness, &second).await;
    let problem: Value = refused.json().await.expect("a problem");
    assert_eq!(problem["violated-policies"], json!(["tenant"]));
    let grown = u32::try_from(began.elapsed().as_secs()).expect("a short time");
    assert!(
        (4..=4 + 2 * grown).contains(&(passed + others)),
        "{passed} and {others}"
    );
    // Another tenant has a limit of its own.
    let neighbour = harness.database.tenant("Neighbour");
    let neighbour = harness.database.webhook(neighbour, NewWebhook::default());
    let answer = harness
        .post(&neighbour.production)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    harness.stop().await;
}

/// Sends from several connections for a while, as fast as it goes; the number that passed.
async fn flood(harness: &Harness, at: SocketAddr, path: &str, until: Instant) -> u32 {
    let passed = AtomicU32::new(0);
    let sender = async || {
        while Instant::now() < until {
            let url = format!("http://{at}{path}");
            let answer = harness.client.post(url).send().await.expect("an answer");
            match answer.status().as_u16() {
                200 => passed.fetch_add(1, Ordering::Relaxed),
                429 => 0,
                other => panic!("{other}"),
            };
        }
    };
    tokio::join!(sender(), sender(), sender(), sender());
    passed.into_inner()
}

#[tokio::test]
async fn two_nodes_keep_one_rate_together() {
    let mut harness = Harness::start().await;
    let other = another(&harness).await;
    let webhook = harness.webhook(NewWebhook::default());
    let (per_second, burst) = (100, 40);
    limit(
        &harness,
        "webhooks",
        &json!({"requests_per_second": per_second, "burst": burst}),
    );
    // Both have connected to Redis: until then each decides alone.
    let path = &webhook.production.path;
    for at in [harness.address, other.addresses()[0]] {
        flood(&harness, at, path, Instant::now() + Duration::from_millis(300)).await;
    }
    let began = Instant::now();
    let until = began + Duration::from_secs(2);
    let (one, two) = tokio::join!(
        flood(&harness, harness.address, path, until),
        flood(&harness, other.addresses()[0], path, until)
    );
    let allowed = f64::from(burst) + f64::from(per_second) * began.elapsed().as_secs_f64();
    // A node draws ahead for a twentieth of a second, and again when half of it is used.
    let ahead = 2.0 * 1.5 * f64::from(per_second) / 20.0;
    let passed = f64::from(one + two);
    assert!(passed <= allowed + ahead, "{one} and {two} of {allowed}");
    assert!(
        passed >= 0.8 * f64::from(per_second) * 2.0,
        "{one} and {two} of {allowed}"
    );
    assert!(one > 0 && two > 0, "{one} and {two}");
    other.stop().await;
    harness.stop().await;
}

#[tokio::test]
async fn without_redis_each_node_keeps_the_rate_alone() {
    let nowhere = Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let mut harness = Harness::on_redis(TestDatabase::create(), Settings::default(), nowhere).await;
    let webhook = harness.webhook(NewWebhook::default());
    limit(
        &harness,
        "webhooks",
        &json!({"requests_per_second": 20, "burst": 30}),
    );
    let began = Instant::now();
    // Longer than the compiled webhook is kept without Redis: the limit's state outlives it.
    let passed = flood(
        &harness,
        harness.address,
        &webhook.production.path,
        began + Duration::from_millis(2600),
    )
    .await;
    let allowed = 30.0 + 20.0 * began.elapsed().as_secs_f64();
    assert!(f64::from(passed) <= allowed + 1.0, "{passed} of {allowed}");
    assert!(f64::from(passed) >= 0.9 * 80.0, "{passed} of {allowed}");
    harness.stop().await;
}

#[tokio::test]
async fn a_wiped_redis_begins_the_burst_anew_and_no_more() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook::default());
    limit(
        &harness,
        "webhooks",
        &json!({"requests_per_second": 1, "burst": 5}),
    );
    let began = Instant::now();
    let (first, _) = until_refused(&harness, &webhook).await;
    harness.database.wipe_redis().await;
    let mut second = 0;
    eventually(Duration::from_secs(5), "it passes again", async || {
        let (passed, _) = until_refused(&harness, &webhook).await;
        second += passed;
        (second >= 5).then_some(())
    })
    .await;
    let grown = u32::try_from(began.elapsed().as_secs()).expect("a short time");
    assert!(first + second <= 10 + grown, "{first} and {second}");
    harness.stop().await;
}
