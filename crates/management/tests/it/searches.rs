//! Lists whose filters no index finds, text in bodies, and exports.

use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

use hookgate_testkit::eventually;

use crate::members::Team;
use crate::service::{Caller, Service};
use crate::stored::{self, NewEvent};
use crate::webhooks::create;

/// The bytes of a part of an export: its bodies are read until there are so many.
const PART: usize = 4 << 20;

/// Every page of a list; each but the last must go on.
async fn pages(caller: &Caller, path: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = caller.get(&format!("{path}{cursor}")).await.is(200);
        let ids = page["data"].as_array().expect("a list").iter();
        pages.push(
            ids.map(|row| row["id"].as_str().expect("an id").to_owned())
                .collect(),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"));
    lines.collect()
}

#[tokio::test]
async fn what_no_index_finds_is_looked_for_page_by_page() {
    let service = Service::start_with(|settings| settings.scanned_rows = 2).await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let wanted = NewEvent {
        event_type: Some("order.paid"),
        ..NewEvent::default()
    };
    let paid = stored::event(&service, &webhook, &wanted);
    let run = stored::run(&service, &webhook, &paid, "failed");
    let attempt = stored::attempt(&service, &webhook, &run, "failed");
    let refusal = stored::refusal(&service, &webhook, "too_large");
    for _ in 0..5 {
        let event = stored::event(&service, &webhook, &NewEvent::default());
        let run = stored::run(&service, &webhook, &event, "succeeded");
        stored::attempt(&service, &webhook, &run, "succeeded");
        stored::refusal(&service, &webhook, "method_not_allowed");
    }
    for (path, found) in [
        ("/v1/events?event_type=order.paid", paid.clone()),
        ("/v1/events?status=failed", paid),
        ("/v1/runs?outcome=failed", run),
        ("/v1/attempts?outcome=failed", attempt),
        ("/v1/refusals?reason=too_large", refusal),
    ] {
        let pages = pages(&owner, path).await;
        assert_eq!(pages.concat(), [found], "{path}");
        assert!(pages.len() >= 3 && pages[0].is_empty(), "{path}: {pages:?}");
    }
    // What an index finds comes at once.
    for path in [
        format!("/v1/events?webhook_id={}", webhook["id"].as_str().expect("an id")),
        "/v1/runs?limit=200".to_owned(),
    ] {
        let pages = pages(&owner, &path).await;
        assert!(pages.len() == 1 && pages[0].len() == 6, "{path}: {pages:?}");
    }
}

#[tokio::test]
async fn bodies_are_searched_for_text() {
    let service = Service::start_with(|settings| settings.scanned_rows = 3).await;
    let owner = service.register("ada@example.com").await;
    let other = create(&owner, json!({"name": "Other"})).await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let with = |body: &'static [u8]| NewEvent {
        body,
        ..NewEvent::default()
    };
    let long = [
        &b"{\"customer\": \"Ada@Example.com\", \"note\": \""[..],
        &[b'n'; 5_000],
        b"\"}",
    ]
    .concat();
    let wanted = stored::event(&service, &webhook, &with(long.leak()));
    stored::event(&service, &other, &with(b"ada@example.com"));
    for _ in 0..4 {
        stored::event(&service, &webhook, &with(b"{\"customer\": \"somebody else\"}"));
    }
    let id = webhook["id"].as_str().expect("an id");
    let found = pages(
        &owner,
        &format!("/v1/events?text=ada%40example.com&webhook_id={id}"),
    )
    .await;
    assert_eq!(found.concat(), [wanted]);
    assert!(found.len() > 1, "{found:?}");
    assert_eq!(
        pages(&owner, "/v1/events?text=ADA%40example.com")
            .await
            .concat()
            .len(),
        2
    );
    assert!(
        pages(&owner, "/v1/events?text=ada.example.com")
            .await
            .concat()
            .is_empty()
    );
    owner
        .get("/v1/events?text=ab")
        .await
        .is_invalid(&[("?text", "too_short")]);
    let eve = service.register("eve@example.com").await;
    assert!(
        pages(&eve, "/v1/events?text=ada%40example.com")
            .await
            .concat()
            .is_empty()
    );
}

#[tokio::test]
async fn a_tenant_has_few_searches_at_once() {
    let service = Service::start_with(|settings| settings.searches_per_tenant = 0).await;
    let owner = service.register("ada@example.com").await;
    owner
        .get("/v1/events?text=order")
        .await
        .is_problem(429, "too_many_requests");
    owner.get("/v1/events?event_type=order").await.is(200);
}

#[tokio::test]
async fn events_are_exported_with_their_bodies() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let first = stored::event(&service, &webhook, &NewEvent::default());
    let binary = NewEvent {
        body: b"\xff\x00",
        event_type: Some("order.paid"),
        ..NewEvent::default()
    };
    let second = stored::event(&service, &webhook, &binary);
    let machine = owner.key(&["events:read"]).await;
    let export = machine.get("/v1/events/export").await;
    assert_eq!(export.header("content-type"), "application/jsonl");
    let exported = lines(&export.text);
    let ids: Vec<_> = exported.iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, [first.as_str(), second.as_str()]);
    assert_eq!(exported[0]["body"], "{\"id\":42}");
    assert_eq!(exported[0]["body_base64"], Value::Null);
    assert_eq!(
        exported[0]["headers"][1],
        json!({"name": "x-api-key", "value": "[redacted]"})
    );
    assert_eq!(
        (&exported[1]["body"], &exported[1]["body_base64"]),
        (&Value::Null, &json!("/wA="))
    );
    for (query, expected) in [
        (format!("after={first}"), vec![second.clone()]),
        ("event_type=order.paid".to_owned(), vec![second.clone()]),
        ("text=%22ID%22%3a42".to_owned(), vec![first]),
        (format!("after={second}"), vec![]),
    ] {
        let export = machine.get(&format!("/v1/events/export?{query}")).await;
        let ids: Vec<_> = lines(&export.text)
            .iter()
            .map(|line| line["id"].clone())
            .collect();
        assert_eq!(ids, expected, "{query}");
    }
    let reader = owner.key(&["runs:read"]).await;
    reader.get("/v1/events/export").await.is_problem(403, "forbidden");
}

/// Stores more than a connection holds on its way.
fn much(service: &Service, webhook: &Value) {
    let body = vec![b'n'; PART];
    for _ in 0..12 {
        let event = NewEvent {
            body: &body,
            ..NewEvent::default()
        };
        stored::event(service, webhook, &event);
    }
}

#[tokio::test]
async fn an_export_ends_with_the_right_to_it() {
    let service = Service::start_with(|settings| settings.export_check_seconds = 0).await;
    let team = Team::of(&service).await;
    let webhook = create(&team.owner, json!({"name": "Orders"})).await;
    much(&service, &webhook);
    for (caller, path, whom) in [
        (&team.viewer, "/v1/events/export", &team.ids[3]),
        (&team.admin, "/v1/events/export", &team.ids[1]),
    ] {
        let mut export = caller
            .request(&service.http, path)
            .send()
            .await
            .expect("an answer");
        assert_eq!(export.status(), StatusCode::OK);
        assert!(export.chunk().await.expect("the beginning").is_some());
        team.owner.delete(&format!("/v1/members/{whom}")).await.is(204);
        let rest = async {
            while export.chunk().await?.is_some() {}
            Ok::<_, reqwest::Error>(())
        };
        assert!(rest.await.is_err(), "{path}: it went on to its end");
    }
    let whole = team.owner.get("/v1/events/export").await;
    assert_eq!(lines(&whole.text).len(), 12);
}

#[tokio::test]
async fn a_tenant_has_few_exports_at_once() {
    let service = Service::start_with(|settings| settings.exports_per_tenant = 1).await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    much(&service, &webhook);
    let running = owner
        .request(&service.http, "/v1/events/export")
        .send()
        .await
        .expect("an answer");
    assert_eq!(running.status(), StatusCode::OK);
    for path in ["/v1/events/export", "/v1/tenant/export", "/v1/audit-log/export"] {
        owner.get(path).await.is_problem(429, "too_many_requests");
    }
    let eve = service.register("eve@example.com").await;
    assert_eq!(eve.get("/v1/tenant/export").await.status, StatusCode::OK);
    drop(running);
    let again = async || {
        Some(owner.get("/v1/audit-log/export").await).filter(|answer| answer.status == StatusCode::OK)
    };
    eventually(Duration::from_secs(10), "the place is free again", again).await;
}

#[tokio::test]
async fn an_export_that_nobody_reads_leaves_its_place() {
    let service = Service::start_with(|settings| {
        settings.exports_per_tenant = 1;
        settings.answer_timeout_ms = 300;
    })
    .await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    much(&service, &webhook);
    let mut unread = owner
        .request(&service.http, "/v1/events/export")
        .send()
        .await
        .expect("an answer");
    assert_eq!(unread.status(), StatusCode::OK);
    let again = async || {
        Some(owner.get("/v1/audit-log/export").await).filter(|answer| answer.status == StatusCode::OK)
    };
    eventually(Duration::from_secs(10), "the place is free again", again).await;
    let rest = async {
        while unread.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    };
    assert!(rest.await.is_err(), "nobody takes a part for the whole");
}
