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
