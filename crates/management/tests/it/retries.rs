//! Runs that failed are found, counted, and go on.

use serde_json::json;

use crate::service::Service;
use crate::stored;
use crate::webhooks::{create, path_of};

#[tokio::test]
async fn failed_runs_are_counted_and_go_on() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let stored = stored::one_of_each(&service, &webhook);
    let run = format!("/v1/runs/{}", stored.run);
    let retry = format!("{run}/retry");
    for change in ["outcome = 'succeeded'", "outcome = 'failed'"] {
        // One that did not fail, and one of which nothing was kept.
        service
            .database
            .execute(&format!("UPDATE runs SET {change}, state = NULL"));
        owner.post(&retry, json!({})).await.is_problem(409, "wrong_state");
    }
    service.database.execute("UPDATE runs SET state = '{}'");
    let matched = async |body| owner.post("/v1/runs/retry", body).await.is(200);
    let of_webhook = json!({"webhook_id": webhook["id"], "dry_run": true});
    assert_eq!(matched(of_webhook).await, json!({"matched": 1, "retried": 0}));
    let long_ago = json!({"to": "2020-01-01T00:00:00Z"});
    assert_eq!(matched(long_ago).await, json!({"matched": 0, "retried": 0}));
    owner.get(&run).await.is(200);

    let retried = owner.post(&retry, json!({})).await.is(200);
    assert_eq!(retried["event_id"], json!(stored.event));
    owner.get(&run).await.is_problem(404, "not_found");
    let jobs = "SELECT encode(state, 'escape') FROM jobs WHERE is_retry";
    assert_eq!(service.database.query_text(jobs), ["{}"]);
    assert_eq!(matched(json!({})).await, json!({"matched": 0, "retried": 0}));

    // Callbacks that did not arrive, too.
    let listed = owner.get("/v1/failed-callbacks").await.is(200);
    assert_eq!(listed["data"][0]["run_id"], json!(stored.run));
    assert_eq!(listed["data"][0]["step"], stored::CALLBACK);
    let destination = listed["data"][0]["destination_id"].clone();
    let other = json!({"destination_id": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2"});
    let of_destination = json!({"destination_id": destination, "dry_run": true});
    let again = async |body| owner.post("/v1/failed-callbacks/retry", body).await.is(200);
    assert_eq!(again(other.clone()).await, json!({"matched": 0, "retried": 0}));
    assert_eq!(again(of_destination).await, json!({"matched": 1, "retried": 0}));
    assert_eq!(again(json!({})).await, json!({"matched": 1, "retried": 1}));
    assert_eq!(again(json!({})).await, json!({"matched": 0, "retried": 0}));
    let jobs = "SELECT encode(state, 'escape') FROM jobs WHERE is_callback";
    assert_eq!(service.database.query_text(jobs), ["sealed"]);
    assert_eq!(owner.get("/v1/failed-callbacks").await.is(200)["data"], json!([]));
    stored::failed_callback(&service, &webhook, &stored.event);

    // What a deleted webhook has left is not sent any more.
    let kept = "SELECT count(*)::text FROM failed_callbacks";
    assert_eq!(service.database.query_text(kept), ["1"]);
    owner.delete(&path_of(&webhook)).await.is(204);
    assert_eq!(service.database.query_text(kept), ["0"]);
}
