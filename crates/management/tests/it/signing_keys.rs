//! The keys that sign access tokens: followed by others with age, known to all processes before they sign, and valid for as long
//! as their tokens are.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hookgate_domain::database::connect;
use hookgate_management::Management;
use hookgate_management::auth::access_tokens;
use hookgate_testkit::eventually;
use serde_json::{Value, json};

use crate::service::{PASSWORD, Service, master_key};

/// Another process on the same storage.
async fn process(service: &Service) -> (Management, String) {
    let settings = hookgate_management::Settings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        threads: 1,
        ..Default::default()
    };
    let (database, redis) = (service.database.management(), service.database.redis());
    let egress = hookgate_egress::Client::new(&Default::default()).expect("a client");
    let management = hookgate_management::start(settings, database, redis, master_key(), egress).await;
    let management = management.expect("a process");
    let base = format!("http://{}", management.addresses[0]);
    (management, base)
}

/// Logs in at a process, and gives the token.
async fn login(service: &Service, base: &str) -> String {
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let answer = service
        .http
        .post(format!("{base}/v1/auth/login"))
        .json(&body)
        .send()
        .await;
    let tokens: Value = answer.expect("an answer").json().await.expect("JSON");
    tokens["access_token"].as_str().expect("a token").to_owned()
}

async fn status(service: &Service, base: &str, token: &str) -> u16 {
    let request = service.http.get(format!("{base}/v1/me")).bearer_auth(token);
    request.send().await.expect("an answer").status().as_u16()
}

fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header"));
    let header: Value = serde_json::from_slice(&header.expect("base64")).expect("JSON");
    header["kid"].as_str().expect("a name").to_owned()
}

fn kids(service: &Service) -> Vec<String> {
    service
        .database
        .query_text("SELECT kid FROM signing_keys ORDER BY created_at")
}

#[tokio::test]
async fn a_key_is_followed_by_another_and_verifies_until_its_tokens_have_expired() {
    let service = Service::start().await;
    let first = service.register_account("ada@example.com").await;
    let first = first["tokens"]["access_token"].as_str().expect("a token");
    service
        .database
        .execute("UPDATE signing_keys SET created_at = now() - interval '31 days'");
    // Both find that it is time, and agree on one key.
    let ((_one, one), (_other, other)) = tokio::join!(process(&service), process(&service));
    let (of_one, of_other) = tokio::join!(login(&service, &one), login(&service, &other));
    assert_eq!(kids(&service).len(), 2);
    // It does not sign before every process knows it.
    assert_eq!([kid(&of_one), kid(&of_other)], [kid(first), kid(first)]);

    service.database.execute(
        "UPDATE signing_keys SET created_at = now() - interval '3 minutes' WHERE retired_at IS NULL",
    );
    let (_third, third) = process(&service).await;
    let second = login(&service, &third).await;
    assert_eq!(
        [kid(first), kid(&second)],
        [kids(&service)[0].clone(), kids(&service)[1].clone()]
    );
    for token in [first, &second] {
        assert_eq!(status(&service, &third, token).await, 200);
    }
    // A process that was there before finds the key when it meets its name.
    eventually(
        Duration::from_secs(20),
        "the process looks for keys",
        async || (status(&service, &service.base, &second).await == 200).then_some(()),
    )
    .await;
    let kept = service.database.query_text(
        "SELECT round(extract(epoch FROM retired_at - now()) / 60)::text FROM signing_keys WHERE retired_at IS NOT NULL",
    );
    assert_eq!(
        kept,
        ["19"],
        "as long as tokens work, and while processes may not know"
    );

    service
        .database
        .execute("UPDATE signing_keys SET retired_at = now() WHERE retired_at IS NOT NULL");
    let (_fourth, fourth) = process(&service).await;
    assert_eq!(status(&service, &fourth, first).await, 401);
    assert_eq!(status(&service, &fourth, &second).await, 200);
}

#[tokio::test]
async fn the_operator_rotates_and_revokes() {
    let service = Service::start().await;
    let first = service.register_account("ada@example.com").await;
    let refresh = json!({"refresh_token": first["tokens"]["refresh_token"]});
    let first = first["tokens"]["access_token"].as_str().expect("a token");
    let settings = service.database.settings(service.database.management_url());
    let mut conn = connect(&settings).expect("a connection");
    let second = access_tokens::rotate(&mut conn, &master_key(), 900, false).expect("a key");
    let (_one, one) = process(&service).await;
    assert_eq!(status(&service, &one, first).await, 200);
    assert_eq!(kid(&login(&service, &one).await), kid(first));

    let third = access_tokens::rotate(&mut conn, &master_key(), 900, true).expect("a key");
    assert_eq!(kids(&service), [kid(first), second, third.clone()]);
    let (_other, other) = process(&service).await;
    assert_eq!(status(&service, &other, first).await, 401);
    // The login goes on, with a token of the new key at once.
    let answer = service
        .http
        .post(format!("{other}/v1/auth/refresh"))
        .json(&refresh)
        .send()
        .await;
    let tokens: Value = answer.expect("an answer").json().await.expect("JSON");
    let token = tokens["access_token"].as_str().expect("a token");
    assert_eq!(kid(token), third);
    assert_eq!(status(&service, &other, token).await, 200);
}
