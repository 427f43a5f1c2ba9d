//! Flows and answers from the sender to the receiver and back, over real HTTP through all three services.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, TestDatabase, eventually, http_client};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::installation::{Installation, Storage};

const PATIENCE: Duration = Duration::from_secs(30);

/// An installation whose worker may call a receiver on this machine, which is a destination.
async fn install(database: &TestDatabase) -> (Installation, Receiver, Value) {
    let private = [("HOOKGATE_EGRESS__ALLOWED_PRIVATE_NETWORKS", r#"["127.0.0.0/8"]"#)];
    let installation = Installation::start(&Storage::of(database), &private).await;
    let receiver = Receiver::start().await;
    let destination = json!({ "name": "Receiver", "base_url": receiver.url() });
    let destination = installation.api.post("/destinations", &destination).await["id"].clone();
    (installation, receiver, destination)
}

async fn post(url: &str, body: &Value) -> Response {
    http_client().post(url).json(body).send().await.unwrap()
}

fn event_of(answer: &Response) -> String {
    answer.headers()["hookgate-event-id"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_go_from_the_request_through_calls_and_records_into_the_answer() {
    let database = TestDatabase::create();
    let (installation, receiver, destination) = install(&database).await;
    let api = &installation.api;
    api.post("/collections", &json!({ "name": "orders" })).await;
    let revision = json!({
        "session": { "key": "{{ headers['x-shop'] }}" },
        "flow": { "steps": [
            { "name": "order", "kind": "set", "values": { "total": "{{ body.lines | sum(attribute='price') }}" } },
            { "name": "count", "kind": "session", "values": { "orders": "{{ session.orders | default(0) + 1 }}" } },
            { "name": "crm", "kind": "http", "method": "PUT", "destination": destination,
              "path": "/contacts/{{ body.email }}?source={{ query.source }}", "headers": { "x-shop": "{{ headers['x-shop'] }}" },
              "body": { "order": "{{ path.order_id }}", "total": "{{ order.total }}", "nth": "{{ session.orders }}" } },
            { "name": "save", "kind": "record", "collection": "orders", "operation": "upsert", "key": "{{ path.order_id }}",
              "data": { "contact": "{{ crm.body.id }}", "total": "{{ order.total }}" } },
            { "name": "reply", "kind": "respond", "status": 201,
              "headers": { "x-contact": "{{ crm.headers['x-contact'] }}", "content-type": "text/plain" },
              "body": "{{ path.order_id }} {{ save.change }} for {{ crm.body.id }}, {{ session.orders }} in all" } ] },
        "response": { "mode": "wait" } });
    let webhook = json!({ "name": "Orders", "suffix": "orders/{order_id}", "methods": ["POST", "PUT"] });
    let url = api
        .webhook(&webhook, Some(&revision))
        .await
        .replace("{order_id}", "o-7");
    receiver.otherwise(Reply::json(200, &json!({ "id": 42 })).with_header("x-contact", "Ada"));
    let body = json!({ "email": "a/b@example.com", "lines": [{ "price": 9.5 }, { "price": 20 }] });

    let url = format!("{url}?source=web%20shop");
    for (nth, (request, change)) in [
        (http_client().post(&url), "created"),
        (http_client().put(&url), "updated"),
    ]
    .into_iter()
    .enumerate()
    {
        let nth = nth + 1;
        let answer = request
            .header("x-shop", "north")
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        assert_eq!(answer.headers()["x-contact"], "Ada");
        assert_eq!(answer.headers()["content-type"], "text/plain");
        let event = event_of(&answer);
        assert_eq!(
            answer.text().await.unwrap(),
            format!("o-7 {change} for 42, {nth} in all")
        );
        let call = receiver.received().pop().unwrap();
        assert_eq!(call.method, "PUT");
        assert_eq!(call.target, "/contacts/a%2Fb%40example.com?source=web%20shop");
        assert_eq!(call.header("x-shop"), Some("north"));
        let sent: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(sent, json!({ "order": "o-7", "total": 29.5, "nth": nth }));
        // One id from the request to the call, the run and its attempts.
        let id = event.strip_prefix("evt_").unwrap();
        assert_eq!(call.header("webhook-id"), Some(format!("msg_{id}_crm").as_str()));
        let run = api.get_eventually(&format!("/runs/run_{id}")).await;
        assert_eq!(
            (&run["event_id"], &run["outcome"]),
            (&json!(event), &json!("succeeded"))
        );
        let attempts = api.get(&format!("/attempts?run_id=run_{id}")).await;
        assert_eq!(attempts["data"].as_array().unwrap().len(), 1);
    }
    let record = api.get("/collections/orders/records/o-7").await;
    assert_eq!(record["data"], json!({ "contact": 42, "total": 29.5 }));
    let sessions = api.get("/webhooks?q=orders").await["data"][0]["id"].clone();
    let sessions = api
        .get(&format!("/webhooks/{}/sessions", sessions.as_str().unwrap()))
        .await;
    assert_eq!(sessions["data"][0]["key"], "north", "{sessions}");
    installation.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_outcome_has_its_answer() {
    let database = TestDatabase::create();
    let (installation, receiver, destination) = install(&database).await;
    receiver.otherwise(Reply::status(404));
    let call =
        json!({ "name": "crm", "kind": "http", "destination": destination, "retry": { "attempts": 1 } });
    let mut going_on = call.clone();
    going_on["on_error"] = json!("continue");
    let wait = |more: Value| {
        let mut response = json!({ "mode": "wait" });
        response
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        response
    };
    let respond = json!({ "name": "reply", "kind": "respond", "status": 200,
        "status_override": "{{ 404 if crm.status == 404 else none }}", "body": { "found": "{{ crm.status == 200 }}" } });
    let filter = json!({ "name": "paid", "kind": "filter", "condition": "{{ body.paid }}",
        "answer": { "status": 202, "body": "not paid" } });
    let failed = json!({ "failed": { "status": 500, "status_override": "{{ 503 if error.step == 'crm' else none }}",
        "headers": { "retry-after": "60" }, "body": "{{ error.message }}" } });
    for (name, steps, response, status, text) in [
        (
            "at once",
            json!([]),
            json!({ "status": 202, "body": "{{ body.n }}" }),
            202,
            "7",
        ),
        (
            "no content",
            json!([]),
            json!({ "status": 204, "body": "nobody reads this" }),
            204,
            "",
        ),
        (
            "conditional",
            json!([]),
            json!({ "status_override": "{{ 201 if body.n > 5 else none }}", "body": { "n": "{{ body.n }}" } }),
            201,
            r#"{"n":7}"#,
        ),
        (
            "an error that goes on",
            json!([going_on, respond]),
            wait(json!({})),
            404,
            r#"{"found":false}"#,
        ),
        (
            "a filter",
            json!([filter, call]),
            wait(json!({})),
            202,
            "not paid",
        ),
        (
            "an interrupted flow",
            json!([call]),
            wait(json!({ "on": failed })),
            503,
            "the destination answered 404",
        ),
        (
            "an interrupted flow without an answer of its own",
            json!([call]),
            wait(json!({})),
            500,
            r#"{"status":"failed"}"#,
        ),
    ] {
        let revision = json!({ "flow": { "steps": steps }, "response": response });
        let url = installation
            .api
            .webhook(&json!({ "name": name }), Some(&revision))
            .await;
        let answer = post(&url, &json!({ "n": 7, "paid": false })).await;
        assert_eq!(answer.status().as_u16(), status, "{name}");
        if name == "an interrupted flow" {
            assert_eq!(answer.headers()["retry-after"], "60");
        }
        event_of(&answer);
        assert_eq!(answer.text().await.unwrap(), text, "{name}");
    }
    let only_if = json!({ "flow": { "only_if": "{{ body.n > 7 }}", "steps": [call] },
        "response": wait(json!({ "on": { "filtered": { "status": 204 } } })) });
    let url = installation
        .api
        .webhook(&json!({ "name": "only if" }), Some(&only_if))
        .await;
    assert_eq!(
        post(&url, &json!({ "n": 7 })).await.status(),
        StatusCode::NO_CONTENT
    );
    installation.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_waited_too_long_finds_the_flows_answer_later() {
    let database = TestDatabase::create();
    let (installation, receiver, destination) = install(&database).await;
    receiver.otherwise(Reply::json(200, &json!({ "id": 42 })).after(Duration::from_millis(2_500)));
    let revision = |on: Value| {
        json!({ "flow": { "steps": [{ "name": "crm", "kind": "http", "destination": destination }] },
            "response": { "mode": "wait", "timeout_ms": 1000, "status": 201, "body": { "id": "{{ crm.body.id }}" }, "on": on } })
    };
    let url = installation
        .api
        .webhook(&json!({ "name": "Slow" }), Some(&revision(json!({}))))
        .await;
    let answer = post(&url, &json!({})).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let later = answer.headers()["location"].to_str().unwrap().to_owned();
    let told: Value = answer.json().await.unwrap();
    assert_eq!(
        (&told["status"], &told["status_url"]),
        (&json!("processing"), &json!(later))
    );
    let over = async || {
        let answer = http_client().get(&later).send().await.unwrap();
        (answer.status() != StatusCode::ACCEPTED).then_some(answer)
    };
    let answer = eventually(PATIENCE, "the flow's answer is at the status URL", over).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "id": 42 }));

    let gateway = json!({ "timed_out": { "status": 504, "body": "too slow" } });
    let url = installation
        .api
        .webhook(&json!({ "name": "Slower" }), Some(&revision(gateway)))
        .await;
    let answer = post(&url, &json!({})).await;
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    let run = format!("/runs/{}", event_of(&answer).replace("evt_", "run_"));
    let run = installation.api.get_eventually(&run).await;
    assert_eq!(run["outcome"], "succeeded", "the run goes on all the same");

    // A caller who leaves changes nothing either.
    let leaving = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    assert!(leaving.post(&url).json(&json!({})).send().await.is_err());
    let both = async || {
        let runs = installation.api.get("/runs").await;
        (runs["data"].as_array()?.len() == 3).then_some(runs)
    };
    let runs = eventually(PATIENCE, "the third run is over", both).await;
    assert!(
        runs["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|run| run["outcome"] == "succeeded"),
        "{runs}"
    );
    installation.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_runs_what_was_published_when_it_came_and_remembers_it() {
    let database = TestDatabase::create();
    let (installation, _receiver, _) = install(&database).await;
    let api = &installation.api;
    let revision = |text: &str| {
        json!({ "flow": { "steps": [{ "name": "version", "kind": "set", "values": { "text": text } }] },
            "response": { "mode": "wait", "body": "{{ version.text }}" } })
    };
    let url = api
        .webhook(&json!({ "name": "Orders" }), Some(&revision("first")))
        .await;
    let webhook = api.get("/webhooks").await["data"][0].clone();
    let path = format!("/webhooks/{}", webhook["id"].as_str().unwrap());
    let urls = webhook["urls"].as_array().unwrap();
    let test = urls.iter().find(|url| url["environment"] == "test").unwrap()["public_url"].clone();
    let answered = async |url: &str| {
        let answer = post(url, &json!({})).await;
        let event = api.get(&format!("/events/{}", event_of(&answer))).await;
        (answer.text().await.unwrap(), event["revision_id"].clone())
    };
    // What is changed is told to the ingress over Redis.
    let answers = async |url: &str, expected: &str| {
        let told = async || Some(answered(url).await).filter(|(text, _)| text == expected);
        eventually(PATIENCE, format!("{expected} answers"), told).await.1
    };
    let first = answers(&url, "first").await;
    api.put(&format!("{path}/draft"), &revision("second")).await;
    let draft = answers(test.as_str().unwrap(), "second").await;
    assert_eq!(
        answered(&url).await,
        ("first".to_owned(), first.clone()),
        "a draft changes nothing"
    );
    api.post(&format!("{path}/publish"), &json!({})).await;
    assert_eq!(answers(&url, "second").await, draft);
    let back = format!("{path}/revisions/{}/publish", first.as_str().unwrap());
    api.post(&back, &json!({})).await;
    assert_eq!(answers(&url, "first").await, first);
    installation.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_sent_and_found_nowhere_else() {
    const SECRET: &str = "s3cr3t/of the ERP";
    let database = TestDatabase::create();
    let (installation, receiver, destination) = install(&database).await;
    let api = &installation.api;
    let secret = api
        .post("/secrets", &json!({ "name": "ERP", "value": SECRET }))
        .await;
    // Whoever is called sends everything back.
    let echo = |status| {
        let body = json!({ "key": SECRET, "id": 42 });
        Reply::json(status, &body).with_header("x-echo", &format!("Key {SECRET}"))
    };
    let flow = |steps: Value| json!({ "secrets": { "erp": secret["id"] }, "steps": steps });
    let called = json!({ "name": "erp", "kind": "http", "destination": destination, "retry": { "attempts": 1 },
        "path": "/orders?key={{ secrets.erp }}", "headers": { "x-key": "{{ secrets.erp }}" },
        "body": { "signature": "{{ body_text | hmac(secrets.erp) }}" } });
    let told = json!({ "name": "told", "kind": "callback", "destination": destination, "path": "/told",
        "body": { "key": "{{ secrets.erp }}" } });
    let reply = json!({ "name": "reply", "kind": "respond", "headers": { "x-echo": "{{ erp.headers['x-echo'] }}" },
        "body": "{{ erp.body }}" });
    let revision = json!({ "flow": flow(json!([told, called, reply])), "response": { "mode": "wait" } });
    receiver.otherwise(echo(200));
    let url = api.webhook(&json!({ "name": "Orders" }), Some(&revision)).await;
    let answer = post(&url, &json!({ "n": 7 })).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["x-echo"], "Key [masked]");
    assert_eq!(
        answer.json::<Value>().await.unwrap(),
        json!({ "key": "[masked]", "id": 42 })
    );
    let calls = async |count: usize| {
        let all = async || Some(receiver.received()).filter(|calls| calls.len() >= count);
        eventually(PATIENCE, format!("{count} calls"), all).await
    };
    let received = calls(2).await;
    let order = received
        .iter()
        .find(|call| call.target.starts_with("/orders"))
        .unwrap();
    assert_eq!(order.target, "/orders?key=s3cr3t%2Fof%20the%20ERP");
    assert_eq!(order.header("x-key"), Some(SECRET));
    let told_to = received.iter().find(|call| call.target == "/told").unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&told_to.body).unwrap(),
        json!({ "key": SECRET })
    );

    // A run that fails keeps its progress, and a call that has to wait its request: neither holds the value.
    receiver.otherwise(echo(500));
    assert_eq!(
        post(&url, &json!({})).await.status(),
        StatusCode::INTERNAL_SERVER_ERROR
    );
    calls(4).await;
    let failed = async || {
        let runs = api.get("/runs?outcome=failed").await;
        let attempts = api.get("/attempts").await;
        let (runs, attempts) = (runs["data"].as_array()?.len(), attempts["data"].as_array()?.len());
        (runs == 1 && attempts == 4).then_some(())
    };
    eventually(PATIENCE, "the run is recorded, and every attempt", failed).await;
    assert_eq!(database.tables_with(SECRET), Vec::<String>::new());
    assert_eq!(database.tables_with("s3cr3t%2Fof"), Vec::<String>::new());
    installation.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_sent_and_answered_as_they_are() {
    let database = TestDatabase::create();
    let (installation, receiver, destination) = install(&database).await;
    let png = b"\x89PNG\r\n\x1a\n\0\xff";
    receiver.otherwise(Reply::json(200, &json!({ "png": STANDARD.encode(png) })));
    let revision = json!({ "flow": { "steps": [
        { "name": "draw", "kind": "http", "destination": destination, "body": "{{ body.image }}", "body_encoding": "base64" } ] },
        "response": { "mode": "wait", "headers": { "content-type": "image/png" }, "body": "{{ draw.body.png }}",
            "body_encoding": "base64" } });
    let url = installation
        .api
        .webhook(&json!({ "name": "Images" }), Some(&revision))
        .await;
    let answer = post(&url, &json!({ "image": STANDARD.encode(b"\0\x01\xfe") })).await;
    assert_eq!(answer.headers()["content-type"], "image/png");
    let event = event_of(&answer);
    assert_eq!(answer.bytes().await.unwrap().as_ref(), png);
    let call = receiver.received().pop().unwrap();
    assert_eq!(call.body, b"\0\x01\xfe");
    assert_eq!(call.header("content-type"), Some("application/octet-stream"));
    let run = format!("/runs/{}", event.replace("evt_", "run_"));
    let run = installation.api.get_eventually(&run).await;
    assert_eq!(run["answer"]["body_base64"], STANDARD.encode(png), "{run}");
    installation.stop();
}
