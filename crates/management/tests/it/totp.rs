//! The second factor: codes of an app and recovery codes, each for one use.

use chrono::TimeDelta;
use hookgate_model::totp;
use serde_json::{Value, json};

use crate::service::{Answer, Caller, PASSWORD, Service};
use crate::smtp::SmtpServer;

/// Somebody with a second factor.
pub struct Person {
    pub caller: Caller,
    secret: Vec<u8>,
    recovery_codes: Vec<String>,
    /// The code that has confirmed it.
    used: String,
    /// The one after it, which is taken already, also if the next half minute begins during the test.
    next: String,
}

fn decoded(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: String = text
        .chars()
        .map(|c| format!("{:05b}", alphabet.find(c).expect("base32")))
        .collect();
    bits.as_bytes()
        .chunks_exact(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).expect("bits"), 2).expect("a byte"))
        .collect()
}

pub async fn login(service: &Service, more: Value) -> Answer {
    let mut body = json!({"email": "ada@example.com", "password": PASSWORD});
    for (name, value) in more.as_object().expect("fields") {
        body[name] = value.clone();
    }
    service.stranger().post("/v1/auth/login", body).await
}

pub async fn enrolled(service: &Service) -> Person {
    let caller = service.register("ada@example.com").await;
    let enrolment = caller
        .post("/v1/me/totp", json!({"password": PASSWORD}))
        .await
        .is(201);
    let text = enrolment["secret"].as_str().expect("a secret");
    let url = enrolment["otpauth_url"].as_str().expect("a URL");
    assert!(url.starts_with("otpauth://totp/Hookgate:ada%40example") && url.contains(text));
    let secret = decoded(text);
    assert_eq!(secret.len(), 20);
    // Until it is confirmed nothing asks for it.
    login(service, json!({})).await.is(200);
    let wrong = caller
        .post("/v1/me/totp/confirm", json!({"code": "000000"}))
        .await;
    wrong.is_problem(401, "invalid_totp_code");
    let now = hookgate_domain::clock::now();
    let used = totp::code_at(&secret, now);
    let codes = caller
        .post("/v1/me/totp/confirm", json!({"code": used}))
        .await
        .is(200);
    let codes = codes["recovery_codes"].as_array().expect("codes").iter();
    Person {
        recovery_codes: codes
            .map(|code| code.as_str().expect("text").to_owned())
            .collect(),
        caller,
        used,
        next: totp::code_at(&secret, now + TimeDelta::seconds(30)),
        secret,
    }
}

#[tokio::test]
async fn a_login_takes_a_code_and_each_code_once() {
    let service = Service::start().await;
    let ada = enrolled(&service).await;
    login(&service, json!({})).await.is_problem(401, "totp_required");
    login(&service, json!({"totp_code": ada.used}))
        .await
        .is_problem(401, "invalid_totp_code");
    let code = json!({"totp_code": ada.next});
    let (one, other) = tokio::join!(login(&service, code.clone()), login(&service, code.clone()));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "of two who show the same code, one gets in");
    login(&service, code).await.is_problem(401, "invalid_totp_code");
    // Without the right password a code says nothing, and is not used up.
    let code = &ada.recovery_codes[0];
    let wrong = json!({"password": "wrong password", "recovery_code": code});
    login(&service, wrong)
        .await
        .is_problem(401, "invalid_credentials");
    let factor = ada.caller.get("/v1/me/totp").await.is(200);
    assert_eq!(factor, json!({"enabled": true, "recovery_codes_left": 10}));
    login(&service, json!({"recovery_code": code})).await.is(200);
}

#[tokio::test]
async fn a_recovery_code_gets_in_once() {
    let service = Service::start().await;
    let ada = enrolled(&service).await;
    assert_eq!(ada.recovery_codes.len(), 10);
    let typed = ada.recovery_codes[0].to_uppercase().replace('-', " ");
    let code = json!({"recovery_code": typed});
    let (one, other) = tokio::join!(login(&service, code.clone()), login(&service, code));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    login(&service, json!({"recovery_code": ada.recovery_codes[1]}))
        .await
        .is(200);
    login(&service, json!({"recovery_code": "aaaa-aaaa-aaaa-aaaa"}))
        .await
        .is_problem(401, "invalid_totp_code");
    assert_eq!(
        ada.caller.get("/v1/me/totp").await.is(200)["recovery_codes_left"],
        8
    );
}

#[tokio::test]
async fn nothing_keeps_the_secret_or_the_codes_as_they_are() {
    let service = Service::start().await;
    let ada = enrolled(&service).await;
    let text = totp::secret_text(&ada.secret);
    for secret in ada
        .recovery_codes
        .iter()
        .map(String::as_str)
        .chain([text.as_str()])
    {
        assert_eq!(service.database.tables_with(secret), Vec::<String>::new());
    }
    let hex: String = ada.secret.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(service.database.tables_with(&hex), Vec::<String>::new());
}

#[tokio::test]
async fn codes_cannot_be_tried_without_end() {
    let service = Service::start_with(|settings| settings.login_failures = 4).await;
    let ada = enrolled(&service).await;
    for more in [json!({}), json!({"totp_code": "000000"})] {
        login(&service, more.clone()).await.is(401);
        // A login with the password alone forgets no failure.
        login(&service, more).await.is(401);
    }
    login(&service, json!({"totp_code": ada.next}))
        .await
        .is_problem(429, "too_many_requests");
}

#[tokio::test]
async fn codes_cannot_be_tried_from_many_networks_either() {
    let service = Service::start_with(|settings| {
        settings.login_failures = 4;
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    })
    .await;
    let ada = enrolled(&service).await;
    let from = async |network: u32, code: &str, password: &str| {
        let body = json!({"email": "ada@example.com", "password": password, "totp_code": code});
        let stranger = service.stranger();
        let stranger = stranger.with("x-forwarded-for", &format!("198.51.{network}.7"));
        stranger.post("/v1/auth/login", body).await
    };
    // Whoever does not know the password makes nobody wait.
    for network in 0..6 {
        from(network, "000000", "wrong")
            .await
            .is_problem(401, "invalid_credentials");
    }
    for network in 10..14 {
        from(network, "000000", PASSWORD)
            .await
            .is_problem(401, "invalid_totp_code");
    }
    from(20, &ada.next, PASSWORD)
        .await
        .is_problem(429, "too_many_requests");
}

#[tokio::test]
async fn it_is_disabled_with_password_and_code() {
    let service = Service::start().await;
    let ada = enrolled(&service).await;
    let disable = async |more: Value| ada.caller.post("/v1/me/totp/disable", more).await;
    disable(json!({"password": PASSWORD}))
        .await
        .is_problem(401, "totp_required");
    disable(json!({"password": "wrong password", "recovery_code": ada.recovery_codes[0]}))
        .await
        .is_problem(401, "invalid_credentials");
    ada.caller
        .post("/v1/me/totp", json!({"password": PASSWORD}))
        .await
        .is_problem(409, "already_exists");
    disable(json!({"password": PASSWORD, "recovery_code": ada.recovery_codes[0]}))
        .await
        .is(204);
    login(&service, json!({})).await.is(200);
    assert_eq!(
        ada.caller.get("/v1/me/totp").await.is(200),
        json!({"enabled": false, "recovery_codes_left": 0})
    );
    ada.caller
        .post("/v1/me/totp/confirm", json!({"code": "000000"}))
        .await
        .is_problem(409, "wrong_state");
    ada.caller
        .key(&["tenant:write"])
        .await
        .get("/v1/me/totp")
        .await
        .is_problem(403, "forbidden");
}

#[tokio::test]
async fn a_second_factor_of_whoever_never_had_the_address_goes_with_the_password() {
    let server = SmtpServer::start().await;
    let service = Service::start_with(|settings| settings.mailer = Some(server.mailer())).await;
    let reset = async || {
        let address = json!({"email": "ada@example.com"});
        service
            .stranger()
            .post("/v1/auth/password-reset", address)
            .await
            .is(202);
        let token = server
            .expect("ada@example.com", "Choose a new password")
            .await
            .token();
        let body = json!({"token": token, "password": PASSWORD});
        let confirm = "/v1/auth/password-reset/confirm";
        service.stranger().post(confirm, body).await.is(204);
        server
            .expect("ada@example.com", "Your password was changed")
            .await;
    };
    enrolled(&service).await;
    server
        .expect("ada@example.com", "Verify your e-mail address")
        .await;
    server
        .expect("ada@example.com", "Your account has a second factor")
        .await;
    login(&service, json!({})).await.is_problem(401, "totp_required");
    reset().await;
    let tokens = login(&service, json!({})).await.is(200);
    let ada = service.caller(tokens["access_token"].as_str().expect("a token"));

    // From then on it is the owner's, and a reset does not get past it.
    let enrolment = ada
        .post("/v1/me/totp", json!({"password": PASSWORD}))
        .await
        .is(201);
    let secret = decoded(enrolment["secret"].as_str().expect("a secret"));
    let code = totp::code_at(&secret, hookgate_domain::clock::now());
    ada.post("/v1/me/totp/confirm", json!({"code": code}))
        .await
        .is(200);
    server
        .expect("ada@example.com", "Your account has a second factor")
        .await;
    reset().await;
    login(&service, json!({})).await.is_problem(401, "totp_required");
}
