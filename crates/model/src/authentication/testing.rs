//! Requests and settings for the tests of all kinds.

use chrono::{DateTime, Utc};
use serde_json::Value;
use zeroize::Zeroizing;

use super::*;
use crate::headers;

/// The time of receipt, unless a test says otherwise.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_secs(1_700_000_000).expect("a time")
}

/// The id of secret number `seed`.
pub fn id(seed: u8) -> SecretId {
    SecretId::new(DateTime::UNIX_EPOCH, [seed; 8])
}

/// Secrets number 1, 2 and so on.
pub fn material(secrets: &[&str]) -> Material {
    let secrets = (1..).zip(secrets);
    Material {
        secrets: secrets
            .map(|(seed, secret)| (id(seed), Zeroizing::new(secret.as_bytes().to_vec())))
            .collect(),
        ..Material::default()
    }
}

/// Settings as the API takes them.
pub fn settings(json: Value) -> Authentication {
    serde_json::from_value(json).expect("settings")
}

/// Settings with secrets number 1, 2 and so on.
pub fn verifier(json: Value, secrets: &[&str]) -> Verifier {
    Verifier::compile(&settings(json), &material(secrets)).expect("settings that compile")
}

/// The pointers of what is wrong in settings.
pub fn problems(json: Value) -> Vec<String> {
    let problems = settings(json).problems();
    problems.into_iter().map(|problem| problem.pointer).collect()
}

/// A request that is made up step by step.
#[derive(Debug, Clone)]
pub struct Sent {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub now: DateTime<Utc>,
}

impl Sent {
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST".into(),
            url: "https://hooks.example.com/5x3k9z3v8e5f2q8r7w6t5y4x3m/orders".into(),
            headers: Vec::new(),
            body: body.into(),
            now: now(),
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn url(mut self, url: &str) -> Self {
        self.url = url.into();
        self
    }

    pub fn at(mut self, seconds: i64) -> Self {
        self.now = DateTime::from_timestamp_secs(seconds).expect("a time");
        self
    }

    fn run<T>(&self, f: impl FnOnce(&Request<'_>) -> T) -> T {
        let mut stored = Vec::new();
        for (name, value) in &self.headers {
            headers::write(&mut stored, name.as_bytes(), value.as_bytes());
        }
        f(&Request {
            method: &self.method,
            public_url: &self.url,
            path: "orders",
            query: self.url.split_once('?').map_or("", |(_, query)| query),
            headers: &StoredHeaders(&stored),
            body: &self.body,
            now: self.now,
        })
    }

    pub fn verdict(&self, verifier: &Verifier, keys: &dyn ExternalKeys) -> Verdict {
        self.run(|request| {
            let whole = verifier.verify(request, keys, &mut Trace::off());
            let mut trace = Trace::on();
            assert_eq!(verifier.verify(request, keys, &mut trace), whole);
            let failed = trace.into_steps().iter().any(|step| !step.passed);
            assert!(
                failed || !matches!(whole, Verdict::Denied(_)),
                "a denial shows in a step: {whole:?}"
            );
            // What is said before the body is read stands.
            match verifier.verify_head(request, keys, &mut Trace::off()) {
                Some(head) => assert_eq!(std::mem::discriminant(&head), std::mem::discriminant(&whole)),
                None => assert!(verifier.needs_body()),
            }
            whole
        })
    }

    pub fn verify(&self, verifier: &Verifier) -> Result<Accepted, DenialCode> {
        match self.verdict(verifier, &NoKeys) {
            Verdict::Accepted(accepted) => Ok(accepted),
            Verdict::Denied(denial) => Err(denial.code),
            Verdict::NeedsKeys(request) => panic!("needs {request:?}"),
        }
    }

    /// The number of the secret that it was accepted with.
    pub fn secret(&self, verifier: &Verifier) -> Result<Option<SecretId>, DenialCode> {
        self.verify(verifier).map(|accepted| accepted.secret)
    }

    pub fn steps(&self, verifier: &Verifier) -> Vec<Step> {
        self.run(|request| {
            let mut trace = Trace::on();
            let _ = verifier.verify(request, &NoKeys, &mut trace);
            trace.into_steps()
        })
    }

    pub fn head(&self, verifier: &Verifier) -> Option<Verdict> {
        self.run(|request| verifier.verify_head(request, &NoKeys, &mut Trace::off()))
    }
}
