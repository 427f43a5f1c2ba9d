//! How long tenants keep what they received.

use hookgate_model::limits::TenantLimits;
use hookgate_testkit::eventually;
use hookgate_worker::Settings;

use crate::stage::{PATIENCE, Stage, set_only, settings};

const TABLES: [&str; 6] = [
    "events",
    "runs",
    "attempts",
    "refusals",
    "duplicates",
    "failed_callbacks",
];

/// Gives a tenant's webhook a row of each table for each age in days: the event's UUID is that of its time.
fn fill(stage: &Stage, tenant: &str, ages: &[i32]) {
    for age in ages {
        stage.database.execute(&format!(
            "SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date - least({age}, 7));
             INSERT INTO events (tenant_id, id, webhook_id, url_id, environment, method, suffix, path, query, headers, body_codec,
               body_bytes, body)
             SELECT '{tenant}', uuidv7_floor(now() - make_interval(days => {age})), gen_random_uuid(), gen_random_uuid(), 'test', 'POST',
               '', '', '', '', 0, 0, '';
             INSERT INTO runs (tenant_id, id, webhook_id, revision_id, outcome, started_at, finished_at, steps)
             SELECT tenant_id, id, webhook_id, gen_random_uuid(), 'succeeded', now(), now(), '' FROM events e
               WHERE tenant_id = '{tenant}' AND NOT EXISTS (SELECT FROM runs r WHERE r.tenant_id = e.tenant_id AND r.id = e.id);
             INSERT INTO attempts (tenant_id, id, run_id, webhook_id, destination_id, step, number, method, url, outcome, started_at,
               duration_us, timing)
             SELECT tenant_id, id, id, webhook_id, gen_random_uuid(), 'a', 1, 'POST', '', 'succeeded', now(), 1, '{{}}' FROM runs r
               WHERE tenant_id = '{tenant}' AND NOT EXISTS (SELECT FROM attempts a WHERE a.tenant_id = r.tenant_id AND a.id = r.id);
             INSERT INTO refusals (tenant_id, id, webhook_id, url_id, reason, detail, status, method, path, query, headers, body_preview)
             SELECT '{tenant}', uuidv7_floor(now() - make_interval(days => {age})), gen_random_uuid(), gen_random_uuid(), 'x', '', 404,
               'GET', '', '', '', '';
             INSERT INTO duplicates (tenant_id, event_id, count, last_at)
             SELECT '{tenant}', uuidv7_floor(now() - make_interval(days => {age})), 1, now();
             INSERT INTO failed_callbacks (tenant_id, id, webhook_id, revision_id, event_id, state)
             SELECT '{tenant}', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
               uuidv7_floor(now() - make_interval(days => {age})), ''"
        ));
    }
}

fn counts(stage: &Stage, tenant: &str) -> Vec<String> {
    let count = |table| {
        let sql = format!("SELECT count(*)::text FROM {table} WHERE tenant_id = '{tenant}'");
        stage.database.query_text(&sql).remove(0)
    };
    TABLES.map(count).to_vec()
}

/// A worker that keeps everything for a month, and gives each tenant no more than five days.
fn month() -> Settings {
    Settings {
        retention_days: 30,
        tenant_limits: TenantLimits {
            retention_days: Some(5),
            ..TenantLimits::NONE
        },
        ..settings()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_keeps_no_longer_goes_and_nothing_else() {
    let stage = Stage::new();
    let (short, usual, long) = (
        stage.tenant.uuid().to_string(),
        stage.database.tenant("Usual").uuid().to_string(),
        stage.database.tenant("Long").uuid().to_string(),
    );
    let ages = [0, 1, 3, 4, 6];
    for tenant in [&short, &usual, &long] {
        fill(&stage, tenant, &ages);
    }
    stage.database.execute(&format!(
        "UPDATE tenants SET retention_days = 2 WHERE id = '{short}';
         UPDATE tenants SET limits = '{{\"retention_days\": 0}}' WHERE id = '{long}'"
    ));
    let worker = stage.worker(month());
    let left = async || Some(counts(&stage, &short)).filter(|left| *left == vec!["2"; 6]);
    eventually(PATIENCE, "two days are left", left).await;
    let left = async || Some(counts(&stage, &usual)).filter(|left| *left == vec!["4"; 6]);
    eventually(PATIENCE, "five days are left", left).await;
    worker.stop().await;
    assert_eq!(counts(&stage, &long), vec!["5"; 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn live_work_stays() {
    let stage = Stage::new();
    let webhook = stage.webhook(set_only());
    let tenant = stage.tenant.uuid().to_string();
    fill(&stage, &tenant, &[1, 3, 4, 6]);
    // The event of four days ago waits for a retry; a replay has come to the one of six days ago.
    stage.database.execute(&format!(
        "UPDATE tenants SET retention_days = 2 WHERE id = '{tenant}';
         INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, due_at)
         SELECT tenant_id, id, '{}', gen_random_uuid(), ARRAY[id], now() + interval '1 year' FROM events
           WHERE tenant_id = '{tenant}' ORDER BY id OFFSET 1 LIMIT 1",
        webhook.id.uuid()
    ));
    let worker = stage.worker(month());
    let left = async || Some(counts(&stage, &tenant)).filter(|left| left[..2] == ["2", "2"]);
    eventually(PATIENCE, "the busy event and the new one are left", left).await;
    worker.stop().await;
    assert_eq!(counts(&stage, &tenant)[2], "2", "the attempts of both");

    fill(&stage, &tenant, &[5, 7]);
    stage.database.execute(&format!(
        "INSERT INTO replays (tenant_id, id, filter, revision, events_per_second, matched, before, created_by, due_at, after)
         SELECT '{tenant}', gen_random_uuid(), '{{}}', 'current', 1, 9, uuidv7_floor(now()), 'a', now() + interval '1 year',
           uuidv7_floor(now() - interval '6 days')"
    ));
    let worker = stage.worker(month());
    let left = async || Some(counts(&stage, &tenant)).filter(|left| left[0] == "3");
    eventually(PATIENCE, "what the replay has not come to is left", left).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_fails_keeps_no_other_from_being_done() {
    let stage = Stage::new();
    let webhook = stage.webhook(set_only());
    stage.database.execute(&format!(
        "UPDATE tenants SET delete_at = now() - interval '1 day' WHERE id = '{}';
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$;
         CREATE TRIGGER refuse BEFORE DELETE ON webhooks FOR EACH ROW EXECUTE FUNCTION refuse()",
        stage.tenant.uuid()
    ));
    let other = stage.database.tenant("Other").uuid();
    stage.database.execute(&format!(
        "INSERT INTO idempotency_keys (tenant_id, actor, key, request_digest, created_at)
         SELECT '{other}', 'a', 'b', '', now() - interval '3 days'"
    ));
    let worker = stage.worker(settings());
    let gone = async || {
        let left = stage.database.query_text("SELECT key FROM idempotency_keys");
        left.is_empty().then_some(())
    };
    eventually(PATIENCE, "the last part is done", gone).await;
    worker.stop().await;
    let there = stage.database.query_text(&format!(
        "SELECT id::text FROM webhooks WHERE id = '{}'",
        webhook.id.uuid()
    ));
    assert_eq!(there.len(), 1, "erasing failed");
}
