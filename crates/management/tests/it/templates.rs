//! Templates: one for each known sender, the same for everybody.

use hookgate_model::senders;
use serde_json::{Value, json};

use crate::service::Service;

#[tokio::test]
async fn every_known_sender_is_a_template() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    let listed = caller.get("/v1/templates").await.is(200);
    assert_eq!(listed["next_cursor"], Value::Null);
    let names: Vec<&str> = listed["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|template| template["name"].as_str().expect("a name"))
        .collect();
    let known: Vec<&str> = senders::all().iter().map(|preset| preset.name).collect();
    assert_eq!(names, known);
    for template in listed["data"].as_array().expect("a list") {
        let path = format!("/v1/templates/{}", template["name"].as_str().expect("a name"));
        assert_eq!(caller.get(&path).await.is(200), *template);
        assert_eq!(template["webhook"]["system"], template["name"]);
    }

    let payments = caller.get("/v1/templates?category=payments").await.is(200);
    let payments = payments["data"].as_array().expect("a list");
    assert!(payments.iter().any(|template| template["name"] == "stripe"));
    assert!(payments.iter().all(|template| template["category"] == "payments"));

    caller
        .get("/v1/templates/nobody")
        .await
        .is_problem(404, "not_found");
    caller
        .get("/v1/templates?category=magic")
        .await
        .is_problem(400, "invalid_request");
    service
        .stranger()
        .get("/v1/templates")
        .await
        .is_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_template_says_what_to_do() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    let slack = caller.get("/v1/templates/slack").await.is(200);
    assert_eq!(slack["kind"], "sender");
    assert_eq!(slack["handshake"], json!({"kind": "slack", "is_pairing": false}));
    assert_eq!(slack["secrets"]["origin"], "account");
    assert_eq!(slack["deadline"], "3 seconds");
    assert_eq!(slack["delivery_id_is_signed"], true);
    assert_eq!(
        slack["webhook"]["authentication"],
        json!({"kind": "sender", "sender": "slack", "secrets": ["sec_…"]})
    );
    let steps = slack["steps"].as_array().expect("steps");
    assert!(steps.len() >= 3, "{steps:?}");
}
