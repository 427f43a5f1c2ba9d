//! The management API keeps to its document: a published linter finds nothing in it, and a published tester, which calls every
//! operation with what it allows and with what it forbids, no fault of the server and no answer that it does not tell of.

use hookgate_testkit::{TestDatabase, http_client};
use serde_json::{Value, json};

use crate::installation::{Installation, Storage};
use crate::packages::{CLIENTS, OPENAPI, Python, node, typescript_packages};

/// How many requests are made up for each operation. The variable of this name sets another number, and tries every edge of the
/// document besides, which takes minutes.
const EXAMPLES: (&str, &str) = ("SCHEMATHESIS_EXAMPLES", "10");

#[test]
fn a_published_linter_finds_nothing() {
    let directory = typescript_packages();
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/spectral.yaml");
    let linter = format!("{directory}/@stoplight/spectral-cli/dist/index.js");
    let of_operator = OPENAPI.replace("openapi.json", "admin.json");
    node(
        &directory,
        &[
            &linter,
            "lint",
            "--fail-severity",
            "hint",
            "--ruleset",
            rules,
            OPENAPI,
            &of_operator,
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_one_that_the_document_tells_of() {
    let python = Python::with("contract-requirements.txt", "contract-python");
    let database = TestDatabase::create();
    let short = [
        ("HOOKGATE_MANAGEMENT__STREAM_SECONDS", "1"),
        // It asks as quickly as it can.
        ("HOOKGATE_MANAGEMENT__REQUESTS_PER_SECOND", "0"),
    ];
    let installation = Installation::start_with(&Storage::of(&database), &short, &[]).await;
    let token = one_of_each(&installation).await;
    let directory = tempfile::tempdir().expect("a directory");
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the test, not of the program"
    )]
    let wanted = std::env::var(EXAMPLES.0);
    let (phases, examples) = match &wanted {
        Ok(examples) => ("examples,coverage,fuzzing", examples.as_str()),
        Err(_) => ("examples,fuzzing", EXAMPLES.1),
    };
    let told = python.run(
        "python",
        &[
            &format!("{CLIENTS}/python/contract.py"),
            &python.program("schemathesis"),
            installation.api.url(),
            &token,
            directory.path().to_str().expect("a path"),
            phases,
            examples,
        ],
    );
    let summary = told.find("SUMMARY").map_or(told.as_str(), |at| &told[at..]);
    println!("{summary}");
    installation.stop();
}

/// Makes one of each kind of object, so that requests have something to name, and gives the owner's access token.
async fn one_of_each(installation: &Installation) -> String {
    let api = &installation.api;
    let webhook =
        json!({ "name": "Orders", "suffix": "orders/{order_id}", "authentication": { "kind": "api_key" } });
    let made = api.post("/webhooks", &webhook).await;
    let path = format!("/webhooks/{}", made["id"].as_str().expect("an id"));
    for (path, body) in [
        (format!("{path}/api-keys"), json!({ "name": "shop" })),
        (
            format!("{path}/samples/from-json"),
            json!({ "json": { "order": 42 } }),
        ),
        (
            "/destinations".to_owned(),
            json!({ "name": "Shop", "base_url": "https://shop.example.com/" }),
        ),
        (
            "/secrets".to_owned(),
            json!({ "name": "Shop", "generate": "hex" }),
        ),
        ("/collections".to_owned(), json!({ "name": "orders" })),
        (
            "/allowlists".to_owned(),
            json!({ "name": "Office", "entries": [{ "network": "192.0.2.0/24" }] }),
        ),
        ("/public-api/links".to_owned(), json!({ "name": "Partners" })),
        ("/replays".to_owned(), json!({ "filter": { "method": "POST" } })),
    ] {
        api.post(&path, &body).await;
    }
    api.put(
        "/collections/orders/records/42",
        &json!({ "data": { "total": 1 } }),
    )
    .await;
    let flow = json!({ "flow": { "steps": [{ "name": "a", "kind": "set", "values": { "x": 1 } }] } });
    let called = api.webhook(&json!({ "name": "Called" }), Some(&flow)).await;
    for body in ["{}", "nothing"] {
        let request = http_client()
            .post(&called)
            .header("content-type", "application/json");
        request.body(body).send().await.expect("an answer");
    }
    let refused = http_client().delete(&called).send().await.expect("an answer");
    assert_eq!(refused.status(), 405);
    let login = json!({ "email": "ada@example.com", "password": "three plain words" });
    let tokens: Value = api.post("/auth/login", &login).await;
    tokens["access_token"].as_str().expect("a token").to_owned()
}
