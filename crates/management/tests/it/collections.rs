//! Collections and their records over the API.

use serde_json::{Value, json};

use crate::service::{Caller, Service};

async fn orders(caller: &Caller) {
    let schema =
        json!({"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}});
    let collection = json!({"name": "orders", "schema": schema});
    let made = caller.post("/v1/collections", collection).await.is(201);
    assert_eq!((&made["name"], &made["schema"]), (&json!("orders"), &schema));
}

async fn keys(caller: &Caller, query: &str) -> Vec<String> {
    let page = caller
        .get(&format!("/v1/collections/orders/records{query}"))
        .await
        .is(200);
    let data = page["data"].as_array().expect("data");
    data.iter()
        .map(|record| record["key"].as_str().expect("a key").to_owned())
        .collect()
}

#[tokio::test]
async fn a_collection_lives_and_ends() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    orders(&caller).await;
    caller
        .post("/v1/collections", json!({"name": "orders"}))
        .await
        .is_problem(409, "name_taken");
    for name in ["Orders", "a b", "1a", ""] {
        let answer = caller.post("/v1/collections", json!({"name": name})).await;
        assert_eq!(answer.status, 400, "{name}");
    }
    let bad = json!({"name": "bad", "schema": {"properties": {"a": {"$ref": "#/$defs/none"}}}});
    caller
        .post("/v1/collections", bad)
        .await
        .is_invalid(&[("/schema/properties/a/$ref", "invalid")]);

    let read = caller.get("/v1/collections/orders").await;
    let tag = read.header("etag").to_owned();
    let changed = caller
        .with("if-match", &tag)
        .put("/v1/collections/orders", json!({"schema": null}))
        .await;
    assert_eq!(changed.is(200)["schema"], Value::Null);
    caller
        .with("if-match", &tag)
        .put("/v1/collections/orders", json!({"schema": null}))
        .await
        .is_problem(412, "precondition_failed");
    let listed = caller.get("/v1/collections").await.is(200);
    assert_eq!(listed["data"][0]["name"], "orders");

    caller
        .put("/v1/collections/orders/records/a", json!({"data": {}}))
        .await
        .is(200);
    caller.delete("/v1/collections/orders").await.is(204);
    caller
        .get("/v1/collections/orders/records/a")
        .await
        .is_problem(404, "not_found");
}

#[tokio::test]
async fn records_are_written_found_and_deleted() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    orders(&caller).await;
    let path = |key: &str| format!("/v1/collections/orders/records/{key}");
    for (key, total) in [
        ("a", 1.5),
        ("b", 2.0),
        ("c", 2.0),
        ("with%2Fslash%20and%20%C3%A9", 3.0),
    ] {
        let data = json!({"data": {"total": total, "paid": key == "b"}});
        let made = caller.put(&path(key), data).await.is(200);
        assert!(made["id"].as_str().expect("an id").starts_with("rec_"));
    }
    assert_eq!(keys(&caller, "").await, ["with/slash and é", "c", "b", "a"]);
    assert_eq!(keys(&caller, "?filter=%7B%22total%22%3A2%7D").await, ["c", "b"]);
    assert_eq!(
        keys(&caller, "?filter=%7B%22total%22%3A2%2C%22paid%22%3Atrue%7D").await,
        ["b"]
    );
    assert_eq!(
        keys(&caller, "?filter=%7B%22total%22%3A%222%22%7D").await,
        [""; 0]
    );
    for filter in [
        "x",
        "%5B%5D",
        "%7B%22a%22%3A%7B%7D%7D",
        "%7B%22a%22%3A%22%5Cu0000%22%7D",
    ] {
        let answer = caller
            .get(&format!("/v1/collections/orders/records?filter={filter}"))
            .await;
        answer.is_invalid(&[("?filter", "invalid")]);
    }
    let first = caller.get("/v1/collections/orders/records?limit=3").await.is(200);
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    assert_eq!(keys(&caller, &format!("?limit=3&cursor={cursor}")).await, ["a"]);

    let slash = caller.get(&path("with%2Fslash%20and%20%C3%A9")).await.is(200);
    assert_eq!(slash["data"], json!({"total": 3.0, "paid": false}));
    let tag = caller.get(&path("a")).await.header("etag").to_owned();
    let replace = caller
        .with("if-match", &tag)
        .put(&path("a"), json!({"data": {"total": 9}}))
        .await;
    assert_eq!(replace.is(200)["data"], json!({"total": 9}));
    let stale = caller
        .with("if-match", &tag)
        .put(&path("a"), json!({"data": {"total": 8}}))
        .await;
    stale.is_problem(412, "precondition_failed");
    let absent = caller
        .with("if-match", &tag)
        .put(&path("new"), json!({"data": {"total": 8}}))
        .await;
    absent.is_problem(412, "precondition_failed");

    caller.delete(&path("a")).await.is(204);
    caller.delete(&path("a")).await.is_problem(404, "not_found");
    caller.get(&path("%00")).await.is_problem(404, "not_found");
    caller
        .put(&path("%00"), json!({"data": {"total": 1}}))
        .await
        .is_problem(400, "invalid_request");
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let service = Service::start_with(|settings| {
        settings.collections.records = 2;
        settings.collections.record_bytes = 100;
    })
    .await;
    let caller = service.register("ada@example.com").await;
    orders(&caller).await;
    let put = async |key: &str, data: Value| {
        caller
            .put(
                &format!("/v1/collections/orders/records/{key}"),
                json!({"data": data}),
            )
            .await
    };
    put("a", json!({"total": "secret"}))
        .await
        .is_invalid(&[("/data/total", "invalid")]);
    put("a", json!({})).await.is_invalid(&[("/data", "invalid")]);
    put("a", json!(7)).await.is_invalid(&[("/data", "wrong_type")]);
    put("a", json!({"total": 1, "more": "x".repeat(100)}))
        .await
        .is_invalid(&[("/data", "invalid")]);
    put("a", json!({"total": 1, "more": "\u{0}"}))
        .await
        .is_invalid(&[("/data", "invalid")]);
    put("a", json!({"total": 1})).await.is(200);
    put("b", json!({"total": 1})).await.is(200);
    put("c", json!({"total": 1}))
        .await
        .is_problem(409, "limit_reached");
    put("b", json!({"total": 2})).await.is(200);
}

#[tokio::test]
async fn a_collection_that_a_flow_writes_stays() {
    let service = Service::start().await;
    let caller = service.register("ada@example.com").await;
    let webhook = caller
        .post("/v1/webhooks", json!({"name": "Orders"}))
        .await
        .is(201);
    let draft = format!("/v1/webhooks/{}/draft", webhook["id"].as_str().expect("an id"));
    let step =
        json!({"name": "save", "kind": "record", "collection": "orders", "key": "{{ body.id }}", "data": {}});
    let document = json!({"flow": {"steps": [step]}});
    let refused = caller.put(&draft, document.clone()).await;
    refused.is_invalid(&[("/flow/steps/0/collection", "not_found")]);
    orders(&caller).await;
    caller.put(&draft, document).await.is(200);
    caller
        .delete("/v1/collections/orders")
        .await
        .is_problem(409, "in_use");
    caller.put(&draft, json!({})).await.is(200);
    caller.delete("/v1/collections/orders").await.is(204);
}
