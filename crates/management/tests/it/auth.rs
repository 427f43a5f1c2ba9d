//! Registering, logging in, access tokens and refresh tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use hookgate_domain::redis::Redis;
use hookgate_testkit::TestDatabase;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Answer, PASSWORD, Service};

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

async fn login(service: &Service, email: &str, password: &str) -> Answer {
    service
        .stranger()
        .post("/v1/auth/login", json!({"email": email, "password": password}))
        .await
}

async fn refresh(service: &Service, token: &str) -> Answer {
    service
        .stranger()
        .post("/v1/auth/refresh", json!({"refresh_token": token}))
        .await
}

#[tokio::test]
async fn a_person_registers_with_a_tenant_of_their_own() {
    let service = Service::start().await;
    let account = service.register_account("Ada@Example.com").await;
    assert_eq!(account["user"]["email"], "ada@example.com");
    let me = service
        .caller(text(&account["tokens"]["access_token"]))
        .get("/v1/me")
        .await
        .is(200);
    assert_eq!(me["tenant"], account["tenant"]);
    assert_eq!(
        (text(&me["role"]), &me["management_key"]),
        ("owner", &Value::Null)
    );
    assert!(
        me["permissions"]
            .as_array()
            .expect("a list")
            .contains(&json!("tenant:write"))
    );

    let again = json!({"email": "ADA@example.com", "password": PASSWORD, "name": "A", "tenant_name": "T"});
    service
        .stranger()
        .post("/v1/auth/register", again)
        .await
        .is_problem(409, "email_taken");
}

#[tokio::test]
async fn every_wrong_field_of_a_registration_is_told_at_once() {
    let service = Service::start().await;
    let wrong = json!({"email": "ada", "password": "short", "name": 7, "nam": "x"});
    service
        .stranger()
        .post("/v1/auth/register", wrong)
        .await
        .is_invalid(&[
            ("/email", "invalid"),
            ("/password", "too_short"),
            ("/name", "wrong_type"),
            ("/tenant_name", "required"),
            ("/nam", "unknown"),
        ]);
}

#[tokio::test]
async fn only_the_right_password_logs_in() {
    let service = Service::start().await;
    let account = service.register_account("ada@example.com").await;
    let tokens = login(&service, "ADA@example.com", PASSWORD).await.is(200);
    assert_eq!(tokens["tenant_id"], account["tenant"]["id"]);
    assert_eq!(tokens["expires_in"], 900);
    let wrong = login(&service, "ada@example.com", "three plain word").await;
    let unknown = login(&service, "eve@example.com", PASSWORD).await;
    let (wrong, unknown) = (
        wrong.is_problem(401, "invalid_credentials"),
        unknown.is_problem(401, "invalid_credentials"),
    );
    assert_eq!(wrong["detail"], unknown["detail"]);
    let elsewhere = json!({"email": "ada@example.com", "password": PASSWORD,
        "tenant_id": "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2"});
    service
        .stranger()
        .post("/v1/auth/login", elsewhere)
        .await
        .is_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down() {
    let service = Service::start_with(|settings| settings.login_failures = 2).await;
    service.register("ada@example.com").await;
    for _ in 0..2 {
        login(&service, "ada@example.com", "wrong password")
            .await
            .is_problem(401, "invalid_credentials");
    }
    let refused = login(&service, "ada@example.com", PASSWORD).await;
    refused.is_problem(429, "too_many_requests");
    let seconds: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=900).contains(&seconds));
    login(&service, "eve@example.com", PASSWORD)
        .await
        .is_problem(401, "invalid_credentials");
}

async fn register(service: &Service, email: &str, forwarded_for: &str) -> Answer {
    let body = json!({"email": email, "password": PASSWORD, "name": "Ada", "tenant_name": "Engines"});
    let stranger = service.stranger().with("x-forwarded-for", forwarded_for);
    stranger.post("/v1/auth/register", body).await
}

#[tokio::test]
async fn making_accounts_is_slowed_down() {
    let service = Service::start_with(|settings| {
        settings.registrations_per_address = 2;
        settings.registrations = 4;
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    })
    .await;
    register(&service, "a@example.com", "203.0.113.7").await.is(201);
    // An attempt that fails counts, too: it would tell which addresses are registered.
    register(&service, "a@example.com", "198.51.100.1, 203.0.113.7")
        .await
        .is_problem(409, "email_taken");
    let refused = register(&service, "b@example.com", "203.0.113.7").await;
    refused.is_problem(429, "too_many_requests");
    let seconds: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=3600).contains(&seconds));
    register(&service, "b@example.com", "2001:db8::1").await.is(201);
    register(&service, "c@example.com", "2001:db8::2").await.is(201);
    register(&service, "d@example.com", "2001:db8::3")
        .await
        .is_problem(429, "too_many_requests");
    // In all.
    register(&service, "e@example.com", "203.0.113.8")
        .await
        .is_problem(429, "too_many_requests");
}

#[tokio::test]
async fn without_redis_a_node_counts_registrations_by_itself() {
    let nowhere = Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let service = Service::start_on(TestDatabase::create(), nowhere, |settings| {
        settings.registrations_per_address = 1;
    })
    .await;
    service.register("a@example.com").await;
    register(&service, "b@example.com", "203.0.113.7")
        .await
        .is_problem(429, "too_many_requests");
}

#[tokio::test]
async fn a_login_that_works_forgets_the_failures() {
    let service = Service::start_with(|settings| settings.login_failures = 2).await;
    service.register("ada@example.com").await;
    for _ in 0..3 {
        login(&service, "ada@example.com", "wrong password")
            .await
            .is_problem(401, "invalid_credentials");
        login(&service, "ada@example.com", PASSWORD).await.is(200);
    }
}

#[tokio::test]
async fn what_is_no_credential_is_refused() {
    let service = Service::start().await;
    let token = text(&service.register_account("ada@example.com").await["tokens"]["access_token"]).to_owned();
    let absent = service.stranger().get("/v1/me").await;
    absent.is_problem(401, "unauthenticated");
    assert_eq!(absent.header("www-authenticate"), "Bearer realm=\"hookgate\"");
    for header in ["Basic YTpi", "Bearer", "bearer  ", &format!("Token {token}")] {
        let answer = service
            .stranger()
            .with("authorization", header)
            .get("/v1/me")
            .await;
        answer.is_problem(401, "unauthenticated");
    }
    for credential in [
        "garbage",
        "a.b.c",
        "hgm_",
        "hgm_unknown",
        &token[..token.len() - 4],
        &format!("{token}A"),
    ] {
        service
            .caller(credential)
            .get("/v1/me")
            .await
            .is_problem(401, "unauthenticated");
    }
    service
        .stranger()
        .with("authorization", &format!("bEaReR {token}"))
        .get("/v1/me")
        .await
        .is(200);
}

/// The parts of a token: header, claims, signature.
fn parts(token: &str) -> (Value, Value, String) {
    let mut parts = token.split('.');
    let mut json = || {
        let part = URL_SAFE_NO_PAD
            .decode(parts.next().expect("a part"))
            .expect("base64");
        serde_json::from_slice(&part).expect("JSON")
    };
    let (header, claims) = (json(), json());
    (header, claims, parts.next().expect("a signature").to_owned())
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let service = Service::start().await;
    let token = text(&service.register_account("ada@example.com").await["tokens"]["access_token"]).to_owned();
    let (header, claims, signature) = parts(&token);
    assert_eq!((text(&header["alg"]), text(&header["kid"]).len()), ("EdDSA", 16));
    let refused = async |what: &str, token: String| {
        let answer = service.caller(token).get("/v1/me").await;
        assert_eq!(answer.status, 401, "{what}");
        answer.is_problem(401, "unauthenticated");
    };
    // No signature.
    let none = json!({"alg": "none", "typ": "JWT", "kid": header["kid"]});
    refused("alg none", format!("{}.{}.", encoded(&none), encoded(&claims))).await;
    refused(
        "no signature",
        format!("{}.{}.", encoded(&header), encoded(&claims)),
    )
    .await;
    // The public key used as an HMAC secret.
    let mut hmac_header = Header::new(Algorithm::HS256);
    hmac_header.kid = Some(text(&header["kid"]).to_owned());
    let hmac = jsonwebtoken::encode(&hmac_header, &claims, &EncodingKey::from_secret(b"public key"))
        .expect("a token");
    refused("another algorithm", hmac).await;
    // Another key, under this key's name and under its own.
    let other = ed25519_dalek::SigningKey::from_bytes(&[9; 32])
        .to_pkcs8_der()
        .expect("a key");
    for kid in [header["kid"].as_str(), Some("0000000000000000"), None] {
        let header = Header {
            kid: kid.map(str::to_owned),
            ..Header::new(Algorithm::EdDSA)
        };
        let forged = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(other.as_bytes()));
        refused("another key", forged.expect("a token")).await;
    }
    // Other claims under the old signature.
    let mut promoted = claims.clone();
    promoted["exp"] = json!(9_999_999_999_u64);
    refused(
        "altered",
        format!("{}.{}.{signature}", encoded(&header), encoded(&promoted)),
    )
    .await;
}

#[tokio::test]
async fn an_expired_token_says_so() {
    let service = Service::start_with(|settings| settings.access_token_seconds = 0).await;
    let service = &service;
    let account = service.register_account("ada@example.com").await;
    let caller = service.caller(text(&account["tokens"]["access_token"]));
    // The leeway for clocks that differ is five seconds.
    hookgate_testkit::eventually(
        std::time::Duration::from_secs(20),
        "the token expires",
        async || (caller.get("/v1/me").await.status == 401).then_some(()),
    )
    .await;
    caller.get("/v1/me").await.is_problem(401, "token_expired");
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_login() {
    let service = Service::start().await;
    let account = service.register_account("ada@example.com").await;
    let first = text(&account["tokens"]["refresh_token"]).to_owned();
    let second = refresh(&service, &first).await.is(200);
    let caller = service.caller(text(&second["access_token"]));
    caller.get("/v1/me").await.is(200);
    let third = refresh(&service, text(&second["refresh_token"])).await.is(200);

    refresh(&service, &first)
        .await
        .is_problem(401, "invalid_refresh_token");
    refresh(&service, text(&third["refresh_token"]))
        .await
        .is_problem(401, "invalid_refresh_token");
    caller.get("/v1/me").await.is_problem(401, "unauthenticated");
    // Another login of the person goes on.
    login(&service, "ada@example.com", PASSWORD).await.is(200);
}

#[tokio::test]
async fn of_two_simultaneous_refreshes_one_works() {
    let service = Service::start().await;
    let account = service.register_account("ada@example.com").await;
    let token = text(&account["tokens"]["refresh_token"]);
    let (one, other) = tokio::join!(refresh(&service, token), refresh(&service, token));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

#[tokio::test]
async fn unknown_refresh_tokens_are_refused() {
    let service = Service::start().await;
    for token in ["hgr_unknown", "x"] {
        refresh(&service, token)
            .await
            .is_problem(401, "invalid_refresh_token");
    }
    service
        .stranger()
        .post("/v1/auth/refresh", json!({}))
        .await
        .is_invalid(&[("/refresh_token", "required")]);
}

#[tokio::test]
async fn logging_out_ends_the_login_at_once() {
    let service = Service::start().await;
    let account = service.register_account("ada@example.com").await;
    let caller = service.caller(text(&account["tokens"]["access_token"]));
    let token = json!({"refresh_token": account["tokens"]["refresh_token"]});
    service
        .stranger()
        .post("/v1/auth/logout", token.clone())
        .await
        .is(204);
    caller.get("/v1/me").await.is_problem(401, "unauthenticated");
    refresh(&service, text(&token["refresh_token"]))
        .await
        .is_problem(401, "invalid_refresh_token");
    service
        .stranger()
        .post("/v1/auth/logout", json!({"refresh_token": "unknown"}))
        .await
        .is(204);
}

#[tokio::test]
async fn processes_share_the_keys_that_sign_tokens() {
    let service = Service::start().await;
    let management = hookgate_management::start(
        hookgate_management::Settings {
            listen: "127.0.0.1:0".parse().expect("an address"),
            ..Default::default()
        },
        service.database.management(),
        service.database.redis(),
        hookgate_domain::crypto::MasterKey::from_bytes(&[7; 32]),
        hookgate_egress::Client::new(&Default::default()).expect("a client"),
    )
    .await
    .expect("a second process");
    let second = format!("http://{}", management.addresses[0]);
    let (one, other) = tokio::join!(service.register_account("ada@example.com"), async {
        let registration =
            json!({"email": "eve@example.com", "password": PASSWORD, "name": "Eve", "tenant_name": "T"});
        let answer = service
            .http
            .post(format!("{second}/v1/auth/register"))
            .json(&registration)
            .send()
            .await;
        answer.expect("an answer").json::<Value>().await.expect("JSON")
    });
    for account in [&one, &other] {
        let token = text(&account["tokens"]["access_token"]);
        service.caller(token).get("/v1/me").await.is(200);
        let answer = service
            .http
            .get(format!("{second}/v1/me"))
            .bearer_auth(token)
            .send()
            .await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    let kid = |account: &Value| parts(text(&account["tokens"]["access_token"])).0["kid"].clone();
    assert_eq!(kid(&one), kid(&other));
}

#[tokio::test]
async fn idempotency_keys_are_not_for_logging_in() {
    let service = Service::start().await;
    service.register("ada@example.com").await;
    let stranger = service.stranger().with("idempotency-key", "one");
    let body = json!({"email": "ada@example.com", "password": PASSWORD}).to_string();
    let first = stranger
        .send(Method::POST, "/v1/auth/login", Some(body.clone()))
        .await;
    let second = stranger.send(Method::POST, "/v1/auth/login", Some(body)).await;
    assert_ne!(first.is(200)["refresh_token"], second.is(200)["refresh_token"]);
}
