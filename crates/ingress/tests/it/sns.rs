//! Amazon SNS asks for a subscription to be confirmed at a URL of its own, over https on the port that belongs to it.

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use hookgate_ingress::Settings;
use hookgate_testkit::fixtures::NewWebhook;
use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{NameServer, Receiver, TestDatabase};
use serde_json::{Value, json};

use crate::harness::Harness;

const HOST: &str = "sns.eu-central-1.amazonaws.com";
const VECTORS: &str = include_str!("../../../model/src/senders/tests/vectors.json");

/// A request of SNS that its certificate signs.
fn confirmation() -> Value {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).expect("vectors");
    let named = |vector: &Value| vector["name"] == "sns confirmation";
    vectors.into_iter().find(named).expect("the confirmation")
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_confirmed_at_its_own_url() {
    // Others may run this at the same time, and all need port 443.
    let [a, b, ..] = std::process::id().to_le_bytes();
    let address = Ipv4Addr::new(127, 44, b, a);
    let amazon = match Receiver::start_as(HOST, (address, 443).into()).await {
        Err(denied) if denied.kind() == ErrorKind::PermissionDenied => {
            eprintln!("not tested: this user may not listen on port 443");
            return;
        }
        started => started.expect("port 443"),
    };
    let names = NameServer::start(vec![vec![address]]).await;
    let egress = hookgate_egress::Settings {
        allowed_private_networks: vec!["127.0.0.0/8".parse().expect("a network")],
        name_servers: vec![names.address()],
        trusted_certificates: Some(amazon.certificate().to_owned()),
    };
    let database = TestDatabase::create();
    let redis = database.redis();
    let mut harness = Harness::calling(database, Settings::default(), redis, egress).await;
    let sent = confirmation();
    let topic = harness.secret(sent["secret"].as_str().expect("a topic"));
    let webhook = harness.webhook(NewWebhook {
        authentication: json!({ "kind": "sender", "sender": "sns", "secrets": [topic] }),
        ..NewWebhook::default()
    });
    let send = async |body: String| {
        let request = harness
            .post(&webhook.production)
            .header("x-amz-sns-message-type", "SubscriptionConfirmation")
            .header("content-type", "text/plain; charset=UTF-8")
            .body(body);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    };
    let certificates = sent["certificates"].as_object().expect("certificates");
    let certificate = text(&certificates[&format!("https://{HOST}/SimpleNotificationService-01.pem")]);
    amazon.script([Reply::status(200).with_body(certificate), Reply::status(200)]);
    assert_eq!(send(text(&sent["body"])).await, (200, String::new()));
    let asked: Vec<String> = amazon
        .received()
        .iter()
        .map(|request| format!("{} {}", request.method, request.target))
        .collect();
    let url = "/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-central-1:123456789012:orders&Token=2336";
    assert_eq!(
        asked,
        [
            "GET /SimpleNotificationService-01.pem".to_owned(),
            format!("GET {url}")
        ]
    );

    // SNS asks again when it was not confirmed; what it did not sign asks for nothing.
    amazon.script([Reply::status(403)]);
    let (status, problem) = send(text(&sent["body"])).await;
    assert_eq!(status, 503);
    assert!(problem.contains("subscription_not_confirmed"), "{problem}");
    let forged = text(&sent["body"]).replace("Token=2336", "Token=2337");
    assert_eq!(send(forged).await.0, 401);
    assert_eq!(amazon.received().len(), 3);
    harness.stop().await;
    assert!(harness.events(&webhook).is_empty());
    let refusals = harness.refusals(&webhook);
    let told = |detail: &str| refusals.iter().any(|refusal| refusal.detail.contains(detail));
    assert!(told("it answers 403"));
}
