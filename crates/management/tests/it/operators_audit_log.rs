//! The operator's audit log: what was changed under `/admin/v1`, with which token, and nothing else.

use hookgate_domain::crypto;
use serde_json::{Value, json};

use crate::service::{Caller, OPERATORS_TOKEN, Service};
use crate::totp;

/// The entries that a query finds, newest first.
async fn entries(operator: &Caller, query: &str) -> Vec<Value> {
    let found = operator
        .get(&format!("/admin/v1/audit-log?{query}"))
        .await
        .is(200);
    found["data"].as_array().expect("a list").clone()
}

/// What the log calls a token.
fn name_of(token: &str) -> String {
    let digest = crypto::digest(token.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("token_{}", &digits[..8])
}

#[tokio::test]
async fn plans_are_on_record_with_the_token_that_changed_them() {
    let service = Service::start().await;
    let (_admin, operator) = service.operators_api().await;
    let other = operator.presenting(Some(&"y".repeat(32)));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traced = operator.with("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"));
    let plan = json!({"name": "Small", "limits": {"burst": 9}});
    let plan = traced.post("/admin/v1/plans", plan).await.is(201);
    let path = format!("/admin/v1/plans/{}", plan["id"].as_str().expect("an id"));
    other.patch(&path, json!({"name": "Large"})).await.is(200);
    // Neither what changes nothing nor what is refused is a change.
    operator.patch(&path, json!({"name": "Large"})).await.is(200);
    operator
        .post("/admin/v1/plans", json!({"name": "Large"}))
        .await
        .is_problem(409, "name_taken");
    operator.delete(&path).await.is(204);

    let log = entries(&operator, "").await;
    let told: Vec<[&Value; 3]> = log
        .iter()
        .map(|entry| [&entry["action"], &entry["actor"], &entry["object"]])
        .collect();
    let (one, two) = (json!(name_of(OPERATORS_TOKEN)), json!(name_of(&"y".repeat(32))));
    let id = &plan["id"];
    assert_eq!(
        told,
        [
            [&json!("deleted"), &one, id],
            [&json!("changed"), &two, id],
            [&json!("created"), &one, id]
        ]
    );
    let (deleted, changed, created) = (&log[0], &log[1], &log[2]);
    assert_eq!(
        (&changed["before"], &changed["after"]),
        (&json!({"name": "Small"}), &json!({"name": "Large"}))
    );
    assert_eq!((&created["before"], &created["after"]["id"]), (&Value::Null, id));
    assert_eq!(created["after"]["limits"]["burst"], 9);
    assert_eq!(
        (&deleted["before"]["name"], &deleted["after"]),
        (&json!("Large"), &Value::Null)
    );
    assert_eq!(
        (&created["object_kind"], &created["address"], &created["trace_id"]),
        (&json!("plan"), &json!("127.0.0.1"), &json!(trace))
    );
    assert!(!json!(log).to_string().contains(OPERATORS_TOKEN));

    let filters = [
        ("action=created".to_owned(), 1),
        (format!("actor={}", name_of(OPERATORS_TOKEN)), 2),
        ("object_kind=tenant".to_owned(), 0),
        (format!("object={}", id.as_str().expect("an id")), 3),
        ("object=pln_01k9z3v8e5f2q8r7w6t5y4x3m2".to_owned(), 0),
        ("from=2100-01-01T00:00:00Z".to_owned(), 0),
        ("to=2100-01-01T00:00:00Z".to_owned(), 3),
    ];
    for (query, found) in filters {
        assert_eq!(entries(&operator, &query).await.len(), found, "{query}");
    }
    // In pages, each entry once.
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for _ in 0..3 {
        let page = operator
            .get(&format!("/admin/v1/audit-log?limit=1{cursor}"))
            .await
            .is(200);
        seen.push(page["data"][0].clone());
        cursor = page["next_cursor"]
            .as_str()
            .map(|cursor| format!("&cursor={cursor}"))
            .unwrap_or_default();
    }
    assert_eq!((seen, cursor), (log, String::new()));
}

#[tokio::test]
async fn what_the_operator_decides_of_a_tenant_outlives_the_tenant() {
    let service = Service::start().await;
    let (_admin, operator) = service.operators_api().await;
    let account = service.register_account("ada@example.com").await;
    let owner = service.caller(account["tokens"]["access_token"].as_str().expect("a token"));
    let tenant = &account["tenant"]["id"];
    let path = format!("/admin/v1/tenants/{}", tenant.as_str().expect("an id"));
    let plan = operator
        .post("/admin/v1/plans", json!({"name": "Small"}))
        .await
        .is(201);
    operator.patch(&path, json!({"plan": plan["id"]})).await.is(200);
    operator
        .post(&format!("{path}/suspend"), json!({"reason": "Spam."}))
        .await
        .is(200);
    operator.post(&format!("{path}/resume"), json!({})).await.is(200);
    // What its people change is theirs.
    owner.patch("/v1/tenant", json!({"name": "Looms"})).await.is(200);
    let about = entries(&operator, "object_kind=tenant").await;
    assert_eq!(about.len(), 3, "{about:?}");
    assert!(about.iter().all(|entry| entry["object"] == *tenant));
    assert_eq!(
        (&about[2]["before"], &about[2]["after"]),
        (&json!({"plan_id": null}), &json!({"plan_id": plan["id"]}))
    );
    assert_eq!(about[1]["after"]["suspension_reason"], "Spam.");
    // The tenant reads that it was the operator, and not by which token.
    let own = owner.get("/v1/audit-log?actor=operator").await.is(200);
    assert_eq!(own["data"].as_array().expect("entries").len(), 3);
    assert_eq!(own["data"][2]["after"], json!({"plan_id": plan["id"]}));
    assert!(!own.to_string().contains("token_"), "{own}");

    service.database.execute("TRUNCATE tenants CASCADE");
    assert_eq!(entries(&operator, "object_kind=tenant").await, about);
}

#[tokio::test]
async fn a_second_factor_that_is_removed_is_on_record_without_its_secret() {
    let service = Service::start().await;
    let (_admin, operator) = service.operators_api().await;
    totp::enrolled(&service).await;
    let path = "/admin/v1/users/ada@example.com/remove-second-factor";
    let person = operator.post(path, json!({})).await.is(200);
    let log = entries(&operator, "").await;
    assert_eq!(log.len(), 1, "{log:?}");
    let told = &log[0];
    assert_eq!(
        (&told["action"], &told["object_kind"], &told["object"]),
        (&json!("deleted"), &json!("second_factor"), &person["id"])
    );
    let before = told["before"].as_object().expect("what was");
    let mut fields: Vec<&str> = before.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["confirmed_at", "created_at", "user_id"]);
    assert_eq!(told["actor"], json!(name_of(OPERATORS_TOKEN)));
}

#[tokio::test]
async fn nobody_changes_the_record() {
    let service = Service::start().await;
    let (_admin, operator) = service.operators_api().await;
    operator
        .post("/admin/v1/plans", json!({"name": "Small"}))
        .await
        .is(201);
    service.database.execute(
        "DO $$ BEGIN
           UPDATE operators_audit_log SET actor = 'nobody';
           RAISE EXCEPTION 'it was changed' USING ERRCODE = 'HG001';
         EXCEPTION WHEN raise_exception THEN NULL;
         END $$",
    );
    assert_eq!(entries(&operator, "actor=nobody").await, Vec::<Value>::new());
}
