//! Fills a database with the events of thirty days, and with what became of them.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use hookgate_domain::body::StoredBody;
use hookgate_domain::clock;
use hookgate_model::ids::{ManagementKeyId, TenantId};
use hookgate_testkit::TestDatabase;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use serde_json::json;

/// Days that the events are spread over.
const DAYS: i64 = 30;
/// Events of one transaction.
const PART: u64 = 250_000;
/// Statements that run at the same time.
const AT_ONCE: usize = 2;
/// Bodies that events share: enough for what is searched to be rare.
const BODIES: u32 = 2_000;
/// Webhooks are drawn from so many slots; the more slots, the more events.
const SLOTS: usize = 10_000;
/// Who has how many of the slots, in how many webhooks each.
const LARGE: (usize, usize) = (8_000, 40);
const MEDIUM: (usize, usize) = (1_400, 15);
const SMALL: (usize, usize) = (30, 2);
const SMALL_TENANTS: usize = 20;

/// The management key of the large tenant, and that of a small one.
pub const KEYS: [&str; 2] = ["hgm_of_the_large_tenant", "hgm_of_a_small_tenant"];
/// What only the oldest event of the large tenant has: as its type, its delivery id, and in its body.
pub const NEEDLE: &str = "needle-in-the-haystack";

/// What was made.
pub struct Store {
    /// The webhooks of the tenant with most events, those with most events first.
    pub large: Vec<Webhook>,
    /// A webhook of that tenant that got the oldest event alone.
    pub rare: Webhook,
    /// When the first event came.
    pub began: DateTime<Utc>,
}

/// Makes tenants, webhooks, and so many events.
pub fn fill(database: &TestDatabase, events: u64) -> Result<Store> {
    database.execute(
        "CREATE TABLE bench_slots (number integer PRIMARY KEY, tenant_id uuid, webhook_id uuid, url_id uuid, revision_id uuid,
           works boolean);
         CREATE TABLE bench_bodies (number integer PRIMARY KEY, codec smallint, bytes integer, body bytea, event_type text)",
    );
    let mut slots = Vec::new();
    let large = tenant(database, "Large", LARGE, &mut slots);
    tenant(database, "Medium", MEDIUM, &mut slots);
    let small: Vec<_> = (0..SMALL_TENANTS)
        .map(|number| tenant(database, &format!("Small {number}"), SMALL, &mut slots))
        .collect();
    let (Some(busiest), Some(small)) = (large.first(), small.first().and_then(|of| of.first())) else {
        bail!("there are no webhooks");
    };
    let rare = database.webhook(busiest.tenant, NewWebhook::default());
    for (tenant, key) in [(busiest.tenant, KEYS[0]), (small.tenant, KEYS[1])] {
        database.execute(&management_key(tenant, key));
    }
    database.execute(&format!("INSERT INTO bench_slots VALUES {}", slots.join(",")));
    database.execute(&bodies()?);

    let now = clock::now();
    let began = now - TimeDelta::days(DAYS);
    make_days(database);
    let step_ms = TimeDelta::days(DAYS).num_milliseconds() as f64 / events as f64;
    let parts: Vec<u64> = (0..events).step_by(usize::try_from(PART)?).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    while let Some(&first) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let last = (first + PART).min(events) - 1;
                        let sql = include_str!("fill.sql")
                            .replace(":first", &first.to_string())
                            .replace(":last", &last.to_string())
                            .replace(":began_ms", &began.timestamp_millis().to_string())
                            .replace(":step_ms", &step_ms.to_string());
                        database.execute(&format!("BEGIN; {sql}; COMMIT; DROP TABLE part"));
                        eprintln!("{last} events");
                    }
                })
            })
            .collect();
        for worker in workers {
            if worker.join().is_err() {
                bail!("a part was not filled in");
            }
        }
        Ok(())
    })?;
    database.execute(&needle(&rare, began)?);
    database.execute("DROP TABLE bench_slots, bench_bodies");
    // As the autovacuum leaves days that are over.
    database.execute("VACUUM (ANALYZE)");
    database.execute("CHECKPOINT");
    Ok(Store { large, rare, began })
}

/// A tenant with its share of the slots: the first of its webhooks gets most, the next a half of that, and so on.
fn tenant(
    database: &TestDatabase,
    name: &str,
    (share, webhooks): (usize, usize),
    slots: &mut Vec<String>,
) -> Vec<Webhook> {
    let tenant = database.tenant(name);
    let flow = json!({ "flow": { "steps": [{ "name": "order", "kind": "set", "values": { "id": 1 } }] } });
    let made: Vec<Webhook> = (0..webhooks)
        .map(|number| {
            let revision = if has_flow(number) { flow.clone() } else { json!({}) };
            database.webhook(
                tenant,
                NewWebhook {
                    name: format!("{name} {number}"),
                    revision,
                    ..NewWebhook::default()
                },
            )
        })
        .collect();
    let weight = |number: usize| 1.0 / (number as f64 + 1.0);
    let all: f64 = (0..webhooks).map(weight).sum();
    let mut upto = 0.0;
    let first = slots.len();
    for (number, webhook) in made.iter().enumerate() {
        upto += weight(number) / all * share as f64;
        while slots.len() < SLOTS && (slots.len() - first) as f64 + 0.5 < upto {
            slots.push(format!(
                "({}, '{}', '{}', '{}', '{}', {})",
                slots.len(),
                tenant.uuid(),
                webhook.id.uuid(),
                webhook.production.id.uuid(),
                webhook.revision.uuid(),
                has_flow(number)
            ));
        }
    }
    made
}

/// Whether the events of a tenant's n-th webhook have a flow: three of five.
fn has_flow(number: usize) -> bool {
    number % 5 < 3
}

fn management_key(tenant: TenantId, key: &str) -> String {
    let id: ManagementKeyId = clock::new_id();
    format!(
        "INSERT INTO management_keys (tenant_id, id, name, digest, hint, scopes) VALUES ('{}', '{}', 'bench', sha256('{key}'), 'hgm_',
           '{{events:read,runs:read,audit:read,usage:read,webhooks:read,tenant:read}}')",
        tenant.uuid(),
        id.uuid()
    )
}

/// Partitions for the days before, which the schema's own function makes only around today.
fn make_days(database: &TestDatabase) {
    let sql = format!(
        "DO $$ BEGIN EXECUTE replace(replace(pg_get_functiondef('ensure_partitions(date)'::regprocedure), 'date - 7', 'date - {}'),
           'FUNCTION public.ensure_partitions', 'FUNCTION public.bench_ensure_partitions'); END $$;
         SELECT bench_ensure_partitions((now() AT TIME ZONE 'UTC')::date + day) FROM generate_series(-{}, 7) AS day",
        DAYS + 1,
        DAYS
    );
    database.execute(&sql);
}

/// Orders of 0.3 to 8 kB, most of them short, as the ingress would store them.
fn bodies() -> Result<String> {
    let mut sql = String::from("INSERT INTO bench_bodies VALUES ");
    let mut random: u32 = 7;
    let mut draw = |below: u32| {
        random = random.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (random >> 8) % below
    };
    for number in 0..BODIES {
        let lines = 1 + draw(6) * draw(10);
        let items: Vec<_> = (0..lines)
            .map(|_| {
                json!({ "sku": format!("SKU-{:06x}", draw(1 << 24)), "quantity": draw(9), "price_cents": draw(100_000),
                    "title": format!("Article of the series {}", draw(1000)) })
            })
            .collect();
        let kind = ["order.created", "order.paid", "order.shipped", "order.cancelled"][draw(4) as usize];
        let order = json!({ "type": kind, "order": { "id": 1_000_000 + number, "currency": "EUR", "items": items,
            "customer": { "email": format!("customer{number}@example.com"), "city": "Lübeck", "reference": format!("{:08x}", draw(1 << 24)) } } });
        let stored = StoredBody::new(order.to_string().into_bytes().into());
        let separator = if number == 0 { "" } else { "," };
        write!(
            sql,
            "{separator}({number}, {}, {}, '\\x{}', '{kind}')",
            stored.codec(),
            stored.original_length(),
            hex(stored.stored())
        )?;
    }
    Ok(sql)
}

/// The oldest event of the large tenant.
fn needle(webhook: &Webhook, began: DateTime<Utc>) -> Result<String> {
    let body = json!({ "note": NEEDLE }).to_string();
    let oldest = began
        .checked_sub_signed(TimeDelta::seconds(1))
        .context("a time before the first event")?;
    Ok(format!(
        "INSERT INTO events (tenant_id, id, webhook_id, url_id, environment, method, suffix, path, query, headers, body_codec,
           body_bytes, body, event_type, delivery_id)
         VALUES ('{}', (left(uuidv7_floor('{oldest}')::text, 14) || '7000-8000-000000000001')::uuid, '{}', '{}', 'production', 'POST',
           'orders', 'orders', '', '', 0, {}, '\\x{}', '{NEEDLE}', '{NEEDLE}')",
        webhook.tenant.uuid(),
        webhook.id.uuid(),
        webhook.production.id.uuid(),
        body.len(),
        hex(body.as_bytes())
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
