//! Passwords that are changed, and those that were forgotten.

use serde_json::{Value, json};

use crate::service::{Answer, Caller, PASSWORD, Service};
use crate::smtp::SmtpServer;

const NEXT: &str = "four other plain words";

async fn with_mail(server: &SmtpServer) -> Service {
    Service::start_with(|settings| settings.mailer = Some(server.mailer())).await
}

async fn login(service: &Service, password: &str) -> Answer {
    let body = json!({"email": "ada@example.com", "password": password});
    service.stranger().post("/v1/auth/login", body).await
}

async fn caller(service: &Service) -> Caller {
    let tokens = login(service, PASSWORD).await.is(200);
    service.caller(tokens["access_token"].as_str().expect("a token"))
}

async fn confirm(service: &Service, token: &str) -> Answer {
    let body = json!({"token": token, "password": NEXT});
    service
        .stranger()
        .post("/v1/auth/password-reset/confirm", body)
        .await
}

async fn forget(service: &Service, email: &str) -> Answer {
    service
        .stranger()
        .post("/v1/auth/password-reset", json!({"email": email}))
        .await
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_with_the_token_of_a_mail() {
    let server = SmtpServer::start().await;
    let service = with_mail(&server).await;
    let ada = service.register("ada@example.com").await;
    server.mail().await;
    assert_eq!(forget(&service, "Ada@example.com").await.is(202), Value::Null);
    let mail = server.mail().await;
    assert_eq!(mail.recipient, "ada@example.com");
    let token = mail.token();
    assert!(token.starts_with("hgp_"));
    assert_eq!(service.database.tables_with(&token), Vec::<String>::new());
    // Until then all goes on as before.
    ada.get("/v1/me").await.is(200);
    let short = json!({"token": token, "password": "short"});
    service
        .stranger()
        .post("/v1/auth/password-reset/confirm", short)
        .await
        .is_invalid(&[("/password", "too_short")]);

    let (one, other) = tokio::join!(confirm(&service, &token), confirm(&service, &token));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 401], "a token works once");
    confirm(&service, &token).await.is_problem(401, "invalid_token");
    ada.get("/v1/me").await.is_problem(401, "unauthenticated");
    login(&service, PASSWORD)
        .await
        .is_problem(401, "invalid_credentials");
    let tokens = login(&service, NEXT).await.is(200);
    let me = service.caller(tokens["access_token"].as_str().expect("a token"));
    assert_eq!(me.get("/v1/me").await.is(200)["user"]["email_verified"], true);
}

#[tokio::test]
async fn nobody_learns_which_addresses_have_an_account() {
    let server = SmtpServer::start().await;
    let service = with_mail(&server).await;
    service.register("ada@example.com").await;
    server.mail().await;
    let unknown = forget(&service, "eve@example.com").await;
    let known = forget(&service, "ada@example.com").await;
    assert_eq!((unknown.status, &unknown.text), (known.status, &known.text));
    // The one that is unknown came first, and gets none.
    assert_eq!(server.mail().await.recipient, "ada@example.com");
    assert!(server.is_empty().await);
}

#[tokio::test]
async fn a_token_ends_with_its_hour_and_with_another_password() {
    let server = SmtpServer::start().await;
    let service = with_mail(&server).await;
    let ada = service.register("ada@example.com").await;
    server.mail().await;
    forget(&service, "ada@example.com").await.is(202);
    let first = server.mail().await.token();
    let hours = service.database.query_text(
        "SELECT round(extract(epoch FROM expires_at - created_at) / 60)::text FROM mailed_tokens WHERE purpose = 'reset_password'",
    );
    assert_eq!(hours, ["60"]);
    service
        .database
        .execute("UPDATE mailed_tokens SET expires_at = now()");
    confirm(&service, &first).await.is_problem(401, "invalid_token");
    forget(&service, "ada@example.com").await.is(202);
    let second = server.mail().await.token();
    let change = json!({"current_password": PASSWORD, "password": NEXT});
    ada.post("/v1/me/password", change).await.is(204);
    confirm(&service, &second).await.is_problem(401, "invalid_token");
    confirm(&service, "hgp_unknown")
        .await
        .is_problem(401, "invalid_token");
    // A token for something else is none.
    let body = json!({"token": second});
    service
        .stranger()
        .post("/v1/auth/verify-email", body)
        .await
        .is_problem(401, "invalid_token");
}

#[tokio::test]
async fn mails_are_not_sent_without_end() {
    let server = SmtpServer::start().await;
    let service = Service::start_with(|settings| {
        settings.mailer = Some(server.mailer());
        settings.mails_per_recipient = 2;
        settings.mails_per_network = 5;
    })
    .await;
    for email in ["ada@example.com", "ada@example.com"] {
        forget(&service, email).await.is(202);
    }
    let refused = forget(&service, "ada@example.com").await;
    refused.is_problem(429, "too_many_requests");
    assert!(!refused.header("retry-after").is_empty());
    // Mails of another kind are counted apart: a stranger who asks for these keeps nobody from those.
    service
        .stranger()
        .post("/v1/auth/email-verification", json!({"email": "ada@example.com"}))
        .await
        .is(202);
    forget(&service, "eve@example.com").await.is(202);
    forget(&service, "joe@example.com")
        .await
        .is_problem(429, "too_many_requests");
}

#[tokio::test]
async fn without_mail_it_says_so() {
    let service = Service::start().await;
    service.register("ada@example.com").await;
    forget(&service, "ada@example.com")
        .await
        .is_problem(503, "mail_unavailable");
}

#[tokio::test]
async fn changing_a_password_takes_the_old_one_and_ends_other_logins() {
    let service = Service::start_with(|settings| settings.login_failures = 3).await;
    let ada = service.register("ada@example.com").await;
    let elsewhere = caller(&service).await;
    let change = async |current: &str| {
        let body = json!({"current_password": current, "password": NEXT});
        ada.post("/v1/me/password", body).await
    };
    change("wrong password")
        .await
        .is_problem(401, "invalid_credentials");
    elsewhere.get("/v1/me").await.is(200);
    change(PASSWORD).await.is(204);
    ada.get("/v1/me").await.is(200);
    elsewhere.get("/v1/me").await.is_problem(401, "unauthenticated");
    login(&service, PASSWORD)
        .await
        .is_problem(401, "invalid_credentials");
    login(&service, NEXT).await.is(200);
    // Whoever has got hold of a login guesses no further than at the door.
    for _ in 0..3 {
        change(PASSWORD).await.is_problem(401, "invalid_credentials");
    }
    change(NEXT).await.is_problem(429, "too_many_requests");
    ada.key(&["tenant:write"])
        .await
        .post(
            "/v1/me/password",
            json!({"current_password": NEXT, "password": PASSWORD}),
        )
        .await
        .is_problem(403, "forbidden");
}

#[tokio::test]
async fn passwords_are_not_kept_for_repeated_requests() {
    let service = Service::start().await;
    let ada = service
        .register("ada@example.com")
        .await
        .with("idempotency-key", "one");
    let body = json!({"current_password": PASSWORD, "password": NEXT});
    ada.post("/v1/me/password", body.clone()).await.is(204);
    ada.post("/v1/me/password", body)
        .await
        .is_problem(401, "invalid_credentials");
    let kept = service.database.query_text("SELECT key FROM idempotency_keys");
    assert_eq!(kept, Vec::<String>::new());
}
