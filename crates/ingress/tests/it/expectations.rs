//! What a webhook expects of its requests: enforced, or counted when they differ.

use hookgate_testkit::fixtures::NewWebhook;
use serde_json::{Value, json};

use crate::harness::Harness;

fn expecting(mode: &str, on: &Value) -> NewWebhook {
    NewWebhook {
        revision: json!({"expected_data": {"mode": mode,
            "query": [{"path": "shop", "type": "string", "required": true}],
            "body": [{"path": "order.id", "type": "integer", "required": true}, {"path": "lines[].sku", "type": "string"}],
            "at_least_one_of": [["text", "data"]]}, "response": {"on": on}}),
        ..NewWebhook::default()
    }
}

#[tokio::test]
async fn what_differs_is_refused_with_everything_that_is_wrong() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(expecting("enforce", &json!({})));
    let path = &webhook.production.path;
    let post = async |query: &str, body: Value| {
        let request = harness.request(reqwest::Method::POST, &format!("{path}{query}"));
        let answer = request.json(&body).send().await.expect("an answer");
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.expect("JSON"),
        )
    };
    assert_eq!(
        post("?shop=a", json!({"order": {"id": 1}, "text": "x"})).await.0,
        200
    );
    let (status, told) = post(
        "",
        json!({"order": {"id": "one"}, "lines": [{"sku": "a"}, {"sku": 5}]}),
    )
    .await;
    assert_eq!(
        (status, &told["msg"]),
        (422, &json!("Missing required parameter"))
    );
    let errors: Vec<(&str, &str, &str)> = told["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| {
            let text = |name: &str| error[name].as_str().expect("a text");
            (text("place"), text("path"), text("code"))
        })
        .collect();
    assert_eq!(
        errors,
        [
            ("query", "shop", "missing"),
            ("body", "lines[1].sku", "wrong_type"),
            ("body", "order.id", "wrong_type"),
            ("body", "text,data", "none_of_group"),
        ]
    );
    let (status, told) = post("?shop=a", json!({"order": {"id": "one"}, "data": [1]})).await;
    assert_eq!((status, &told["msg"]), (422, &json!("Invalid parameter")));
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 1);
    let refusals = harness.refusals(&webhook);
    assert_eq!(refusals.len(), 2);
    assert!(
        refusals
            .iter()
            .all(|refusal| refusal.reason == "data_invalid" && refusal.request.is_some())
    );
    assert!(
        refusals[0]
            .detail
            .contains("query shop: Missing required parameter"),
        "{}",
        refusals[0].detail
    );
}

#[tokio::test]
async fn the_tenants_own_answer_is_given() {
    let harness = Harness::start().await;
    let on = json!({"invalid": {"status": 400, "headers": {"x-wrong": "{{ error.errors | length }}"},
        "body": {"code": 1, "why": "{{ error.message }}", "first": "{{ error.errors[0].path }}"}}});
    let webhook = harness.webhook(expecting("enforce", &on));
    let answer = harness
        .post(&webhook.production)
        .json(&json!({}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-wrong"]),
        (400, &"3".parse().expect("a value"))
    );
    let told: Value = answer.json().await.expect("JSON");
    assert_eq!(
        told,
        json!({"code": 1, "why": "Missing required parameter", "first": "shop"})
    );
}

#[tokio::test]
async fn what_differs_is_counted_where_it_is_only_a_warning() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(expecting("warn", &json!({})));
    let off = harness.webhook(expecting("off", &json!({})));
    for body in [
        json!({"order": {"id": 1}, "data": 1, "lines": [{"sku": 1}, {"sku": 2}]}),
        json!({"order": {"id": 1}, "data": 1, "lines": [{"sku": "a"}, {"sku": "b"}, {"sku": 3}]}),
    ] {
        for webhook in [&webhook, &off] {
            let answer = harness
                .post(&webhook.production)
                .json(&body)
                .send()
                .await
                .expect("an answer");
            assert_eq!(answer.status(), 200);
        }
    }
    harness.stop().await;
    let events = harness.events(&webhook);
    assert_eq!((events.len(), harness.events(&off).len()), (2, 2));
    let seen = harness.database.query_text(&format!(
        "SELECT concat_ws(' ', place, path, code, count, first_event <> last_event) FROM drift WHERE webhook_id = '{}' ORDER BY path",
        webhook.id.uuid()
    ));
    assert_eq!(
        seen,
        ["body lines[].sku wrong_type 2 t", "query shop missing 2 t"]
    );
    assert_eq!(
        harness.database.query_text("SELECT count(*)::text FROM drift"),
        ["2"]
    );
}
