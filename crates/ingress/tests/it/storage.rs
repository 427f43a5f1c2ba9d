//! Durability and its failures.

use std::collections::BTreeSet;

use hookgate_domain::redis::Redis;
use hookgate_ingress::Settings;
use hookgate_testkit::TestDatabase;
use hookgate_testkit::fixtures::NewWebhook;
use serde_json::json;

use crate::harness::Harness;

#[tokio::test]
async fn concurrent_events_are_all_stored_with_their_jobs() {
    let mut harness = Harness::start().await;
    let revision = json!({ "flow": { "steps": [{ "name": "a", "kind": "set", "values": {} }] } });
    let webhook = harness.webhook(NewWebhook {
        revision,
        ..NewWebhook::default()
    });
    let requests: Vec<_> = (0..500)
        .map(|number| {
            tokio::spawn(
                harness
                    .post(&webhook.production)
                    .body(format!("{{\"n\":{number}}}"))
                    .send(),
            )
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.expect("no panic").expect("an answer").status(), 200);
    }
    let bodies: BTreeSet<_> = harness
        .events(&webhook)
        .iter()
        .map(|event| event.body())
        .collect();
    assert_eq!(bodies.len(), 500);
    let jobs = harness.count("SELECT count(*) FROM jobs");
    let events = harness.count("SELECT sum(cardinality(event_ids))::bigint AS count FROM jobs");
    assert!(jobs >= 5 && events == 500, "{jobs} jobs for {events} events");
    let distinct = harness.count("SELECT count(DISTINCT event) FROM jobs, unnest(event_ids) AS event");
    assert_eq!(distinct, 500);
    harness.stop().await;
}

#[tokio::test]
async fn a_missing_partition_is_made() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook::default());
    harness.execute(
        "DO $$ DECLARE leaf text; BEGIN FOR leaf IN SELECT inhrelid::regclass::text FROM pg_inherits \
         WHERE inhparent IN ('events'::regclass, 'refusals'::regclass) LOOP EXECUTE 'DROP TABLE ' || leaf; END LOOP; END $$",
    );
    let get = harness.request(reqwest::Method::GET, &webhook.production.path);
    assert_eq!(
        harness
            .post(&webhook.production)
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    assert_eq!(get.send().await.expect("an answer").status(), 405);
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 1);
    assert_eq!(harness.refusals(&webhook).len(), 1);
}

#[tokio::test]
async fn without_storage_the_sender_is_told_to_try_again() {
    let mut harness = Harness::start().await;
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
    // Nobody may connect any more, and whoever is connected is thrown out.
    let name = harness.database.name();
    let elsewhere = TestDatabase::create();
    let administer = |statement: &str| {
        diesel::RunQueryDsl::execute(diesel::sql_query(statement), &mut elsewhere.superuser()).expect("done");
    };
    administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    administer(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    ));
    for _ in 0..5 {
        let got = harness.post(&webhook.production).send().await.expect("an answer");
        assert_eq!(got.status(), 503);
        assert!(got.headers().contains_key("retry-after"));
    }
    administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    hookgate_testkit::eventually(
        std::time::Duration::from_secs(5),
        "it recovers by itself",
        async || {
            let got = harness.post(&webhook.production).send().await.expect("an answer");
            (got.status() == 200).then_some(())
        },
    )
    .await;
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 2);
}

#[tokio::test]
async fn a_lost_connection_costs_no_event_and_makes_no_second() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook::default());
    for _ in 0..5 {
        harness.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hookgate_ingress' AND datname = current_database()");
        assert_eq!(
            harness
                .post(&webhook.production)
                .send()
                .await
                .expect("an answer")
                .status(),
            200
        );
    }
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 5);
}

#[tokio::test]
async fn redis_is_not_needed_for_accepting() {
    let nowhere = Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let mut harness = Harness::on_redis(TestDatabase::create(), Settings::default(), nowhere).await;
    let webhook = harness.webhook(NewWebhook::default());
    assert_eq!(
        harness
            .post(&webhook.production)
            .body("{}")
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 1);
}

#[tokio::test]
async fn probes_tell_the_truth() {
    let mut harness = Harness::start().await;
    for path in ["/livez", "/readyz"] {
        let got = harness
            .request(reqwest::Method::GET, path)
            .send()
            .await
            .expect("an answer");
        assert_eq!(got.status(), 200, "{path}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_postgres_that_does_not_commit_in_time_is_no_hang() {
    let settings = Settings {
        commit_timeout_ms: 300,
        ..Settings::default()
    };
    let mut harness = Harness::with(settings).await;
    let webhook = harness.webhook(NewWebhook::default());
    let post = || harness.post(&webhook.production).send();
    assert_eq!(post().await.expect("an answer").status(), 200);
    let mut superuser = harness.database.superuser();
    let mut execute = |statement: &str| {
        diesel::RunQueryDsl::execute(diesel::sql_query(statement), &mut superuser).expect("done");
    };
    execute("BEGIN");
    execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE");
    for _ in 0..3 {
        let got = post().await.expect("an answer");
        assert_eq!(got.status(), 503);
        assert!(got.headers().contains_key("retry-after"));
    }
    execute("ROLLBACK");
    assert_eq!(post().await.expect("an answer").status(), 200);
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 2);
}
