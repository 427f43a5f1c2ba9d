//! What a tenant may receive in a month, what is counted for it, and how many callers may wait.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use hookgate_domain::redis::Redis;
use hookgate_domain::redis::changes::Change;
use hookgate_ingress::{Ingress, Settings};
use hookgate_model::limits::TenantLimits;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use hookgate_testkit::{TestDatabase, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::Harness;

fn limits(limits: TenantLimits) -> Settings {
    Settings {
        tenant_limits: limits,
        ..Settings::default()
    }
}

fn events_per_month(most: u64) -> Settings {
    limits(TenantLimits {
        events_per_month: Some(most),
        ..TenantLimits::NONE
    })
}

/// The events and bytes that are counted.
fn counted(harness: &Harness) -> (i64, i64) {
    (
        harness.count("SELECT coalesce(sum(events), 0)::bigint AS count FROM usage"),
        harness.count("SELECT coalesce(sum(body_bytes), 0)::bigint AS count FROM usage"),
    )
}

async fn post(
    harness: &Harness,
    webhook: &Webhook,
    node: Option<&Ingress>,
    bytes: usize,
) -> reqwest::Response {
    let at = node.map_or(harness.address, |node| node.addresses()[0]);
    let url = format!("http://{at}{}", webhook.production.path);
    let request = harness.client.post(url).body(vec![b'x'; bytes]);
    request.send().await.expect("an answer")
}

async fn until_counted(harness: &Harness, events: i64) {
    eventually(Duration::from_secs(8), "the events are counted", async || {
        (counted(harness).0 == events).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nodes_share_a_quota_exactly_and_a_wiped_redis_changes_nothing() {
    let mut harness = Harness::with(events_per_month(25)).await;
    let redis = harness.database.redis();
    let other = Harness::node(
        &harness.database,
        events_per_month(25),
        redis,
        &Default::default(),
    )
    .await;
    let webhook = harness.webhook(NewWebhook::default());
    let mut passed = 0;
    for round in 0..40 {
        let node = (round % 2 == 0).then_some(&other);
        let answer = post(&harness, &webhook, node, 10).await;
        match answer.status().as_u16() {
            200 => passed += 1,
            429 => {}
            status => panic!("{status}"),
        }
    }
    // What one node still holds for the next second may be missing, until it is given back.
    assert!((24..=25).contains(&passed), "{passed}");
    eventually(
        Duration::from_secs(15),
        "the last part is given back",
        async || {
            while passed < 25 && post(&harness, &webhook, None, 10).await.status() == 200 {
                passed += 1;
            }
            (passed == 25).then_some(())
        },
    )
    .await;
    let refused = post(&harness, &webhook, None, 10).await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!((1..=31 * 86_400).contains(&wait), "{wait}");
    assert_eq!(refused.headers()["ratelimit-policy"], "\"events_per_month\";q=25");
    let problem: Value = refused.json().await.expect("a problem");
    assert_eq!(
        (&problem["code"], &problem["violated-policies"]),
        (&json!("quota_exceeded"), &json!(["events_per_month"]))
    );

    until_counted(&harness, 25).await;
    assert_eq!(counted(&harness), (25, 250));
    harness.database.wipe_redis().await;
    for node in [None, Some(&other), None, Some(&other)] {
        assert_eq!(post(&harness, &webhook, node, 10).await.status(), 429);
    }
    other.stop().await;
    harness.stop().await;
}

#[tokio::test]
async fn without_redis_postgres_keeps_the_quota() {
    let nowhere = Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let mut harness = Harness::on_redis(TestDatabase::create(), events_per_month(12), nowhere).await;
    let webhook = harness.webhook(NewWebhook::default());
    let mut passed = 0;
    for _ in 0..30 {
        passed += u32::from(post(&harness, &webhook, None, 1).await.status() == 200);
    }
    assert_eq!(passed, 12);
    harness.stop().await;
    assert_eq!(counted(&harness), (12, 12));
}

#[tokio::test]
async fn bytes_are_counted_by_what_really_came() {
    let settings = limits(TenantLimits {
        body_bytes_per_month: Some(1_000),
        body_bytes: Some(600),
        ..TenantLimits::NONE
    });
    let mut harness = Harness::with(settings).await;
    let webhook = harness.webhook(NewWebhook::default());
    for (bytes, status) in [
        (601, 413),
        (600, 200),
        (401, 429),
        (390, 200),
        (11, 429),
        (10, 200),
        (1, 429),
        (0, 200),
    ] {
        let answer = post(&harness, &webhook, None, bytes).await;
        assert_eq!(answer.status(), status, "{bytes}");
    }
    harness.stop().await;
    assert_eq!(counted(&harness), (4, 1_000));
}

#[tokio::test]
async fn only_what_is_stored_counts_and_only_this_month() {
    let mut harness = Harness::with(events_per_month(3)).await;
    let webhook = harness.webhook(NewWebhook::default());
    harness.execute(&format!(
        "INSERT INTO usage (tenant_id, day, webhook_id, events) VALUES
            ('{0}', (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 day')::date, '{1}', 1000),
            ('{0}', (now() AT TIME ZONE 'UTC')::date, '{1}', 1)",
        webhook.tenant.uuid(),
        webhook.id.uuid()
    ));
    let locked = harness.webhook(NewWebhook {
        authentication: json!({"kind": "api_key"}),
        ..NewWebhook::default()
    });
    for _ in 0..5 {
        assert_eq!(post(&harness, &locked, None, 1).await.status(), 401);
    }
    // An event that cannot be stored does not count.
    harness.execute("ALTER TABLE events ADD CONSTRAINT refuse CHECK (path <> 'orders') NOT VALID");
    for _ in 0..5 {
        assert_eq!(post(&harness, &webhook, None, 1).await.status(), 400);
    }
    harness.execute("ALTER TABLE events DROP CONSTRAINT refuse");
    for status in [200, 200, 429] {
        assert_eq!(post(&harness, &webhook, None, 1).await.status(), status);
    }
    // A raised quota counts as soon as it is announced.
    harness.execute("UPDATE tenants SET limits = '{\"events_per_month\": 4}'");
    let redis = harness.database.redis();
    redis
        .announce(Change::Tenant(webhook.tenant))
        .await
        .expect("announced");
    eventually(Duration::from_secs(3), "one more passes", async || {
        (post(&harness, &webhook, None, 1).await.status() == 200).then_some(())
    })
    .await;
    assert_eq!(post(&harness, &webhook, None, 1).await.status(), 429);
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 3);
}

/// Sends a request and leaves when its event is being committed, which a lock on a table prevents until then.
async fn leave_while_it_is_committed(harness: &Harness, webhook: &Webhook, table: &str, body: &str) {
    let mut lock = harness.database.superuser();
    lock.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        .expect("a lock");
    let mut caller = connect(harness).await;
    // The connection is reset, so that the ingress knows at once that nobody waits for the answer.
    caller.set_zero_linger().expect("a setting");
    let (path, length) = (&webhook.production.path, body.len());
    let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}");
    caller.write_all(request.as_bytes()).await.expect("sent");
    eventually(Duration::from_secs(5), "the commit waits", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'hookgate-writer' AND wait_event_type = 'Lock'";
        (harness.count(waiting) == 1).then_some(())
    })
    .await;
    drop(caller);
    // Every thread of the ingress has seen it when it has answered what came after.
    for _ in 0..8 {
        let mut probe = connect(harness).await;
        let request = b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        probe.write_all(request).await.expect("sent");
        probe.read_to_end(&mut Vec::new()).await.expect("an answer");
    }
}

async fn connect(harness: &Harness) -> TcpStream {
    TcpStream::connect(harness.address).await.expect("a connection")
}

#[tokio::test]
async fn what_becomes_of_an_event_is_charged_though_its_caller_has_left() {
    let mut harness = Harness::with(events_per_month(4)).await;
    let webhook = harness.webhook(NewWebhook {
        deduplication: Some(json!({ "key": "{{ body.id }}", "remember_hours": 1 })),
        ..NewWebhook::default()
    });
    // It is stored, and stays charged.
    leave_while_it_is_committed(&harness, &webhook, "events", r#"{"id": 1}"#).await;
    eventually(Duration::from_secs(5), "the event is stored", async || {
        (harness.events(&webhook).len() == 1).then_some(())
    })
    .await;
    // It came before.
    leave_while_it_is_committed(&harness, &webhook, "deduplication_keys", r#"{"id": 1}"#).await;
    // Postgres refuses it.
    harness.execute("ALTER TABLE events ADD CONSTRAINT refuse CHECK (path <> 'orders') NOT VALID");
    leave_while_it_is_committed(&harness, &webhook, "events", r#"{"id": 2}"#).await;
    harness.execute("ALTER TABLE events DROP CONSTRAINT refuse");
    for status in [200, 200, 200, 429] {
        assert_eq!(post(&harness, &webhook, None, 2).await.status(), status);
    }
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 4);
    assert_eq!(counted(&harness), (4, 9 + 3 * 2));
}

#[tokio::test]
async fn as_many_callers_wait_as_may() {
    let settings = limits(TenantLimits {
        waiting_callers: Some(3),
        ..TenantLimits::NONE
    });
    let mut harness = Harness::with(settings).await;
    // There is no worker, so that callers wait until their time is over.
    let waits = || NewWebhook {
        revision: json!({"flow": {"steps": [{"name": "a", "kind": "set", "values": {"x": 1}}]},
            "response": {"mode": "wait", "timeout_ms": 1500}}),
        ..NewWebhook::default()
    };
    let (limited, other) = (harness.webhook(waits()), harness.webhook(waits()));
    harness.execute(&format!(
        "UPDATE webhooks SET limits = '{{\"waiting_callers\": 2}}' WHERE id = '{}'",
        limited.id.uuid()
    ));
    let statuses = async |webhooks: &[&Webhook]| {
        let posts = webhooks.iter().map(|webhook| async {
            let answer = post(&harness, webhook, None, 1).await;
            let status = answer.status().as_u16();
            let problem: Value = answer.json().await.unwrap_or_default();
            (
                status,
                problem["violated-policies"][0].as_str().map(str::to_owned),
            )
        });
        let mut statuses = futures_util::future::join_all(posts).await;
        statuses.sort();
        statuses
    };
    let by = |name: &str| (429, Some(name.to_owned()));
    let accepted = (202, None);
    let told = statuses(&[&limited, &limited, &limited]).await;
    assert_eq!(
        told,
        [accepted.clone(), accepted.clone(), by("webhook_waiting_callers")]
    );
    let told = statuses(&[&other, &other, &other, &other]).await;
    assert_eq!(
        told,
        [
            accepted.clone(),
            accepted.clone(),
            accepted.clone(),
            by("tenant_waiting_callers")
        ]
    );
    harness.stop().await;
    assert_eq!(harness.events(&limited).len(), 2);
    assert_eq!(harness.events(&other).len(), 3);
}
