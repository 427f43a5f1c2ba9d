//! Requests that Python signed (`vectors.py`) are accepted, and what was changed in them is refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{secret, settings_of};
use crate::authentication::{
    Authentication, Certificate, ExternalKeys, JwkSet, Material, Request, StoredHeaders, Trace, Verdict,
    Verifier,
};
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
    url: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
    secret: Option<String>,
    second: Option<String>,
    pub options: BTreeMap<String, String>,
    pub public_keys: Vec<String>,
    keys: HashMap<String, Value>,
    certificates: HashMap<String, String>,
    event_type: Option<String>,
    delivery_id: Option<String>,
    /// What is changed, from what, to what; to nothing: it is taken away.
    refused: Vec<(String, Value, Option<String>)>,
}

pub(super) fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).expect("vectors")
}

impl ExternalKeys for Vector {
    fn jwks(&self, url: &str) -> Option<Arc<JwkSet>> {
        let keys = self.keys.get(url)?;
        Some(Arc::new(
            JwkSet::parse(keys.to_string().as_bytes()).expect("keys"),
        ))
    }

    fn certificate(&self, url: &str) -> Option<Arc<Certificate>> {
        let pem = self.certificates.get(url)?;
        Some(Arc::new(
            Certificate::parse(pem.as_bytes()).expect("a certificate"),
        ))
    }
}

impl Vector {
    fn verifier(&self, with: Option<&str>) -> Verifier {
        let of_first = with.or(self.secret.as_deref());
        let secrets = [(secret(1), of_first), (secret(2), self.second.as_deref())];
        let secrets = secrets
            .into_iter()
            .filter_map(|(id, text)| Some((id, Zeroizing::new(text?.as_bytes().to_vec()))));
        let material = Material {
            secrets: secrets.collect(),
            ..Material::default()
        };
        let authentication = Authentication::Sender(settings_of(self));
        Verifier::compile(&authentication, &material)
            .unwrap_or_else(|problem| panic!("{}: {problem}", self.name))
    }

    fn stored_headers(&self) -> Vec<u8> {
        let mut stored = Vec::new();
        for (name, value) in &self.headers {
            headers::write(&mut stored, name.as_bytes(), value.as_bytes());
        }
        stored
    }

    fn verify(&self, verifier: &Verifier) -> Verdict {
        let stored = self.stored_headers();
        let public_url = match self.query.as_str() {
            "" => self.url.clone(),
            query => format!("{}?{query}", self.url),
        };
        let request = Request {
            method: &self.method,
            public_url: &public_url,
            path: "orders",
            query: &self.query,
            headers: &StoredHeaders(&stored),
            body: self.body.as_bytes(),
            now: self.now,
        };
        let early = verifier.verify_head(&Request { body: b"", ..request }, self, &mut Trace::off());
        let verdict = verifier.verify(&request, self, &mut Trace::off());
        if let Some(early) = early {
            assert_eq!(
                matches!(early, Verdict::Accepted(_)),
                matches!(verdict, Verdict::Accepted(_)),
                "{}",
                self.name
            );
        }
        verdict
    }

    /// The same request with a change, which the vector must hold what is changed of.
    fn changed(&self, part: &str, from: &Value, to: Option<&str>) -> Self {
        let mut changed = self.clone();
        let replace = |text: &str| {
            let from = from.as_str().expect("a text");
            assert!(text.contains(from), "{}: {part} has no {from}", self.name);
            text.replacen(from, to.unwrap_or_default(), 1)
        };
        match part.split_once(' ') {
            Some((_, name)) => {
                let place = changed
                    .headers
                    .iter()
                    .position(|(candidate, _)| candidate == name);
                let place = place.unwrap_or_else(|| panic!("{}: no header {name}", self.name));
                match to {
                    Some(_) => changed.headers[place].1 = replace(&self.headers[place].1),
                    None => drop(changed.headers.remove(place)),
                }
            }
            None if part == "now" => changed.now += TimeDelta::seconds(from.as_i64().expect("seconds")),
            None if part == "body" => changed.body = replace(&self.body),
            None if part == "query" => changed.query = replace(&self.query),
            None => changed.url = replace(&self.url),
        }
        changed
    }

    fn variables(&self) -> minijinja::value::Value {
        let request = FlowRequest::new(EventInput {
            id: EventId::new(self.now, [0; 8]),
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
fn signed_requests_are_accepted_and_changed_ones_refused() {
    for vector in vectors() {
        let name = &vector.name;
        let verifier = vector.verifier(None);
        let verdict = vector.verify(&verifier);
        assert!(matches!(verdict, Verdict::Accepted(_)), "{name}: {verdict:?}");
        assert!(!vector.refused.is_empty(), "{name}");
        for (part, from, to) in &vector.refused {
            let verdict = vector.changed(part, from, to.as_deref()).verify(&verifier);
            assert!(
                matches!(verdict, Verdict::Denied(_)),
                "{name}: {part} {from} {to:?}: {verdict:?}"
            );
        }
        if let Some(secret) = &vector.secret {
            let other = secret.replacen(['0', 's', 'h', '4'], "t", 1);
            let other = if secret.starts_with("44") {
                secret.replacen('4', "5", 1)
            } else {
                other
            };
            let other = secret
                .strip_prefix("whsec_")
                .map_or(other, |key| format!("whsec_{}", key.replacen('M', "N", 1)));
            let verdict = vector.verify(&vector.verifier(Some(&other)));
            assert!(
                matches!(verdict, Verdict::Denied(_)),
                "{name}: another secret: {verdict:?}"
            );
        }
    }
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
