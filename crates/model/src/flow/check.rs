//! What cannot work in a revision, with a JSON Pointer (RFC 6901) to the place.

use std::collections::HashSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::compiled;
use super::definition::RevisionDocument;
use crate::ids::{DestinationId, SecretId};

/// What a check must know besides the document.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The tenant's destinations.
    pub destinations: &'a HashSet<DestinationId>,
    /// The names of the tenant's collections.
    pub collections: &'a HashSet<String>,
    /// The tenant's secrets.
    pub secrets: &'a HashSet<SecretId>,
}

/// Something that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FlowProblem)]
pub struct Problem {
    /// Where in the document, as a JSON Pointer.
    #[schema(example = "/flow/steps/0/values/total")]
    pub pointer: String,
    /// What kind of fault.
    pub code: ProblemCode,
    /// What is wrong, for people.
    pub detail: String,
}

/// The kinds of faults in a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// A template that cannot be read.
    InvalidTemplate,
    /// A template names a variable that does not exist there.
    UnknownVariable,
    /// A condition that is not one whole `{{ expression }}`.
    InvalidCondition,
    /// A step's name that is not a word, or that is taken by a variable.
    InvalidName,
    /// Two steps have the same name.
    DuplicateName,
    /// A destination that the tenant does not have.
    UnknownDestination,
    /// A collection that the tenant does not have.
    UnknownCollection,
    /// A secret that the tenant does not have.
    UnknownSecret,
    /// A `record` step that deletes and says what the row is to hold, or does not say it.
    MisplacedData,
    /// A `session` step of a revision whose events have none.
    MissingSession,
    /// A `respond` step after one that always answers, or without a caller who waits.
    MisplacedRespond,
    /// An answer that no caller waits for.
    UnusedAnswer,
    /// A header's name or value that HTTP does not allow, or that Hookgate sets itself.
    InvalidHeader,
    /// A path that would lead away from its destination, or that a URL cannot hold.
    InvalidPath,
    /// A body that is not in the encoding it is said to be in.
    InvalidBody,
    /// A number or length outside its bounds.
    OutOfRange,
}

impl ProblemCode {
    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidTemplate => "invalid_template",
            Self::UnknownVariable => "unknown_variable",
            Self::InvalidCondition => "invalid_condition",
            Self::InvalidName => "invalid_name",
            Self::DuplicateName => "duplicate_name",
            Self::UnknownDestination => "unknown_destination",
            Self::UnknownCollection => "unknown_collection",
            Self::UnknownSecret => "unknown_secret",
            Self::MisplacedData => "misplaced_data",
            Self::MissingSession => "missing_session",
            Self::MisplacedRespond => "misplaced_respond",
            Self::UnusedAnswer => "unused_answer",
            Self::InvalidHeader => "invalid_header",
            Self::InvalidPath => "invalid_path",
            Self::InvalidBody => "invalid_body",
            Self::OutOfRange => "out_of_range",
        }
    }
}

/// Finds everything that cannot work; empty when the revision may be saved.
pub fn check(document: &RevisionDocument, context: Context<'_>) -> Vec<Problem> {
    compiled::compile(document, Some(context)).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const KNOWN: &str = "dst_01k9z3v8e5f2q8r7w6t5y4x3m2";
    const SECRET: &str = "sec_01k9z3v8e5f2q8r7w6t5y4x3m2";

    fn problems(document: Value) -> Vec<(String, &'static str)> {
        let document: RevisionDocument = serde_json::from_value(document).expect("a document");
        let destinations = [KNOWN.parse().expect("an id")].into();
        check(
            &document,
            Context {
                destinations: &destinations,
                collections: &["orders".to_owned()].into(),
                secrets: &[SECRET.parse().expect("an id")].into(),
            },
        )
        .into_iter()
        .map(|problem| (problem.pointer, problem.code.as_str()))
        .collect()
    }

    fn steps(steps: Value) -> Vec<(String, &'static str)> {
        problems(json!({ "flow": { "steps": steps }, "response": { "mode": "wait" } }))
    }

    fn with_secret(step: Value) -> Vec<(String, &'static str)> {
        problems(json!({ "flow": { "secrets": { "erp": SECRET }, "steps": [step] } }))
    }

    #[test]
    fn secrets_can_be_sent() {
        let call = json!({ "name": "a", "kind": "http", "destination": KNOWN, "path": "/x?key={{ secrets.erp }}",
            "headers": { "authorization": "Bearer {{ secrets.erp }}" },
            "body": { "signature": "{{ body_text | hmac(secrets.erp) }}" } });
        assert_eq!(with_secret(call), []);
    }

    #[test]
    fn templates_are_counted() {
        let values = |count| json!({ "x": vec!["{{ body.x }}"; count], "y": vec!["text"; 1000] });
        assert_eq!(
            steps(json!([{ "name": "a", "kind": "set", "values": values(500) }])),
            []
        );
        assert_eq!(
            steps(json!([{ "name": "a", "kind": "set", "values": values(501) }])),
            [(String::new(), "out_of_range")]
        );
    }

    #[test]
    fn what_works_has_no_problems() {
        assert_eq!(problems(json!({})), []);
        let document = json!({
            "flow": { "only_if": "{{ body.total > 0 }}", "steps": [
                { "name": "order", "kind": "set", "values": { "total": "{{ body.total | float }}", "n": "{% for i in range(3) %}{{ loop.index }}{% endfor %}" } },
                { "name": "crm", "kind": "http", "destination": KNOWN, "path": "/contacts/{{ path.id }}?q={{ query.q }}",
                  "headers": { "x-total": "{{ order.total }}" }, "body": { "email": "{{ body.email }}" } },
                { "name": "no", "kind": "respond", "when": "{{ crm.status == 404 }}", "status": 404 },
                { "name": "reply", "kind": "respond", "status": 201, "status_override": "{{ 404 if crm.status == 404 else none }}" },
            ] },
            "response": { "mode": "wait", "body": { "total": "{{ order.total }}" }, "on": {
                "failed": { "status": 500, "body": "{{ error.message }} {{ order }}" }, "filtered": { "status": 204 },
                "timed_out": { "status": 202, "body": { "id": "{{ event.id }}" } } } },
        });
        assert_eq!(problems(document), []);
    }

    #[test]
    fn every_problem_is_found_with_its_place() {
        let http = |changes: Value| {
            let mut step = json!({ "name": "crm", "kind": "http", "destination": KNOWN });
            for (key, value) in changes.as_object().expect("an object") {
                step[key] = value.clone();
            }
            json!([step])
        };
        for (found, expected) in [
            (
                steps(json!([{ "name": "a", "kind": "set", "values": { "x/y": ["{{ body. }}"] } }])),
                ("/flow/steps/0/values/x~1y/0", "invalid_template"),
            ),
            (
                steps(
                    json!([{ "name": "a", "kind": "set", "values": { "x": "{{ b.y }}" } }, { "name": "b", "kind": "set", "values": {} }]),
                ),
                ("/flow/steps/0/values/x", "unknown_variable"),
            ),
            (
                steps(json!([{ "name": "a", "kind": "set", "values": { "x": "{{ a.x }}" } }])),
                ("/flow/steps/0/values/x", "unknown_variable"),
            ),
            (
                steps(json!([{ "name": "a", "kind": "set", "values": { "x": "{{ namespace() }}" } }])),
                ("/flow/steps/0/values/x", "unknown_variable"),
            ),
            (
                steps(json!([{ "name": "body", "kind": "set", "values": {} }])),
                ("/flow/steps/0/name", "invalid_name"),
            ),
            (
                steps(json!([{ "name": "A b", "kind": "set", "values": {} }])),
                ("/flow/steps/0/name", "invalid_name"),
            ),
            (
                steps(
                    json!([{ "name": "a", "kind": "set", "values": {} }, { "name": "a", "kind": "set", "values": {} }]),
                ),
                ("/flow/steps/1/name", "duplicate_name"),
            ),
            (
                steps(json!([{ "name": "a", "kind": "set", "when": "true", "values": {} }])),
                ("/flow/steps/0/when", "invalid_condition"),
            ),
            (
                steps(json!([{ "name": "a", "kind": "record", "collection": "x", "key": "k", "data": {} }])),
                ("/flow/steps/0/collection", "unknown_collection"),
            ),
            (
                steps(json!([{ "name": "a", "kind": "record", "collection": "orders", "key": "k" }])),
                ("/flow/steps/0/data", "misplaced_data"),
            ),
            (
                steps(
                    json!([{ "name": "a", "kind": "record", "collection": "orders", "key": "k", "operation": "delete", "data": {} }]),
                ),
                ("/flow/steps/0/data", "misplaced_data"),
            ),
            (
                steps(
                    json!([{ "name": "a", "kind": "record", "collection": "orders", "key": "", "data": {} }]),
                ),
                ("/flow/steps/0/key", "out_of_range"),
            ),
            (
                steps(
                    json!([{ "name": "a", "kind": "record", "collection": "orders", "key": "k", "data": { "x": "{{ a.y }}" } }]),
                ),
                ("/flow/steps/0/data/x", "unknown_variable"),
            ),
            (
                steps(json!([{ "name": "a", "kind": "session" }])),
                ("/flow/steps/0", "missing_session"),
            ),
            (
                steps(json!([{ "name": "a", "kind": "set", "values": { "x": "{{ session.y }}" } }])),
                ("/flow/steps/0/values/x", "unknown_variable"),
            ),
            (
                problems(json!({ "session": { "key": "{{ session.y }}" } })),
                ("/session/key", "unknown_variable"),
            ),
            (
                problems(json!({ "session": { "key": "{{ body.y }}", "ttl_seconds": 0 } })),
                ("/session/ttl_seconds", "out_of_range"),
            ),
            (
                problems(
                    json!({ "session": { "key": "{{ body.y }}" }, "response": { "body": "{{ session.y }}" } }),
                ),
                ("/response/body", "unknown_variable"),
            ),
            (
                steps(json!([{ "name": "a", "kind": "filter", "condition": "body.x" }])),
                ("/flow/steps/0/condition", "invalid_condition"),
            ),
            (
                steps(
                    json!([{ "name": "a", "kind": "filter", "condition": "{{ b.x }}" }, { "name": "b", "kind": "set", "values": {} }]),
                ),
                ("/flow/steps/0/condition", "unknown_variable"),
            ),
            (
                steps(
                    json!([{ "name": "a", "kind": "filter", "condition": "{{ body.x }}", "answer": { "status": 200, "body": "{{ a }}" } }]),
                ),
                ("/flow/steps/0/answer/body", "unknown_variable"),
            ),
            (
                problems(
                    json!({ "flow": { "steps": [{ "name": "a", "kind": "filter", "condition": "{{ body.x }}", "answer": { "status": 200 } }] } }),
                ),
                ("/flow/steps/0/answer", "unused_answer"),
            ),
            (
                problems(
                    json!({ "response": { "on": { "timed_out": { "status": 200, "status_override": "{{ error }}" } } } }),
                ),
                ("/response/on/timed_out/status_override", "unknown_variable"),
            ),
            (
                steps(json!([{ "name": "a", "kind": "respond" }, { "name": "b", "kind": "respond" }])),
                ("/flow/steps/1", "misplaced_respond"),
            ),
            (
                problems(json!({ "flow": { "steps": [{ "name": "a", "kind": "respond" }] } })),
                ("/flow/steps/0", "misplaced_respond"),
            ),
            (
                steps(json!([{ "name": "a", "kind": "respond", "status": 199 }])),
                ("/flow/steps/0/status", "out_of_range"),
            ),
            (
                steps(json!([{ "name": "a", "kind": "respond", "headers": { "Transfer-Encoding": "x" } }])),
                ("/flow/steps/0/headers/Transfer-Encoding", "invalid_header"),
            ),
            (
                steps(http(json!({ "destination": "dst_01k9z3v8e5f2q8r7w6t5y4x3m3" }))),
                ("/flow/steps/0/destination", "unknown_destination"),
            ),
            (
                steps(http(json!({ "headers": { "webhook-id": "x" } }))),
                ("/flow/steps/0/headers/webhook-id", "invalid_header"),
            ),
            (
                steps(http(json!({ "headers": { "a b": "x" } }))),
                ("/flow/steps/0/headers/a b", "invalid_header"),
            ),
            (
                steps(http(json!({ "headers": { "x": "a\nb" } }))),
                ("/flow/steps/0/headers/x", "invalid_header"),
            ),
            (
                steps(http(json!({ "timeout_ms": 99 }))),
                ("/flow/steps/0/timeout_ms", "out_of_range"),
            ),
            (
                steps(http(json!({ "retry": { "attempts": 0 } }))),
                ("/flow/steps/0/retry/attempts", "out_of_range"),
            ),
            (
                steps(http(json!({ "path": "/{{ nope }}" }))),
                ("/flow/steps/0/path", "unknown_variable"),
            ),
            (
                steps(http(json!({ "path": "/x y" }))),
                ("/flow/steps/0/path", "invalid_path"),
            ),
            (
                steps(http(json!({ "path": "/../admin" }))),
                ("/flow/steps/0/path", "invalid_path"),
            ),
            (
                problems(json!({ "flow": { "secrets": { "erp": "sec_01k9z3v8e5f2q8r7w6t5y4x3m3" } } })),
                ("/flow/secrets/erp", "unknown_secret"),
            ),
            (
                problems(json!({ "flow": { "secrets": { "E/rp": SECRET } } })),
                ("/flow/secrets/E~1rp", "invalid_name"),
            ),
            (
                steps(http(json!({ "headers": { "x": "{{ secrets.erp }}" } }))),
                ("/flow/steps/0/headers/x", "unknown_variable"),
            ),
            (
                with_secret(json!({ "name": "a", "kind": "set", "values": { "x": "{{ secrets.erp }}" } })),
                ("/flow/steps/0/values/x", "unknown_variable"),
            ),
            (
                with_secret(
                    json!({ "name": "a", "kind": "http", "destination": KNOWN, "when": "{{ secrets.erp == body }}" }),
                ),
                ("/flow/steps/0/when", "unknown_variable"),
            ),
            (
                steps(json!([{ "name": "a", "kind": "set", "values": { "x": "{{ body.x | nonsense }}" } }])),
                ("/flow/steps/0/values/x", "invalid_template"),
            ),
            (
                steps(
                    json!([{ "name": "a", "kind": "set", "values": { "x": "{% if body.x is nonsense %}a{% endif %}" } }]),
                ),
                ("/flow/steps/0/values/x", "invalid_template"),
            ),
            (
                steps(http(json!({ "body": "no base64", "body_encoding": "base64" }))),
                ("/flow/steps/0/body", "invalid_body"),
            ),
            (
                problems(json!({ "response": { "body": { "a": 1 }, "body_encoding": "base64" } })),
                ("/response/body", "invalid_body"),
            ),
            (
                problems(json!({ "response": { "timeout_ms": 70000 } })),
                ("/response/timeout_ms", "out_of_range"),
            ),
            (
                problems(json!({ "response": { "body": "{{ error }}" } })),
                ("/response/body", "unknown_variable"),
            ),
            (
                problems(json!({ "flow": { "only_if": "{{ x }}" } })),
                ("/flow/only_if", "unknown_variable"),
            ),
            (
                problems(
                    json!({ "flow": { "steps": [{ "name": "a", "kind": "set", "values": {} }] }, "response": { "body": "{{ a }}" } }),
                ),
                ("/response/body", "unknown_variable"),
            ),
        ] {
            let found: Vec<_> = found
                .iter()
                .map(|(pointer, code)| (pointer.as_str(), *code))
                .collect();
            assert_eq!(found, [expected]);
        }
    }
}
