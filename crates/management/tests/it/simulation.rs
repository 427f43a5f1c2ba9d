//! What a flow would do.

use serde_json::{Value, json};

use crate::service::{Caller, Service};
use crate::stored::{self, NewEvent};
use crate::webhooks::{create, path_of};

fn document(destination: &Value) -> Value {
    json!({"flow": {"steps": [
        {"name": "order", "kind": "set", "values": {"total": "{{ body.total | float }}", "id": "{{ path.order_id }}"}},
        {"name": "crm", "kind": "http", "destination": destination, "path": "/orders/{{ order.id }}",
            "body": {"total": "{{ order.total }}"}, "retry": {"attempts": 2}},
        {"name": "reply", "kind": "respond", "status": 201, "body": {"crm": "{{ crm.body.id }}"}}]},
        "response": {"mode": "wait", "on": {"failed": {"status": 502, "body": {"why": "{{ error.message }}"}}}}})
}

struct Orders {
    owner: Caller,
    webhook: Value,
    destination: Value,
    path: String,
}

async fn orders(service: &Service) -> Orders {
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders", "suffix": "orders/{order_id}"})).await;
    let destination = json!({"name": "CRM", "base_url": "https://crm.example.com/api"});
    let destination = owner.post("/v1/destinations", destination).await.is(201)["id"].clone();
    let path = path_of(&webhook);
    owner
        .send(
            reqwest::Method::PUT,
            &format!("{path}/draft"),
            Some(document(&destination).to_string()),
        )
        .await
        .is(200);
    Orders {
        path: format!("{path}/simulate"),
        owner,
        webhook,
        destination,
    }
}

#[tokio::test]
async fn every_step_of_the_draft_is_shown_and_nothing_happens() {
    let service = Service::start().await;
    let Orders { owner, path, .. } = orders(&service).await;
    let question = json!({"request": {"path": "orders/42", "json": {"total": "12.5"}},
        "responses": {"crm": [{"status": 503}, {"status": 200, "body": {"id": 7}}]}});
    let shown = owner.post(&path, question).await.is(200);
    assert_eq!(
        (&shown["outcome"], &shown["error"]),
        (&json!("succeeded"), &Value::Null),
        "{shown}"
    );
    assert_eq!(
        (&shown["answer"]["status"], &shown["answer"]["body"]),
        (&json!(201), &json!("{\"crm\":7}"))
    );
    assert_eq!(shown["steps"][0]["output"], json!({"total": 12.5, "id": "42"}));
    let calls = &shown["steps"][1]["calls"];
    assert_eq!(calls.as_array().expect("calls").len(), 2);
    assert_eq!(
        (&calls[0]["url"], &calls[0]["body"]),
        (
            &json!("https://crm.example.com/api/orders/42"),
            &json!("{\"total\":12.5}")
        )
    );
    assert_eq!(
        (&calls[0]["status"], &calls[0]["source"]),
        (&json!(503), &json!("given"))
    );
    assert!(calls[0]["again_at"].is_string() && calls[1]["again_at"].is_null());
    for table in ["events", "jobs", "runs", "attempts"] {
        let count = service
            .database
            .query_text(&format!("SELECT count(*)::text FROM {table}"));
        assert_eq!(count, ["0"], "{table}");
    }

    let question =
        json!({"request": {"json": {"total": 1}}, "responses": {"crm": [{"failure": "no connection"}]}});
    let shown = owner.post(&path, question).await.is(200);
    assert_eq!(
        (&shown["outcome"], &shown["answer"]["status"]),
        (&json!("failed"), &json!(502)),
        "{shown}"
    );
    assert!(
        shown["answer"]["body"]
            .as_str()
            .expect("a body")
            .contains("no connection")
    );
    // Without any question: the draft, on nothing.
    let shown = owner.post(&path, json!({})).await.is(200);
    assert_eq!(
        (&shown["outcome"], &shown["steps"][0]["outcome"]),
        (&json!("failed"), &json!("failed")),
        "{shown}"
    );
}

#[tokio::test]
async fn an_event_runs_on_a_revision_with_what_its_calls_came_to() {
    let service = Service::start().await;
    let Orders {
        owner, path, webhook, ..
    } = orders(&service).await;
    let body = NewEvent {
        body: br#"{"total": 3}"#,
        ..NewEvent::default()
    };
    let event = stored::event(&service, &webhook, &body);
    let run = stored::run(&service, &webhook, &event, "succeeded");
    stored::attempt(&service, &webhook, &run, "succeeded");
    let question = json!({"event_id": event, "recorded": true});
    let shown = owner.post(&path, question).await.is(200);
    let call = &shown["steps"][1]["calls"][0];
    assert_eq!(
        (&call["source"], &call["status"], &call["url"]),
        (
            &json!("recorded"),
            &json!(201),
            &json!("https://crm.example.com/api/orders/42")
        )
    );
    assert_eq!(shown["steps"][1]["output"]["body"], "made");
    let first = json!({"event_id": event, "revision_id": webhook["draft_revision_id"]});
    let shown = owner.post(&path, first).await.is(200);
    assert_eq!(
        (&shown["outcome"], &shown["steps"]),
        (&json!("succeeded"), &json!([]))
    );
    assert_eq!(shown["answer"]["status"], 200);
}

#[tokio::test]
async fn an_unsaved_document_is_checked_and_run() {
    let service = Service::start().await;
    let Orders {
        owner,
        path,
        destination,
        ..
    } = orders(&service).await;
    let mut good = document(&destination);
    good["flow"]["steps"][2]["status"] = json!(202);
    let question = json!({"document": good, "request": {"json": {"total": 1}, "path": "orders/1"}});
    let shown = owner.post(&path, question).await.is(200);
    assert_eq!(
        (
            &shown["steps"][1]["calls"][0]["source"],
            &shown["answer"]["status"]
        ),
        (&json!("assumed"), &json!(502)),
        "{shown}"
    );
    let mut wrong = document(&json!("dst_01k9z3v8e5f2q8r7w6t5y4x3m2"));
    wrong["flow"]["steps"][0]["values"]["total"] = json!("{{ bdy.total }}");
    owner.post(&path, json!({"document": wrong})).await.is_invalid(&[
        ("/document/flow/steps/0/values/total", "unknown_variable"),
        ("/document/flow/steps/1/destination", "not_found"),
    ]);
    let both = json!({"document": {}, "revision_id": "rev_01k9z3v8e5f2q8r7w6t5y4x3m2"});
    owner
        .post(&path, both)
        .await
        .is_invalid(&[("/document", "invalid")]);
    let absent = json!({"revision_id": "rev_01k9z3v8e5f2q8r7w6t5y4x3m2"});
    owner
        .post(&path, absent)
        .await
        .is_invalid(&[("/revision_id", "not_found")]);
    let absent = json!({"event_id": "evt_01k9z3v8e5f2q8r7w6t5y4x3m2"});
    owner
        .post(&path, absent)
        .await
        .is_invalid(&[("/event_id", "not_found")]);
    let wrong =
        json!({"request": {"body": {}, "json": 1, "address": "here"}, "responses": {"crm": [{"code": 1}]}});
    owner.post(&path, wrong).await.is_invalid(&[
        ("/request/body", "wrong_type"),
        ("/request/address", "invalid"),
        ("/responses/crm/0/code", "unknown"),
    ]);
}
