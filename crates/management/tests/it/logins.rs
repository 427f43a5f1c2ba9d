//! A person's logins, to look at and to end.

use std::time::Duration;

use hookgate_domain::database::PgConnection;
use hookgate_domain::{Error, clock, login_sessions, scope, users};
use hookgate_model::ids::UserId;
use hookgate_testkit::eventually;
use serde_json::{Value, json};

use crate::service::{Answer, Caller, PASSWORD, Service};

async fn login(service: &Service, agent: &str, from: &str) -> Caller {
    let stranger = service
        .stranger()
        .with("user-agent", agent)
        .with("x-forwarded-for", from);
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let tokens = stranger.post("/v1/auth/login", body).await.is(200);
    service.caller(tokens["access_token"].as_str().expect("a token"))
}

async fn logins(caller: &Caller) -> Vec<Value> {
    let found = caller.get("/v1/me/sessions").await.is(200);
    found["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_person_sees_where_they_are_logged_in_and_ends_it() {
    let service = Service::start_with(|settings| {
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    })
    .await;
    let first = service.register("ada@example.com").await;
    let phone = login(&service, "Phone/1.0", "203.0.113.77").await;
    let laptop = login(&service, &"x".repeat(500), "2001:db8:1:2::3").await;
    let eve = service.register("eve@example.com").await;
    let seen = logins(&phone).await;
    let told: Vec<_> = seen
        .iter()
        .map(|login| (login["network"].as_str(), login["is_current"].as_bool()))
        .collect();
    assert_eq!(
        told,
        [
            (Some("2001:db8:1::/48"), Some(false)),
            (Some("203.0.113.0/24"), Some(true)),
            (Some("127.0.0.0/24"), Some(false)),
        ]
    );
    assert_eq!(seen[1]["user_agent"], "Phone/1.0");
    assert_eq!(seen[0]["user_agent"].as_str().map(str::len), Some(200));

    let path = format!("/v1/me/sessions/{}", seen[0]["id"].as_str().expect("an id"));
    eve.delete(&path).await.is_problem(404, "not_found");
    laptop.get("/v1/me").await.is(200);
    phone.delete(&path).await.is(204);
    laptop.get("/v1/me").await.is_problem(401, "unauthenticated");
    phone.delete(&path).await.is_problem(404, "not_found");
    assert_eq!(logins(&phone).await.len(), 2);

    phone.delete("/v1/me/sessions").await.is(204);
    first.get("/v1/me").await.is_problem(401, "unauthenticated");
    assert_eq!(logins(&phone).await.len(), 1);
    eve.get("/v1/me").await.is(200);
    let key = phone.key(&["tenant:write"]).await;
    key.get("/v1/me/sessions").await.is_problem(403, "forbidden");
    key.delete("/v1/me/sessions").await.is_problem(403, "forbidden");
}

#[tokio::test]
async fn the_use_of_a_login_is_noted_to_the_minute() {
    let service = Service::start().await;
    let ada = service.register("ada@example.com").await;
    let before = logins(&ada).await[0]["last_used_at"].clone();
    assert_eq!(logins(&ada).await[0]["last_used_at"], before);
    service
        .database
        .execute("UPDATE login_sessions SET last_used_at = now() - interval '2 minutes'");
    let noted = logins(&ada).await[0]["last_used_at"].clone();
    assert!(noted.as_str() > before.as_str(), "{noted}");
}

/// Does something to Ada's account in a transaction that is still open when the request waits for it.
async fn meanwhile(
    service: &Service,
    change: impl FnOnce(&mut PgConnection, UserId) -> Result<(), Error> + Send + 'static,
    request: impl Future<Output = Answer> + Send + 'static,
) -> Answer {
    let management = service.database.management();
    let (locked, is_locked) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let changing = tokio::spawn(async move {
        let changed = move |conn: &mut PgConnection| {
            scope::transaction(conn, |conn| {
                let (user, _) = users::find_by_email(conn, "ada@example.com")?.expect("Ada");
                users::lock(conn, user.id)?;
                change(conn, user.id)?;
                locked.send(()).expect("somebody waits");
                may_go_on.recv().expect("a word");
                Ok::<_, Error>(())
            })
        };
        management.run(changed).await
    });
    is_locked.await.expect("the lock");
    let answer = tokio::spawn(request);
    eventually(Duration::from_secs(20), "the request waits", async || {
        let waiting = "SELECT count(*)::text FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (service.database.query_text(waiting) == ["1"]).then_some(())
    })
    .await;
    go_on.send(()).expect("somebody waits");
    changing.await.expect("no panic").expect("a change");
    answer.await.expect("no panic")
}

#[tokio::test]
async fn a_login_that_is_being_made_does_not_outlive_the_end_of_all() {
    let service = Service::start().await;
    let ada = service.register("ada@example.com").await;
    let tenant = json!({"name": "Another"});
    let other = ada.post("/v1/tenants", tenant).await.is(201)["tenant"]["id"].clone();
    let switch = format!("/v1/tenants/{}/switch", other.as_str().expect("an id"));

    let end_all =
        |conn: &mut PgConnection, user| login_sessions::revoke_others(conn, user, None, clock::now());
    let by_login = meanwhile(&service, end_all, {
        let ada = ada.clone();
        async move { ada.post(&switch, json!({})).await }
    });
    by_login.await.is_problem(401, "unauthenticated");

    let another_password = |conn: &mut PgConnection, user| users::set_password(conn, user, "another hash");
    let by_password = meanwhile(&service, another_password, {
        let stranger = service.stranger();
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        async move { stranger.post("/v1/auth/login", body).await }
    });
    by_password.await.is_problem(401, "invalid_credentials");
    let left = "SELECT count(*)::text FROM login_sessions WHERE revoked_at IS NULL";
    assert_eq!(service.database.query_text(left), ["0"]);
}

#[tokio::test]
async fn of_two_who_change_a_password_with_the_same_one_only_the_first_does() {
    let service = Service::start().await;
    let ada = service.register("ada@example.com").await;
    let another_password = |conn: &mut PgConnection, user| users::set_password(conn, user, "another hash");
    let change = json!({"current_password": PASSWORD, "password": "four other plain words"});
    let late = meanwhile(&service, another_password, async move {
        ada.post("/v1/me/password", change).await
    });
    late.await.is_problem(401, "invalid_credentials");
    assert_eq!(
        service.database.query_text("SELECT password_hash FROM users"),
        ["another hash"]
    );
}

#[tokio::test]
async fn a_login_to_another_tenant_ends_no_later_than_the_one_it_rests_on() {
    let service = Service::start().await;
    let ada = service.register("ada@example.com").await;
    let other = ada.post("/v1/tenants", json!({"name": "Another"})).await.is(201);
    service
        .database
        .execute("UPDATE login_sessions SET expires_at = now() + interval '1 hour'");
    let id = other["tenant"]["id"].as_str().expect("an id");
    ada.post(&format!("/v1/tenants/{id}/switch"), json!({}))
        .await
        .is(201);
    let ends = "SELECT count(DISTINCT expires_at) || ' of ' || count(*) FROM login_sessions";
    assert_eq!(service.database.query_text(ends), ["1 of 2"]);
}
