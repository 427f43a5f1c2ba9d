//! What requests are expected to hold, learnt and drifted from.

use serde_json::{Value, json};

use crate::service::Service;
use crate::stored::{self, NewEvent};
use crate::webhooks::{create, path_of};

fn field<'a>(expected: &'a Value, path: &str) -> &'a Value {
    let body = expected["body"].as_array().expect("fields");
    body.iter()
        .find(|field| field["path"] == path)
        .expect("the field")
}

#[tokio::test]
async fn a_structure_is_learnt_from_events_and_examples_and_saved() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders", "suffix": "orders/{order_id}"})).await;
    let path = path_of(&webhook);
    let event = stored::event(&service, &webhook, &NewEvent::default());
    let samples = json!({"event_ids": [event], "requests": [{"path": "orders/7", "json": {"id": 7, "mail": "ada@example.com"}}]});
    let learnt = owner
        .post(&format!("{path}/infer"), samples.clone())
        .await
        .is(200);
    let expected = &learnt["expected_data"];
    assert_eq!(
        (&field(expected, "id")["type"], &field(expected, "id")["required"]),
        (&json!("integer"), &json!(true))
    );
    assert_eq!(
        (
            &field(expected, "mail")["type"],
            &field(expected, "mail")["required"]
        ),
        (&json!("email"), &json!(false))
    );
    assert_eq!(expected["path"][0]["path"], "order_id");
    assert!(
        expected["headers"]
            .as_array()
            .expect("headers")
            .iter()
            .all(|header| header["path"] != "x-api-key" || header["type"] == "string")
    );
    assert_eq!(
        learnt["json_schema"]["properties"]["body"]["properties"]["mail"]["format"],
        "email"
    );
    let draft = owner.get(&format!("{path}/draft")).await.is(200);
    assert!(
        draft["document"].get("expected_data").is_none(),
        "nothing is saved"
    );

    // By hand it is a text, and stays one.
    let by_hand = json!({"expected_data": {"mode": "enforce", "body": [{"path": "id", "type": "boolean", "required": true}]}});
    owner
        .send(
            reqwest::Method::PUT,
            &format!("{path}/draft"),
            Some(by_hand.to_string()),
        )
        .await
        .is(200);
    let mut saved = samples;
    saved["save"] = json!(true);
    let learnt = owner.post(&format!("{path}/infer"), saved).await.is(200);
    assert_eq!(learnt["conflicts"][0]["written"]["path"], "id");
    let draft = owner.get(&format!("{path}/draft")).await.is(200);
    let expected = &draft["document"]["expected_data"];
    assert_eq!(
        (&expected["mode"], &field(expected, "id")["type"]),
        (&json!("enforce"), &json!("boolean"))
    );
    assert_eq!(field(expected, "mail")["inferred"], true);
}

#[tokio::test]
async fn what_cannot_be_expected_is_told() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = path_of(&webhook);
    let draft = json!({"expected_data": {"headers": [{"path": "a.b"}], "body": [{"path": "x"}, {"path": "x"}], "at_least_one_of": [[]]}});
    owner
        .send(
            reqwest::Method::PUT,
            &format!("{path}/draft"),
            Some(draft.to_string()),
        )
        .await
        .is_invalid(&[
            ("/expected_data/headers/0/path", "invalid"),
            ("/expected_data/body/1/path", "invalid"),
            ("/expected_data/at_least_one_of/0", "out_of_range"),
        ]);
    owner
        .post(&format!("{path}/infer"), json!({}))
        .await
        .is_invalid(&[("", "required")]);
    let absent = json!({"event_ids": ["evt_01k9z3v8e5f2q8r7w6t5y4x3m2"]});
    owner
        .post(&format!("{path}/infer"), absent)
        .await
        .is_invalid(&[("/event_ids/0", "not_found")]);
}

#[tokio::test]
async fn drift_is_shown_and_accepted() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = path_of(&webhook);
    let draft = json!({"expected_data": {"mode": "warn", "body": [{"path": "id", "type": "integer", "required": true}, {"path": "total", "type": "number", "required": true}]}});
    owner
        .send(
            reqwest::Method::PUT,
            &format!("{path}/draft"),
            Some(draft.to_string()),
        )
        .await
        .is(200);
    let event = stored::event(
        &service,
        &webhook,
        &NewEvent {
            body: br#"{"id": "A-1"}"#,
            ..NewEvent::default()
        },
    );
    let (tenant, id) = (
        service
            .database
            .query_text("SELECT tenant_id::text FROM events")
            .remove(0),
        stored::uuid(&json!(event)),
    );
    for (field, code) in [("id", "wrong_type"), ("total", "missing")] {
        service.database.execute(&format!(
            "INSERT INTO drift VALUES ('{tenant}', '{}', 'body', '{field}', '{code}', 'differs', 3, '2026-11-21Z', '2026-11-21Z', '{id}', '{id}')",
            stored::uuid(&webhook["id"])
        ));
    }
    let shown = owner.get(&format!("{path}/drift")).await.is(200);
    assert_eq!(
        (
            &shown["differences"][0]["path"],
            &shown["differences"][0]["count"],
            &shown["differences"][0]["last_event_id"]
        ),
        (&json!("id"), &json!(3), &json!(event))
    );
    let accepted = owner
        .post(&format!("{path}/drift/accept"), json!({}))
        .await
        .is(200);
    let expected = &accepted["document"]["expected_data"];
    assert_eq!(
        (
            &field(expected, "id")["type"],
            &field(expected, "total")["required"]
        ),
        (&json!("any"), &json!(false))
    );
    assert_eq!(
        owner.get(&format!("{path}/drift")).await.is(200)["differences"],
        json!([])
    );
    owner.delete(&format!("{path}/drift")).await.is(204);
}

#[tokio::test]
async fn a_structure_is_told_as_a_schema_and_taken_from_one() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let path = path_of(&create(&owner, json!({"name": "Orders"})).await);
    let draft = json!({"expected_data": {"mode": "warn", "full_body": true, "query": [{"path": "page", "type": "integer"}],
        "body": [{"path": "id", "type": "uuid", "required": true, "example": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}]}});
    owner.put(&format!("{path}/draft"), draft).await.is(200);
    let schema = owner.get(&format!("{path}/json-schema")).await.is(200);
    assert_eq!(
        (
            &schema["properties"]["body"]["required"],
            &schema["properties"]["query"]["properties"]["page"]["type"]
        ),
        (&json!(["id"]), &json!("integer"))
    );
    // What was told is taken back as it was.
    let import = format!("{path}/draft/expected-data/from-json-schema");
    let before = owner.get(&format!("{path}/draft")).await.is(200)["document"].clone();
    owner
        .post(&import, json!({"schema": schema, "save": true}))
        .await
        .is(200);
    assert_eq!(
        owner.get(&format!("{path}/draft")).await.is(200)["document"],
        before
    );

    let foreign = json!({"$defs": {"id": {"type": "integer"}}, "type": "object", "required": ["n"],
        "properties": {"n": {"$ref": "#/$defs/id"}, "tags": {"type": "array", "items": {"type": "string"}}}});
    let taken = owner.post(&import, json!({"schema": foreign})).await.is(200);
    let expected = &taken["expected_data"];
    assert_eq!(
        (
            &expected["mode"],
            &field(expected, "n")["type"],
            &field(expected, "tags[]")["type"]
        ),
        (&json!("warn"), &json!("integer"), &json!("string"))
    );
    assert_eq!(
        owner.get(&format!("{path}/draft")).await.is(200)["document"],
        before,
        "nothing is saved"
    );
    let elsewhere = json!({"schema": {"$ref": "https://example.com/schema"}});
    owner
        .post(&import, elsewhere)
        .await
        .is_invalid(&[("/schema", "invalid")]);
}

#[tokio::test]
async fn credentials_are_not_learnt_but_where_an_api_key_stands() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let authentication = json!({"kind": "api_key", "headers": ["x-shop-key"]});
    let path = path_of(
        &create(
            &owner,
            json!({"name": "Orders", "authentication": authentication}),
        )
        .await,
    );
    let header = |name: &str, value: &str| json!({"name": name, "value": value});
    let request = json!({"query": "token=hush&page=1", "json": {"id": 1}, "headers": [header("x-shop-key", "hush"),
        header("x-api-key", "hush"), header("x-hub-signature-256", "hush"), header("x-event", "paid")]});
    let learnt = owner
        .post(&format!("{path}/infer"), json!({"requests": [request]}))
        .await;
    assert!(!learnt.text.contains("hush"), "{}", learnt.text);
    let headers = learnt.is(200)["expected_data"]["headers"].clone();
    let told: Vec<(&Value, &Value)> = headers
        .as_array()
        .expect("headers")
        .iter()
        .map(|field| (&field["path"], &field["required"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("content-type"), &json!(true)),
            (&json!("x-event"), &json!(true)),
            (&json!("x-shop-key"), &json!(true))
        ]
    );
}

#[tokio::test]
async fn a_request_is_made_up_edited_and_simulated() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(
        &owner,
        json!({"name": "Orders", "suffix": "orders/{order_id}", "methods": ["GET", "PUT"], "authentication": {"kind": "api_key"}}),
    )
    .await;
    let path = path_of(&webhook);
    let draft = json!({"expected_data": {"mode": "enforce",
        "path": [{"path": "order_id", "type": "string", "required": true, "example": "a/b"}],
        "query": [{"path": "page", "type": "integer", "required": true}],
        "headers": [{"path": "x-event", "values": ["paid", "sent"], "required": true}],
        "body": [{"path": "customer.email", "type": "email", "required": true}, {"path": "note", "type": "string", "example": "it's"}]},
        "response": {"status": 202, "body": {"for": "{{ path.order_id }}"}}});
    owner.put(&format!("{path}/draft"), draft).await.is(200);
    let made = owner.get(&format!("{path}/made-up-request")).await.is(200);
    let mut request = made["request"].clone();
    assert_eq!(
        (
            &request["method"],
            &request["path"],
            &request["query"],
            &request["json"]
        ),
        (
            &json!("PUT"),
            &json!("orders/a%2Fb"),
            &json!("page=42"),
            &json!({"customer": {"email": "ada@example.com"}, "note": "it's"})
        )
    );
    let test_url = webhook["urls"]
        .as_array()
        .expect("URLs")
        .iter()
        .find(|url| url["environment"] == "test")
        .expect("a test URL")["public_url"]
        .as_str()
        .expect("a URL")
        .replace("{order_id}", "a%2Fb");
    let curl = made["curl"].as_str().expect("a command");
    assert_eq!(
        curl,
        format!(
            "curl -X PUT '{test_url}?page=42' -H 'x-event: paid' -H 'x-api-key: '\"$HOOKGATE_API_KEY\"'' \
             -H 'content-type: application/json' --data-raw '{{\"customer\":{{\"email\":\"ada@example.com\"}},\"note\":\"it'\\''s\"}}'"
        )
    );
    let simulate = async |request: &Value| {
        let simulated = owner
            .post(&format!("{path}/simulate"), json!({"request": request}))
            .await;
        simulated.is(200)
    };
    let simulated = simulate(&request).await;
    assert_eq!(
        (
            &simulated["outcome"],
            &simulated["differences"],
            &simulated["answer"]["body"]
        ),
        (&json!("succeeded"), &json!([]), &json!("{\"for\":\"a/b\"}"))
    );
    // Edited, it is refused as a sender's would be.
    request["json"]["customer"] = json!({});
    request["query"] = json!("page=none");
    let simulated = simulate(&request).await;
    assert_eq!(
        (
            &simulated["outcome"],
            &simulated["answer"]["status"],
            &simulated["steps"]
        ),
        (&json!("refused"), &json!(422), &json!([]))
    );
    let differences: Vec<&Value> = simulated["differences"]
        .as_array()
        .expect("differences")
        .iter()
        .map(|one| &one["path"])
        .collect();
    assert_eq!(differences, ["page", "customer.email"]);
}

#[tokio::test]
async fn verifying_and_rechecking_look_at_what_is_expected() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = path_of(&webhook);
    let mode = async |mode: &str| {
        let draft = json!({"expected_data": {"mode": mode, "body": [{"path": "id", "type": "integer", "required": true}]}});
        owner.put(&format!("{path}/draft"), draft).await.is(200);
        owner.post(&format!("{path}/publish"), json!({})).await.is(200);
    };
    let url = &webhook["urls"][0]["public_url"];
    let request = json!({"request": {"method": "POST", "url": url, "body": "{}",
        "headers": [{"name": "content-type", "value": "application/json"}]}});
    let verify = async || {
        let told = owner
            .post(&format!("{path}/verify"), request.clone())
            .await
            .is(200);
        let steps = told["steps"].as_array().expect("steps").clone();
        let step = steps.into_iter().find(|step| step["name"] == "expected_data");
        (told["accepted"].clone(), step.unwrap_or_default())
    };
    assert_eq!(verify().await, (json!(true), Value::Null), "nobody looks");
    mode("warn").await;
    let (accepted, step) = verify().await;
    assert_eq!((&accepted, &step["passed"]), (&json!(true), &json!(true)));
    let detail = step["detail"].as_str().expect("a text");
    assert!(detail.contains("body id: Missing required parameter"), "{detail}");
    mode("enforce").await;
    let (accepted, step) = verify().await;
    assert_eq!((accepted, &step["passed"]), (json!(false), &json!(false)));

    let headers = "content-type: application/json\r\n";
    let refusal = stored::refused(&service, &webhook, "data_invalid", headers, b"{\"id\": \"A\"}");
    let recheck = format!("/v1/refusals/{refusal}/recheck");
    let told = owner.post(&recheck, json!({"accept": true})).await.is(200);
    assert_eq!(
        (&told["verification"]["refusal"]["reason"], &told["event_id"]),
        (&json!("data_invalid"), &Value::Null)
    );
    mode("off").await;
    let told = owner.post(&recheck, json!({"accept": true})).await.is(200);
    assert!(told["event_id"].is_string(), "{told}");
}
