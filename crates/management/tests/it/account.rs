//! The tenant, and the tenants of a person.

use crate::service::{Caller, PASSWORD, Service};
use crate::stored::{self, uuid};
use serde_json::{Value, json};

/// Makes the person of `account` a member of the tenant of `owner`.
async fn add_member(service: &Service, owner: &Caller, account: &Value, role: &str) {
    let tenant = owner.get("/v1/tenant").await.is(200);
    stored::membership(service, &tenant["id"], &account["user"]["id"], role);
}

fn token(tokens: &Value) -> &str {
    tokens["access_token"].as_str().expect("a token")
}

#[tokio::test]
async fn the_tenant_is_changed_only_on_its_newest_version() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let read = owner.get("/v1/tenant").await;
    assert_eq!(
        (read.is(200)["name"].as_str(), read.header("etag")),
        (Some("Engines"), "\"1\"")
    );

    let rename = |name: &str| json!({"name": name});
    let changed = owner
        .with("if-match", "\"1\"")
        .patch("/v1/tenant", rename("Looms"))
        .await;
    assert_eq!(
        (changed.is(200)["name"].as_str(), changed.header("etag")),
        (Some("Looms"), "\"2\"")
    );
    for stale in ["\"1\"", "W/\"2\"", "\"x\", \"1\""] {
        let answer = owner
            .with("if-match", stale)
            .patch("/v1/tenant", rename("Mills"))
            .await;
        answer.is_problem(412, "precondition_failed");
    }
    owner
        .with("if-match", "2")
        .patch("/v1/tenant", rename("Mills"))
        .await
        .is_problem(400, "invalid_header");
    owner
        .with("if-match", "*")
        .patch("/v1/tenant", rename("Mills"))
        .await
        .is(200);
    let either = owner
        .with("if-match", "\"1\", \"3\"")
        .patch("/v1/tenant", rename("Mines"))
        .await;
    assert_eq!(either.header("etag"), "\"4\"");
    owner.patch("/v1/tenant", rename("Docks")).await.is(200);
}

#[tokio::test]
async fn a_patch_is_a_merge_patch() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let merge = owner.with("content-type", "application/merge-patch+json");
    assert_eq!(
        merge.patch("/v1/tenant", json!({})).await.is(200)["name"],
        "Engines"
    );
    merge
        .patch("/v1/tenant", json!({"name": null}))
        .await
        .is_invalid(&[("/name", "required")]);
    merge
        .patch("/v1/tenant", json!({"name": "", "id": "x"}))
        .await
        .is_invalid(&[("/name", "too_short"), ("/id", "unknown")]);
    merge
        .patch("/v1/tenant", json!(["name"]))
        .await
        .is_invalid(&[("", "wrong_type")]);
    merge
        .patch("/v1/tenant", json!({"name": "a\u{0}b"}))
        .await
        .is_invalid(&[("/name", "invalid")]);
}

#[tokio::test]
async fn a_role_limits_what_a_person_may_do_and_is_looked_up_on_every_request() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let account = service.register_account("eve@example.com").await;
    add_member(&service, &owner, &account, "viewer").await;
    let id = owner.get("/v1/tenant").await.is(200)["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let eve = service.caller(token(&account["tokens"]));
    let viewer = eve
        .post(&format!("/v1/tenants/{id}/switch"), json!({}))
        .await
        .is(201);
    assert_eq!(viewer["tenant_id"].as_str(), Some(id.as_str()));
    let viewer = service.caller(token(&viewer));

    viewer.get("/v1/tenant").await.is(200);
    viewer
        .patch("/v1/tenant", json!({"name": "Mine"}))
        .await
        .is_problem(403, "forbidden");
    // The permission is told before anything that is wrong with the body.
    viewer
        .patch("/v1/tenant", json!({"name": 7}))
        .await
        .is_problem(403, "forbidden");
    viewer
        .get("/v1/management-keys")
        .await
        .is_problem(403, "forbidden");
    let me = viewer.get("/v1/me").await.is(200);
    assert_eq!(me["role"], "viewer");
    assert!(
        !me["permissions"]
            .as_array()
            .expect("a list")
            .contains(&json!("tenant:write"))
    );

    let of_eve = format!(
        "tenant_id = '{}' AND user_id = '{}'",
        uuid(&json!(id)),
        uuid(&account["user"]["id"])
    );
    service
        .database
        .execute(&format!("UPDATE memberships SET role = 'admin' WHERE {of_eve}"));
    viewer.patch("/v1/tenant", json!({"name": "Ours"})).await.is(200);
    service
        .database
        .execute(&format!("DELETE FROM memberships WHERE {of_eve}"));
    viewer.get("/v1/tenant").await.is_problem(401, "unauthenticated");
    eve.get("/v1/tenant").await.is(200);
}

#[tokio::test]
async fn a_person_sees_and_enters_their_own_tenants_only() {
    let service = Service::start().await;
    let ada = service.register("ada@example.com").await;
    let account = service.register_account("eve@example.com").await;
    let eve = service.caller(token(&account["tokens"]));
    let adas = ada.get("/v1/tenant").await.is(200)["id"]
        .as_str()
        .expect("an id")
        .to_owned();

    let mine = eve.get("/v1/tenants").await.is(200);
    assert_eq!(mine["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(mine["data"][0]["tenant"]["id"], account["tenant"]["id"]);
    eve.post(&format!("/v1/tenants/{adas}/switch"), json!({}))
        .await
        .is_problem(404, "not_found");
    eve.post("/v1/tenants/tnt_x/switch", json!({}))
        .await
        .is_problem(404, "not_found");

    add_member(&service, &ada, &account, "editor").await;
    let both = eve.get("/v1/tenants").await.is(200);
    let roles: Vec<_> = both["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["role"].clone())
        .collect();
    assert_eq!(roles, ["owner", "editor"]);
    let login = json!({"email": "eve@example.com", "password": PASSWORD, "tenant_id": adas});
    assert_eq!(
        service.stranger().post("/v1/auth/login", login).await.is(200)["tenant_id"],
        json!(adas)
    );
}

#[tokio::test]
async fn a_person_can_have_several_tenants_of_their_own_within_bounds() {
    let service = Service::start_with(|settings| settings.tenants_per_person = 3).await;
    let ada = service.register("ada@example.com").await;
    let looms = ada.post("/v1/tenants", json!({"name": "Looms"})).await.is(201);
    assert_eq!(
        (looms["role"].as_str(), looms["tenant"]["name"].as_str()),
        (Some("owner"), Some("Looms"))
    );
    let (one, other) = tokio::join!(
        ada.post("/v1/tenants", json!({"name": "Mills"})),
        ada.post("/v1/tenants", json!({"name": "Mines"})),
    );
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    ada.post("/v1/tenants", json!({"name": "Docks"}))
        .await
        .is_problem(409, "limit_reached");
    assert_eq!(
        ada.get("/v1/tenants").await.is(200)["data"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );

    let path = format!(
        "/v1/tenants/{}/switch",
        looms["tenant"]["id"].as_str().expect("an id")
    );
    let tokens = ada.post(&path, json!({})).await.is(201);
    let there = service.caller(token(&tokens));
    assert_eq!(there.get("/v1/tenant").await.is(200)["name"], "Looms");
    let entries = there.get("/v1/audit-log?object_kind=tenant").await.is(200);
    let me = there.get("/v1/me").await.is(200);
    assert_eq!(entries["data"][0]["actor"], me["user"]["id"]);
    ada.key(&["tenant:write"])
        .await
        .post("/v1/tenants", json!({"name": "A machine's"}))
        .await
        .is_problem(403, "forbidden");
}
