//! The maintenance of the tables.

use hookgate_testkit::eventually;
use hookgate_worker::Settings;
use serde_json::json;

use crate::stage::{PATIENCE, Stage, set_only, settings};

#[tokio::test(flavor = "multi_thread")]
async fn days_are_made_ahead_and_what_is_old_goes() {
    let stage = Stage::new();
    let webhook = stage.webhook(set_only());
    stage.execute("SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date - 5)");
    stage.execute("SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date - 4)");
    // An old day whose event still has work behind it. It keeps no other day.
    stage.execute(&format!(
        "INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, due_at)
         SELECT '{}', day, gen_random_uuid(), gen_random_uuid(), ARRAY[day], now() + interval '1 year'
         FROM uuidv7_floor(((now() AT TIME ZONE 'UTC')::date - 5)::timestamp AT TIME ZONE 'UTC') AS day",
        stage.tenant.uuid()
    ));
    stage.execute(&format!(
        "INSERT INTO refusals (tenant_id, id, webhook_id, url_id, reason, detail, status, method, path, query, headers, body_preview)
         SELECT '{}', ('0' || substr(uuidv7_floor(now())::text, 2, 32) || lpad(n::text, 3, '0'))::uuid, '{}', '{}', 'x', '', 404, 'GET', '', '', '', ''
         FROM generate_series(1, 20) AS n",
        stage.tenant.uuid(), webhook.id.uuid(), webhook.production.id.uuid()
    ));
    stage.execute(&format!(
        "INSERT INTO idempotency_keys (tenant_id, actor, key, request_digest, created_at)
         SELECT '{}', 'a', hours::text, '', now() - make_interval(hours => hours) FROM generate_series(20, 29) AS hours",
        stage.tenant.uuid()
    ));
    stage.execute(&format!(
        "INSERT INTO usage (tenant_id, day, webhook_id, events)
         SELECT '{}', (now() AT TIME ZONE 'UTC')::date - age, '{}', 1 FROM unnest(ARRAY[0, 399, 401]) AS age",
        stage.tenant.uuid(),
        webhook.id.uuid(),
    ));
    stage.execute(&format!(
        "INSERT INTO deduplication_keys (tenant_id, digest, event_id, expires_at)
         SELECT '{}', n::text::bytea, gen_random_uuid(), now() + make_interval(hours => n - 4500) FROM generate_series(1, 4505) AS n",
        stage.tenant.uuid()
    ));
    stage.execute(&format!(
        "INSERT INTO duplicates (tenant_id, event_id, count, last_at)
         SELECT '{}', uuidv7_floor(now() - make_interval(days => days)), 1, now() FROM generate_series(0, 9) AS days",
        stage.tenant.uuid()
    ));
    stage.execute(&format!(
        "INSERT INTO samples (tenant_id, id, webhook_id, source, environment, method, suffix, path, query, headers, body_codec, body_bytes, body, stored_bytes)
         SELECT '{}', uuidv7_floor(now() - make_interval(days => days)), '{}', source, 'test', 'POST', '', '', '', '', 0, 0, '', 0
         FROM (VALUES (0, 'captured'), (8, 'captured'), (9, 'event'), (10, 'json')) AS old (days, source)",
        stage.tenant.uuid(),
        webhook.id.uuid(),
    ));
    stage.execute(&format!(
        "INSERT INTO failed_callbacks (tenant_id, id, webhook_id, revision_id, event_id, state, failed_at)
         SELECT '{}', gen_random_uuid(), '{}', gen_random_uuid(), gen_random_uuid(), '', now() - make_interval(days => days)
         FROM generate_series(0, 9) AS days",
        stage.tenant.uuid(),
        webhook.id.uuid(),
    ));
    let worker = stage.worker(Settings {
        retention_days: 3,
        refusals_per_webhook: 7,
        ..settings()
    });
    let count = |relation: &str, days: &str| {
        stage.number(&format!(
            "SELECT count(*) AS number FROM pg_class WHERE relname = '{relation}_' || to_char((now() AT TIME ZONE 'UTC')::date {days}, 'YYYYMMDD')"
        ))
    };
    eventually(PATIENCE, "the maintenance is done", async || {
        (stage.number("SELECT count(*) AS number FROM idempotency_keys") == 4).then_some(())
    })
    .await;
    assert_eq!((count("events", "+ 7"), count("attempts", "+ 7")), (1, 1));
    assert_eq!((count("events", "- 4"), count("runs", "- 4")), (0, 0));
    assert_eq!(
        (count("events", "- 5"), count("runs", "- 5")),
        (1, 1),
        "live work is never deleted"
    );
    assert_eq!(stage.number("SELECT count(*) AS number FROM refusals"), 7);
    let kept = stage.number("SELECT count(*) AS number FROM failed_callbacks");
    assert!((3..=4).contains(&kept), "{kept} callbacks");
    assert_eq!(stage.number("SELECT sum(events)::bigint AS number FROM usage"), 2);
    let keys = stage.number("SELECT count(*) AS number FROM deduplication_keys");
    assert_eq!(keys, 5, "only those whose time is not over");
    let counts = stage.number("SELECT count(*) AS number FROM duplicates");
    assert!((3..=4).contains(&counts), "{counts}");
    // What senders sent goes with the events of its time; what was given stays.
    assert_eq!(stage.number("SELECT count(*) AS number FROM samples"), 2);
    let event = stage.event(&webhook, json!({ "n": 1 }));
    assert_eq!(stage.run_of(event).await.outcome, "succeeded");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_webhook_keeps_its_newest_refusals_and_of_them_so_many_bytes_of_whole_requests() {
    let stage = Stage::new();
    // More webhooks than are looked for at once, of two tenants, and one of them has more than a transaction deletes.
    let (tenant, other) = (
        stage.tenant.uuid().to_string(),
        "00000000-0000-7000-8000-000000000001",
    );
    for (tenant, webhooks, refusals) in [(tenant.as_str(), 130, 9), (other, 2, 4), (&tenant, 1, 4_100)] {
        stage.execute(&format!(
            "INSERT INTO refusals (tenant_id, id, webhook_id, url_id, reason, detail, status, method, path, query, headers, body_preview, request)
             SELECT '{tenant}', ('0' || substr(uuidv7_floor(now())::text, 2, 23) || right(gen_random_uuid()::text, 8) || lpad(n::text, 4, '0'))::uuid,
               webhook, webhook, 'x', '', 404, 'GET', '', '', '', '', repeat('r', 100)::bytea
             FROM (SELECT gen_random_uuid() AS webhook FROM generate_series(1, {webhooks})) AS webhooks, generate_series(1, {refusals}) AS n"
        ));
    }
    let worker = stage.worker(Settings {
        refusals_per_webhook: 5,
        refused_bytes_per_webhook: 350,
        ..settings()
    });
    let of_each = |what: &str| {
        stage.number(&format!(
            "SELECT count(*) AS number FROM (SELECT FROM refusals GROUP BY tenant_id, webhook_id HAVING {what}) AS webhooks"
        ))
    };
    eventually(PATIENCE, "each webhook has its newest", async || {
        (of_each("count(*) = 5") == 131 && of_each("count(request) = 3") == 133).then_some(())
    })
    .await;
    assert_eq!(of_each("count(*) = 4"), 2);
    let newest = "SELECT count(*) AS number FROM (SELECT request, row_number() OVER (PARTITION BY webhook_id ORDER BY id DESC) AS place
        FROM refusals) AS kept WHERE (place <= 3) <> (request IS NOT NULL)";
    assert_eq!(
        stage.number(newest),
        0,
        "the whole requests are those of the newest"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_changed_is_kept_for_its_time_and_within_bounds() {
    let stage = Stage::new();
    stage.execute(
        "INSERT INTO operators_audit_log (id, action, object_kind, object_id)
         SELECT uuidv7_floor(now() - make_interval(days => age)), 'changed', 'plan', gen_random_uuid() FROM unnest(ARRAY[0, 1, 2, 5]) AS age",
    );
    for (newest, left) in [(1_000, 3), (2, 2)] {
        let worker = stage.worker(Settings {
            audit_retention_days: 3,
            audit_entries_per_tenant: newest,
            ..settings()
        });
        eventually(PATIENCE, "the oldest are deleted", async || {
            (stage.number("SELECT count(*) AS number FROM operators_audit_log") == left).then_some(())
        })
        .await;
        worker.stop().await;
    }
    let oldest = "SELECT count(*) AS number FROM operators_audit_log WHERE id < uuidv7_floor(now() - interval '36 hours')";
    assert_eq!(stage.number(oldest), 0, "the newest are kept");
}
