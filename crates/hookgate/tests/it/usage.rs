//! What a tenant is told of what it received, and what became of it.

use std::time::Duration;

use hookgate_testkit::{TestDatabase, eventually, http_client};
use serde_json::{Value, json};

use crate::installation::{Installation, Storage};

#[tokio::test]
async fn every_request_and_run_is_counted_by_what_became_of_it() {
    let database = TestDatabase::create();
    let installation = Installation::start(&Storage::of(&database), &[]).await;
    let api = &installation.api;
    let webhook =
        json!({ "name": "Orders", "methods": ["POST"], "deduplication": { "key": "{{ body.id }}" } });
    let revision = json!({ "flow": { "only_if": "{{ body.n != 2 }}", "steps": [
        { "name": "seen", "kind": "set", "values": { "n": "{{ 10 // body.n }}" } }] } });
    let url = api.webhook(&webhook, Some(&revision)).await;
    let client = http_client();
    for (id, n) in [(1, 1), (1, 1), (2, 2), (3, 0), (4, 4), (1, 1)] {
        let answer = client
            .post(&url)
            .json(&json!({ "id": id, "n": n }))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
    for status in [405, 405] {
        assert_eq!(client.get(&url).send().await.unwrap().status(), status);
    }
    let body = vec![b' '; 1_100_000];
    assert_eq!(client.post(&url).body(body).send().await.unwrap().status(), 413);

    let expected = |entry: &Value| {
        let told = json!({ "events": entry["events"], "duplicates": entry["duplicates"], "refused": entry["refused"],
            "runs": entry["runs"] });
        told == json!({ "events": 4, "duplicates": 2, "refused": { "method_not_allowed": 2, "body_too_large": 1 },
            "runs": { "succeeded": 2, "filtered": 1, "failed": 1 } })
    };
    for by in ["day", "webhook"] {
        eventually(Duration::from_secs(30), "everything is counted", async || {
            let usage = api.get(&format!("/usage?by={by}")).await;
            let entries = usage["data"].as_array().unwrap();
            (entries.len() == 1 && expected(&entries[0])).then_some(())
        })
        .await;
    }
    installation.stop();
}
