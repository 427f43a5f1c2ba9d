//! Ready-made webhooks: one request makes a URL that works, over real HTTP from the sender to the receiver.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use hookgate_testkit::receiver::{Received, Reply};
use hookgate_testkit::{Receiver, TestDatabase, eventually, http_client};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::installation::{Installation, Storage};

const PATIENCE: Duration = Duration::from_secs(30);
const SIGNING: &str = "a long random text";

/// An installation whose worker may call receivers on this machine.
async fn install(database: &TestDatabase) -> Installation {
    let private = [("HOOKGATE_EGRESS__ALLOWED_PRIVATE_NETWORKS", r#"["127.0.0.0/8"]"#)];
    Installation::start(&Storage::of(database), &private).await
}

impl Installation {
    /// Makes something that has an id.
    async fn make(&self, path: &str, body: Value) -> Value {
        self.api.post(path, &body).await["id"].clone()
    }

    /// Makes a webhook of a template, and gives its production URL.
    async fn webhook_of(&self, template: &str, parameters: Value) -> String {
        let body = json!({ "name": template, "template": { "name": template, "parameters": parameters } });
        let made = self.api.post("/webhooks", &body).await;
        let urls = made["urls"].as_array().unwrap();
        let production = urls.iter().find(|url| url["environment"] == "production");
        production.unwrap()["public_url"].as_str().unwrap().to_owned()
    }
}

async fn post(url: &str, body: &Value) -> Response {
    http_client().post(url).json(body).send().await.unwrap()
}

fn signature(content: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SIGNING.as_bytes()).unwrap();
    mac.update(content.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json_of(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_answers_messages_by_its_callback() {
    let database = TestDatabase::create();
    let installation = install(&database).await;
    let (agent, client) = (Receiver::start().await, Receiver::start().await);
    let password = installation
        .make("/secrets", json!({ "name": "Password", "value": "open sesame" }))
        .await;
    let destination = json!({ "name": "Agent", "base_url": agent.url() });
    let agent_id = installation.make("/destinations", destination).await;
    let destination = json!({ "name": "Client", "base_url": format!("{}/replies", client.url()),
        "authentication": { "kind": "basic", "username": "bot", "password": password } });
    let callback = installation.make("/destinations", destination).await;
    let url = installation
        .webhook_of(
            "agent-message",
            json!({ "agent": agent_id, "callback": callback }),
        )
        .await;

    let without = json!({ "userId": "user-7", "sessionId": "chat-1" });
    let refused = post(&url, &without).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["msg"], "Missing required parameter");
    assert_eq!(refused["errors"][0]["path"], "text,data", "{refused}");
    for invalid in [
        json!({ "text": 7 }),
        json!({ "data": "text" }),
        json!({ "text": "", "data": {} }),
    ] {
        let mut body = without.clone();
        body.as_object_mut()
            .unwrap()
            .extend(invalid.as_object().unwrap().clone());
        let status = post(&url, &body).await.status();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }

    agent.script([
        Reply::json(200, &json!({ "text": "On its way.", "data": { "eta": 2 } })),
        Reply::json(200, &json!({ "text": "In two days." })),
    ]);
    let mut traces = Vec::new();
    for (number, message) in [
        json!({ "userId": "user-7", "sessionId": "chat-1", "text": "Where is my order?" }),
        json!({ "userId": "user-7", "sessionId": "chat-1", "data": { "ask": "When is it here, 4711?" },
            "disableSensitiveLogging": true }),
    ]
    .iter()
    .enumerate()
    {
        let accepted = post(&url, message).await;
        assert_eq!(accepted.status(), StatusCode::ACCEPTED);
        let event = accepted.headers()["hookgate-event-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let accepted: Value = accepted.json().await.unwrap();
        assert_eq!(accepted, json!({ "status": "accepted", "traceId": event }));
        client.wait_for(number + 1, PATIENCE).await;
        traces.push(event);
    }
    let asked: Vec<Value> = agent.received().iter().map(json_of).collect();
    assert_eq!(
        asked,
        [
            json!({ "userId": "user-7", "sessionId": "chat-1", "text": "Where is my order?", "data": null, "turn": 1 }),
            json!({ "userId": "user-7", "sessionId": "chat-1", "text": null, "data": { "ask": "When is it here, 4711?" },
                "turn": 2 }),
        ]
    );
    let replies = client.received();
    for reply in &replies {
        assert_eq!(
            (reply.method.as_str(), reply.target.as_str()),
            ("POST", "/replies")
        );
        assert_eq!(reply.header("authorization"), Some("Basic Ym90Om9wZW4gc2VzYW1l"));
    }
    let told: Vec<Value> = replies.iter().map(json_of).collect();
    assert_eq!(
        told,
        [
            json!({ "userId": "user-7", "sessionId": "chat-1", "AIOutput": { "text": "On its way.", "data": { "eta": 2 },
                "traceId": traces[0], "disableSensitiveLogging": false, "source": "bot" } }),
            json!({ "userId": "user-7", "sessionId": "chat-1", "AIOutput": { "text": "In two days.", "data": null,
                "traceId": traces[1], "disableSensitiveLogging": true, "source": "bot" } }),
        ]
    );
    for (trace, is_there) in traces.iter().zip([true, false]) {
        let api = &installation.api;
        let body = api.bytes(&format!("/events/{trace}/body")).await;
        assert_eq!(String::from_utf8_lossy(&body).contains("chat-1"), is_there);
        let run = api
            .get_eventually(&format!("/runs/{}", trace.replace("evt_", "run_")))
            .await;
        assert_eq!(run["outcome"], "succeeded", "{run}");
        let attempts = api
            .get(&format!("/attempts?run_id={}", trace.replace("evt_", "run_")))
            .await;
        assert!(!attempts.to_string().contains("In two days"), "{attempts}");
    }
    installation.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verified_events_of_github_and_stripe_are_forwarded_once() {
    let database = TestDatabase::create();
    let installation = install(&database).await;
    let receiver = Receiver::start().await;
    let secret = installation
        .make("/secrets", json!({ "name": "Signing", "value": SIGNING }))
        .await;
    let destination = json!({ "name": "Mine", "base_url": receiver.url() });
    let destination = installation.make("/destinations", destination).await;
    let parameters = json!({ "secret": secret, "destination": destination });
    let github = installation.webhook_of("github-events", parameters.clone()).await;
    let stripe = installation.webhook_of("stripe-events", parameters).await;

    let deliver = async |event: &str, delivery: &str, signature: String, body: &str| {
        let request = http_client()
            .post(&github)
            .header("content-type", "application/json")
            .header("x-github-event", event)
            .header("x-github-delivery", delivery)
            .header("x-hub-signature-256", format!("sha256={signature}"))
            .body(body.to_owned());
        request.send().await.unwrap()
    };
    let ping = r#"{"zen":"Keep it logically awesome."}"#;
    let pinged = deliver("ping", "1", signature(ping), ping).await;
    assert_eq!(pinged.status(), StatusCode::OK);
    let opened = r#"{"action":"opened","issue":{"number":1}}"#;
    assert_eq!(
        deliver("issues", "2", signature("other"), opened).await.status(),
        StatusCode::UNAUTHORIZED
    );
    for _ in 0..2 {
        assert_eq!(
            deliver("issues", "2", signature(opened), opened).await.status(),
            StatusCode::OK
        );
    }
    let forwarded = &receiver.wait_for(1, PATIENCE).await[0];
    assert_eq!(json_of(forwarded), serde_json::from_str::<Value>(opened).unwrap());
    assert_eq!(forwarded.header("x-github-event"), Some("issues"));
    assert_eq!(forwarded.header("x-github-delivery"), Some("2"));
    let event = pinged.headers()["hookgate-event-id"].to_str().unwrap();
    let run = installation
        .api
        .get_eventually(&format!("/runs/{}", event.replace("evt_", "run_")))
        .await;
    assert_eq!(run["outcome"], "filtered", "a ping is not forwarded");

    let charge = json!({ "id": "evt_1", "type": "charge.succeeded", "created": 1680064028, "livemode": false,
        "data": { "object": { "id": "ch_1", "amount": 1099 } } })
    .to_string();
    let charged = async |time: u64| {
        let signed = signature(&format!("{time}.{charge}"));
        let request = http_client()
            .post(&stripe)
            .header("content-type", "application/json")
            .header("stripe-signature", format!("t={time},v1={signed}"))
            .body(charge.clone());
        request.send().await.unwrap().status()
    };
    assert_eq!(
        charged(now() - 3_600).await,
        StatusCode::UNAUTHORIZED,
        "an old one"
    );
    for _ in 0..2 {
        assert_eq!(charged(now()).await, StatusCode::OK);
    }
    receiver.wait_for(2, PATIENCE).await;
    // Work that the repetitions had made would be done by now.
    let jobs_are_done = async || {
        let events = installation.api.get("/events?limit=10").await;
        let pending = events["data"]
            .as_array()?
            .iter()
            .any(|event| event["status"] == "pending");
        (!pending).then_some(events)
    };
    let events = eventually(PATIENCE, "nothing is pending", jobs_are_done).await;
    assert_eq!(events["data"].as_array().unwrap().len(), 3, "{events}");
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(
        json_of(&received[1]),
        json!({ "id": "evt_1", "type": "charge.succeeded", "created": 1680064028, "livemode": false,
            "object": { "id": "ch_1", "amount": 1099 } })
    );
    installation.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slack_command_is_answered_in_time_whatever_happens() {
    let database = TestDatabase::create();
    let installation = install(&database).await;
    let receiver = Receiver::start().await;
    let secret = installation
        .make("/secrets", json!({ "name": "Signing", "value": SIGNING }))
        .await;
    let destination = json!({ "name": "Weather", "base_url": receiver.url() });
    let destination = installation.make("/destinations", destination).await;
    let url = installation
        .webhook_of(
            "slack-command",
            json!({ "secret": secret, "destination": destination }),
        )
        .await;
    let command = async |trigger: &str| {
        let body =
            format!("command=%2Fweather&text=94070&user_id=U1&channel_id=C1&team_id=T1&trigger_id={trigger}");
        let time = now();
        let request = http_client()
            .post(&url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", time.to_string())
            .header(
                "x-slack-signature",
                format!("v0={}", signature(&format!("v0:{time}:{body}"))),
            )
            .body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json::<Value>().await.unwrap()
    };
    receiver.script([
        Reply::status(200)
            .with_header("content-type", "text/plain")
            .with_body("Sunny."),
        Reply::json(200, &json!({ "response_type": "in_channel", "text": "Rain." })),
        Reply::status(500),
        Reply::status(200).after(Duration::from_secs(10)),
    ]);
    let said = |text: &str| json!({ "response_type": "ephemeral", "text": text });
    assert_eq!(command("1").await, said("Sunny."));
    assert_eq!(
        command("2").await,
        json!({ "response_type": "in_channel", "text": "Rain." })
    );
    let sorry = said("That did not work. Please try again later.");
    assert_eq!(command("3").await, sorry);
    assert_eq!(command("4").await, sorry);
    assert_eq!(
        json_of(&receiver.received()[0]),
        json!({ "command": "/weather", "text": "94070", "user_id": "U1", "channel_id": "C1", "team_id": "T1" })
    );
    installation.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_become_records_and_people_are_thanked() {
    let database = TestDatabase::create();
    let installation = install(&database).await;
    let api = &installation.api;
    api.post("/collections", &json!({ "name": "messages" })).await;
    let parameters = json!({ "collection": "messages", "thanks": "Thank you, {{ body.name }}." });
    let url = installation.webhook_of("form-to-collection", parameters).await;
    let multipart = "--b\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nAda\r\n\
        --b\r\ncontent-disposition: form-data; name=\"message\"\r\n\r\nCall me back.\r\n--b--\r\n";
    for (content_type, body) in [
        (
            "application/x-www-form-urlencoded",
            "name=Ada&message=Call+me+back.",
        ),
        ("multipart/form-data; boundary=b", multipart),
        (
            "application/json",
            r#"{ "name": "Ada", "message": "Call me back." }"#,
        ),
    ] {
        let request = http_client()
            .post(&url)
            .header("content-type", content_type)
            .body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.text().await.unwrap(), "Thank you, Ada.");
    }
    let records = api.get("/collections/messages/records").await;
    let records = records["data"].as_array().unwrap();
    assert_eq!(records.len(), 3);
    for record in records {
        let fields = json!({ "name": "Ada", "message": "Call me back." });
        assert_eq!(record["data"]["fields"], fields, "{record}");
        assert!(record["key"].as_str().unwrap().starts_with("evt_"), "{record}");
        assert!(record["data"]["received_at"].is_string(), "{record}");
    }
    installation.stop();
}
