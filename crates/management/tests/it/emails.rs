//! Addresses that people show to be theirs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hookgate_testkit::eventually;
use serde_json::{Value, json};

use crate::service::{Answer, Caller, PASSWORD, Service};
use crate::smtp::SmtpServer;

const VERIFY: &str = "Verify your e-mail address";
const ASKED: &str = "Another e-mail address for your account";

async fn with_mail(server: &SmtpServer) -> Service {
    Service::start_with(|settings| settings.mailer = Some(server.mailer())).await
}

async fn verify(service: &Service, token: &str) -> Answer {
    service
        .stranger()
        .post("/v1/auth/verify-email", json!({"token": token}))
        .await
}

async fn resend(service: &Service, email: &str) -> Answer {
    service
        .stranger()
        .post("/v1/auth/email-verification", json!({"email": email}))
        .await
}

async fn is_verified(caller: &Caller) -> Value {
    caller.get("/v1/me").await.is(200)["user"]["email_verified"].clone()
}

#[tokio::test]
async fn registering_sends_a_token_that_verifies_the_address() {
    let server = SmtpServer::start().await;
    let service = with_mail(&server).await;
    let ada = service.register("ada@example.com").await;
    let first = server.mail().await;
    assert_eq!(first.recipient, "ada@example.com");
    assert!(
        first.text.contains("Subject: Verify your e-mail address"),
        "{}",
        first.text
    );
    assert_eq!(is_verified(&ada).await, false);
    resend(&service, "ada@example.com").await.is(202);
    let second = server.mail().await;
    // Either mail may be the one that is opened.
    verify(&service, &first.token()).await.is(204);
    assert_eq!(is_verified(&ada).await, true);
    verify(&service, &second.token())
        .await
        .is_problem(401, "invalid_token");
    // There is nothing to verify any more, nor for an address without an account.
    for email in ["ada@example.com", "eve@example.com"] {
        resend(&service, email).await.is(202);
    }
    let eve = service.register("eve2@example.com").await;
    assert_eq!(server.mail().await.recipient, "eve2@example.com");
    assert!(server.is_empty().await);
    assert_eq!(is_verified(&eve).await, false);
}

#[tokio::test]
async fn where_it_is_demanded_nobody_logs_in_before() {
    let server = SmtpServer::start().await;
    let service = Service::start_with(|settings| {
        settings.mailer = Some(server.mailer());
        settings.require_verified_email = true;
    })
    .await;
    let account = service.register_account("ada@example.com").await;
    assert_eq!(account["tokens"], Value::Null);
    let login = async |password: &str| {
        let body = json!({"email": "ada@example.com", "password": password});
        service.stranger().post("/v1/auth/login", body).await
    };
    login(PASSWORD).await.is_problem(403, "email_not_verified");
    // Whoever does not know the password learns nothing of it.
    login("wrong password")
        .await
        .is_problem(401, "invalid_credentials");
    verify(&service, &server.mail().await.token()).await.is(204);
    let tokens = login(PASSWORD).await.is(200);
    let ada = service.caller(tokens["access_token"].as_str().expect("a token"));

    // An invitation that was mailed shows the same.
    let invitation = json!({"email": "grace@example.com", "role": "editor"});
    ada.post("/v1/invitations", invitation).await.is(201);
    let body = json!({"token": server.mail().await.token(), "password": PASSWORD, "name": "Grace"});
    let grace = service
        .stranger()
        .post("/v1/auth/accept-invitation", body)
        .await
        .is(201);
    assert_eq!(grace["user"]["email_verified"], true);
    assert!(grace["tokens"]["access_token"].is_string());
}

#[tokio::test]
async fn an_address_is_changed_when_the_new_one_is_verified() {
    let server = SmtpServer::start().await;
    let service = with_mail(&server).await;
    let ada = service.register("ada@example.com").await;
    let eve = service.register("eve@example.com").await;
    for _ in 0..2 {
        server.mail().await;
    }
    let change = async |caller: &Caller, email: &str, password: &str| {
        caller
            .post("/v1/me/email", json!({"email": email, "password": password}))
            .await
    };
    change(&ada, "lovelace@example.com", "wrong password")
        .await
        .is_problem(401, "invalid_credentials");
    // A taken one looks the same to whoever asks, and its owner hears nothing.
    change(&ada, "eve@example.com", PASSWORD).await.is(202);
    change(&ada, "lovelace@example.com", PASSWORD).await.is(202);
    let told = server.expect("ada@example.com", ASKED).await;
    assert!(told.text.contains("eve@example.com"), "{}", told.text);
    let mail = server.expect("lovelace@example.com", VERIFY).await;
    server.expect("ada@example.com", ASKED).await;
    change(&eve, "lovelace@example.com", PASSWORD).await.is(202);
    let late = server.expect("lovelace@example.com", VERIFY).await;
    server.expect("eve@example.com", ASKED).await;

    let reset = json!({"email": "ada@example.com"});
    service
        .stranger()
        .post("/v1/auth/password-reset", reset)
        .await
        .is(202);
    let reset = server.mail().await.token();
    assert_eq!(
        ada.get("/v1/me").await.is(200)["user"]["email"],
        "ada@example.com"
    );
    verify(&service, &mail.token()).await.is(204);
    let told = server
        .expect("ada@example.com", "Your e-mail address was changed")
        .await;
    assert!(told.text.contains("lovelace@example.com"), "{}", told.text);
    let user = ada.get("/v1/me").await.is(200)["user"].clone();
    assert_eq!(
        (&user["email"], &user["email_verified"]),
        (&json!("lovelace@example.com"), &json!(true))
    );
    // Who came too late, and what went to the old address.
    verify(&service, &late.token())
        .await
        .is_problem(409, "email_taken");
    let body = json!({"token": reset, "password": PASSWORD});
    service
        .stranger()
        .post("/v1/auth/password-reset/confirm", body)
        .await
        .is_problem(401, "invalid_token");
    assert_eq!(
        eve.get("/v1/me").await.is(200)["user"]["email"],
        "eve@example.com"
    );
}

#[tokio::test]
async fn a_change_of_address_that_waits_ends_with_the_password() {
    let server = SmtpServer::start().await;
    let service = with_mail(&server).await;
    let ada = service.register("ada@example.com").await;
    server.mail().await;
    // The mail to the new address is refused at first, so that it waits.
    server.refusing.store(1, Ordering::SeqCst);
    let change = json!({"email": "eve@example.com", "password": PASSWORD});
    ada.post("/v1/me/email", change).await.is(202);
    server.expect("ada@example.com", ASKED).await;
    let next = json!({"current_password": PASSWORD, "password": "four other plain words"});
    ada.post("/v1/me/password", next).await.is(204);
    server
        .expect("ada@example.com", "Your password was changed")
        .await;
    service.database.execute("UPDATE mails SET due_at = now()");
    eventually(Duration::from_secs(20), "the outbox is empty", async || {
        let left = service.database.query_text("SELECT count(*)::text FROM mails");
        (left == ["0"]).then_some(())
    })
    .await;
    assert!(server.is_empty().await, "the change is forgotten");
}
