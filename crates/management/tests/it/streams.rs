//! Server-sent events: of all that comes in here, of capture windows in `capture.rs`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::service::{Caller, Service};
use crate::stored::{self, NewEvent};
use crate::webhooks::create;

/// A stream of server-sent events.
pub struct Stream {
    pub response: reqwest::Response,
    read: String,
}

impl Stream {
    /// Opens it, after the last event that came, if one did.
    pub async fn open(service: &Service, caller: &Caller, path: &str, last: Option<&str>) -> Self {
        let mut request = caller.request(&service.http, path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.expect("an answer");
        Self {
            response,
            read: String::new(),
        }
    }

    /// The next event as (name, id, data); `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.read = rest;
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().to_owned()
                };
                let data = serde_json::from_str(&field("data: ")).unwrap_or_default();
                return Some((field("event: "), field("id: "), data));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.response.chunk());
            let chunk: Bytes = chunk.await.expect("news in time").expect("a stream")?;
            self.read.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }
}

#[tokio::test]
async fn a_stream_from_the_past_looks_through_it_part_by_part() {
    let service = Service::start_with(|settings| settings.scanned_rows = 2).await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let began = hookgate_domain::clock::now() - chrono::TimeDelta::minutes(1);
    let wanted = NewEvent {
        event_type: Some("order.paid"),
        ..NewEvent::default()
    };
    let mut paid = Vec::new();
    for new in [&NewEvent::default(), &wanted].repeat(6) {
        let event = stored::event(&service, &webhook, new);
        paid.extend(new.event_type.map(|_| event));
    }
    let from = began.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let path = format!("/v1/events/stream?event_type=order.paid&from={from}");
    let mut stream = Stream::open(&service, &owner, &path, None).await;
    stream.next().await.expect("it opens");
    for event in paid {
        assert_eq!(stream.next().await.expect("a message").1, event);
    }
    // What becomes of an event later is no filter of those that come in.
    owner
        .get("/v1/events/stream?status=failed&duplicated=true")
        .await
        .is_invalid(&[("?status", "unknown"), ("?duplicated", "unknown")]);
}

#[tokio::test]
async fn events_are_told_as_they_come_in() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let other = create(&owner, json!({"name": "Other"})).await;
    let before = stored::event(&service, &webhook, &NewEvent::default());
    let path = format!(
        "/v1/events/stream?webhook_id={}",
        webhook["id"].as_str().expect("an id")
    );
    let mut stream = Stream::open(&service, &owner, &path, None).await;
    assert_eq!(stream.response.headers()["content-type"], "text/event-stream");
    let (name, opened, _) = stream.next().await.expect("a message");
    assert_eq!(name, "open");
    assert!(before < opened, "it begins now");

    stored::event(&service, &other, &NewEvent::default());
    let first = stored::event(&service, &webhook, &NewEvent::default());
    let (name, id, data) = stream.next().await.expect("a message");
    assert_eq!(
        (name.as_str(), &id, &data["id"]),
        ("event", &first, &json!(first))
    );
    // One that was received before, and whose commit took longer, is told too, and does not take the client back.
    let second = stored::event(&service, &webhook, &NewEvent::default());
    assert_eq!(stream.next().await.expect("a message").1, second);
    let late = NewEvent {
        before: Some(&first),
        ..NewEvent::default()
    };
    let late = stored::event(&service, &webhook, &late);
    let (_, id, data) = stream.next().await.expect("a message");
    assert_eq!((&id, &data["id"]), (&second, &json!(late)));

    // A client that comes back misses nothing: what came in just before comes again.
    drop(stream);
    let third = stored::event(&service, &webhook, &NewEvent::default());
    let mut stream = Stream::open(&service, &owner, &path, Some(&second)).await;
    let mut told = Vec::new();
    while told.last() != Some(&third) {
        let (name, _, data) = stream.next().await.expect("a message");
        if name == "event" {
            told.push(data["id"].as_str().expect("an id").to_owned());
        }
    }
    for event in [&late, &first, &second, &third] {
        assert_eq!(told.iter().filter(|one| *one == event).count(), 1, "{told:?}");
    }
}

#[tokio::test]
async fn a_stream_tells_of_its_own_tenants_events_alone() {
    let service = Service::start_with_short_streams().await;
    let ada = service.register("ada@example.com").await;
    let eve = service.register("eve@example.com").await;
    let webhook = create(&ada, json!({"name": "Orders"})).await;
    let event = stored::event(&service, &webhook, &NewEvent::default());
    let id = webhook["id"].as_str().expect("an id");
    let path = format!("/v1/events/stream?from=2020-01-01T00:00:00Z&webhook_id={id}");
    for (caller, told) in [(&ada, true), (&eve, false)] {
        let mut stream = Stream::open(&service, caller, &path, None).await;
        let mut ids = Vec::new();
        while let Some((_, id, _)) = stream.next().await {
            ids.push(id);
        }
        assert_eq!(ids.contains(&event), told, "{ids:?}");
    }
}

#[tokio::test]
async fn a_stream_begins_where_it_is_told() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let events: Vec<String> = (0..3)
        .map(|_| stored::event(&service, &webhook, &NewEvent::default()))
        .collect();
    let mut stream = Stream::open(
        &service,
        &owner,
        "/v1/events/stream?from=2020-01-01T00:00:00Z",
        None,
    )
    .await;
    assert_eq!(stream.next().await.expect("a message").0, "open");
    for event in &events {
        assert_eq!(stream.next().await.expect("a message").1, *event);
    }
    let nowhere = owner.with("last-event-id", "7").get("/v1/events/stream").await;
    nowhere.is_problem(400, "invalid_header");
    let nowhere = owner.get("/v1/events/stream?after=evt_1").await;
    nowhere.is_problem(400, "invalid_request");
}
