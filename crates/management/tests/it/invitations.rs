//! Invitations: for one address, for one use, for a time, and no further than whoever invites may go.

use serde_json::{Value, json};

use crate::members::Team;
use crate::service::{Answer, Caller, PASSWORD, Service};

async fn invite(by: &Caller, email: &str, role: &str) -> Answer {
    by.post("/v1/invitations", json!({"email": email, "role": role}))
        .await
}

async fn accept(caller: &Caller, invitation: &Value) -> Answer {
    caller
        .post("/v1/invitations/accept", json!({"token": invitation["token"]}))
        .await
}

async fn register(service: &Service, invitation: &Value) -> Answer {
    let body = json!({"token": invitation["token"], "password": PASSWORD, "name": "Grace"});
    service.stranger().post("/v1/auth/accept-invitation", body).await
}

#[tokio::test]
async fn somebody_new_registers_with_an_invitation() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let invitation = invite(&owner, "Grace@Example.com", "editor").await.is(201);
    assert_eq!(invitation["email"], "grace@example.com");
    let text = invitation["token"].as_str().expect("a token");
    assert!(text.starts_with("hgi_") && text.len() == 47);
    assert_eq!(service.database.tables_with(text), Vec::<String>::new());
    let listed = owner.get("/v1/invitations").await.is(200);
    assert_eq!(listed["data"][0]["id"], invitation["id"]);
    assert!(listed["data"][0].get("token").is_none());

    let account = register(&service, &invitation).await.is(201);
    assert_eq!(account["user"]["email"], "grace@example.com");
    let grace = service.caller(account["tokens"]["access_token"].as_str().expect("a token"));
    let me = grace.get("/v1/me").await.is(200);
    assert_eq!(
        (&me["role"], &me["tenant"]["name"]),
        (&json!("editor"), &json!("Engines"))
    );
    assert_eq!(owner.get("/v1/invitations").await.is(200)["data"], json!([]));
    // Once.
    register(&service, &invitation).await.is_problem(404, "not_found");
    let entries = owner.get("/v1/audit-log?object_kind=membership").await.is(200);
    let joined = &entries["data"][0];
    assert_eq!(
        (&joined["actor"], &joined["object"]),
        (&account["user"]["id"], &account["user"]["id"])
    );
    assert_eq!(joined["address"], "127.0.0.1");
}

#[tokio::test]
async fn an_invitation_is_for_the_account_of_its_address() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let grace = service.register("grace@example.com").await;
    let eve = service.register("eve@example.com").await;
    let invitation = invite(&owner, "grace@example.com", "viewer").await.is(201);
    accept(&eve, &invitation).await.is_problem(403, "forbidden");
    register(&service, &invitation)
        .await
        .is_problem(409, "email_taken");
    accept(&grace.key(&["tenant:write"]).await, &invitation)
        .await
        .is_problem(403, "forbidden");
    // What failed has not used it up; of two at the same time, one works.
    let (one, other) = tokio::join!(accept(&grace, &invitation), accept(&grace, &invitation));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 404]);
    let joined = if one.status == 201 { one } else { other }.json();
    assert_eq!(joined["role"], "viewer");
    let there = service.caller(joined["tokens"]["access_token"].as_str().expect("a token"));
    assert_eq!(
        there.get("/v1/me").await.is(200)["tenant"]["id"],
        joined["tenant"]["id"]
    );
    invite(&owner, "grace@example.com", "editor")
        .await
        .is_problem(409, "already_exists");
}

#[tokio::test]
async fn an_invitation_ends_is_taken_back_and_is_sent_again() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let first = invite(&owner, "grace@example.com", "viewer").await.is(201);
    invite(&owner, "GRACE@example.com", "editor")
        .await
        .is_problem(409, "already_exists");
    let path = format!("/v1/invitations/{}", first["id"].as_str().expect("an id"));
    let second = owner.post(&format!("{path}/resend"), json!({})).await.is(200);
    assert_eq!(second["id"], first["id"]);
    register(&service, &first).await.is_problem(404, "not_found");
    service
        .database
        .execute("UPDATE invitations SET expires_at = now()");
    register(&service, &second).await.is_problem(404, "not_found");
    // An expired one makes room.
    let third = invite(&owner, "grace@example.com", "viewer").await.is(201);
    let path = format!("/v1/invitations/{}", third["id"].as_str().expect("an id"));
    owner.delete(&path).await.is(204);
    owner.delete(&path).await.is_problem(404, "not_found");
    register(&service, &third).await.is_problem(404, "not_found");
    register(&service, &json!({"token": "hgi_unknown"}))
        .await
        .is_problem(404, "not_found");
}

#[tokio::test]
async fn nobody_invites_further_than_they_may_go() {
    let service = Service::start().await;
    let team = Team::of(&service).await;
    for by in [&team.viewer, &team.editor] {
        invite(by, "a@example.com", "viewer")
            .await
            .is_problem(403, "forbidden");
    }
    invite(&team.admin, "a@example.com", "owner")
        .await
        .is_problem(403, "forbidden");
    let of_owner = invite(&team.owner, "a@example.com", "owner").await.is(201);
    let path = format!("/v1/invitations/{}", of_owner["id"].as_str().expect("an id"));
    team.admin.delete(&path).await.is_problem(403, "forbidden");
    team.admin
        .post(&format!("{path}/resend"), json!({}))
        .await
        .is_problem(403, "forbidden");
    // Whoever may not any more has invited nobody.
    let of_admin = invite(&team.admin, "b@example.com", "admin").await.is(201);
    let demoted = json!({"role": "viewer"});
    team.owner
        .patch(&format!("/v1/members/{}", team.ids[1]), demoted)
        .await
        .is(200);
    register(&service, &of_admin).await.is_problem(403, "forbidden");
    let path = format!("/v1/invitations/{}", of_admin["id"].as_str().expect("an id"));
    let again = team
        .owner
        .post(&format!("{path}/resend"), json!({}))
        .await
        .is(200);
    register(&service, &again).await.is(201);
}

#[tokio::test]
async fn members_and_invitations_are_bounded() {
    let service = Service::start_with(|settings| {
        settings.members_per_tenant = 2;
        settings.invitations_per_tenant = 2;
    })
    .await;
    let owner = service.register("ada@example.com").await;
    let one = invite(&owner, "a@example.com", "viewer").await.is(201);
    let other = invite(&owner, "b@example.com", "viewer").await.is(201);
    invite(&owner, "c@example.com", "viewer")
        .await
        .is_problem(409, "limit_reached");
    let (one, other) = tokio::join!(register(&service, &one), register(&service, &other));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    invite(&owner, "c@example.com", "viewer").await.is(201);
}

#[tokio::test]
async fn nobody_joins_a_suspended_tenant() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let invitation = invite(&owner, "grace@example.com", "viewer").await.is(201);
    service
        .database
        .execute("UPDATE tenants SET status = 'suspended'");
    register(&service, &invitation)
        .await
        .is_problem(403, "tenant_suspended");
    service.database.execute("UPDATE tenants SET status = 'active'");
    register(&service, &invitation).await.is(201);
}
