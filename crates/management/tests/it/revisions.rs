//! Drafts, publishing, rolling back.

use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Answer, Caller, Service};
use crate::webhooks::{create, path_of};

async fn save(caller: &Caller, webhook: &str, document: &Value) -> Answer {
    caller
        .send(
            Method::PUT,
            &format!("{webhook}/draft"),
            Some(document.to_string()),
        )
        .await
}

#[tokio::test]
async fn a_flow_that_sends_secrets_keeps_them_and_needs_who_may_change_them() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let draft = format!("{}/draft", path_of(&webhook));
    let secret = owner
        .post("/v1/secrets", json!({"name": "ERP", "generate": "hex"}))
        .await
        .is(201);
    let using = |id: &Value| json!({"flow": {"secrets": {"erp": id}}});
    let absent = json!("sec_01k9z3v8e5f2q8r7w6t5y4x3m2");
    owner
        .put(&draft, using(&absent))
        .await
        .is_invalid(&[("/flow/secrets/erp", "not_found")]);
    let machine = owner.key(&["webhooks:write"]).await;
    machine
        .put(&draft, using(&secret["id"]))
        .await
        .is_problem(403, "forbidden");
    machine.put(&draft, json!({})).await.is(200);
    let trusted = owner.key(&["webhooks:write", "secrets:write"]).await;
    let sending = trusted.put(&draft, using(&secret["id"])).await.is(200);
    let publish = format!("{}/publish", path_of(&webhook));
    let roll_back = format!(
        "{}/revisions/{}/publish",
        path_of(&webhook),
        sending["id"].as_str().expect("an id")
    );
    for path in [&publish, &roll_back] {
        let told = machine.post(path, json!({})).await.is_problem(403, "forbidden");
        assert!(told["detail"].to_string().contains("secrets:write"), "{told}");
    }
    let still = owner.get(&path_of(&webhook)).await.is(200);
    assert_eq!(still["published_revision_id"], webhook["published_revision_id"]);
    trusted.post(&roll_back, json!({})).await.is(200);
    trusted.post(&publish, json!({})).await.is(200);

    let secret = format!("/v1/secrets/{}", secret["id"].as_str().expect("an id"));
    let told = owner.delete(&secret).await.is_problem(409, "in_use");
    assert!(
        told["detail"]
            .to_string()
            .contains(webhook["id"].as_str().expect("an id"))
    );
    owner
        .post(&format!("{}/publish", path_of(&webhook)), json!({}))
        .await
        .is(200);
    machine.put(&draft, json!({})).await.is(200);
    owner.delete(&secret).await.is_problem(409, "in_use");
    owner
        .post(&format!("{}/publish", path_of(&webhook)), json!({}))
        .await
        .is(200);
    owner.delete(&secret).await.is(204);
}

#[tokio::test]
async fn a_draft_is_saved_published_and_rolled_back() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = path_of(&webhook);
    let empty = owner.get(&format!("{path}/draft")).await;
    assert_eq!(
        (&empty.is(200)["number"], empty.header("etag")),
        (&json!(1), "\"1\"")
    );
    assert_eq!(empty.json()["id"], webhook["draft_revision_id"]);
    assert_eq!(empty.json()["document"]["flow"]["steps"], json!([]));

    // The order of keys is the tenant's.
    let document = json!({"flow": {"steps": [{"name": "order", "kind": "set", "values": {"zebra": 1, "ant": 2, "mole": 3}}]}});
    let saved = save(&owner.with("if-match", "\"1\""), &path, &document).await;
    assert_eq!(
        (&saved.is(200)["number"], saved.header("etag")),
        (&json!(2), "\"2\"")
    );
    let (zebra, ant) = (
        saved.text.find("zebra").expect("it"),
        saved.text.find("ant\"").expect("it"),
    );
    assert!(zebra < ant, "{}", saved.text);
    assert!(
        saved.json()["created_by"]
            .as_str()
            .expect("who")
            .starts_with("usr_")
    );
    save(&owner.with("if-match", "\"1\""), &path, &json!({}))
        .await
        .is_problem(412, "precondition_failed");
    assert_eq!(
        save(&owner, &path, &document).await.is(200)["number"],
        2,
        "the same draft again"
    );

    let published = owner.post(&format!("{path}/publish"), json!({})).await.is(200);
    assert!(published["published_at"].is_string());
    let now = owner.get(&path).await.is(200);
    assert_eq!(
        (&now["published_revision_id"], &now["draft_revision_id"]),
        (&published["id"], &published["id"])
    );

    save(&owner, &path, &json!({"response": {"status": 204}}))
        .await
        .is(200);
    assert_eq!(
        owner.get(&path).await.is(200)["published_revision_id"],
        published["id"],
        "saving publishes nothing"
    );
    let third = owner.post(&format!("{path}/publish"), json!({})).await.is(200);
    assert_eq!(third["number"], 3);
    let back = format!(
        "{path}/revisions/{}/publish",
        published["id"].as_str().expect("an id")
    );
    let back = owner.post(&back, json!({})).await.is(200);
    assert_eq!(back["published_at"], published["published_at"]);
    let now = owner.get(&path).await.is(200);
    assert_eq!(
        (&now["published_revision_id"], &now["draft_revision_id"]),
        (&published["id"], &third["id"])
    );

    let listed = owner.get(&format!("{path}/revisions")).await.is(200);
    let numbers: Vec<_> = listed["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|r| r["number"].clone())
        .collect();
    assert_eq!(numbers, [3, 2, 1]);
    let one = format!("{path}/revisions/{}", third["id"].as_str().expect("an id"));
    assert_eq!(owner.get(&one).await.is(200), listed["data"][0]);
}

#[tokio::test]
async fn a_draft_that_cannot_work_is_refused_with_every_place() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let path = path_of(&create(&owner, json!({"name": "Orders"})).await);
    let document = json!({"flow": {"steps": [
        {"name": "a", "kind": "set", "values": {"x": "{{ nothing.x }}"}},
        {"name": "c", "kind": "set", "values": {"y": "{{ body. }}"}},
        {"name": "b", "kind": "http", "destination": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2"}]}});
    save(&owner, &path, &document).await.is_invalid(&[
        ("/flow/steps/0/values/x", "unknown_variable"),
        ("/flow/steps/1/values/y", "invalid_template"),
        ("/flow/steps/2/destination", "not_found"),
    ]);
    save(&owner, &path, &json!({"flows": {}, "response": {"status": "ok"}}))
        .await
        .is_invalid(&[("/response/status", "wrong_type"), ("/flows", "unknown")]);
    save(
        &owner,
        &path,
        &json!({"flow": {"steps": [{"name": "a", "kind": "teleport"}]}}),
    )
    .await
    .is_problem(400, "invalid_request");
    assert_eq!(owner.get(&format!("{path}/draft")).await.is(200)["number"], 1);
}

#[tokio::test]
async fn a_revision_that_cannot_work_any_more_is_not_published() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let path = path_of(&create(&owner, json!({"name": "Orders"})).await);
    let body = json!({"name": "CRM", "base_url": "https://crm.example.com"});
    let destination = owner.post("/v1/destinations", body).await.is(201);
    let document =
        json!({"flow": {"steps": [{"name": "crm", "kind": "http", "destination": destination["id"]}]}});
    let old = save(&owner, &path, &document).await.is(200);
    save(&owner, &path, &json!({})).await.is(200);
    owner
        .delete(&format!(
            "/v1/destinations/{}",
            destination["id"].as_str().expect("an id")
        ))
        .await
        .is(204);
    let back = format!("{path}/revisions/{}/publish", old["id"].as_str().expect("an id"));
    owner.post(&back, json!({})).await.is_problem(409, "wrong_state");
    let now = owner.get(&path).await.is(200);
    assert_eq!(now["published_revision_id"], Value::Null);
}

#[tokio::test]
async fn two_revisions_are_compared() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = path_of(&webhook);
    let step = |n: i32| json!({"name": "order", "kind": "set", "values": {"n": n}});
    let first = save(&owner, &path, &json!({"flow": {"steps": [step(1), step(1)]}})).await;
    first.is_invalid(&[("/flow/steps/1/name", "invalid")]);
    let first = save(&owner, &path, &json!({"flow": {"steps": [step(1)]}}))
        .await
        .is(200);
    let second = json!({"flow": {"steps": [step(2)]}, "response": {"status": 202}});
    let second = save(&owner, &path, &second).await.is(200);
    let [first, second] = [first, second].map(|revision| revision["id"].as_str().expect("an id").to_owned());
    let compared = owner
        .get(&format!("{path}/revisions/{first}/compare/{second}"))
        .await
        .is(200);
    assert_eq!(
        (&compared["from_number"], &compared["to_number"]),
        (&json!(2), &json!(3))
    );
    let changes = compared["changes"].as_array().expect("changes");
    let change = |path: &str| {
        changes
            .iter()
            .find(|change| change["path"] == path)
            .expect("a change")
    };
    let values = change("/flow/steps/0/values/n");
    assert_eq!(
        (&values["op"], &values["before"], &values["after"]),
        (&json!("replace"), &json!(1), &json!(2))
    );
    let status = change("/response/status");
    assert_eq!((&status["before"], &status["after"]), (&json!(200), &json!(202)));
    assert_eq!(changes.len(), 2, "{changes:?}");
    let same = owner
        .get(&format!("{path}/revisions/{first}/compare/{first}"))
        .await
        .is(200);
    assert_eq!(same["changes"], json!([]));
}

#[tokio::test]
async fn a_callback_goes_to_a_destination_of_the_tenant() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let path = path_of(&create(&owner, json!({"name": "Orders"})).await);
    let calling = |destination: &Value| json!({"flow": {"steps": [{"name": "notify", "kind": "callback", "destination": destination}]}});
    let new = json!({"name": "Results", "base_url": "https://example.com"});
    let known = owner.post("/v1/destinations", new).await.is(201)["id"].clone();
    save(&owner, &path, &calling(&known)).await.is(200);
    save(&owner, &path, &calling(&json!("dst_01k9z3v8e5f2q8r7w6t5y4x3m2")))
        .await
        .is_invalid(&[("/flow/steps/0/destination", "not_found")]);
}
