//! The documents are good for something: a published validator finds nothing wrong with them, and a client that a published
//! generator makes of a tenant's document calls its webhook.

use std::collections::BTreeSet;
use std::path::Path;

use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, TestDatabase, http_client};
use serde_json::{Value, json};

use crate::installation::{Installation, Storage};
use crate::packages::{CLIENTS, OPENAPI, Python, node, typescript_packages};

fn python() -> Python {
    Python::with("requirements.txt", "clients-python")
}

fn write(directory: &Path, name: &str, document: &Value) -> String {
    let path = directory.join(name);
    std::fs::write(&path, document.to_string()).expect("written");
    path.to_str().expect("a path").to_owned()
}

/// A webhook with everything that the document tells of. Gives its API key.
async fn webhook(installation: &Installation) -> String {
    let api = &installation.api;
    let destination = json!({ "name": "Shop", "base_url": "https://shop.example.com/" });
    let destination = api.post("/destinations", &destination).await["id"].clone();
    let new = json!({ "name": "Orders from the shop", "suffix": "orders/{order_id}", "methods": ["POST", "GET"],
        "authentication": { "kind": "api_key" } });
    let made = api.post("/webhooks", &new).await;
    let path = format!("/webhooks/{}", made["id"].as_str().expect("an id"));
    let revision = json!({
        "expected_data": { "mode": "enforce",
            "path": [{ "path": "order_id", "type": "integer" }],
            "query": [{ "path": "shop", "type": "string", "required": true }],
            "body": [{ "path": "order.id", "type": "integer", "required": true, "example": 42 },
                { "path": "order.items[].sku", "type": "string", "required": true },
                { "path": "order.items", "type": "array", "required": true },
                { "path": "order.placed_at", "type": "date-time", "nullable": true }] },
        "flow": { "steps": [
            { "name": "notify", "kind": "callback", "when": "{{ body.order.id > 1000 }}", "destination": destination,
              "path": "/orders/{{ body.order.id }}", "body": { "done": true } },
            { "name": "reply", "kind": "respond", "status": 201, "body": { "order": "{{ body.order.id }}", "ok": true } } ] },
        "response": { "mode": "wait", "timeout_ms": 30_000 },
    });
    api.put(&format!("{path}/draft"), &revision).await;
    api.post(&format!("{path}/publish"), &json!({})).await;
    let key = api
        .post(&format!("{path}/api-keys"), &json!({ "name": "shop" }))
        .await;
    key["key"].as_str().expect("a key").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_generated_from_the_document_calls_the_webhook() {
    let python = python();
    let database = TestDatabase::create();
    let installation = Installation::start(&Storage::of(&database), &[]).await;
    let key = webhook(&installation).await;
    let link = installation
        .api
        .post("/public-api/links", &json!({ "name": "The shop" }))
        .await;
    let url = link["document_url"].as_str().expect("a URL");
    let document: Value = http_client()
        .get(url)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");

    let directory = tempfile::tempdir().expect("a directory");
    let path = write(directory.path(), "webhooks.json", &document);
    python.run("openapi-spec-validator", &["--errors", "all", &path]);
    let config = write(directory.path(), "config.json", &json!({ "post_hooks": [] }));
    let output = directory.path().join("generated");
    let output = output.to_str().expect("a path");
    let generate = [
        "generate",
        "--path",
        &path,
        "--output-path",
        output,
        "--meta",
        "none",
        "--config",
        &config,
    ];
    let said = python.run(
        "openapi-python-client",
        &[&generate[..], &["--fail-on-warning"]].concat(),
    );
    assert!(!said.contains("Warning"), "{said}");

    let server = document["servers"][0]["url"].as_str().expect("a URL");
    let script = format!("{CLIENTS}/python/call_webhook.py");
    let told = python.run(
        "python",
        &[&script, directory.path().to_str().expect("a path"), server, &key],
    );
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        told["taken"],
        json!({ "status": 201, "type": "PostOrdersFromTheShopResponse201", "parsed": { "order": 42, "ok": true } })
    );
    assert_eq!(told["invalid"]["parsed"]["msg"], "Invalid parameter");
    assert_eq!(told["invalid"]["parsed"]["errors"][0]["path"], "order.id");
    assert_eq!(
        (&told["denied"]["status"], &told["denied"]["parsed"]["status"]),
        (&json!(401), &json!(401))
    );
    let events = installation.api.get("/events").await;
    assert_eq!(events["data"].as_array().map(Vec::len), Some(1));
    installation.stop();
}

/// Every operation is called, and every answer is one that the document tells of and that the client reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_python_client_drives_every_operation() {
    let python = python();
    python.run("openapi-spec-validator", &["--errors", "all", OPENAPI]);
    let directory = tempfile::tempdir().expect("a directory");
    // JSON Lines are text to a client.
    let config = json!({ "post_hooks": [], "content_type_overrides": { "application/jsonl": "text/plain" } });
    let config = write(directory.path(), "config.json", &config);
    let output = directory.path().join("management");
    let output = output.to_str().expect("a path");
    let generate = [
        "generate",
        "--path",
        OPENAPI,
        "--output-path",
        output,
        "--meta",
        "none",
        "--config",
        &config,
    ];
    let said = python.run(
        "openapi-python-client",
        &[&generate[..], &["--fail-on-warning"]].concat(),
    );
    assert!(!said.contains("Warning"), "{said}");

    let (_database, installation, receiver) = installation_with_receiver().await;
    let arguments = [
        &format!("{CLIENTS}/python/call_everything.py"),
        directory.path().to_str().expect("a path"),
        OPENAPI,
        &format!("{CLIENTS}/plan.json"),
        installation.api.url(),
        &receiver.url(),
    ];
    let called = python.run("python", &arguments);
    all_were_called("Python", &called);
    installation.stop();
}

/// The same in TypeScript, and a program whose every request and answer the compiler checks against the document.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_typescript_client_drives_every_operation() {
    let directory = tempfile::tempdir().expect("a directory");
    for file in [
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "walk.ts",
        "call_everything.ts",
    ] {
        let from = format!("{CLIENTS}/typescript/{file}");
        std::fs::copy(from, directory.path().join(file)).expect("copied");
    }
    let modules = typescript_packages();
    std::os::unix::fs::symlink(&modules, directory.path().join("node_modules")).expect("a link");
    let node = |arguments: &[&str]| node(directory.path(), arguments);
    // Fields with defaults can be left out of requests.
    let generator = "node_modules/openapi-typescript/bin/cli.js";
    node(&[
        generator,
        OPENAPI,
        "-o",
        "schema.d.ts",
        "--default-non-nullable=false",
    ]);
    node(&["node_modules/typescript/bin/tsc", "-p", "."]);

    let (_database, installation, receiver) = installation_with_receiver().await;
    let (url, key) = (installation.api.url(), installation.api.token());
    let walked: Value = serde_json::from_str(&node(&["walk.js", url, key])).expect("JSON");
    assert_eq!(
        walked,
        json!({ "status": 201, "body": { "id": 42 }, "events": 1 })
    );
    let plan = format!("{CLIENTS}/plan.json");
    all_were_called(
        "TypeScript",
        &node(&["call_everything.js", OPENAPI, &plan, url, &receiver.url()]),
    );
    installation.stop();
}

/// An installation whose streams end soon, on a database that is deleted when it is dropped, and a receiver that answers 500 to
/// its flows.
async fn installation_with_receiver() -> (TestDatabase, Installation, Receiver) {
    let database = TestDatabase::create();
    let receiver = Receiver::start().await;
    receiver.otherwise(Reply::status(500));
    let private = [("HOOKGATE_EGRESS__ALLOWED_PRIVATE_NETWORKS", r#"["127.0.0.0/8"]"#)];
    let short = [("HOOKGATE_MANAGEMENT__STREAM_SECONDS", "1")];
    let installation = Installation::start_with(&Storage::of(&database), &short, &private).await;
    (database, installation, receiver)
}

/// Checks that a plan's operations, one on each line, are all that there are.
fn all_were_called(language: &str, called: &str) {
    let called: BTreeSet<&str> = called.lines().collect();
    let document: Value =
        serde_json::from_str(&std::fs::read_to_string(OPENAPI).expect("a document")).expect("JSON");
    let operations: BTreeSet<&str> = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|path| path.as_object().expect("operations").values())
        .map(|operation| operation["operationId"].as_str().expect("an operationId"))
        .collect();
    let missing: Vec<_> = operations.difference(&called).collect();
    assert!(
        missing.is_empty(),
        "tests/clients/plan.json does not call {missing:?}"
    );
    println!("the {language} client called {} operations", called.len());
}
