//! The life of an allowlist.

use serde_json::{Value, json};

use crate::service::Service;
use crate::webhooks::{create, path_of};

#[tokio::test]
async fn an_allowlist_is_made_filled_renamed_and_deleted() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let made = owner
        .post(
            "/v1/allowlists",
            json!({"name": "shop", "entries": [{"network": "203.0.113.7", "note": "till"}]}),
        )
        .await;
    let list = made.is(201);
    let path = format!("/v1/allowlists/{}", list["id"].as_str().expect("an id"));
    let entries = format!("{path}/entries");
    let entry = owner
        .post(&entries, json!({"network": "2001:DB8::/32"}))
        .await
        .is(201);
    assert_eq!(
        (&entry["network"], &entry["note"]),
        (&json!("2001:db8::/32"), &json!(""))
    );
    let listed = owner.get(&entries).await.is(200);
    let networks: Vec<&Value> = listed["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| &e["network"])
        .collect();
    assert_eq!(networks, ["2001:db8::/32", "203.0.113.7/32"]);
    owner
        .post(&entries, json!({"network": "2001:db8::/32"}))
        .await
        .is_problem(409, "already_exists");
    owner
        .delete(&format!("{entries}/{}", entry["id"].as_str().expect("an id")))
        .await
        .is(204);
    owner
        .delete(&format!("{entries}/{}", entry["id"].as_str().expect("an id")))
        .await
        .is_problem(404, "not_found");

    let renamed = owner
        .with("if-match", made.header("etag"))
        .patch(&path, json!({"name": "till"}))
        .await;
    assert_eq!(renamed.is(200)["name"], "till");
    owner
        .with("if-match", made.header("etag"))
        .patch(&path, json!({"name": "x"}))
        .await
        .is_problem(412, "precondition_failed");
    owner
        .post("/v1/allowlists", json!({"name": "till"}))
        .await
        .is_problem(409, "name_taken");
    owner.delete(&path).await.is(204);
    owner.get(&path).await.is_problem(404, "not_found");
    owner.get(&entries).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn what_is_wrong_with_an_allowlist_is_told_at_once() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let wrong = json!({"name": "", "entries": [{"network": "203.0.113.7/24"}, {"note": "x"}, {"network": "shop", "more": 1}]});
    let answer = owner.post("/v1/allowlists", wrong).await;
    answer.is_invalid(&[
        ("/name", "too_short"),
        ("/entries/0/network", "invalid"),
        ("/entries/1/network", "required"),
        ("/entries/2/network", "invalid"),
        ("/entries/2/more", "unknown"),
    ]);
    assert!(answer.text.contains("`203.0.113.0/24`"), "{}", answer.text);
}

#[tokio::test]
async fn an_attached_allowlist_cannot_be_deleted() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let list = owner
        .post("/v1/allowlists", json!({"name": "shop"}))
        .await
        .is(201);
    let path = format!("/v1/allowlists/{}", list["id"].as_str().expect("an id"));
    let webhook = create(&owner, json!({"name": "Orders", "allowlists": [list["id"]]})).await;
    assert_eq!(webhook["allowlists"], json!([list["id"]]));
    let problem = owner.delete(&path).await.is_problem(409, "in_use");
    assert!(
        problem["detail"]
            .as_str()
            .expect("text")
            .contains(webhook["id"].as_str().expect("an id")),
        "{problem}"
    );
    let detached = owner
        .patch(&path_of(&webhook), json!({"allowlists": []}))
        .await
        .is(200);
    assert_eq!(detached["allowlists"], json!([]));
    owner.delete(&path).await.is(204);
}
