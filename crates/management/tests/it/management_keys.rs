//! Management keys, and what every list does.

use std::time::Duration;

use hookgate_model::access::Scope;
use hookgate_testkit::eventually;
use serde_json::{Value, json};

use crate::service::{Caller, Service};

#[tokio::test]
async fn a_key_is_shown_once_and_opens_what_its_scopes_say() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let made = owner
        .post(
            "/v1/management-keys",
            json!({"name": " Deploy ", "scopes": ["tenant:read", "webhooks:write"]}),
        )
        .await
        .is(201);
    let key = made["key"].as_str().expect("a key");
    assert!(key.starts_with("hgm_") && key.len() == 47, "{key}");
    assert_eq!(
        (&made["name"], &made["hint"]),
        (&json!("Deploy"), &json!(key[..8]))
    );
    let path = format!("/v1/management-keys/{}", made["id"].as_str().expect("an id"));
    let shown = owner.get(&path).await;
    shown.is(200);
    assert!(!shown.text.contains(key) && !owner.get("/v1/management-keys").await.text.contains(key));

    let machine = service.caller(key);
    let me = machine.get("/v1/me").await.is(200);
    assert_eq!(
        (&me["user"], &me["management_key"]["id"]),
        (&Value::Null, &made["id"])
    );
    assert_eq!(
        me["permissions"],
        json!(["tenant:read", "webhooks:read", "webhooks:write"])
    );
    machine.get("/v1/tenant").await.is(200);
    machine
        .patch("/v1/tenant", json!({"name": "Mine"}))
        .await
        .is_problem(403, "forbidden");
    machine
        .get("/v1/management-keys")
        .await
        .is_problem(403, "forbidden");
    machine.get("/v1/tenants").await.is_problem(403, "forbidden");
    assert!(owner.get(&path).await.is(200)["last_used_at"].is_string());
}

#[tokio::test]
async fn a_suspended_tenant_is_closed_to_keys_and_people() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let machine = owner.key(&["tenant:read", "webhooks:write"]).await;
    machine.get("/v1/webhooks").await.is(200);

    service
        .database
        .execute("UPDATE tenants SET status = 'suspended'");
    for caller in [&owner, &machine] {
        caller
            .get("/v1/webhooks")
            .await
            .is_problem(403, "tenant_suspended");
        caller
            .post("/v1/webhooks", json!({"name": "a"}))
            .await
            .is_problem(403, "tenant_suspended");
        // Who calls can be asked, so that the reason is seen.
        let me = caller.get("/v1/me").await.is(200);
        assert_eq!(me["tenant"]["status"], "suspended");
    }
    owner.get("/v1/tenants").await.is(200);

    service.database.execute("UPDATE tenants SET status = 'active'");
    owner.get("/v1/webhooks").await.is(200);
    machine.get("/v1/webhooks").await.is(200);
}

#[tokio::test]
async fn a_key_ends_when_it_is_revoked_or_expires() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let soon = hookgate_domain::clock::now() + chrono::TimeDelta::seconds(2);
    let new = json!({"name": "short", "scopes": ["tenant:read"], "expires_at": soon.to_rfc3339()});
    let short = owner.post("/v1/management-keys", new).await.is(201);
    let short = service.caller(short["key"].as_str().expect("a key"));
    short.get("/v1/tenant").await.is(200);

    let made = owner
        .post(
            "/v1/management-keys",
            json!({"name": "a", "scopes": ["tenant:read"]}),
        )
        .await
        .is(201);
    let machine = service.caller(made["key"].as_str().expect("a key"));
    machine.get("/v1/tenant").await.is(200);
    let revoke = format!(
        "/v1/management-keys/{}/revoke",
        made["id"].as_str().expect("an id")
    );
    let revoked = owner.post(&revoke, json!({})).await.is(200)["revoked_at"].clone();
    assert!(revoked.is_string());
    machine.get("/v1/tenant").await.is_problem(401, "unauthenticated");
    assert_eq!(
        owner.post(&revoke, json!({})).await.is(200)["revoked_at"],
        revoked
    );

    eventually(Duration::from_secs(10), "the key expires", async || {
        (short.get("/v1/tenant").await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_is_given_no_more_than_its_maker_has() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let maker = owner.key(&["management_keys:write", "webhooks:read"]).await;
    let make = async |scopes: &[&str]| {
        maker
            .post("/v1/management-keys", json!({"name": "more", "scopes": scopes}))
            .await
    };
    make(&["webhooks:read", "management_keys:read"]).await.is(201);
    make(&["webhooks:read", "webhooks:write"])
        .await
        .is_invalid(&[("/scopes/1", "invalid")]);
    let all: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    owner
        .post("/v1/management-keys", json!({"name": "all", "scopes": all}))
        .await
        .is(201);
}

#[tokio::test]
async fn a_key_that_ends_makes_none_that_outlives_it() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let make = async |by: &Caller, expires_at: Value| {
        let scopes = ["management_keys:write"];
        let new = json!({"name": "a machine", "scopes": scopes, "expires_at": expires_at});
        by.post("/v1/management-keys", new).await
    };
    let maker = make(&owner, json!("2100-01-01T00:00:00Z")).await.is(201);
    let maker = service.caller(maker["key"].as_str().expect("a key"));
    for later in [Value::Null, json!("2100-01-01T00:00:01Z")] {
        let refused = make(&maker, later).await;
        refused.is_invalid(&[("/expires_at", "out_of_range")]);
        let told = refused.json()["errors"][0]["detail"].to_string();
        assert!(told.contains("2100-01-01T00:00:00"), "{told}");
    }
    make(&maker, json!("2100-01-01T00:00:00Z")).await.is(201);
    make(&maker, json!("2099-12-31T23:59:59Z")).await.is(201);
    make(&owner, Value::Null).await.is(201);
    let endless = owner.key(&["management_keys:write"]).await;
    make(&endless, Value::Null).await.is(201);
}

#[tokio::test]
async fn every_wrong_field_is_told_at_once() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let wrong = json!({"scopes": ["tenant:read", "all", 7], "expires_at": "tomorrow", "extra": {}});
    owner.post("/v1/management-keys", wrong).await.is_invalid(&[
        ("/name", "required"),
        ("/scopes/1", "invalid"),
        ("/scopes/2", "wrong_type"),
        ("/expires_at", "invalid"),
        ("/extra", "unknown"),
    ]);
    let past = json!({"name": "a", "scopes": ["tenant:read"], "expires_at": "2020-01-01T00:00:00Z"});
    owner
        .post("/v1/management-keys", past)
        .await
        .is_invalid(&[("/expires_at", "out_of_range")]);
    owner
        .post("/v1/management-keys", json!({"name": "a", "scopes": []}))
        .await
        .is_invalid(&[("/scopes", "too_short")]);
}

#[tokio::test]
async fn another_tenants_key_is_not_there() {
    let service = Service::start().await;
    let ada = service.register("ada@example.com").await;
    let eve = service.register("eve@example.com").await;
    let made = ada
        .post(
            "/v1/management-keys",
            json!({"name": "a", "scopes": ["tenant:read"]}),
        )
        .await
        .is(201);
    let path = format!("/v1/management-keys/{}", made["id"].as_str().expect("an id"));
    let foreign = eve.get(&path).await.is_problem(404, "not_found");
    let absent = eve
        .get("/v1/management-keys/mgk_01k9z3v8e5f2q8r7w6t5y4x3m2")
        .await
        .is_problem(404, "not_found");
    let malformed = eve
        .get("/v1/management-keys/whk_01k9z3v8e5f2q8r7w6t5y4x3m2")
        .await
        .is_problem(404, "not_found");
    assert_eq!(foreign["detail"], absent["detail"]);
    assert_eq!(foreign["detail"], malformed["detail"]);
    eve.post(&format!("{path}/revoke"), json!({}))
        .await
        .is_problem(404, "not_found");
    assert_eq!(eve.get("/v1/management-keys").await.is(200)["data"], json!([]));
    service
        .caller(made["key"].as_str().expect("a key"))
        .get("/v1/tenant")
        .await
        .is(200);
}

#[tokio::test]
async fn lists_go_on_where_they_ended_newest_first() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    for number in 0..5 {
        let new = json!({"name": format!("key {number}"), "scopes": ["tenant:read"]});
        owner.post("/v1/management-keys", new).await.is(201);
    }
    let mut names = Vec::new();
    let mut cursor = String::new();
    for expected in [2, 2, 1] {
        let page = owner
            .get(&format!("/v1/management-keys?limit=2{cursor}"))
            .await
            .is(200);
        let data = page["data"].as_array().expect("a list").clone();
        assert_eq!(data.len(), expected);
        names.extend(
            data.iter()
                .map(|key| key["name"].as_str().expect("a name").to_owned()),
        );
        cursor = page["next_cursor"]
            .as_str()
            .map(|cursor| format!("&cursor={cursor}"))
            .unwrap_or_default();
    }
    assert_eq!(cursor, "");
    assert_eq!(names, ["key 4", "key 3", "key 2", "key 1", "key 0"]);
}

#[tokio::test]
async fn a_cursor_works_for_its_list_and_tenant_alone() {
    let service = Service::start().await;
    let (ada, eve) = (
        service.register("ada@example.com").await,
        service.register("eve@example.com").await,
    );
    for name in ["one", "two"] {
        ada.post(
            "/v1/management-keys",
            json!({"name": name, "scopes": ["tenant:read"]}),
        )
        .await
        .is(201);
    }
    let page = ada.get("/v1/management-keys?limit=1").await.is(200);
    let cursor = page["next_cursor"].as_str().expect("more");
    ada.get(&format!("/v1/management-keys?limit=7&cursor={cursor}"))
        .await
        .is(200);
    let of = |cursor: &str| format!("/v1/management-keys?cursor={cursor}");
    eve.get(&of(cursor)).await.is_problem(400, "invalid_cursor");
    let altered: String = cursor.chars().rev().collect();
    for wrong in [
        altered.as_str(),
        "x",
        "mgk_01k9z3v8e5f2q8r7w6t5y4x3m2",
        &cursor[1..],
    ] {
        ada.get(&of(wrong)).await.is_problem(400, "invalid_cursor");
    }
}

#[tokio::test]
async fn the_query_of_a_list_is_checked() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    for limit in ["0", "201", "-1", "many", ""] {
        let answer = owner.get(&format!("/v1/management-keys?limit={limit}")).await;
        answer.is_invalid(&[("?limit", "out_of_range")]);
    }
    owner
        .get("/v1/management-keys?limit=1&limit=2&sort=name")
        .await
        .is_invalid(&[("?limit", "invalid"), ("?sort", "unknown")]);
    owner.get("/v1/management-keys?limit=200").await.is(200);
}
