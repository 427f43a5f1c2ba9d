//! Events, refusals, runs and attempts, as the API shows them.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Caller, Service};
use crate::stored::{self, NewEvent};
use crate::webhooks::{create, path_of};

async fn ids(caller: &Caller, path: &str) -> Vec<String> {
    let list = caller.get(path).await.is(200);
    list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn an_event_is_shown_with_its_request() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders", "suffix": "orders/{order_id}"})).await;
    let id = stored::event(&service, &webhook, &NewEvent::default());
    let event = owner.get(&format!("/v1/events/{id}")).await.is(200);
    assert_eq!(event["id"], id);
    assert_eq!(event["webhook_id"], webhook["id"]);
    assert_eq!(event["url_id"], webhook["urls"][0]["id"]);
    assert_eq!(event["revision_id"], webhook["draft_revision_id"]);
    assert_eq!(
        (&event["method"], &event["path"], &event["query"]),
        (&json!("POST"), &json!("orders/42"), &json!("a=b"))
    );
    assert_eq!(event["path_parameters"], json!({"order_id": "42"}));
    assert_eq!(event["address"], "203.0.113.7");
    assert_eq!(event["body"]["json"], json!({"id": 42}));
    assert_eq!(event["body_bytes"], 9);
    assert_eq!(
        event["headers"],
        json!([{"name": "content-type", "value": "application/json"}, {"name": "x-api-key", "value": "[redacted]"}])
    );
    assert!(event["received_at"].as_str().expect("a time").ends_with('Z'));
    let listed = owner.get("/v1/events").await.is(200);
    assert_eq!(listed["data"][0]["id"], id);
    assert!(listed["data"][0].get("body").is_none() && listed["data"][0].get("headers").is_none());
}

#[tokio::test]
async fn a_body_comes_back_byte_for_byte_and_cannot_run_in_a_browser() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let long = "<script>alert(1)</script>\r\n".repeat(4000);
    for (body, headers) in [
        (long.as_bytes(), "content-type: text/html\r\n"),
        (&b"\x00\xff\xfe"[..], ""),
        (&b""[..], ""),
    ] {
        let id = stored::event(
            &service,
            &webhook,
            &NewEvent {
                body,
                headers,
                ..NewEvent::default()
            },
        );
        let response = owner.bytes(&format!("/v1/events/{id}/body")).await;
        assert_eq!(response.body, body);
        let expected = if headers.is_empty() {
            "application/octet-stream"
        } else {
            "text/html"
        };
        assert_eq!(response.header("content-type"), expected);
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert!(response.header("content-disposition").starts_with("attachment"));
        assert!(response.header("content-security-policy").contains("sandbox"));
        let shown = owner.get(&format!("/v1/events/{id}")).await.is(200);
        assert_eq!(shown["body"]["bytes"], body.len());
    }
}

#[tokio::test]
async fn an_event_tells_how_far_it_has_come() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let idle = create(&owner, json!({"name": "Idle"})).await;
    let working = create(&owner, json!({"name": "Working"})).await;
    let draft = json!({"flow": {"steps": [{"name": "a", "kind": "set", "values": {}}]}}).to_string();
    owner
        .send(Method::PUT, &format!("{}/draft", path_of(&working)), Some(draft))
        .await
        .is(200);
    let working = owner.get(&path_of(&working)).await.is(200);
    let status = async |id: &str| owner.get(&format!("/v1/events/{id}")).await.is(200)["status"].clone();
    let event = NewEvent::default();
    assert_eq!(status(&stored::event(&service, &idle, &event)).await, "received");
    let unpublished = NewEvent {
        has_revision: false,
        ..NewEvent::default()
    };
    assert_eq!(
        status(&stored::event(&service, &working, &unpublished)).await,
        "received"
    );
    let id = stored::event(&service, &working, &event);
    assert_eq!(status(&id).await, "pending");
    let run = format!("/v1/runs/{}", id.replace("evt_", "run_"));
    owner.get(&run).await.is_problem(404, "not_found");
    stored::run(&service, &working, &id, "failed");
    assert_eq!(status(&id).await, "failed");
    owner.get(&run).await.is(200);
    let listed = owner.get("/v1/events").await.is(200);
    let told: Vec<&Value> = listed["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| &event["status"])
        .collect();
    assert_eq!(told, ["failed", "received", "received"]);
}

#[tokio::test]
async fn events_are_found_by_how_far_they_have_come() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let step = json!({"name": "a", "kind": "set", "values": {}});
    let mut wanted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (draft, unfinished) in [
        (json!({}), "received"),
        (
            json!({"response": {"mode": "immediate", "status": 202}}),
            "received",
        ),
        (json!({"flow": {"steps": [step]}}), "pending"),
        (json!({"response": {"mode": "wait"}}), "pending"),
    ] {
        let webhook = create(&owner, json!({"name": "Orders"})).await;
        let path = path_of(&webhook);
        let draft = Some(draft.to_string());
        owner
            .send(Method::PUT, &format!("{path}/draft"), draft)
            .await
            .is(200);
        let webhook = owner.get(&path).await.is(200);
        let event = || stored::event(&service, &webhook, &NewEvent::default());
        wanted.entry(unfinished).or_default().insert(event());
        for outcome in ["succeeded", "failed", "filtered", "crashed"] {
            let event = event();
            stored::run(&service, &webhook, &event, outcome);
            wanted.entry(outcome).or_default().insert(event);
        }
        for (status, wanted) in &wanted {
            let list = |of: &str| format!("/v1/events?status={status}{of}");
            let of_webhook = format!("&webhook_id={}", webhook["id"].as_str().expect("an id"));
            let all = owner.get(&list("")).await.is(200)["data"].clone();
            let found: BTreeSet<String> = all
                .as_array()
                .expect("a list")
                .iter()
                .inspect(|event| assert_eq!(event["status"], **status, "{event}"))
                .map(|event| event["id"].as_str().expect("an id").to_owned())
                .collect();
            assert_eq!(&found, wanted, "{status}");
            let one = owner.get(&list(&of_webhook)).await.is(200);
            let newest = usize::from(*status == unfinished || !["pending", "received"].contains(status));
            assert_eq!(one["data"].as_array().expect("a list").len(), newest, "{status}");
        }
    }
    owner
        .get("/v1/events?status=done")
        .await
        .is_invalid(&[("?status", "invalid")]);
}

#[tokio::test]
async fn lists_are_filtered() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let one = create(&owner, json!({"name": "One"})).await;
    let other = create(&owner, json!({"name": "Other"})).await;
    let first = stored::one_of_each(&service, &one);
    let get = stored::event(
        &service,
        &other,
        &NewEvent {
            method: "GET",
            event_type: Some("order.paid"),
            delivery_id: Some("d-1"),
            ..NewEvent::default()
        },
    );
    let run = stored::run(&service, &other, &get, "failed");
    let attempt = stored::attempt(&service, &other, &run, "failed");
    let refusal = stored::refusal(&service, &other, "not_allowed");
    let id = |value: &Value| value.as_str().expect("an id").to_owned();
    let (webhook, url) = (id(&one["id"]), id(&one["urls"][0]["id"]));
    for (path, expected) in [
        ("/v1/events".to_owned(), vec![&get, &first.event]),
        (format!("/v1/events?webhook_id={webhook}"), vec![&first.event]),
        (format!("/v1/events?url_id={url}"), vec![&first.event]),
        ("/v1/events?method=GET".to_owned(), vec![&get]),
        ("/v1/events?event_type=order.paid".to_owned(), vec![&get]),
        ("/v1/events?delivery_id=d-1".to_owned(), vec![&get]),
        ("/v1/events?delivery_id=d-2".to_owned(), vec![]),
        ("/v1/events?environment=test".to_owned(), vec![]),
        (
            "/v1/events?from=2020-01-01T00:00:00Z&to=2021-01-01T00:00:00Z".to_owned(),
            vec![],
        ),
        (
            "/v1/events?from=2020-01-01T00:00:00Z&environment=production".to_owned(),
            vec![&get, &first.event],
        ),
        (format!("/v1/runs?webhook_id={webhook}"), vec![&first.run]),
        ("/v1/runs?outcome=failed".to_owned(), vec![&run]),
        (format!("/v1/attempts?run_id={run}"), vec![&attempt]),
        (format!("/v1/attempts?webhook_id={webhook}"), vec![&first.attempt]),
        ("/v1/attempts?outcome=failed".to_owned(), vec![&attempt]),
        (format!("/v1/refusals?webhook_id={webhook}"), vec![&first.refusal]),
        ("/v1/refusals?reason=not_allowed".to_owned(), vec![&refusal]),
    ] {
        assert_eq!(
            ids(&owner, &path).await.iter().collect::<Vec<_>>(),
            expected,
            "{path}"
        );
    }
    owner
        .get("/v1/events?environment=moon&from=today&webhook_id=evt_1")
        .await
        .is_invalid(&[
            ("?webhook_id", "invalid"),
            ("?environment", "invalid"),
            ("?from", "invalid"),
        ]);
}

#[tokio::test]
async fn what_a_flow_did_is_shown() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let stored = stored::one_of_each(&service, &webhook);
    let run = owner.get(&format!("/v1/runs/{}", stored.run)).await.is(200);
    assert_eq!(run["event_id"], stored.event);
    assert_eq!(
        (&run["steps"][0]["name"], &run["steps"][0]["result"]),
        (&json!("crm"), &json!(201))
    );
    assert_eq!(
        (&run["answer"]["status"], &run["answer"]["body"]),
        (&json!(201), &json!("made"))
    );
    let attempt = owner
        .get(&format!("/v1/attempts/{}", stored.attempt))
        .await
        .is(200);
    assert_eq!(
        (&attempt["run_id"], &attempt["response_preview"]),
        (&json!(stored.run), &json!("made"))
    );
    let refusal = owner
        .get(&format!("/v1/refusals/{}", stored.refusal))
        .await
        .is(200);
    assert_eq!(
        (&refusal["reason"], &refusal["status"]),
        (&json!("method_not_allowed"), &json!(405))
    );
    // What came in stays when the webhook goes.
    owner.delete(&path_of(&webhook)).await.is(204);
    assert_eq!(
        owner.get(&format!("/v1/events/{}", stored.event)).await.is(200)["status"],
        "succeeded"
    );
}

const PARTS: &[u8] = b"--b\r\ncontent-disposition: form-data; name=note\r\n\r\nhello\r\n\
    --b\r\ncontent-disposition: form-data; name=page; filename=\"../a.html\"\r\ncontent-type: text/html\r\n\r\n<script>\r\n\
    --b\r\ncontent-disposition: form-data; name=raw; filename=\"b.bin\"\r\n\r\n\x00\xff\r\n--b--\r\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("written")
}

#[tokio::test]
async fn a_body_is_shown_as_what_it_is() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let shown = async |headers: &str, body: &[u8]| {
        let event = NewEvent {
            headers,
            body,
            ..NewEvent::default()
        };
        let id = stored::event(&service, &webhook, &event);
        owner.get(&format!("/v1/events/{id}")).await.is(200)["body"].take()
    };
    let form = shown("content-type: application/x-www-form-urlencoded\r\n", b"a=1&a=2").await;
    assert_eq!(
        (&form["kind"], &form["json"], &form["text"]),
        (&json!("form"), &json!({"a": ["1", "2"]}), &json!("a=1&a=2"))
    );
    let zipped = gzip(br#"{"n": 12345678901234567890123}"#);
    let json = shown(
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
        &zipped,
    )
    .await;
    assert_eq!(
        (&json["kind"], &json["content_encoding"]),
        (&json!("json"), &json!("gzip"))
    );
    assert_eq!(
        (&json["bytes"], &json["error"]),
        (&json!(zipped.len()), &Value::Null)
    );
    assert!(json["json"].is_object());
    let malformed = shown("content-type: application/json\r\n", b"{\"n\": ").await;
    assert_eq!(
        (&malformed["json"], &malformed["error"]["code"]),
        (&Value::Null, &json!("malformed"))
    );
    assert_eq!(malformed["text"], "{\"n\": ");
    let twice = shown("content-type: application/json\r\n", b"{\"n\": 1, \"n\": 2}").await;
    assert_eq!(twice["error"]["code"], "repeated_name");
    let bomb = shown("content-encoding: gzip\r\n", &gzip(&vec![0; 20 << 20])).await;
    assert_eq!(
        (&bomb["error"]["code"], &bomb["text"]),
        (&json!("decodes_to_too_much"), &Value::Null)
    );
    let binary = shown("", b"\x00\xff").await;
    assert_eq!(
        (&binary["kind"], &binary["text"]),
        (&json!("binary"), &Value::Null)
    );
}

#[tokio::test]
async fn a_body_comes_decoded_when_that_is_wanted() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let zipped = gzip(b"<p>");
    let headers = "content-type: text/html\r\ncontent-encoding: gzip\r\n";
    let event = NewEvent {
        headers,
        body: &zipped,
        ..NewEvent::default()
    };
    let path = format!("/v1/events/{}/body", stored::event(&service, &webhook, &event));
    let sent = owner.bytes(&path).await;
    assert_eq!(
        (sent.body.as_slice(), sent.header("hookgate-content-encoding")),
        (zipped.as_slice(), "gzip")
    );
    assert_eq!(sent.header("content-encoding"), "");
    let decoded = owner.bytes(&format!("{path}?decoded=true")).await;
    assert_eq!(
        (
            decoded.body.as_slice(),
            decoded.header("hookgate-content-encoding")
        ),
        (&b"<p>"[..], "")
    );
    assert!(decoded.header("content-disposition").starts_with("attachment"));
    let damaged = NewEvent {
        headers,
        body: b"<p>",
        ..NewEvent::default()
    };
    let path = format!("/v1/events/{}/body", stored::event(&service, &webhook, &damaged));
    assert_eq!(owner.bytes(&path).await.body, b"<p>");
    owner
        .get(&format!("{path}?decoded=true"))
        .await
        .is_problem(422, "unreadable_body");
    owner
        .get(&format!("{path}?decoded=maybe"))
        .await
        .is_invalid(&[("?decoded", "invalid")]);
}

#[tokio::test]
async fn files_are_listed_and_downloaded() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    for is_zipped in [false, true] {
        let zipped = gzip(PARTS);
        let (headers, body) = if is_zipped {
            (
                "content-type: multipart/form-data; boundary=b\r\ncontent-encoding: gzip\r\n",
                zipped.as_slice(),
            )
        } else {
            ("content-type: multipart/form-data; boundary=b\r\n", PARTS)
        };
        let id = stored::event(
            &service,
            &webhook,
            &NewEvent {
                headers,
                body,
                ..NewEvent::default()
            },
        );
        let path = format!("/v1/events/{id}/files");
        let listed = owner.get(&path).await.is(200);
        let files = listed["data"].as_array().expect("a list");
        assert_eq!(files.len(), 2);
        assert_eq!(
            files[0],
            json!({"index": 0, "name": "page", "filename": "../a.html", "content_type": "text/html", "bytes": 8,
                "sha256": "5b63e5b2097fc6906601e85e381d998a7db971aca73c9213dc2b107ccab734d4"})
        );
        let page = owner.bytes(&format!("{path}/0")).await;
        assert_eq!(
            (page.body.as_slice(), page.header("content-type")),
            (&b"<script>"[..], "text/html")
        );
        assert_eq!(
            page.header("content-disposition"),
            "attachment; filename=\"a.html\""
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(page.header("content-security-policy").contains("sandbox"));
        let raw = owner.bytes(&format!("{path}/raw")).await;
        assert_eq!(
            (raw.body.as_slice(), raw.header("content-type")),
            (&b"\x00\xff"[..], "application/octet-stream")
        );
        for absent in ["2", "note", "-1", "..%2F0"] {
            owner
                .get(&format!("{path}/{absent}"))
                .await
                .is_problem(404, "not_found");
        }
    }
    let binary = NewEvent {
        headers: "content-type: image/png\r\n",
        body: b"\x89PNG\x00",
        ..NewEvent::default()
    };
    let path = format!("/v1/events/{}/files", stored::event(&service, &webhook, &binary));
    assert_eq!(owner.get(&path).await.is(200)["data"][0]["name"], "body");
    assert_eq!(owner.bytes(&format!("{path}/body")).await.body, b"\x89PNG\x00");
    let json = format!(
        "/v1/events/{}/files",
        stored::event(&service, &webhook, &NewEvent::default())
    );
    assert_eq!(owner.get(&json).await.is(200)["data"], json!([]));
}
