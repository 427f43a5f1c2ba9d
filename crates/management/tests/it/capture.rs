//! Capture windows: opened, watched, closed.

use std::time::Duration;

use hookgate_domain::redis::Redis;
use hookgate_testkit::{TestDatabase, eventually};
use serde_json::{Value, json};

use crate::service::Service;
use crate::stored::{capture, uuid};
use crate::streams::Stream;
use crate::webhooks::{create, path_of};

#[tokio::test]
async fn a_window_is_opened_read_and_closed() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = format!("{}/capture", path_of(&webhook));
    assert_eq!(owner.get(&path).await.is(200)["state"], "never");
    let opened = owner.post(&path, json!({"samples": 1_000})).await.is(201);
    assert_eq!(
        (&opened["state"], &opened["most"], &opened["url_id"]),
        (&json!("open"), &json!(200), &Value::Null)
    );
    let time = |field: &str| -> chrono::DateTime<chrono::Utc> {
        opened[field].as_str().expect("a time").parse().expect("a time")
    };
    let open = (time("expires_at") - time("opened_at")).num_seconds();
    assert!((150..=180).contains(&open), "{open}");
    let sample = capture(&service, &webhook, 1, "first");
    let shown = owner.get(&path).await.is(200);
    assert_eq!(
        (
            &shown["taken"],
            &shown["samples"][0]["id"],
            &shown["samples"][0]["source"]
        ),
        (&json!(1), &json!(sample), &json!("captured"))
    );
    owner.delete(&path).await.is(204);
    let closed = owner.get(&path).await.is(200);
    assert_eq!(
        (&closed["state"], &closed["taken"]),
        (&json!("closed"), &json!(1))
    );
    // Another one begins anew, of one URL.
    let url = &webhook["urls"][1]["id"];
    let opened = owner
        .post(&path, json!({"url_id": url, "open_seconds": 10}))
        .await
        .is(201);
    assert_eq!(
        (&opened["taken"], &opened["url_id"], &opened["samples"]),
        (&json!(0), url, &json!([]))
    );
    service
        .database
        .execute("UPDATE captures SET expires_at = now() - interval '1 second'");
    assert_eq!(owner.get(&path).await.is(200)["state"], "expired");
    // Who opened and closed windows is on record.
    let log = owner.get("/v1/audit-log?object_kind=capture").await.is(200);
    let entries = log["data"].as_array().expect("entries").iter();
    let told: Vec<_> = entries.map(|one| (&one["action"], &one["object"])).collect();
    let (created, changed) = (json!("created"), json!("changed"));
    let object = &webhook["id"];
    assert_eq!(told, [(&changed, object), (&changed, object), (&created, object)]);

    owner
        .post(&path, json!({"open_seconds": 9, "samples": 0}))
        .await
        .is_invalid(&[("/open_seconds", "out_of_range"), ("/samples", "out_of_range")]);
    let absent = json!({"url_id": "url_01k9z3v8e5f2q8r7w6t5y4x3m2"});
    owner
        .post(&path, absent)
        .await
        .is_invalid(&[("/url_id", "not_found")]);
}

#[tokio::test]
async fn who_watches_sees_each_sample_once_and_the_end() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = format!("{}/capture", path_of(&webhook));
    owner.post(&path, json!({})).await.is(201);
    capture(&service, &webhook, 1, "first");
    let watch = format!("{path}/stream");
    let mut stream = Stream::open(&service, &owner, &watch, None).await;
    assert_eq!(stream.response.headers()["content-type"], "text/event-stream");
    let (name, id, data) = stream.next().await.expect("an event");
    assert_eq!(
        (name.as_str(), id.as_str(), &data["number"]),
        ("sample", "1", &json!(1))
    );
    capture(&service, &webhook, 2, "second");
    service
        .database
        .redis()
        .announce_sample(uuid(&webhook["id"]).into())
        .await
        .expect("announced");
    assert_eq!(stream.next().await.expect("an event").1, "2");
    drop(stream);
    // Lost in between: it goes on after the last one.
    capture(&service, &webhook, 3, "third");
    let mut stream = Stream::open(&service, &owner, &watch, Some("2")).await;
    assert_eq!(stream.next().await.expect("an event").1, "3");
    owner.delete(&path).await.is(204);
    let (name, _, data) = stream.next().await.expect("an event");
    assert_eq!((name.as_str(), &data["state"]), ("end", &json!("closed")));
    assert_eq!(stream.next().await, None);
    // Who comes back then need not come back again.
    let over = Stream::open(&service, &owner, &watch, Some("3")).await;
    assert_eq!(over.response.status(), 204);
    let mut missed = Stream::open(&service, &owner, &watch, Some("2")).await;
    let (third, end) = (missed.next().await, missed.next().await);
    assert_eq!(
        (
            third.expect("an event").1.as_str(),
            end.expect("an event").0.as_str()
        ),
        ("3", "end")
    );
    let wrong = owner.with("last-event-id", "x").get(&watch).await;
    wrong.is_problem(400, "invalid_header");
}

#[tokio::test]
async fn without_redis_a_sample_is_seen_by_looking() {
    let nowhere = Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let service = Service::start_on(TestDatabase::create(), nowhere, |_| {}).await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = format!("{}/capture", path_of(&webhook));
    owner.post(&path, json!({})).await.is(201);
    let mut stream = Stream::open(&service, &owner, &format!("{path}/stream"), None).await;
    capture(&service, &webhook, 1, "first");
    assert_eq!(stream.next().await.expect("an event").1, "1");
}

#[tokio::test]
async fn streams_are_bounded_and_end_with_the_service() {
    let service = Service::start_with(|settings| settings.streams = 1).await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = format!("{}/capture", path_of(&webhook));
    owner.post(&path, json!({})).await.is(201);
    let watch = format!("{path}/stream");
    let mut first = Stream::open(&service, &owner, &watch, None).await;
    owner.get(&watch).await.is_problem(429, "too_many_requests");
    owner.delete(&path).await.is(204);
    assert_eq!(first.next().await.expect("an event").0, "end");
    assert_eq!(first.next().await, None);
    owner.post(&path, json!({})).await.is(201);
    let mut second = eventually(Duration::from_secs(30), "the place is free", async || {
        let stream = Stream::open(&service, &owner, &watch, None).await;
        (stream.response.status() == 200).then_some(stream)
    })
    .await;
    let stopped = tokio::time::timeout(Duration::from_secs(30), service.management.stop());
    stopped.await.expect("it does not wait for streams");
    assert_eq!(second.next().await, None);
}
