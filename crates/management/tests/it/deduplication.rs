//! What a webhook recognises a delivery by, and what is shown of those that came again.

use serde_json::{Value, json};

use crate::service::{Caller, Service};
use crate::stored::{self, NewEvent, uuid};
use crate::webhooks::{create, path_of};

async fn deduplication(caller: &Caller, webhook: Value) -> Value {
    create(caller, webhook).await["deduplication"].clone()
}

#[tokio::test]
async fn a_webhook_remembers_what_its_template_says() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    assert_eq!(deduplication(&owner, json!({"name": "Plain"})).await, Value::Null);
    let key = "{{ headers['x-id'] }}/{{ body.id }}";
    let webhook = create(&owner, json!({"name": "Keyed", "deduplication": {"key": key}})).await;
    assert_eq!(
        webhook["deduplication"],
        json!({"key": key, "remember_hours": 168})
    );
    let path = path_of(&webhook);
    let patched = |body: Value| owner.patch(&path, body);
    let kept = patched(json!({"name": "Renamed"})).await.is(200);
    assert_eq!(kept["deduplication"], webhook["deduplication"]);
    let longer = patched(json!({"deduplication": {"remember_hours": 2160}}))
        .await
        .is(200);
    assert_eq!(
        longer["deduplication"],
        json!({"key": key, "remember_hours": 2160})
    );
    assert_eq!(
        patched(json!({"deduplication": null})).await.is(200)["deduplication"],
        Value::Null
    );
    assert_eq!(owner.get(&path).await.is(200)["deduplication"], Value::Null);
}

#[tokio::test]
async fn a_known_sender_is_recognised_by_its_delivery_id() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let secret = owner
        .post(
            "/v1/secrets",
            json!({"name": "GitHub", "value": "a long random text"}),
        )
        .await
        .is(201);
    let github = json!({"kind": "sender", "sender": "github", "secrets": [secret["id"]]});
    let by_id = json!({"key": null, "remember_hours": 168});
    let webhook = json!({"name": "GitHub", "authentication": github});
    assert_eq!(deduplication(&owner, webhook).await, by_id);
    let off = json!({"name": "GitHub", "authentication": github, "deduplication": null});
    assert_eq!(deduplication(&owner, off).await, Value::Null);
    let own = json!({"name": "GitHub", "authentication": github, "deduplication": {"key": "{{ body.id }}"}});
    assert_eq!(deduplication(&owner, own).await["key"], "{{ body.id }}");
    // A patch that takes it away means it, though the sender is known.
    let webhook = create(&owner, json!({"name": "GitHub", "authentication": github})).await;
    let off = owner
        .patch(&path_of(&webhook), json!({"deduplication": null}))
        .await
        .is(200);
    assert_eq!(off["deduplication"], Value::Null);
    // The name of the system is enough, when one asks for it.
    let named = json!({"name": "GitHub", "system": "github", "deduplication": {"remember_hours": 168}});
    assert_eq!(deduplication(&owner, named).await, by_id);
    let webhook = create(&owner, json!({"name": "Plain"})).await;
    owner
        .patch(
            &path_of(&webhook),
            json!({"deduplication": {"remember_hours": 1}}),
        )
        .await
        .is_invalid(&[("/deduplication/key", "required")]);
}

#[tokio::test]
async fn a_key_that_cannot_work_is_refused() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    for (settings, pointer, code) in [
        (json!({"key": "{{ body.id"}), "/deduplication/key", "invalid"),
        (json!({"key": "{{ order.id }}"}), "/deduplication/key", "invalid"),
        (json!({"key": "always the same"}), "/deduplication/key", "invalid"),
        (json!({"key": ""}), "/deduplication/key", "too_short"),
        (json!({"key": 7}), "/deduplication/key", "wrong_type"),
        (
            json!({"key": "{{ body.id }}", "remember_hours": 0}),
            "/deduplication/remember_hours",
            "out_of_range",
        ),
        (
            json!({"key": "{{ body.id }}", "remember_hours": 2161}),
            "/deduplication/remember_hours",
            "out_of_range",
        ),
        (
            json!({"key": "{{ body.id }}", "days": 7}),
            "/deduplication/days",
            "unknown",
        ),
        (json!({}), "/deduplication/key", "required"),
        (json!(true), "/deduplication", "wrong_type"),
    ] {
        let webhook = json!({"name": "Keyed", "deduplication": settings});
        owner
            .post("/v1/webhooks", webhook)
            .await
            .is_invalid(&[(pointer, code)]);
    }
}

#[tokio::test]
async fn what_came_again_is_shown() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let once = stored::event(&service, &webhook, &NewEvent::default());
    let again = stored::event(&service, &webhook, &NewEvent::default());
    service.database.execute(&format!(
        "UPDATE events SET deduplication = 'remembered' WHERE id = '{again}'; \
         UPDATE events SET deduplication = 'no_key' WHERE id = '{once}'; \
         INSERT INTO duplicates SELECT tenant_id, id, 3, '2026-11-21T12:00:00Z' FROM events WHERE id = '{again}'",
        again = uuid(&again.clone().into()),
        once = uuid(&once.clone().into()),
    ));
    let event = owner.get(&format!("/v1/events/{again}")).await.is(200);
    assert_eq!(event["deduplication"], "remembered");
    assert_eq!(
        event["duplicates"],
        json!({"count": 3, "last_at": "2026-11-21T12:00:00Z"})
    );
    let event = owner.get(&format!("/v1/events/{once}")).await.is(200);
    assert_eq!(
        (&event["deduplication"], &event["duplicates"]),
        (&json!("no_key"), &Value::Null)
    );
    for (filter, expected) in [("true", &again), ("false", &once)] {
        let list = owner
            .get(&format!("/v1/events?duplicated={filter}"))
            .await
            .is(200);
        assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
        assert_eq!(list["data"][0]["id"], **expected);
    }
    owner
        .get("/v1/events?duplicated=maybe")
        .await
        .is_invalid(&[("?duplicated", "invalid")]);
}
