//! Any sequence of deliveries to two nodes against a model: a key that is remembered belongs to one event.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use hookgate_testkit::fixtures::Webhook;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::deduplication::{Got, by_id, post};
use crate::harness::Harness;

#[derive(Debug, Clone)]
enum Step {
    /// Deliveries at the same time, each to one of the nodes, by the key or without one.
    Deliver(Vec<(bool, Option<u8>)>),
    /// The time of a key is over.
    Expire(u8),
    /// What is over is deleted.
    Maintain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0..4_u8;
    let delivery = (any::<bool>(), prop::option::weighted(0.9, key()));
    let step = prop_oneof![
        6 => prop::collection::vec(delivery, 1..6).prop_map(Step::Deliver),
        2 => key().prop_map(Step::Expire),
        1 => Just(Step::Maintain),
    ];
    prop::collection::vec(step, 1..16)
}

/// What is remembered, and what was stored.
#[derive(Default)]
struct Model {
    first: HashMap<u8, Got>,
    events: HashSet<String>,
}

impl Model {
    fn deliver(&mut self, key: Option<u8>, got: &Got) -> Result<(), TestCaseError> {
        prop_assert_eq!(got.status, 201);
        let known = key.and_then(|key| self.first.get(&key));
        if let Some(first) = known {
            prop_assert_eq!(got, first, "a repetition gets the first one's answer");
            return Ok(());
        }
        prop_assert!(self.events.insert(got.event().to_owned()), "a new event: {got:?}");
        if let Some(key) = key {
            self.first.insert(key, got.clone());
        }
        Ok(())
    }
}

async fn check(nodes: &[&Harness; 2], webhook: &Webhook, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Deliver(deliveries) => {
                let sent = deliveries.iter().enumerate().map(async |(place, (node, key))| {
                    // The answer tells whose it is.
                    let mut body = json!({ "n": number * 100 + place });
                    if let Some(key) = key {
                        body["id"] = json!(key);
                    }
                    let (node, body) = (nodes[usize::from(*node)], body.to_string());
                    (*key, post(node, &webhook.production, &body).await)
                });
                for (key, got) in join_all(sent).await {
                    model.deliver(key, &got)?;
                }
            }
            Step::Expire(key) => {
                if let Some(first) = model.first.remove(key) {
                    let event: hookgate_model::ids::EventId = first.event().parse().expect("an id");
                    nodes[0].execute(&format!(
                        "UPDATE deduplication_keys SET expires_at = now() - interval '1 second' WHERE event_id = '{}'",
                        event.uuid()
                    ));
                }
            }
            Step::Maintain => nodes[0].execute("DELETE FROM deduplication_keys WHERE expires_at <= now()"),
        }
    }
    let stored: HashSet<String> = nodes[0]
        .events(webhook)
        .iter()
        .map(|event| event.event_id())
        .collect();
    prop_assert_eq!(stored, model.events);
    Ok(())
}

#[test]
fn any_sequence_of_deliveries_is_recognised_as_the_model_says() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut harness = runtime.block_on(Harness::start());
    let mut beside = runtime.block_on(harness.beside());
    let config = Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    };
    let checked = TestRunner::new(config).run(&steps(), |steps| {
        let revision =
            json!({ "response": { "status": 201, "body": { "n": "{{ body.n }}", "id": "{{ event.id }}" } } });
        let webhook = harness.webhook(by_id(revision));
        runtime.block_on(check(&[&harness, &beside], &webhook, &steps))
    });
    checked.expect("as the model says");
    runtime.block_on(beside.stop());
    runtime.block_on(harness.stop());
}
