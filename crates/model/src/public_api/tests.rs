use serde_json::{Value, json};

use super::*;
use crate::webhook::Status;

fn webhook(authentication: Value, revision: Value) -> LiveWebhook {
    LiveWebhook {
        name: "Orders from the shop".into(),
        status: Status::Active,
        methods: MethodSet::parse(&["POST", "GET"]).expect("methods"),
        authentication: serde_json::from_value(authentication).expect("an authentication"),
        has_allowlist: false,
        body_limit_bytes: 1 << 20,
        revision: serde_json::from_value(revision).expect("a revision"),
        urls: vec![LiveUrl {
            id: UrlId::new(DateTime::UNIX_EPOCH, [7; 8]),
            name: "production".into(),
            path: "/5x3k/orders/{order_id}".into(),
            suffix: UrlSuffix::parse("orders/{order_id}").expect("a suffix"),
            expires_at: None,
        }],
        destinations: BTreeMap::new(),
    }
}

fn told(webhooks: Vec<LiveWebhook>) -> Value {
    document(&PublicApi {
        title: "Ada's webhooks".into(),
        server: "https://hooks.example.com/".into(),
        changed_at: DateTime::UNIX_EPOCH,
        webhooks,
        is_cut: false,
    })
}

const PATH: &str = "/5x3k/orders/{order_id}";

fn statuses(operation: &Value) -> Vec<&str> {
    operation["responses"]
        .as_object()
        .expect("responses")
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn the_structure_becomes_parameters_and_a_body() {
    let document = told(vec![webhook(
        json!({ "kind": "api_key" }),
        json!({ "expected_data": { "mode": "enforce",
            "path": [{ "path": "order_id", "type": "integer" }],
            "query": [{ "path": "shop", "type": "string", "required": true, "example": "north" }],
            "headers": [{ "path": "x-api-key", "required": true }, { "path": "x-shop", "type": "string" }],
            "body": [{ "path": "order.id", "type": "integer", "required": true, "example": 42 }] } }),
    )]);
    assert_eq!(document["servers"][0]["url"], "https://hooks.example.com");
    let post = &document["paths"][PATH]["post"];
    assert_eq!(post["operationId"], "postOrdersFromTheShop");
    assert_eq!(
        post["parameters"],
        json!([
            { "name": "order_id", "in": "path", "required": true, "schema": { "type": "integer" } },
            { "name": "shop", "in": "query", "required": true, "schema": { "type": "string", "examples": ["north"] } },
            { "name": "x-shop", "in": "header", "required": false, "schema": { "type": "string" } },
        ])
    );
    let content = &post["requestBody"]["content"]["application/json"];
    assert_eq!(post["requestBody"]["required"], true);
    assert_eq!(
        content["schema"]["properties"]["order"]["properties"]["id"]["type"],
        "integer"
    );
    assert_eq!(
        content["examples"]["request"]["value"],
        json!({ "order": { "id": 42 } })
    );
    assert_eq!(
        statuses(post),
        [
            "200", "400", "401", "403", "404", "408", "413", "415", "422", "429", "503"
        ]
    );
    let get = &document["paths"][PATH]["get"];
    assert_eq!(get.get("requestBody"), None);
    assert_eq!(statuses(get), ["200", "401", "403", "404", "422", "429", "503"]);
}

#[test]
fn each_kind_of_authentication_is_told() {
    let secret = "sec_01k9z3v8e5f2q8r7w6t5y4x3m2";
    for (authentication, security, scheme) in [
        (json!({ "kind": "none" }), json!([]), Value::Null),
        (
            json!({ "kind": "api_key" }),
            json!([{ "x_api_key": [] }, { "bearer": [] }]),
            json!({ "type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key of the webhook." }),
        ),
        (
            json!({ "kind": "basic", "users": [{ "name": "a", "passwords": [secret] }] }),
            json!([{ "basic": [] }]),
            json!({ "type": "http", "scheme": "basic" }),
        ),
        (
            json!({ "kind": "sender", "sender": "github", "secrets": [secret] }),
            json!([{ "x_hub_signature_256": [] }]),
            json!({ "type": "apiKey", "in": "header", "name": "x-hub-signature-256",
                "description": "The signature, with the shared secret (HMAC)." }),
        ),
        (
            json!({ "kind": "all_of", "of": [{ "kind": "api_key" },
                { "kind": "static_token", "at": { "in": "query", "name": "token" }, "secrets": [secret] }] }),
            json!([{ "x_api_key": [], "token": [] }, { "bearer": [], "token": [] }]),
            json!({ "type": "apiKey", "in": "query", "name": "token", "description": "The token." }),
        ),
        (
            json!({ "kind": "static_token", "at": { "in": "body", "pointer": "/token" }, "secrets": [secret] }),
            json!([{}]),
            Value::Null,
        ),
    ] {
        let document = told(vec![webhook(authentication.clone(), json!({}))]);
        let post = &document["paths"][PATH]["post"];
        assert_eq!(post["security"], security, "{authentication}");
        let schemes = document["components"]["securitySchemes"]
            .as_object()
            .expect("schemes");
        assert!(
            scheme.is_null() || schemes.values().any(|one| *one == scheme),
            "{schemes:?}"
        );
        assert_eq!(
            post["description"] == "",
            authentication["kind"] == "none",
            "{authentication}: {}",
            post["description"]
        );
        assert!(
            !document.to_string().contains(secret),
            "secrets are nobody else's business"
        );
    }
}

#[test]
fn schemes_of_one_name_stay_apart() {
    let one = json!({ "kind": "static_token", "at": { "in": "header", "name": "x-token" }, "secrets": [] });
    let mut other = one.clone();
    other["at"]["in"] = json!("query");
    let mut second = webhook(other, json!({}));
    second.urls[0].path = "/other".into();
    let document = told(vec![webhook(one, json!({})), second]);
    assert_eq!(
        document["paths"][PATH]["post"]["security"],
        json!([{ "x_token": [] }])
    );
    assert_eq!(
        document["paths"]["/other"]["post"]["security"],
        json!([{ "x_token_2": [] }])
    );
    let ids = [&document["paths"][PATH], &document["paths"]["/other"]]
        .map(|item| item["post"]["operationId"].clone());
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn every_answer_of_a_flow_is_told() {
    let document = told(vec![webhook(
        json!({ "kind": "none" }),
        json!({ "flow": { "only_if": "{{ body.paid }}", "steps": [
                { "name": "reply", "kind": "respond", "when": "{{ body.id > 3 }}", "status": 201,
                  "status_override": "{{ 404 if body.gone else none }}",
                  "headers": { "x-order": "{{ path.order_id }}" }, "body": { "crm_id": "{{ body.id }}", "ok": true } } ] },
            "response": { "mode": "wait", "status": 204, "body": { "never": "sent" },
                "on": { "failed": { "status": 500, "body": "sorry" }, "duplicate": { "status": 208 } } } }),
    )]);
    let responses = &document["paths"][PATH]["post"]["responses"];
    assert_eq!(
        responses["201"]["content"]["application/json"]["schema"],
        json!({ "type": "object", "required": ["crm_id", "ok"],
            "properties": { "crm_id": {}, "ok": { "type": "boolean", "examples": [true] } } })
    );
    assert_eq!(responses["201"]["headers"]["x-order"]["schema"]["type"], "string");
    assert_eq!(responses["204"], json!({ "description": "The flow has ended." }));
    assert_eq!(
        responses["500"]["content"]["text/plain"]["schema"]["examples"],
        json!(["sorry"])
    );
    assert_eq!(
        responses["202"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/Processing"
    );
    for status in ["200", "208", "default"] {
        assert!(responses[status].is_object(), "{status}");
    }
}

#[test]
fn callbacks_are_told() {
    let destination = "dst_01k9z3v8e5f2q8r7w6t5y4x3m2";
    let mut webhook = webhook(
        json!({ "kind": "none" }),
        json!({ "flow": { "steps": [{ "name": "notify", "kind": "callback", "destination": destination,
            "path": "/results/{{ body.id }}", "body": { "done": true } }] } }),
    );
    let target = CallbackTarget {
        base_url: "https://bot.example.com/".into(),
        is_signed: true,
    };
    webhook
        .destinations
        .insert(destination.parse().expect("an id"), target);
    let document = told(vec![webhook]);
    let callback = &document["paths"][PATH]["post"]["callbacks"]["notify"];
    let operation = &callback["https://bot.example.com/results/{$request.body#/id}"]["post"];
    assert_eq!(operation["parameters"].as_array().map(Vec::len), Some(3));
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(schema["properties"]["done"]["type"], "boolean");
}

#[test]
fn learnt_values_are_not_for_others() {
    let field = |inferred: bool| {
        json!({ "path": if inferred { "learnt" } else { "written" }, "type": "string",
        "values": ["ada@example.com"], "example": "ada@example.com", "inferred": inferred })
    };
    let one = webhook(
        json!({ "kind": "none" }),
        json!({ "expected_data": { "body": [field(true), field(false)] } }),
    );
    let api = PublicApi {
        title: "t".into(),
        server: "https://hooks.example.com".into(),
        changed_at: DateTime::UNIX_EPOCH,
        webhooks: vec![one],
        is_cut: false,
    };
    let shared = document(&api.without_learnt_values());
    let content = &shared["paths"][PATH]["post"]["requestBody"]["content"]["application/json"];
    assert_eq!(
        content["schema"]["properties"]["learnt"],
        json!({ "type": "string" })
    );
    assert_eq!(
        content["schema"]["properties"]["written"]["enum"],
        json!(["ada@example.com"])
    );
    assert_ne!(
        content["examples"]["request"]["value"]["learnt"],
        "ada@example.com"
    );
}

#[test]
fn a_document_that_would_be_too_long_is_cut() {
    let fields: Vec<Value> = (0..900)
        .map(|number| json!({ "path": format!("field_{number}"), "type": "string", "example": "x".repeat(1_000) }))
        .collect();
    let mut one = webhook(
        json!({ "kind": "none" }),
        json!({ "expected_data": { "body": fields } }),
    );
    let url = one.urls[0].clone();
    one.urls = (0..50)
        .map(|number| LiveUrl {
            path: format!("/{number}"),
            ..url.clone()
        })
        .collect();
    let told = told(vec![one]);
    assert!(told.to_string().len() < MAX_BYTES + 100_000);
    let description = told["info"]["description"].as_str().expect("a description");
    assert!(description.ends_with("too long."), "{description}");
}
