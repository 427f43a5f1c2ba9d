//! A person's logins, to look at and to end.

use serde_json::{Value, json};

use crate::service::{Caller, PASSWORD, Service};

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
