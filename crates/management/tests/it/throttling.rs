//! Guessing passwords is slowed down where it happens, and nowhere else.

use hookgate_domain::redis::Redis;
use hookgate_management::Settings;
use hookgate_testkit::TestDatabase;
use serde_json::json;

use crate::service::{Answer, PASSWORD, Service};

const WRONG: &str = "wrong password";

fn behind_a_proxy(settings: &mut Settings) {
    settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
}

async fn login(service: &Service, email: &str, password: &str, from: &str) -> Answer {
    let stranger = service.stranger().with("x-forwarded-for", from);
    let body = json!({"email": email, "password": password});
    stranger.post("/v1/auth/login", body).await
}

/// Fails until it has to wait, and gives how often that was.
async fn guesses(service: &Service, from: &str) -> u32 {
    for guess in 0..20 {
        let answer = login(service, "ada@example.com", WRONG, from).await;
        if answer.status == 429 {
            answer.is_problem(429, "too_many_requests");
            assert_eq!(answer.header("retry-after"), "1");
            return guess;
        }
        answer.is_problem(401, "invalid_credentials");
    }
    panic!("nobody had to wait");
}

async fn nobody_waits_for_others(service: &Service) {
    service.register("ada@example.com").await;
    assert_eq!(guesses(service, "203.0.113.7").await, 4);
    assert_eq!(guesses(service, "2001:db8:1:2::1").await, 4);
    // One network of IPv6.
    login(service, "ada@example.com", PASSWORD, "2001:db8:1:2::2")
        .await
        .is_problem(429, "too_many_requests");
    for from in ["198.51.100.1", "203.0.113.8", "2001:db8:1:3::1"] {
        login(service, "ada@example.com", PASSWORD, from).await.is(200);
    }
    // Whoever shares a network with somebody who guesses does not wait either.
    service.register("eve@example.com").await;
    login(service, "eve@example.com", PASSWORD, "203.0.113.7")
        .await
        .is(200);
}

#[tokio::test]
async fn a_guesser_makes_nobody_wait_elsewhere() {
    let service = Service::start_with(|settings| {
        behind_a_proxy(settings);
        settings.login_failures = 4;
    })
    .await;
    nobody_waits_for_others(&service).await;
}

#[tokio::test]
async fn without_redis_a_node_does_the_same() {
    let nowhere = Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let service = Service::start_on(TestDatabase::create(), nowhere, |settings| {
        behind_a_proxy(settings);
        settings.login_failures = 4;
    })
    .await;
    nobody_waits_for_others(&service).await;
}

#[tokio::test]
async fn an_account_under_attack_from_many_networks_gives_each_fewer_tries() {
    let service = Service::start_with(|settings| {
        behind_a_proxy(settings);
        settings.login_failures_per_account = 8;
    })
    .await;
    service.register("ada@example.com").await;
    for network in 0..8 {
        let from = format!("203.0.113.{network}");
        login(&service, "ada@example.com", WRONG, &from).await.is(401);
    }
    assert_eq!(guesses(&service, "198.51.100.1").await, 3);
    // The owner of the account gets in at once.
    login(&service, "ada@example.com", PASSWORD, "198.51.100.2")
        .await
        .is(200);
}

#[tokio::test]
async fn a_network_that_tries_many_accounts_waits() {
    let service = Service::start_with(|settings| {
        behind_a_proxy(settings);
        settings.login_failures_per_network = 5;
    })
    .await;
    service.register("ada@example.com").await;
    for account in 0..5 {
        // A login that works counts nothing.
        login(&service, "ada@example.com", PASSWORD, "203.0.113.7")
            .await
            .is(200);
        let email = format!("{account}@example.com");
        login(&service, &email, WRONG, "203.0.113.7").await.is(401);
    }
    login(&service, "another@example.com", WRONG, "203.0.113.7")
        .await
        .is_problem(429, "too_many_requests");
    login(&service, "another@example.com", WRONG, "203.0.113.9")
        .await
        .is(401);
}
