//! Samples: given, read, learnt from, simulated, deleted.

use serde_json::{Value, json};

use crate::service::Service;
use crate::stored::{self, NewEvent};
use crate::webhooks::{create, path_of};

/// The fields of a structure's list, as `name type required`.
fn fields(learnt: &Value, list: &str) -> Vec<String> {
    let fields = learnt["expected_data"][list].as_array().expect("a list");
    let told = fields.iter().map(|field| {
        let text = |name: &str| field[name].as_str().expect("a text").to_owned();
        format!("{} {} {}", text("path"), text("type"), field["required"])
    });
    told.collect()
}

#[tokio::test]
async fn samples_are_made_of_whatever_shows_the_data() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders", "suffix": "orders/{order_id}"})).await;
    let path = path_of(&webhook);
    let nothing = owner.post(&format!("{path}/infer"), json!({})).await;
    nothing.is_invalid(&[("", "required")]);
    let add =
        async |from: &str, body: Value| owner.post(&format!("{path}/samples{from}"), body).await.is(201);
    let json = add(
        "/from-json",
        json!({"json": {"id": 1, "mail": "ada@example.com"}}),
    )
    .await;
    assert_eq!(
        (&json["source"], &json["method"], &json["body"]["json"]["id"]),
        (&json!("json"), &json!("POST"), &json!(1))
    );
    let query = json!({"pairs": [{"name": "page", "value": "2"}, {"name": "q", "value": "a b&c"}]});
    let pairs = add("/from-pairs", query).await;
    assert_eq!(
        (&pairs["method"], &pairs["query"]),
        (&json!("GET"), &json!("page=2&q=a+b%26c"))
    );
    let form = add(
        "/from-pairs",
        json!({"in": "form", "pairs": [{"name": "id", "value": "3"}]}),
    )
    .await;
    assert_eq!(form["body"]["json"], json!({"id": "3"}));
    let request = json!({"method": "PUT", "path": "orders/7", "query": "page=3", "json": {"id": 4}});
    let request = add("", request).await;
    assert_eq!(request["path_parameters"], json!({"order_id": "7"}));
    let event = stored::event(&service, &webhook, &NewEvent::default());
    let from_event = add("/from-event", json!({"event_id": event})).await;
    assert_eq!(
        (&from_event["event_id"], &from_event["address"]),
        (&json!(event), &json!("203.0.113.7"))
    );

    let list = owner.get(&format!("{path}/samples?limit=3")).await.is(200);
    let ids: Vec<&Value> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(ids, [&from_event["id"], &request["id"], &form["id"]]);
    assert!(list["next_cursor"].is_string());
    let one = format!("{path}/samples/{}", json["id"].as_str().expect("an id"));
    assert_eq!(owner.get(&one).await.is(200), json);

    // All of them are learnt from, or those that are named.
    let learnt = owner.post(&format!("{path}/infer"), json!({})).await.is(200);
    assert_eq!(fields(&learnt, "body"), ["id any false", "mail email false"]);
    assert_eq!(
        fields(&learnt, "query"),
        ["a string false", "page integer false", "q string false"]
    );
    let named = json!({"sample_ids": [json["id"], request["id"]]});
    let learnt = owner.post(&format!("{path}/infer"), named).await.is(200);
    assert_eq!(fields(&learnt, "body"), ["id integer true", "mail email false"]);

    let document = json!({"response": {"body": {"got": "{{ body.id }}"}}});
    let question = json!({"sample_id": request["id"], "document": document});
    let simulated = owner.post(&format!("{path}/simulate"), question).await.is(200);
    assert_eq!(simulated["answer"]["body"], "{\"got\":4}");
    let twice = json!({"sample_id": request["id"], "event_id": event, "request": {}});
    owner
        .post(&format!("{path}/simulate"), twice)
        .await
        .is_invalid(&[("/request", "invalid")]);

    owner.delete(&one).await.is(204);
    owner.get(&one).await.is_problem(404, "not_found");
    owner.delete(&one).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn a_webhook_has_room_for_so_many() {
    let service = Service::start_with(|settings| {
        settings.samples_per_webhook = 2;
        settings.sample_bytes_per_webhook = 2_000;
    })
    .await;
    let owner = service.register("ada@example.com").await;
    let path = path_of(&create(&owner, json!({"name": "Orders"})).await);
    let add = async |json: Value| {
        owner
            .post(&format!("{path}/samples/from-json"), json!({"json": json}))
            .await
    };
    let noise: String = (0..100)
        .map(|_| uuid::Uuid::new_v4().simple().to_string())
        .collect();
    let told = add(json!(noise)).await.is_problem(409, "limit_reached");
    assert!(
        told["detail"].as_str().expect("a text").contains("2000 bytes"),
        "{told}"
    );
    let first = add(json!(1)).await.is(201);
    add(json!(2)).await.is(201);
    add(json!(3)).await.is_problem(409, "limit_reached");
    owner
        .post(&format!("{path}/capture"), json!({}))
        .await
        .is_problem(409, "limit_reached");
    let first = first["id"].as_str().expect("an id").to_owned();
    owner.delete(&format!("{path}/samples/{first}")).await.is(204);
    add(json!(3)).await.is(201);
}

#[tokio::test]
async fn samples_are_masked_as_events_are() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let protection = json!({"mask": ["body.card", "headers.x-token"], "mask_address": true, "sensitive_if": "{{ body.secret }}"});
    let webhook = create(&owner, json!({"name": "Orders", "data_protection": protection})).await;
    let path = path_of(&webhook);
    let sample = json!({"json": {"card": "4111", "id": 1}, "address": "203.0.113.7",
        "headers": [{"name": "x-token", "value": "4112"}]});
    let sample = owner.post(&format!("{path}/samples"), sample).await;
    assert!(!sample.text.contains("411"), "{}", sample.text);
    let sample = sample.is(201);
    assert_eq!(
        (
            &sample["body"]["json"],
            &sample["address"],
            &sample["masked"]["paths"]
        ),
        (
            &json!({"card": "[masked]", "id": 1}),
            &json!("203.0.113.0/24"),
            &json!(["address", "body.card", "headers.x-token"])
        )
    );
    // That it is there can be learnt, but not what it is; and no flow would get it.
    let learnt = owner.post(&format!("{path}/infer"), json!({})).await.is(200);
    assert_eq!(fields(&learnt, "body"), ["card any true", "id integer true"]);
    assert!(!learnt.to_string().contains("[masked]"), "{learnt}");
    let simulated = owner
        .post(&format!("{path}/simulate"), json!({"sample_id": sample["id"]}))
        .await;
    simulated.is_problem(409, "data_protected");

    let event = NewEvent {
        body: br#"{"card": "4111", "secret": true}"#,
        ..NewEvent::default()
    };
    let event = stored::event(&service, &webhook, &event);
    let sample = owner
        .post(&format!("{path}/samples/from-event"), json!({"event_id": event}))
        .await;
    assert!(!sample.text.contains("4111"), "{}", sample.text);
    assert_eq!(sample.is(201)["masked"]["sensitive"], true);
}
