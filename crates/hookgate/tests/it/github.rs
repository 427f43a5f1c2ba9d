//! Real input: the payloads of GitHub's published examples come in at a public URL, are stored byte for byte, run, and
//! go out to a receiver that verifies our signature with the published libraries.

use std::collections::HashMap;
use std::path::Path;

use hookgate_testkit::{TestDatabase, http_client};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::installation::{Installation, Storage};
use crate::node::{NodeReceiver, Received, node_packages};

const PAYLOADS: usize = 329;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const AT_ONCE: usize = 8;

/// A payload with what GitHub sends along.
pub struct Payload {
    pub event: String,
    pub bytes: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn githubs_payloads_are_stored_byte_for_byte_run_and_are_delivered_signed() {
    let node = node_packages();
    let payloads = payloads(&node);
    assert_eq!(payloads.len(), PAYLOADS);
    let receiver = NodeReceiver::start(&node, &[SECRET]);
    let database = TestDatabase::create();
    let private = [("HOOKGATE_EGRESS__ALLOWED_PRIVATE_NETWORKS", r#"["127.0.0.0/8"]"#)];
    let installation = Installation::start(&Storage::of(&database), &private).await;
    let api = &installation.api;
    let destination = json!({ "name": "Receiver", "base_url": receiver.url, "signing_secret": SECRET });
    let destination = api.post("/destinations", &destination).await;
    let flow = json!({ "flow": { "steps": [{ "name": "forward", "kind": "http", "destination": destination["id"],
        "headers": { "x-github-event": "{{ headers['x-github-event'] }}" }, "body": "{{ body }}" }] } });
    let webhook = json!({ "name": "GitHub", "system": "github", "suffix": "github" });
    let url = api.webhook(&webhook, Some(&flow)).await;

    let events = send_all(&url, &payloads).await;
    for (payload, event) in payloads.iter().zip(&events) {
        let stored = api.bytes(&format!("/events/{event}/body")).await;
        assert!(
            stored == payload.bytes,
            "{event} ({}) is not stored byte for byte",
            payload.event
        );
    }
    let received = receiver.wait_for(PAYLOADS).await;
    assert_eq!(received.len(), PAYLOADS, "each is delivered once");
    let received: HashMap<&str, &Received> = received.iter().map(|one| (one.id.as_str(), one)).collect();
    for (payload, event) in payloads.iter().zip(&events) {
        let id = event.replace("evt_", "msg_") + "_forward";
        let delivered = received
            .get(id.as_str())
            .unwrap_or_else(|| panic!("{id} was not delivered"));
        assert_eq!(
            (delivered.verified.as_slice(), delivered.event.as_ref()),
            ([SECRET.to_owned()].as_slice(), Some(&payload.event)),
            "{id}"
        );
        let (sent, came): (Value, Value) = (
            serde_json::from_slice(&payload.bytes).unwrap(),
            serde_json::from_str(&delivered.body).unwrap(),
        );
        assert!(sent == came, "{id} ({}) came out different", payload.event);
        let run = api
            .get_eventually(&format!("/runs/{}", event.replace("evt_", "run_")))
            .await;
        assert_eq!(run["outcome"], "succeeded", "{run}");
    }
    installation.stop();
}

/// Sends every payload; returns the event ids in the same order.
async fn send_all(url: &str, payloads: &[Payload]) -> Vec<String> {
    let client = http_client();
    let mut sending = JoinSet::new();
    let mut events = vec![String::new(); payloads.len()];
    for (number, payload) in payloads.iter().enumerate() {
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .header("user-agent", "GitHub-Hookshot/044aadd")
            .header("x-github-event", &payload.event)
            .header(
                "x-github-delivery",
                uuid::Uuid::from_u128(number as u128).to_string(),
            )
            .header("x-github-hook-id", "292430182")
            .body(payload.bytes.clone());
        sending.spawn(async move { (number, request.send().await.unwrap()) });
        while sending.len() >= AT_ONCE || (number + 1 == payloads.len() && !sending.is_empty()) {
            let (number, answer) = sending.join_next().await.unwrap().unwrap();
            assert!(
                answer.status().is_success(),
                "{}: {}",
                payloads[number].event,
                answer.status()
            );
            events[number] = answer.headers()["hookgate-event-id"].to_str().unwrap().to_owned();
        }
    }
    events
}

pub fn payloads(node: &Path) -> Vec<Payload> {
    #[derive(Deserialize)]
    struct Kind {
        name: String,
        examples: Vec<Value>,
    }
    let file = node.join("node_modules/@octokit/webhooks-examples/api.github.com/index.json");
    let kinds: Vec<Kind> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let of_kind = |kind: Kind| {
        let examples = kind.examples.into_iter();
        examples.map(move |example| Payload {
            event: kind.name.clone(),
            bytes: example.to_string().into_bytes(),
        })
    };
    kinds.into_iter().flat_map(of_kind).collect()
}
