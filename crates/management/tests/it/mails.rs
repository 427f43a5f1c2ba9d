//! Mails: they tell of what was committed, arrive although a server refuses them for a while, and nothing keeps their tokens.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hookgate_management::mail::Mailer;
use hookgate_testkit::eventually;
use serde_json::{Value, json};

use crate::service::{Caller, PASSWORD, Service};
use crate::smtp::SmtpServer;

async fn with_mail(server: &SmtpServer) -> Service {
    Service::start_with(|settings| settings.mailer = Some(server.mailer())).await
}

/// Somebody who owns a tenant, and whose own mail has come.
async fn owner(service: &Service, server: &SmtpServer) -> Caller {
    let owner = service.register("ada@example.com").await;
    assert_eq!(server.mail().await.recipient, "ada@example.com");
    owner
}

async fn register(service: &Service, token: &str) -> Value {
    let body = json!({"token": token, "password": PASSWORD, "name": "Grace"});
    let answer = service.stranger().post("/v1/auth/accept-invitation", body).await;
    answer.is(201)
}

#[tokio::test]
async fn an_address_gets_no_more_invitations_by_sending_them_again() {
    let server = SmtpServer::start().await;
    let service = Service::start_with(|settings| {
        settings.mailer = Some(server.mailer());
        settings.mails_per_recipient = 3;
    })
    .await;
    let owner = service.register("ada@example.com").await;
    let invite = json!({"email": "Grace@example.com", "role": "editor"});
    let made = owner.post("/v1/invitations", invite.clone()).await.is(201);
    let path = format!("/v1/invitations/{}", made["id"].as_str().expect("an id"));
    let again = format!("{path}/resend");
    owner.post(&again, json!({})).await.is(200);
    owner.delete(&path).await.is(204);
    let made = owner.post("/v1/invitations", invite).await.is(201);
    let again = format!("/v1/invitations/{}/resend", made["id"].as_str().expect("an id"));
    owner
        .post(&again, json!({}))
        .await
        .is_problem(429, "too_many_requests");
}

#[tokio::test]
async fn an_invitation_is_mailed_to_its_address_alone() {
    let server = SmtpServer::start().await;
    let service = with_mail(&server).await;
    let owner = owner(&service, &server).await;
    let invitation = json!({"email": "grace@example.com", "role": "editor"});
    let made = owner.post("/v1/invitations", invitation).await.is(201);
    // Whoever invites does not learn the token: that it is accepted shows that the mail was read.
    assert_eq!((&made["token"], &made["link"]), (&Value::Null, &Value::Null));
    let mail = server.mail().await;
    assert_eq!(mail.recipient, "grace@example.com");
    for part in [
        "From: Hookgate <hookgate@example.com>",
        "To: grace@example.com",
        "Subject: Ada invites you to Engines",
        "Auto-Submitted: auto-generated",
        "Content-Type: text/plain; charset=utf-8",
        "/v1/auth/accept-invitation",
    ] {
        assert!(mail.text.contains(part), "{part}: {}", mail.text);
    }
    let token = mail.token();
    eventually(
        std::time::Duration::from_secs(10),
        "the outbox is empty",
        async || {
            let left = service.database.query_text("SELECT count(*)::text FROM mails");
            (left == ["0"]).then_some(())
        },
    )
    .await;
    assert_eq!(service.database.tables_with(&token), Vec::<String>::new());
    register(&service, &token).await;
}

#[tokio::test]
async fn a_link_leads_to_the_application_when_there_is_one() {
    let server = SmtpServer::start().await;
    let service = Service::start_with(|settings| {
        settings.mailer = Some(server.mailer());
        settings.app_url = Some("https://app.example.com/hooks".parse().expect("a URL"));
    })
    .await;
    let owner = owner(&service, &server).await;
    let invitation = json!({"email": "grace@example.com", "role": "editor"});
    owner.post("/v1/invitations", invitation).await.is(201);
    let mail = server.mail().await;
    let link = format!(
        "https://app.example.com/hooks/accept-invitation#token={}",
        mail.token()
    );
    assert!(mail.text.contains(&link), "{}", mail.text);
}

#[tokio::test]
async fn without_mail_whoever_invites_passes_the_link_on() {
    let service = Service::start_with(|settings| {
        settings.app_url = Some("https://app.example.com".parse().expect("a URL"));
    })
    .await;
    let owner = service.register("ada@example.com").await;
    let invitation = json!({"email": "grace@example.com", "role": "editor"});
    let made = owner.post("/v1/invitations", invitation).await.is(201);
    let token = made["token"].as_str().expect("a token");
    assert_eq!(
        made["link"],
        format!("https://app.example.com/accept-invitation#token={token}")
    );
    register(&service, token).await;
}

#[tokio::test]
async fn a_mail_that_is_refused_is_tried_again() {
    let server = SmtpServer::start().await;
    let service = with_mail(&server).await;
    let owner = owner(&service, &server).await;
    server.refusing.store(2, Ordering::SeqCst);
    let invitation = json!({"email": "grace@example.com", "role": "editor"});
    owner.post("/v1/invitations", invitation).await.is(201);
    for attempts in ["1", "2"] {
        eventually(std::time::Duration::from_secs(20), "it was tried", async || {
            let tried = service
                .database
                .query_text("SELECT attempts::text FROM mails WHERE due_at > now()");
            (tried == [attempts]).then_some(())
        })
        .await;
        assert!(server.is_empty().await);
        service.database.execute("UPDATE mails SET due_at = now()");
    }
    let mail = server.mail().await;
    register(&service, &mail.token()).await;
}

#[tokio::test]
async fn a_mail_that_cannot_be_sent_is_given_up() {
    let server = SmtpServer::start().await;
    let service = with_mail(&server).await;
    let owner = owner(&service, &server).await;
    server.refusing.store(1_000, Ordering::SeqCst);
    let invitation = json!({"email": "grace@example.com", "role": "editor"});
    owner.post("/v1/invitations", invitation).await.is(201);
    eventually(std::time::Duration::from_secs(30), "it is given up", async || {
        service
            .database
            .execute("UPDATE mails SET due_at = now(), attempts = greatest(attempts, 10)");
        let left = service.database.query_text("SELECT count(*)::text FROM mails");
        (left == ["0"]).then_some(())
    })
    .await;
    assert!(server.is_empty().await);
}

#[tokio::test]
async fn what_is_rolled_back_is_not_mailed() {
    let server = SmtpServer::start().await;
    let service = Service::start_with(|settings| {
        settings.mailer = Some(server.mailer());
        settings.invitations_per_tenant = 1;
    })
    .await;
    let owner = owner(&service, &server).await;
    let invite = async |email: &str| {
        let invitation = json!({"email": email, "role": "editor"});
        owner.post("/v1/invitations", invitation).await
    };
    invite("grace@example.com").await.is(201);
    invite("eve@example.com").await.is_problem(409, "limit_reached");
    assert_eq!(server.mail().await.recipient, "grace@example.com");
    assert!(server.is_empty().await);
}

#[tokio::test]
async fn in_development_a_mail_is_a_file() {
    let folder = tempfile::tempdir().expect("a directory");
    let mails = folder.path().join("mails");
    let mailer = Mailer::folder(mails.clone(), "hookgate@example.com", Arc::default()).expect("a mailer");
    let service = Service::start_with(|settings| settings.mailer = Some(mailer)).await;
    let owner = service.register("ada@example.com").await;
    let invitation = json!({"email": "grace@example.com", "role": "editor"});
    owner.post("/v1/invitations", invitation).await.is(201);
    let file = eventually(std::time::Duration::from_secs(20), "the file", async || {
        let is_invitation =
            |file: &PathBuf| std::fs::read_to_string(file).is_ok_and(|text| text.contains("hgi_"));
        let mut files = std::fs::read_dir(&mails).ok()?.flatten().map(|file| file.path());
        files.find(is_invitation)
    })
    .await;
    assert_eq!(file.extension().and_then(|end| end.to_str()), Some("eml"));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        file.metadata().expect("a file").permissions().mode() & 0o777,
        0o600
    );
}
