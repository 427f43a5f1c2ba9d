//! The audit log: every change, who made it, and no secret.

use serde_json::{Value, json};

use crate::service::{Caller, Service};
use crate::webhooks::{create, path_of};

/// The entries that a query finds, newest first.
async fn entries(caller: &Caller, query: &str) -> Vec<Value> {
    let found = caller
        .get(&format!("/v1/audit-log?limit=200&{query}"))
        .await
        .is(200);
    found["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn every_change_is_told_with_who_made_it() {
    let service = Service::start().await;
    let account = service.register_account("ada@example.com").await;
    let owner = service.caller(account["tokens"]["access_token"].as_str().expect("a token"));
    let made = entries(&owner, "object_kind=tenant").await;
    assert_eq!(
        (&made[0]["action"], &made[0]["actor"]),
        (&json!("created"), &account["user"]["id"])
    );

    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = path_of(&webhook);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traced = owner.with("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"));
    traced
        .patch(&path, json!({"name": "Bills", "suffix": "bills"}))
        .await
        .is(200);
    let id = webhook["id"].as_str().expect("an id");
    let about = entries(&owner, &format!("object={id}")).await;
    assert_eq!(about.len(), 2);
    let changed = &about[0];
    assert_eq!(
        (&changed["action"], &changed["before"], &changed["after"]),
        (
            &json!("changed"),
            &json!({"name": "Orders", "suffix": "orders"}),
            &json!({"name": "Bills", "suffix": "bills"})
        )
    );
    assert_eq!(
        (
            &changed["actor"],
            &changed["address"],
            &changed["trace_id"],
            &changed["object"]
        ),
        (
            &account["user"]["id"],
            &json!("127.0.0.1"),
            &json!(trace),
            &webhook["id"]
        )
    );
    // What one request changed belongs together: the webhook and its two URLs.
    let together = entries(&owner, "action=changed").await;
    let kinds: Vec<&Value> = together
        .iter()
        .filter(|entry| entry["trace_id"] == trace)
        .map(|entry| &entry["object_kind"])
        .collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    assert_eq!(
        about[1]["after"]["draft_revision_id"],
        webhook["draft_revision_id"]
    );

    // What changes nothing is no change.
    owner.patch(&path, json!({"name": "Bills"})).await.is(200);
    assert_eq!(entries(&owner, &format!("object={id}")).await.len(), 2);
    owner.delete(&path).await.is(204);
    let deleted = entries(&owner, &format!("object={id}&action=deleted")).await;
    assert_eq!(
        (&deleted[0]["before"]["name"], &deleted[0]["after"]),
        (&json!("Bills"), &Value::Null)
    );
}

#[tokio::test]
async fn secrets_are_not_in_it() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let value = "the value of a secret";
    let secret = owner
        .post("/v1/secrets", json!({"name": "CRM", "value": value}))
        .await
        .is(201);
    let secret = format!("/v1/secrets/{}", secret["id"].as_str().expect("an id"));
    owner
        .patch(&secret, json!({"value": "another value"}))
        .await
        .is(200);
    let destination = json!({"name": "CRM", "base_url": "https://crm.example.com"});
    let destination = owner.post("/v1/destinations", destination).await.is(201);
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = path_of(&webhook);
    let key = owner
        .post(&format!("{path}/api-keys"), json!({"name": "shop"}))
        .await
        .is(201);
    let url = webhook["urls"][0]["id"].as_str().expect("an id");
    owner
        .post(&format!("{path}/urls/{url}/rotate"), json!({}))
        .await
        .is(200);

    let log = entries(&owner, "").await;
    let rotated = |entry: &&Value| entry["object_kind"] == "url_token" && entry["object"] == url;
    assert_eq!(log.iter().filter(rotated).count(), 3, "made, ended and made anew");
    let changed = entries(&owner, "object_kind=secret&action=changed").await;
    assert_eq!(changed[0]["after"]["value"], "[changed]");
    let text = json!(log).to_string();
    for hidden in [
        &destination["signing_secret"],
        &key["key"],
        &json!(value),
        &json!("another value"),
    ] {
        assert!(!text.contains(hidden.as_str().expect("a text")), "{hidden}");
    }
    for url in webhook["urls"].as_array().expect("URLs") {
        let token = url["public_url"]
            .as_str()
            .and_then(|url| url.split('/').nth(3))
            .expect("a token");
        assert!(!text.contains(token), "a URL is a credential");
    }
    let stored = service
        .database
        .query_text("SELECT coalesce(before::text, '') || coalesce(after::text, '') FROM audit_log");
    assert!(
        stored.iter().all(|row| !row.contains("\\x")),
        "no bytes, sealed or not"
    );
}

/// Revisions are kept as they were written, also with what jsonb does not take.
#[tokio::test]
async fn any_draft_can_be_saved_and_its_webhook_deleted() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = path_of(&webhook);
    let draft = json!({"response": {"body": {"text": "a\u{0}b"}}});
    owner.put(&format!("{path}/draft"), draft).await.is(200);
    owner.post(&format!("{path}/publish"), json!({})).await.is(200);
    owner.delete(&path).await.is(204);
    let revisions = entries(&owner, "object_kind=revision&action=created").await;
    assert_eq!(
        (
            &revisions[0]["after"]["number"],
            revisions[0]["after"].get("document")
        ),
        (&json!(2), None)
    );
}

#[tokio::test]
async fn an_export_has_every_entry_on_a_line() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let entries_of_list: Vec<Value> = (0..600)
        .map(|number| json!({"network": format!("10.{}.{}.0/24", number / 256, number % 256)}))
        .collect();
    let list = json!({"name": "Networks", "entries": entries_of_list});
    owner.post("/v1/allowlists", list).await.is(201);
    let export = owner
        .get("/v1/audit-log/export?object_kind=allowlist_entry")
        .await;
    assert_eq!(export.header("content-type"), "application/jsonl");
    let lines: Vec<Value> = export
        .text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 600);
    assert!(lines.is_sorted_by(|a, b| a["id"].as_str() > b["id"].as_str()));
    assert_eq!(lines[..200], entries(&owner, "object_kind=allowlist_entry").await);
}

#[tokio::test]
async fn who_may_read_it_and_that_nobody_can_change_it() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let key = owner.key(&["audit:read"]).await;
    assert!(!entries(&key, "").await.is_empty());
    let other = owner.key(&["webhooks:write"]).await;
    other.get("/v1/audit-log").await.is_problem(403, "forbidden");
    // Not even the owner of the database.
    let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        service.database.execute("UPDATE audit_log SET actor = 'nobody'");
    }));
    assert!(changed.is_err());
    owner
        .get("/v1/audit-log?object=whk-1")
        .await
        .is_problem(400, "invalid_request");
}

/// A table that holds configuration cannot be forgotten.
#[tokio::test]
async fn every_table_of_tenants_is_audited_or_known_as_data() {
    let service = Service::start().await;
    let unaudited = service.database.query_text(
        "SELECT c.relname::text FROM pg_class c WHERE c.relrowsecurity AND NOT c.relispartition
           AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'audit') ORDER BY 1",
    );
    let data = [
        "attempts",
        "audit_log",
        "deduplication_keys",
        "drift",
        "duplicates",
        "events",
        "failed_callbacks",
        "idempotency_keys",
        "jobs",
        "outcomes",
        "pairings",
        "records",
        "refusals",
        "runs",
        "samples",
        "sessions",
        "usage",
    ];
    assert_eq!(unaudited, data);
}

#[tokio::test]
async fn pages_go_on_into_the_past() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    create(&owner, json!({"name": "Orders"})).await;
    let recent = entries(&owner, "").await.len();
    service.database.execute(
        "INSERT INTO audit_log SELECT (jsonb_populate_record(audit_log,
           jsonb_build_object('id', uuidv7_floor(now() - make_interval(days => days))))).*
         FROM audit_log, generate_series(1, 5) AS days WHERE object_kind = 'tenant' AND action = 'created'",
    );
    let all = entries(&owner, "").await;
    assert_eq!(all.len(), recent + 5);
    for limit in [1, 3, recent, recent + 1] {
        let mut paged = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = owner
                .get(&format!("/v1/audit-log?limit={limit}{cursor}"))
                .await
                .is(200);
            paged.extend(page["data"].as_array().expect("a list").clone());
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(paged, all, "{limit} at a time");
    }
}
