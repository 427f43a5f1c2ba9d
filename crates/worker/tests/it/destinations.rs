//! What is presented to destinations: headers, tokens, client certificates, and signatures through a rotation.

use chrono::{DateTime, TimeDelta};
use hookgate_domain::destinations::{self, DestinationSettings};
use hookgate_model::base_url::BaseUrl;
use hookgate_model::ids::DestinationId;
use hookgate_model::outbound_authentication::ClientCertificate;
use hookgate_model::outbound_signature::{SignatureVersion, SigningSecret};
use hookgate_testkit::Receiver;
use hookgate_testkit::fixtures::Webhook;
use hookgate_testkit::receiver::{Received, Reply};
use hookgate_testkit::tls::ClientIdentity;
use serde_json::{Value, json};

use crate::stage::{SECRET, Stage, http_step, master_key, settings};

fn calling(stage: &Stage, destination: DestinationId, changes: Value) -> Webhook {
    stage.webhook(json!({ "flow": { "steps": [http_step(destination, changes)] } }))
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_presented_and_take_the_place_of_a_steps() {
    let stage = Stage::new();
    let secret = stage.secret("open sesame").await;
    let worker = stage.worker(settings());
    for (authentication, name, value) in [
        (
            json!({"kind": "basic", "username": "Aladdin", "password": secret}),
            "authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (
            json!({"kind": "bearer", "token": secret}),
            "authorization",
            "Bearer open sesame",
        ),
        (
            json!({"kind": "api_key", "header": "x-key", "value": secret}),
            "x-key",
            "open sesame",
        ),
    ] {
        let receiver = Receiver::start().await;
        let destination = stage.destination_presented(&receiver.url(), authentication).await;
        let webhook = calling(&stage, destination, json!({ "headers": { name: "of the step" } }));
        let run = stage.run_of(stage.event(&webhook, json!({ "n": 1 }))).await;
        assert_eq!(run.outcome, "succeeded");
        assert_eq!(receiver.received()[0].header(name), Some(value));
    }
    worker.stop().await;
}

fn token(value: &str) -> Reply {
    Reply::json(
        200,
        &json!({"access_token": value, "token_type": "Bearer", "expires_in": 3600}),
    )
}

fn presented(received: &[Received]) -> Vec<&str> {
    received
        .iter()
        .filter_map(|request| request.header("authorization"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_fetched_once_and_anew_when_it_is_refused() {
    let (stage, login, receiver) = (Stage::new(), Receiver::start().await, Receiver::start().await);
    let secret = stage.secret("hush").await;
    let authentication = json!({"kind": "oauth2", "token_url": format!("{}/token", login.url()),
        "client_id": "hookgate", "client_secret": secret, "scope": "orders", "sent_in": "body"});
    let destination = stage.destination_presented(&receiver.url(), authentication).await;
    let webhook = calling(&stage, destination, json!({}));
    login.script([token("one"), token("two"), Reply::status(500), token("three")]);
    let worker = stage.worker(settings());
    for n in 1..=2 {
        stage.run_of(stage.event(&webhook, json!({ "n": n }))).await;
    }
    assert_eq!(presented(&receiver.received()), ["Bearer one", "Bearer one"]);
    let asked = login.received();
    assert_eq!(asked.len(), 1);
    let form = "grant_type=client_credentials&scope=orders&client_id=hookgate&client_secret=hush";
    assert_eq!(String::from_utf8_lossy(&asked[0].body), form);

    // Refused: the same attempt presents a new one.
    receiver.script([Reply::status(401)]);
    let event = stage.event(&webhook, json!({ "n": 3 }));
    assert_eq!(stage.run_of(event).await.outcome, "succeeded");
    assert_eq!(stage.attempts(event).len(), 1);
    assert_eq!(presented(&receiver.received())[2..], ["Bearer one", "Bearer two"]);

    // Refused again, and no new one to be had: a failed attempt, which is repeated.
    receiver.script([Reply::status(401)]);
    let event = stage.event(&webhook, json!({ "n": 4 }));
    assert_eq!(stage.run_of(event).await.outcome, "succeeded");
    let attempts = stage.attempts(event);
    let error = attempts[0].error.as_deref().expect("an error");
    assert!(error.contains("the token endpoint answered 500"), "{error}");
    assert_eq!(
        presented(&receiver.received())[4..],
        ["Bearer two", "Bearer three"]
    );

    // Refused twice in one attempt: that is the destination's answer.
    receiver.script([Reply::status(401), Reply::status(401)]);
    login.script([token("four")]);
    let run = stage.run_of(stage.event(&webhook, json!({ "n": 5 }))).await;
    assert_eq!(run.error.as_deref(), Some("crm: the destination answered 401"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_presented_and_changed_without_a_restart() {
    let (stage, right, wrong) = (
        Stage::new(),
        ClientIdentity::generate(),
        ClientIdentity::generate(),
    );
    let receiver = Receiver::start_mtls(&right).await;
    let base = BaseUrl::parse(&receiver.url()).expect("a base URL");
    let secret = stage.secret(&wrong.private_key).await;
    let mut chosen = DestinationSettings {
        client_certificate: Some(ClientCertificate {
            certificate: wrong.certificate.clone(),
            private_key: secret,
        }),
        ..DestinationSettings::new("mTLS", base)
    };
    let destination = stage.destination_with(chosen.clone()).await;
    let webhook = calling(&stage, destination, json!({ "retry": { "attempts": 1 } }));
    let egress = hookgate_egress::Settings {
        allowed_private_networks: vec![
            "127.0.0.0/8".parse().expect("a network"),
            "::1/128".parse().expect("one"),
        ],
        trusted_certificates: Some(receiver.certificate().to_owned()),
        ..Default::default()
    };
    let worker = stage.worker_with(settings(), &egress);
    let run = stage.run_of(stage.event(&webhook, json!({ "n": 1 }))).await;
    assert_eq!((run.outcome.as_str(), receiver.received().len()), ("failed", 0));

    chosen.client_certificate = Some(ClientCertificate {
        certificate: right.certificate.clone(),
        private_key: stage.secret(&right.private_key).await,
    });
    stage
        .manage(move |conn, scope| destinations::update(conn, scope, destination, &chosen))
        .await;
    let run = stage.run_of(stage.event(&webhook, json!({ "n": 2 }))).await;
    assert_eq!(run.outcome, "succeeded", "{:?}", run.error);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_during_the_grace_period_of_a_rotation() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage.destination(&receiver.url()).await;
    let webhook = calling(&stage, destination, json!({}));
    let worker = stage.worker(settings());
    let old = SigningSecret::parse(SECRET).expect("a secret");
    let new = SigningSecret::generate(SignatureVersion::V1a, &[7; 32]).expect("a secret");
    let mut secrets: Vec<Vec<&SigningSecret>> = vec![vec![&old]];
    stage.run_of(stage.event(&webhook, json!({ "n": 1 }))).await;
    for (grace, signs) in [(60, vec![&new, &old]), (-1, vec![&new])] {
        let rotated = new.clone();
        let until = Some(hookgate_domain::clock::now() + TimeDelta::seconds(grace));
        stage
            .manage(move |conn, scope| {
                let key = master_key();
                destinations::replace_signing_secret(conn, scope, &key, destination, Some(&rotated), until)
            })
            .await;
        stage.run_of(stage.event(&webhook, json!({ "n": 2 }))).await;
        secrets.push(signs);
    }
    for (request, secrets) in receiver.received().iter().zip(secrets) {
        let id = request.header("webhook-id").expect("an id");
        let seconds = request.header("webhook-timestamp").expect("a time");
        let time = DateTime::from_timestamp(seconds.parse().expect("seconds"), 0).expect("a time");
        let expected: Vec<_> = secrets
            .iter()
            .map(|secret| secret.sign(id, time, &request.body))
            .collect();
        assert_eq!(
            request.header("webhook-signature"),
            Some(expected.join(" ").as_str())
        );
    }
    worker.stop().await;
}
