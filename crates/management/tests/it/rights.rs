//! What came in is read with the right to read it alone, also where a body names it: every operation is called by a key that
//! has nothing but the scope that the operation tells.

use reqwest::Method;
use serde_json::{Value, json};

use crate::isolation::{RECEIVED, World, body_references, document, operations};
use crate::service::Service;

/// Operations that read what came in because their body says so, or always: the scope that they tell, what they take besides,
/// and what else they need then.
fn readers(of: &World) -> Vec<(&'static str, Value, &'static str, &'static [&'static str])> {
    let (event, sample) = (of.object("events"), of.object("samples"));
    let read_events: &[&str] = &["events:read"];
    let write = "webhooks:write";
    vec![
        (
            "createSampleFromEvent",
            json!({"event_id": event}),
            write,
            read_events,
        ),
        ("verifyRequest", json!({"event_id": event}), write, read_events),
        ("inferExpectedData", json!({}), write, read_events),
        (
            "inferExpectedData",
            json!({"event_ids": [event]}),
            write,
            read_events,
        ),
        (
            "inferExpectedData",
            json!({"sample_ids": [sample]}),
            write,
            read_events,
        ),
        ("acceptDrift", Value::Null, write, read_events),
        ("simulateFlow", json!({"sample_id": sample}), write, read_events),
        ("simulateFlow", json!({"event_id": event}), write, read_events),
        (
            "simulateFlow",
            json!({"event_id": event, "recorded": true}),
            write,
            &["events:read", "runs:read"],
        ),
        ("retryCallback", Value::Null, "events:write", &["runs:read"]),
    ]
}

#[tokio::test]
async fn what_an_operation_reads_besides_needs_the_right_to_read_it() {
    let service = Service::start().await;
    let ada = World::of(&service, "ada@example.com").await;
    let known = operations(&document(&service).await);
    let draft =
        json!({"flow": {"steps": [{"name": "got", "kind": "set", "values": {"body": "{{ body_text }}"}}]}});
    let path = format!("/v1/webhooks/{}/draft", ada.webhook());
    ada.caller.put(&path, draft).await.is(200);
    for (id, body, own, besides) in readers(&ada) {
        let operation = known.iter().find(|operation| operation.id == id).expect(id);
        let scopes = operation.value["security"][0]["bearer"]
            .as_array()
            .expect("scopes");
        assert_eq!(*scopes, [json!(own)], "{id}");
        let path = ada.path(&operation.path, None);
        let call = async |scopes: &[&str]| {
            let body = (!body.is_null()).then(|| body.to_string());
            ada.caller.key(scopes).await.send(Method::POST, &path, body).await
        };
        for (without, missing) in besides.iter().enumerate() {
            let mut scopes = vec![own];
            scopes.extend(besides.iter().take(without));
            let refused = call(&scopes).await;
            assert_eq!(
                refused.status, 403,
                "{id} {body} with {scopes:?}: {}",
                refused.text
            );
            let told = refused.is_problem(403, "forbidden")["detail"].to_string();
            assert!(told.contains(missing), "{id} {body} with {scopes:?}: {told}");
        }
        let allowed = call(&[&[own], besides].concat()).await;
        assert!(allowed.status.is_success(), "{id} {body}: {}", allowed.text);
        let shows = allowed.text.contains(RECEIVED);
        assert!(
            shows || !["createSampleFromEvent", "simulateFlow"].contains(&id),
            "{id}: {}",
            allowed.text
        );
    }
}

/// A body that names what came in is one of those above, or its operation is for those who read it anyway.
#[tokio::test]
async fn every_reference_to_what_came_in_is_looked_at() {
    let service = Service::start().await;
    let ada = World::of(&service, "ada@example.com").await;
    let document = document(&service).await;
    let known = operations(&document);
    let readers = readers(&ada);
    let mut looked_at = 0;
    for reference in body_references(&document, &known) {
        let named = ["event_id", "sample_id", "run_id", "refusal_id", "attempt_id"];
        if !named.iter().any(|name| reference.contains(name)) {
            continue;
        }
        let operation = reference.split('/').next().expect("an operation");
        assert!(
            readers.iter().any(|(id, ..)| *id == operation),
            "{reference}: say in `readers` what it needs"
        );
        looked_at += 1;
    }
    assert!(looked_at >= 6, "only {looked_at} references");
}

#[tokio::test]
async fn no_other_scope_shows_what_came_in() {
    let service = Service::start_with_short_streams().await;
    let ada = World::of(&service, "ada@example.com").await;
    let (mut called, mut reads) = (0, 0);
    for operation in operations(&document(&service).await) {
        let Some([scope]) = operation.value["security"][0]["bearer"]
            .as_array()
            .map(Vec::as_slice)
        else {
            continue;
        };
        let scope = scope.as_str().expect("a scope");
        let path = ada.path(&operation.path, None);
        if !operation.has_ids() && operation.value["requestBody"].is_object() {
            continue;
        }
        let answer = operation.call(&ada, &ada.caller.key(&[scope]).await, &path).await;
        let shows = answer.text.contains(RECEIVED);
        let may = scope.starts_with("events:") || scope.starts_with("runs:");
        assert!(may || !shows, "{} with {scope}: {}", operation.id, answer.text);
        called += 1;
        reads += usize::from(shows);
    }
    assert!(
        called > 90 && reads > 3,
        "{called} operations, {reads} show what came in"
    );
}
