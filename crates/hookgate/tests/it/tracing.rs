//! One trace from a request to what it causes: in logs, in headers, and at a collector.

use std::collections::HashMap;
use std::time::Duration;

use hookgate_testkit::{Receiver, TestDatabase, eventually, http_client};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};

use crate::installation::{Installation, Storage};
use crate::metrics;

const PATIENCE: Duration = Duration::from_secs(30);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const LOCAL: (&str, &str) = ("HOOKGATE_EGRESS__ALLOWED_PRIVATE_NETWORKS", r#"["127.0.0.0/8"]"#);
const VERBOSE: (&str, &str) = (
    "HOOKGATE_LOG__FILTER",
    "info,hookgate_ingress=debug,hookgate_worker=debug",
);

/// A webhook whose flow calls the receiver and leaves a callback.
async fn webhook(installation: &Installation, receiver: &Receiver) -> String {
    let destination = json!({ "name": "Receiver", "base_url": receiver.url() });
    let destination = installation.api.post("/destinations", &destination).await["id"].clone();
    let revision = json!({ "flow": { "steps": [
        { "name": "call", "kind": "http", "destination": destination, "method": "POST", "path": "/call" },
        { "name": "back", "kind": "callback", "destination": destination, "path": "/back" } ] } });
    installation
        .api
        .webhook(&json!({ "name": "Traced" }), Some(&revision))
        .await
}

/// Sends an event; its id.
async fn send(url: &str, traceparent: Option<&str>) -> String {
    let request = http_client().post(url).body("{}");
    let request = match traceparent {
        Some(value) => request.header("traceparent", value),
        None => request,
    };
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.headers()["hookgate-event-id"].to_str().unwrap().to_owned()
}

/// The trace id of each line that names an event.
fn traces_of(log: &str, event: &str) -> Vec<String> {
    let lines = log
        .lines()
        .filter(|line| line.starts_with('{') && line.contains(event));
    lines
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["trace_id"].as_str().unwrap_or("none").to_owned()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_goes_from_the_request_through_the_logs_to_the_destinations() {
    let database = TestDatabase::create();
    let mut installation = Installation::start(&Storage::of(&database), &[LOCAL, VERBOSE]).await;
    installation.ingress.stop();
    installation.ingress.start_with(&[VERBOSE]);
    installation.ingress.ready().await;
    let receiver = Receiver::start().await;
    let url = webhook(&installation, &receiver).await;

    let taken = send(&url, Some(&format!("00-{TRACE}-b7ad6b7169203331-00"))).await;
    let begun = send(&url, None).await;
    let stored = database
        .query_text("SELECT replace(max(id::text), '-', '') FROM events")
        .remove(0);
    let calls = receiver.wait_for(4, PATIENCE).await;
    let of = |trace: &str| {
        let prefix = format!("00-{trace}-");
        let told = |path: &str| {
            let of_path = calls.iter().filter(|call| call.target == path);
            let mut told = of_path.filter_map(|call| call.header("traceparent"));
            told.find(|value| value.starts_with(&prefix)).map(str::to_owned)
        };
        (
            told("/call").expect("a call of the trace"),
            told("/back").expect("a callback of the trace"),
        )
    };
    let (call, back) = of(TRACE);
    assert_ne!(call, back, "each call is an operation of its own");
    assert!(
        call.ends_with("-00") && !call.contains("b7ad6b7169203331"),
        "{call}"
    );
    of(&stored);

    for (event, trace) in [(&taken, TRACE), (&begun, stored.as_str())] {
        let run = async || {
            let logs = [installation.ingress.output(), installation.worker.output()];
            let found = logs.map(|log| traces_of(&log, event));
            found.iter().all(|traces| !traces.is_empty()).then_some(found)
        };
        for traces in eventually(PATIENCE, "both log what they do", run).await {
            assert!(
                traces.iter().all(|found| found == trace),
                "{event}: {traces:?}, not {trace}"
            );
        }
    }
    for service in [
        &installation.ingress,
        &installation.management,
        &installation.worker,
    ] {
        metrics::assert_explained(&service.metrics().await);
    }
    installation.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_gets_what_is_sampled() {
    let (database, collector, receiver) = (
        TestDatabase::create(),
        Receiver::start().await,
        Receiver::start().await,
    );
    let endpoint = collector.url();
    let export = [
        ("HOOKGATE_OTLP__ENDPOINT", endpoint.as_str()),
        ("HOOKGATE_OTLP__SAMPLE_RATIO", "0"),
    ];
    let worker = [LOCAL, export[0], export[1]];
    let mut installation = Installation::start_with(&Storage::of(&database), &export, &worker).await;
    installation.ingress.stop();
    installation.ingress.start_with(&export);
    installation.ingress.ready().await;
    let url = webhook(&installation, &receiver).await;
    send(&url, None).await;
    send(&url, Some(&format!("00-{TRACE}-b7ad6b7169203331-01"))).await;
    let calls = receiver.wait_for(4, PATIENCE).await;
    installation.stop();

    let mut spans: HashMap<String, Span> = HashMap::new();
    for sent in collector.received() {
        assert_eq!(
            (sent.target.as_str(), sent.header("content-type")),
            ("/v1/traces", Some("application/x-protobuf"))
        );
        let request = ExportTraceServiceRequest::decode(sent.body.as_slice()).unwrap();
        let all = request
            .resource_spans
            .into_iter()
            .flat_map(|resource| resource.scope_spans);
        for span in all.flat_map(|scope| scope.spans) {
            assert_eq!(
                hex(&span.trace_id),
                TRACE,
                "nothing of the trace that nobody samples"
            );
            let path = if span.parent_span_id.is_empty() {
                "root".to_owned()
            } else {
                hex(&span.parent_span_id)
            };
            let name = span.name.clone();
            let name = if spans.contains_key(&name) {
                format!("{name} {path}")
            } else {
                name
            };
            spans.insert(name, span);
        }
    }
    let receive = &spans["receive"];
    assert_eq!(hex(&receive.parent_span_id), "b7ad6b7169203331");
    let run = &spans["run"];
    assert_eq!(run.parent_span_id, receive.span_id);
    let posts: Vec<&Span> = spans.values().filter(|span| span.name == "POST").collect();
    assert!(
        !posts.is_empty() && posts.iter().all(|post| post.parent_span_id == run.span_id),
        "{spans:?}"
    );
    let told = posts
        .iter()
        .map(|post| format!("00-{TRACE}-{}-01", hex(&post.span_id)));
    for told in told {
        assert!(
            calls
                .iter()
                .any(|call| call.header("traceparent") == Some(told.as_str())),
            "{told}"
        );
    }
    let text = format!("{spans:?}");
    let token = url.split('/').nth(3).unwrap();
    assert!(
        token.len() > 20 && !text.contains(token),
        "no span has a URL's token"
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
