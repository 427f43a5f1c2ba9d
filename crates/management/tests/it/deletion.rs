//! Deleting a tenant: confirmed, restorable for a time, then all of it and nothing else; and its export before.

use std::collections::{BTreeMap, BTreeSet};

use hookgate_domain::audit::Origin;
use hookgate_domain::database::PgConnection;
use hookgate_domain::export::TABLES;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::tenants::{self, Tenant};
use hookgate_domain::{Error, operator};
use hookgate_model::ids::TenantId;
use serde_json::{Value, json};

use crate::isolation::{MARK, World};
use crate::members::Team;
use crate::service::{PASSWORD, Service};
use crate::stored::uuid;

/// How many rows of a tenant each table has.
fn rows_of(service: &Service, tenant: &str) -> BTreeMap<String, u64> {
    let tables = service.database.query_text(
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
    );
    let id = uuid(&tenant.into());
    let count = |table: String| {
        let sql = format!("SELECT count(*)::text FROM {table} WHERE tenant_id = '{id}'");
        let count = service.database.query_text(&sql)[0].parse().expect("a number");
        (table, count)
    };
    tables.into_iter().map(count).collect()
}

/// Gives a tenant a row in each table that nothing else fills here.
fn fill(service: &Service, world: &World) {
    let (tenant, webhook) = (uuid(&world.tenant().into()), uuid(&world.webhook().into()));
    let destination = uuid(&world.object("destinations").into());
    service.database.execute(&format!(
        "INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids)
           VALUES ('{tenant}', gen_random_uuid(), '{webhook}', gen_random_uuid(), ARRAY[gen_random_uuid()]);
         INSERT INTO deduplication_keys (tenant_id, digest, event_id, expires_at) VALUES ('{tenant}', '\\x01', gen_random_uuid(), now());
         INSERT INTO duplicates (tenant_id, event_id, count, last_at) VALUES ('{tenant}', gen_random_uuid(), 1, now());
         INSERT INTO drift (tenant_id, webhook_id, place, path, code, msg, count, first_at, last_at, first_event, last_event)
           VALUES ('{tenant}', '{webhook}', 'body', 'a', 'b', 'c', 1, now(), now(), gen_random_uuid(), gen_random_uuid());
         INSERT INTO idempotency_keys (tenant_id, actor, key, request_digest) VALUES ('{tenant}', 'a', 'b', '\\x01');
         INSERT INTO failed_callbacks (tenant_id, id, webhook_id, revision_id, event_id, state, failed_at)
           VALUES ('{tenant}', gen_random_uuid(), '{webhook}', gen_random_uuid(), gen_random_uuid(), '\\x01', now()) ON CONFLICT DO NOTHING;
         INSERT INTO notification_settings (tenant_id, destination_id, kinds) VALUES ('{tenant}', '{destination}', '{{}}');
         INSERT INTO destination_pauses (tenant_id, destination_id, reason) VALUES ('{tenant}', '{destination}', 'gone') ON CONFLICT DO NOTHING;
         INSERT INTO captures (tenant_id, webhook_id, opened_at, expires_at, most, most_samples, most_bytes)
           VALUES ('{tenant}', '{webhook}', now(), now(), 1, 1, 1) ON CONFLICT DO NOTHING;
         INSERT INTO usage (tenant_id, day, webhook_id, events, body_bytes) VALUES ('{tenant}', now(), '{webhook}', 1, 1) ON CONFLICT DO NOTHING;
         INSERT INTO outcomes (tenant_id, day, webhook_id, kind, name, count) VALUES ('{tenant}', now(), '{webhook}', 'duplicate', '', 1)",
    ));
}

async fn erase(service: &Service, tenant: &str) -> i64 {
    let tenant: TenantId = tenant.parse().expect("an id");
    let worker = service.database.worker();
    let due = worker
        .run(|conn| tenants::to_be_erased(conn, hookgate_domain::clock::now()))
        .await;
    if !due.expect("tenants").contains(&tenant) {
        return 0;
    }
    let mut rows = 0;
    loop {
        let erased = worker
            .run(move |conn| tenants::erase(conn, tenant, 7))
            .await
            .expect("rows");
        assert!(erased <= 7);
        if erased == 0 {
            return rows;
        }
        rows += erased;
    }
}

#[tokio::test]
async fn a_tenant_is_erased_whole_and_no_other_is_touched() {
    let service = Service::start().await;
    let ada = World::of(&service, "ada@example.com").await;
    let eve = World::of(&service, "eve@example.com").await;
    for world in [&ada, &eve] {
        fill(&service, world);
    }
    let (before, of_eve) = (rows_of(&service, ada.tenant()), rows_of(&service, eve.tenant()));
    let empty: Vec<_> = before.iter().filter(|(_, rows)| **rows == 0).collect();
    assert!(
        empty.is_empty(),
        "this test shows nothing of these tables: {empty:?}"
    );

    let deleted = ada.caller.delete("/v1/tenant?name=Engines").await.is(200);
    assert_eq!(deleted["status"], "deleted");
    assert_eq!(erase(&service, ada.tenant()).await, 0, "its time has not come");
    assert_eq!(rows_of(&service, ada.tenant())["events"], before["events"]);
    service.database.execute(&format!(
        "UPDATE tenants SET delete_at = now() WHERE id = '{}'",
        uuid(&ada.tenant().into())
    ));
    assert!(erase(&service, ada.tenant()).await > 50);
    let after = rows_of(&service, ada.tenant());
    let left: Vec<_> = after.iter().filter(|(_, rows)| **rows > 0).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(rows_of(&service, eve.tenant()), of_eve);
    assert_eq!(
        service.database.query_text("SELECT id::text FROM tenants").len(),
        3
    );

    ada.caller.get("/v1/me").await.is_problem(401, "unauthenticated");
    eve.caller.get("/v1/me").await.is(200);
    // Ada was in no other tenant, her colleague is in one.
    let users = service.database.query_text("SELECT email FROM users ORDER BY 1");
    assert_eq!(
        users,
        [
            "eve@example.com",
            "member-of-ada@example.com",
            "member-of-eve@example.com"
        ]
    );
    service.register("ada@example.com").await;
}

#[tokio::test]
async fn only_an_owner_deletes_and_restores_and_says_which() {
    let service = Service::start().await;
    let team = Team::of(&service).await;
    let url = {
        let webhook = team
            .owner
            .post("/v1/webhooks", json!({"name": "Orders"}))
            .await
            .is(201);
        webhook["urls"][0]["public_url"]
            .as_str()
            .expect("a URL")
            .to_owned()
    };
    for by in [&team.admin, &team.editor, &team.viewer] {
        by.delete("/v1/tenant?name=Engines")
            .await
            .is_problem(403, "forbidden");
        by.get("/v1/tenant/export").await.is_problem(403, "forbidden");
    }
    let key = team.owner.key(&["tenant:write", "members:read"]).await;
    key.delete("/v1/tenant?name=Engines")
        .await
        .is_problem(403, "forbidden");
    key.get("/v1/tenant/export").await.is_problem(403, "forbidden");
    team.owner
        .delete("/v1/tenant")
        .await
        .is_invalid(&[("?name", "required")]);
    team.owner
        .delete("/v1/tenant?name=engines")
        .await
        .is_invalid(&[("?name", "invalid")]);
    team.owner
        .post("/v1/tenant/restore", json!({}))
        .await
        .is_problem(409, "wrong_state");

    team.owner.delete("/v1/tenant?name=Engines").await.is(200);
    for by in [&team.owner, &team.admin, &key] {
        by.get("/v1/webhooks").await.is_problem(403, "tenant_deleted");
    }
    team.owner
        .delete("/v1/tenant?name=Engines")
        .await
        .is_problem(403, "tenant_deleted");
    let me = team.viewer.get("/v1/me").await.is(200);
    assert_eq!(me["tenant"]["status"], "deleted");
    assert!(me["tenant"]["delete_at"].is_string());
    team.admin
        .post("/v1/tenant/restore", json!({}))
        .await
        .is_problem(403, "forbidden");
    let login = json!({"email": "owner@example.com", "password": PASSWORD});
    service.stranger().post("/v1/auth/login", login).await.is(200);
    assert!(team.owner.get("/v1/tenant/export").await.text.contains("Orders"));

    // Whoever logs in without saying where gets to a tenant that they can use.
    team.viewer
        .post("/v1/tenants", json!({"name": "Looms"}))
        .await
        .is(201);
    service.database.execute(
        "DELETE FROM memberships USING users u, tenants t WHERE user_id = u.id AND tenant_id = t.id
           AND u.email = 'viewer@example.com' AND t.name = 'Engines' AND memberships.role = 'owner'",
    );
    let login = json!({"email": "viewer@example.com", "password": PASSWORD});
    let tokens = service.stranger().post("/v1/auth/login", login).await.is(200);
    assert_ne!(tokens["tenant_id"], team.tenant);
    let restored = team.owner.post("/v1/tenant/restore", json!({})).await.is(200);
    assert_eq!(
        (&restored["status"], &restored["delete_at"]),
        (&json!("active"), &Value::Null)
    );
    let webhooks = key_can_read(&team.owner).await;
    assert_eq!(webhooks["data"][0]["urls"][0]["public_url"], url);
}

#[tokio::test]
async fn suspension_and_deletion_come_and_go_apart() {
    let service = Service::start().await;
    let account = service.register_account("ada@example.com").await;
    let owner = service.caller(account["tokens"]["access_token"].as_str().expect("a token"));
    let tenant: TenantId = account["tenant"]["id"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("an id");
    // The operator works as the owner of the database, whom row-level security holds back, too.
    let operate = |queries: fn(&mut PgConnection, &TenantScope) -> Result<Tenant, Error>| {
        operator::in_tenant(
            &mut service.database.owner(),
            &Origin::operator(),
            tenant,
            queries,
        )
    };
    let suspend = || operate(|conn, scope| operator::suspend(conn, scope, "An open invoice."));
    let usable = async || owner.get("/v1/webhooks").await.status == 200;

    suspend().expect("suspended");
    let me = owner.get("/v1/me").await.is(200);
    assert_eq!(me["tenant"]["status"], "suspended");
    assert_eq!(me["tenant"]["suspension_reason"], "An open invoice.");
    assert!(me["tenant"]["suspended_at"].is_string());
    owner
        .get("/v1/webhooks")
        .await
        .is_problem(403, "tenant_suspended");
    // Its owner may leave, and neither come back nor take anything along.
    let deleted = owner.delete("/v1/tenant?name=Engines").await.is(200);
    assert_eq!(
        (&deleted["status"], deleted["suspended_at"].is_string()),
        (&json!("deleted"), true)
    );
    owner
        .post("/v1/tenant/restore", json!({}))
        .await
        .is_problem(403, "tenant_suspended");
    owner
        .get("/v1/tenant/export")
        .await
        .is_problem(403, "tenant_suspended");
    operate(operator::resume).expect("resumed");
    owner.get("/v1/webhooks").await.is_problem(403, "tenant_deleted");
    owner.post("/v1/tenant/restore", json!({})).await.is(200);
    assert!(usable().await);

    // The other way round; restoring does not undo the suspension.
    owner.delete("/v1/tenant?name=Engines").await.is(200);
    let both = suspend().expect("suspended, though it is deleted");
    assert!(both.suspended_at.is_some() && both.delete_at.is_some());
    let restored = operate(tenants::restore).expect("restored");
    assert_eq!(
        (restored.standing().as_str(), restored.delete_at),
        ("suspended", None)
    );
    assert!(!usable().await);
    operate(operator::resume).expect("resumed");
    assert!(usable().await);

    let audit = owner.get("/v1/audit-log?actor=operator").await.is(200);
    let told: Vec<&Value> = audit["data"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| &entry["after"])
        .collect();
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(told[4]["suspension_reason"], "An open invoice.");
}

/// A process of the version before knows `status` and `delete_at`, and sets the first with the second.
#[tokio::test]
async fn the_version_before_works_beside_this_one() {
    let service = Service::start().await;
    service.register("ada@example.com").await;
    let run = |sql: &str| {
        service.database.execute(&format!("UPDATE tenants SET {sql}"));
        let found = service.database.query_text(
            "SELECT concat_ws(' ', status, CASE WHEN suspended_at IS NOT NULL THEN 'by the operator' END,
               CASE WHEN delete_at IS NOT NULL THEN 'deleted' END) FROM tenants",
        );
        found[0].clone()
    };
    assert_eq!(run("status = 'suspended'"), "suspended by the operator");
    assert_eq!(run("status = 'active'"), "active");
    let delete = "status = 'suspended', delete_at = now() + interval '1 day'";
    let restore = "status = 'active', delete_at = NULL";
    assert_eq!(run(delete), "suspended deleted");
    assert_eq!(run(restore), "active");
    assert_eq!(run(delete), "suspended deleted");
    // This version suspends what is deleted; the version before then restores it.
    assert_eq!(run("suspended_at = now()"), "suspended by the operator deleted");
    assert_eq!(run(restore), "suspended by the operator");
    assert_eq!(run("status = 'active'"), "active");
}

async fn key_can_read(owner: &crate::service::Caller) -> Value {
    owner.get("/v1/webhooks").await.is(200)
}

#[tokio::test]
async fn an_export_has_everything_and_no_secret() {
    let service = Service::start().await;
    let ada = World::of(&service, "ada@example.com").await;
    let eve = World::of(&service, "eve@example.com").await;
    fill(&service, &ada);
    let rows: u64 = rows_of(&service, ada.tenant())
        .into_iter()
        .filter(|(table, _)| TABLES.iter().any(|exported| exported.name == table))
        .map(|(_, rows)| rows)
        .sum();
    let export = ada.caller.get("/v1/tenant/export").await;
    assert_eq!(export.header("content-type"), "application/jsonl");
    let lines: Vec<Value> = export
        .text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len() as u64, rows + 1, "and the tenant itself");
    let kinds: BTreeSet<&str> = lines
        .iter()
        .map(|line| line["kind"].as_str().expect("a kind"))
        .collect();
    assert_eq!(kinds.len(), TABLES.len(), "{kinds:?}");
    assert!(!kinds.contains("object"), "{kinds:?}");
    let one = |kind: &str, id: &str| {
        let found = lines.iter().find(|line| line["kind"] == kind && line["id"] == id);
        found.unwrap_or_else(|| panic!("no {kind} {id}"))
    };
    one("webhook", ada.webhook());
    let event = one("event", ada.object("events"));
    let shown = ada
        .caller
        .bytes(&format!("/v1/events/{}/body", ada.object("events")))
        .await;
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.decode(event["body"].as_str().expect("text"));
    assert_eq!(body.expect("base64"), shown.body);
    assert!(
        event["headers"]
            .as_str()
            .expect("text")
            .contains("multipart/form-data")
    );
    // The value of the secret is the mark, so it is looked for where it would be.
    let secret = one("secret", ada.object("secrets"));
    assert_eq!(secret.get("value"), None);
    for line in &lines {
        for name in [
            "digest",
            "value",
            "signing_secret",
            "state_sealed",
            "request",
            "token",
            "password_hash",
        ] {
            assert_eq!(line.get(name), None, "{line}");
        }
    }
    let token = ada.public_url().split('/').nth(3).expect("a token");
    assert!(!export.text.contains(token));
    let foreign = eve.caller.get("/v1/tenant/export").await;
    assert!(!foreign.text.contains(ada.webhook()) && export.text.contains(MARK));
}

#[tokio::test]
async fn a_long_export_comes_in_parts() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let entries: Vec<Value> = (0..350)
        .map(|number| json!({"network": format!("10.{}.{}.0/24", number / 256, number % 256)}))
        .collect();
    owner
        .post("/v1/allowlists", json!({"name": "Networks", "entries": entries}))
        .await
        .is(201);
    let export = owner.get("/v1/tenant/export").await;
    let ids: BTreeSet<String> = export
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|line| line["kind"] == "allowlist_entry")
        .map(|line| line["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 350);
}
