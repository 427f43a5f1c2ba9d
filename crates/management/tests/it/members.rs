//! Members of a tenant: who may change and remove whom, and that it counts at once.

use serde_json::{Value, json};

use crate::service::{Caller, Service};
use crate::stored;

/// A tenant with a member of each role.
pub struct Team {
    pub owner: Caller,
    pub admin: Caller,
    pub editor: Caller,
    pub viewer: Caller,
    /// The ids of these four, and of the tenant.
    pub ids: [String; 4],
    pub tenant: Value,
}

impl Team {
    pub async fn of(service: &Service) -> Self {
        let account = service.register_account("owner@example.com").await;
        let owner = service.caller(account["tokens"]["access_token"].as_str().expect("a token"));
        let tenant = account["tenant"]["id"].clone();
        let mut ids = vec![id(&account)];
        let mut callers = Vec::new();
        for role in ["admin", "editor", "viewer"] {
            let account = service.register_account(&format!("{role}@example.com")).await;
            stored::membership(service, &tenant, &account["user"]["id"], role);
            let own = service.caller(account["tokens"]["access_token"].as_str().expect("a token"));
            let path = format!("/v1/tenants/{}/switch", tenant.as_str().expect("an id"));
            let tokens = own.post(&path, json!({})).await.is(201);
            callers.push(service.caller(tokens["access_token"].as_str().expect("a token")));
            ids.push(id(&account));
        }
        let [admin, editor, viewer] = callers.try_into().ok().expect("three");
        Self {
            owner,
            admin,
            editor,
            viewer,
            ids: ids.try_into().expect("four"),
            tenant,
        }
    }
}

fn id(account: &Value) -> String {
    account["user"]["id"].as_str().expect("an id").to_owned()
}

async fn set_role(by: &Caller, of: &str, role: &str) -> crate::service::Answer {
    by.patch(&format!("/v1/members/{of}"), json!({"role": role}))
        .await
}

async fn remove(by: &Caller, whom: &str) -> crate::service::Answer {
    by.delete(&format!("/v1/members/{whom}")).await
}

#[tokio::test]
async fn roles_are_given_and_taken_by_those_who_may() {
    let service = Service::start().await;
    let team = Team::of(&service).await;
    let [owner, admin, editor, viewer] = &team.ids;
    let listed = team.viewer.get("/v1/members").await.is(200);
    let roles: Vec<&str> = listed["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|member| member["role"].as_str().expect("text"))
        .collect();
    assert_eq!(roles, ["viewer", "editor", "admin", "owner"]);

    for by in [&team.editor, &team.viewer] {
        set_role(by, viewer, "editor").await.is_problem(403, "forbidden");
        remove(by, admin).await.is_problem(403, "forbidden");
    }
    set_role(&team.admin, owner, "viewer")
        .await
        .is_problem(403, "forbidden");
    set_role(&team.admin, viewer, "owner")
        .await
        .is_problem(403, "forbidden");
    set_role(&team.admin, admin, "owner")
        .await
        .is_problem(403, "forbidden");
    remove(&team.admin, owner).await.is_problem(403, "forbidden");
    set_role(&team.owner, viewer, "king")
        .await
        .is_invalid(&[("/role", "invalid")]);

    let raised = set_role(&team.admin, viewer, "admin").await;
    assert_eq!(
        (raised.is(200)["role"].as_str(), raised.header("etag")),
        (Some("admin"), "\"2\"")
    );
    let stale = team.admin.with("if-match", "\"1\"");
    set_role(&stale, viewer, "viewer")
        .await
        .is_problem(412, "precondition_failed");
    // It counts at once, with the token that was there before.
    set_role(&team.viewer, editor, "viewer").await.is(200);
    team.editor
        .post("/v1/webhooks", json!({"name": "x"}))
        .await
        .is_problem(403, "forbidden");
    set_role(&team.viewer, viewer, "viewer").await.is(200);
    set_role(&team.viewer, viewer, "admin")
        .await
        .is_problem(403, "forbidden");

    // A machine changes nobody, whatever it may do.
    let key = team
        .owner
        .key(&["members:read", "tenant:write", "management_keys:write"])
        .await;
    key.get("/v1/members").await.is(200);
    set_role(&key, viewer, "admin").await.is_problem(403, "forbidden");
    remove(&key, viewer).await.is_problem(403, "forbidden");
    key.post(
        "/v1/invitations",
        json!({"email": "a@example.com", "role": "admin"}),
    )
    .await
    .is_problem(403, "forbidden");

    let entries = team
        .owner
        .get("/v1/audit-log?object_kind=membership&action=changed")
        .await
        .is(200);
    assert_eq!(
        (
            &entries["data"][2]["actor"],
            &entries["data"][2]["before"],
            &entries["data"][2]["after"]
        ),
        (
            &json!(admin),
            &json!({"role": "viewer"}),
            &json!({"role": "admin"})
        )
    );
}

#[tokio::test]
async fn whoever_goes_loses_their_access_at_once() {
    let service = Service::start().await;
    let team = Team::of(&service).await;
    let [_, admin, editor, viewer] = &team.ids;
    remove(&team.admin, editor).await.is(204);
    team.editor.get("/v1/me").await.is_problem(401, "unauthenticated");
    remove(&team.admin, editor).await.is_problem(404, "not_found");
    // Leaving.
    remove(&team.viewer, viewer).await.is(204);
    team.viewer.get("/v1/me").await.is_problem(401, "unauthenticated");
    remove(&team.admin, admin).await.is(204);
    let left = service
        .database
        .query_text("SELECT count(*)::text FROM login_sessions s JOIN memberships m USING (tenant_id)
            WHERE NOT EXISTS (SELECT FROM memberships o WHERE o.tenant_id = s.tenant_id AND o.user_id = s.user_id)");
    assert_eq!(left, ["0"]);
    // They are still in tenants of their own.
    let login = json!({"email": "editor@example.com", "password": crate::service::PASSWORD});
    service
        .stranger()
        .post("/v1/auth/login", login.clone())
        .await
        .is(200);
}

#[tokio::test]
async fn an_account_ends_with_its_last_tenant() {
    let service = Service::start().await;
    let team = Team::of(&service).await;
    service
        .database
        .execute("DELETE FROM memberships WHERE role = 'owner' AND user_id <> (SELECT id FROM users WHERE email = 'owner@example.com')");
    remove(&team.admin, &team.ids[2]).await.is(204);
    let left = service.database.query_text("SELECT email FROM users ORDER BY 1");
    assert_eq!(
        left,
        ["admin@example.com", "owner@example.com", "viewer@example.com"]
    );
    service.register("editor@example.com").await;
}

#[tokio::test]
async fn a_tenant_keeps_an_owner_whatever_happens_at_the_same_time() {
    let service = Service::start().await;
    let team = Team::of(&service).await;
    let [owner, admin, ..] = &team.ids;
    set_role(&team.owner, owner, "admin")
        .await
        .is_problem(409, "last_owner");
    remove(&team.owner, owner).await.is_problem(409, "last_owner");
    let owners = || {
        service.database.query_text(&format!(
            "SELECT count(*)::text FROM memberships WHERE role = 'owner' AND tenant_id = '{}'",
            stored::uuid(&team.tenant)
        ))
    };
    for round in 0..8 {
        set_role(&team.owner, admin, "owner").await.is(200);
        // Both step down, or each demotes the other; one of them must stay.
        let (one, other) = if round % 2 == 0 {
            tokio::join!(
                set_role(&team.owner, owner, "admin"),
                set_role(&team.admin, admin, "admin")
            )
        } else {
            tokio::join!(
                set_role(&team.owner, admin, "admin"),
                set_role(&team.admin, owner, "admin")
            )
        };
        let statuses = [one.status.as_u16(), other.status.as_u16()];
        assert!(
            statuses.contains(&200) && !statuses.iter().all(|status| *status == 200),
            "{statuses:?}"
        );
        assert_eq!(owners(), ["1"]);
        if one.status == 200 && round % 2 == 0 || other.status == 200 && round % 2 == 1 {
            set_role(&team.admin, owner, "owner").await.is(200);
            set_role(&team.admin, admin, "admin").await.is(200);
        }
    }
}

#[tokio::test]
async fn ownership_is_handed_over_in_one_step() {
    let service = Service::start().await;
    let team = Team::of(&service).await;
    let [owner, admin, editor, _] = &team.ids;
    let transfer = async |by: &Caller, to: &str| {
        by.post("/v1/tenant/transfer-ownership", json!({"user_id": to}))
            .await
    };
    transfer(&team.admin, admin).await.is_problem(403, "forbidden");
    transfer(&team.editor, editor).await.is_problem(403, "forbidden");
    let heir = transfer(&team.owner, editor).await.is(200);
    assert_eq!(
        (&heir["user"]["id"], &heir["role"]),
        (&json!(editor), &json!("owner"))
    );
    assert_eq!(team.owner.get("/v1/me").await.is(200)["role"], "admin");
    assert_eq!(team.editor.get("/v1/me").await.is(200)["role"], "owner");
    // To oneself, or twice at the same time: there is one owner.
    transfer(&team.editor, editor).await.is(200);
    let (one, other) = tokio::join!(transfer(&team.editor, owner), transfer(&team.editor, admin));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);
    assert_eq!(team.editor.get("/v1/me").await.is(200)["role"], "admin");
}
