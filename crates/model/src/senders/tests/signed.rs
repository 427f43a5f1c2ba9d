//! Requests that Python signed (`vectors.py`) are accepted, and what was changed in them is refused.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::flow::variables::{EventInput, Request as FlowRequest, Variables};
use crate::headers;
use crate::ids::EventId;
use crate::senders;
use crate::webhook::Environment;

#[derive(Clone, Deserialize)]
pub(super) struct Vector {
    pub sender: String,
    name: String,
    now: DateTime<Utc>,
    method: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
    event_type: Option<String>,
    delivery_id: Option<String>,
}

pub(super) fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).expect("vectors")
}

impl Vector {
    fn stored_headers(&self) -> Vec<u8> {
        let mut stored = Vec::new();
        for (name, value) in &self.headers {
            headers::write(&mut stored, name.as_bytes(), value.as_bytes());
        }
        stored
    }

    fn variables(&self) -> minijinja::value::Value {
        let request = FlowRequest::new(EventInput {
            id: EventId::new(self.now, [0; 10]),
            received_at: self.now,
            method: self.method.clone(),
            address: None,
            environment: Environment::Production,
            suffix: "orders".into(),
            path: "orders".into(),
            query: self.query.clone(),
            headers: self.stored_headers(),
            body: Bytes::copy_from_slice(self.body.as_bytes()),
            event_type: None,
            delivery_id: None,
        });
        Variables::of_request(&request).root()
    }
}

#[test]
fn every_sender_has_a_signed_request() {
    let vectors = vectors();
    let signed: BTreeSet<&str> = vectors.iter().map(|vector| vector.sender.as_str()).collect();
    let known: BTreeSet<&str> = senders::all().iter().map(|preset| preset.name).collect();
    assert_eq!(signed, known);
}

#[test]
fn events_and_deliveries_are_named() {
    for vector in vectors() {
        let identity = senders::find(&vector.sender).expect("a sender").identity();
        let variables = vector.variables();
        let name = &vector.name;
        assert_eq!(identity.event_type(&variables), vector.event_type, "{name}");
        assert_eq!(identity.delivery_id(&variables), vector.delivery_id, "{name}");
    }
}
