//! Templates: one for each known sender, and whole webhooks; the same for everybody.

use hookgate_model::{senders, webhook_templates};
use serde_json::{Value, json};

use crate::service::{Caller, Service};

#[tokio::test]
async fn templates_are_listed_by_name() {
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
    let senders = senders::all().iter().map(|preset| preset.name);
    let webhooks = webhook_templates::all().iter().map(|template| template.name);
    let mut known: Vec<&str> = senders.chain(webhooks).collect();
    known.sort_unstable();
    assert_eq!(names, known);
    for template in listed["data"].as_array().expect("a list") {
        let path = format!("/v1/templates/{}", template["name"].as_str().expect("a name"));
        assert_eq!(caller.get(&path).await.is(200), *template);
        if template["kind"] == "sender" {
            assert_eq!(template["webhook"]["system"], template["name"]);
        }
    }
    let webhooks = caller
        .get("/v1/templates?kind=webhook&category=messaging")
        .await
        .is(200);
    let names: Vec<&Value> = webhooks["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|template| &template["name"])
        .collect();
    assert_eq!(names, ["agent-message", "slack-command"]);

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

/// Makes what a template's parameters name, and gives the body that makes its webhook.
async fn body_of(caller: &Caller, name: &str) -> Value {
    let template = caller.get(&format!("/v1/templates/{name}")).await.is(200);
    let mut body = template["webhook"].clone();
    for parameter in template["parameters"].as_array().expect("parameters") {
        let parameter_name = parameter["name"].as_str().expect("a name");
        let unique = format!("{name} {parameter_name}");
        let value = match parameter["kind"].as_str().expect("a kind") {
            "destination" => {
                let new = json!({"name": unique, "base_url": "https://example.com"});
                caller.post("/v1/destinations", new).await.is(201)["id"].clone()
            }
            "secret" => {
                let new = json!({"name": unique, "generate": "hex"});
                caller.post("/v1/secrets", new).await.is(201)["id"].clone()
            }
            "collection" => {
                let new = json!({"name": parameter["example"]});
                caller.post("/v1/collections", new).await.is(201)["name"].clone()
            }
            _ => continue,
        };
        body["template"]["parameters"][parameter_name] = value;
    }
    body
}

#[tokio::test]
async fn every_template_makes_a_published_webhook_and_its_request_runs() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    for template in webhook_templates::all() {
        let name = template.name;
        let made = caller
            .post("/v1/webhooks", body_of(&caller, name).await)
            .await
            .is(201);
        let id = made["id"].as_str().expect("an id");
        assert_eq!(made["published_revision_id"], made["draft_revision_id"], "{name}");
        let draft = caller.get(&format!("/v1/webhooks/{id}/draft")).await.is(200);
        assert!(!draft.to_string().contains("${"), "{draft}");
        let simulated = caller
            .post(
                &format!("/v1/webhooks/{id}/simulate"),
                json!({"request": template.request}),
            )
            .await
            .is(200);
        assert_eq!(simulated["outcome"], "succeeded", "{name}: {simulated}");
        if name == "agent-message" {
            let reply = &simulated["steps"][2]["calls"][0];
            assert_eq!(
                (&reply["method"], &reply["url"]),
                (&json!("POST"), &json!("https://example.com/"))
            );
            let body = reply["body"].as_str().expect("text");
            assert!(body.contains(r#""source":"bot""#), "{body}");
        }
    }
    let verified = caller.get("/v1/webhooks?q=github").await.is(200)["data"][0].clone();
    assert_eq!(verified["system"], "github");
    assert!(
        verified["deduplication"].is_object(),
        "as for every webhook of a sender with delivery ids: {verified}"
    );
}

#[tokio::test]
async fn what_the_body_says_goes_before_the_template() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    let mut body = body_of(&caller, "github-events").await;
    for (name, value) in [
        ("name", json!("Issues")),
        ("suffix", json!("issues")),
        ("deduplication", Value::Null),
        ("authentication", json!({"kind": "api_key"})),
    ] {
        body[name] = value;
    }
    let made = caller.post("/v1/webhooks", body).await.is(201);
    assert_eq!(
        (&made["name"], &made["suffix"]),
        (&json!("Issues"), &json!("issues"))
    );
    assert_eq!(made["authentication"]["kind"], "api_key");
    assert_eq!(made["deduplication"], Value::Null);
    assert_eq!(made["system"], "github", "of this the body says nothing");
}

#[tokio::test]
async fn what_a_template_lacks_is_told_where_it_is_missing() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    let stranger = service.register("eve@example.com").await;
    let create = async |template: Value| {
        let body = json!({"name": "a", "template": template});
        caller.post("/v1/webhooks", body).await
    };
    let unknown = create(json!({"name": "teleport"})).await;
    unknown.is_invalid(&[("/template/name", "not_found")]);
    assert!(
        unknown.text.contains("GET /v1/templates?kind=webhook"),
        "{}",
        unknown.text
    );
    let sender = create(json!({"name": "stripe"})).await;
    sender.is_invalid(&[("/template/name", "not_found")]);
    assert!(
        sender.text.contains("GET /v1/templates/stripe"),
        "{}",
        sender.text
    );

    let parameters = json!({"destination": "https://example.com", "colour": "red"});
    let wrong = create(json!({"name": "slack-command", "parameters": parameters, "version": 1})).await;
    wrong.is_invalid(&[
        ("/template/parameters/secret", "required"),
        ("/template/parameters/destination", "invalid"),
        ("/template/parameters/colour", "invalid"),
        ("/template/version", "unknown"),
    ]);
    assert!(
        wrong.text.contains("Signing Secret"),
        "it says where to find it: {}",
        wrong.text
    );

    // What another tenant has is not there.
    let theirs = body_of(&stranger, "github-events").await["template"].clone();
    create(theirs).await.is_invalid(&[
        ("/template/parameters/secret", "not_found"),
        ("/template/parameters/destination", "not_found"),
    ]);
    let form = json!({"collection": "messages", "thanks": "Thank you, {{ body. }}"});
    create(json!({"name": "form-to-collection", "parameters": form}))
        .await
        .is_invalid(&[
            ("/template/parameters/collection", "not_found"),
            ("/template/parameters/thanks", "invalid_template"),
        ]);
    let listed = caller.get("/v1/webhooks").await.is(200);
    assert_eq!(listed["data"], json!([]), "nothing was made");
}
