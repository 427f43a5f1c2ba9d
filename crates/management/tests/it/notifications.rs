//! Where a tenant is told of what went wrong.

use serde_json::json;

use crate::service::Service;

const PATH: &str = "/v1/tenant/notifications";

#[tokio::test]
async fn notifications_are_set_up_changed_and_ended() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let none = json!({"destination_id": null, "kinds": [], "suppressed": 0, "updated_at": null});
    assert_eq!(owner.get(PATH).await.is(200), none);
    let new = json!({"name": "Alerts", "base_url": "https://example.com"});
    let made = owner.post("/v1/destinations", new).await.is(201);
    let (id, path) = (
        &made["id"],
        format!("/v1/destinations/{}", made["id"].as_str().expect("an id")),
    );

    let set = owner.put(PATH, json!({"destination_id": id})).await;
    assert_eq!(
        set.is(200)["kinds"],
        json!(["run.failed", "callback.failed", "destination.paused"])
    );
    let fewer = json!({"destination_id": id, "kinds": ["run.failed"]});
    let stale = owner.with("if-match", "\"7\"");
    stale
        .put(PATH, fewer.clone())
        .await
        .is_problem(412, "precondition_failed");
    let current = owner.with("if-match", set.header("etag"));
    assert_eq!(
        current.put(PATH, fewer).await.is(200)["kinds"],
        json!(["run.failed"])
    );
    let read = owner.get(PATH).await.is(200);
    assert_eq!((&read["destination_id"], &read["suppressed"]), (id, &json!(0)));

    let refused = owner.delete(&path).await;
    refused.is_problem(409, "in_use");
    assert!(refused.text.contains("notifications"), "{}", refused.text);
    owner.delete(PATH).await.is(204);
    assert_eq!(owner.get(PATH).await.is(200), none);
    owner.delete(&path).await.is(204);
}

#[tokio::test]
async fn what_is_wrong_is_told_where_it_is() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let stranger = service.register("eve@example.com").await;
    let new = json!({"name": "Alerts", "base_url": "https://example.com"});
    let theirs = stranger.post("/v1/destinations", new).await.is(201)["id"].clone();
    for (body, fields) in [
        (json!({}), vec![("/destination_id", "required")]),
        (
            json!({"destination_id": theirs, "kinds": []}),
            vec![("/kinds", "too_short")],
        ),
        (
            json!({"destination_id": theirs, "kinds": ["run.failed", "run.begun"]}),
            vec![("/kinds/1", "invalid")],
        ),
        (
            json!({"destination_id": theirs, "kinds": ["run.failed", "run.failed"]}),
            vec![("/kinds", "invalid")],
        ),
        // What another tenant has is not there.
        (
            json!({"destination_id": theirs}),
            vec![("/destination_id", "not_found")],
        ),
    ] {
        owner.put(PATH, body).await.is_invalid(&fields);
    }
}
