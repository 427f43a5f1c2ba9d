//! How people set a webhook up, from the first request to the first that counts, through the REST API alone.

use std::time::Duration;

use hookgate_testkit::{TestDatabase, eventually, http_client};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::installation::{Api, Installation, Storage};

async fn installation() -> (Installation, TestDatabase) {
    let database = TestDatabase::create();
    let installation = Installation::start(&Storage::of(&database), &[]).await;
    (installation, database)
}

/// A webhook, where it is in the API, and its URLs.
struct Webhook {
    path: String,
    test: String,
    production: String,
}

async fn make(api: &Api, settings: &Value) -> Webhook {
    let made = api.post("/webhooks", settings).await;
    let url = |environment: &str| {
        let urls = made["urls"].as_array().unwrap();
        let url = urls.iter().find(|url| url["environment"] == environment);
        url.unwrap()["public_url"].as_str().unwrap().to_owned()
    };
    Webhook {
        path: format!("/webhooks/{}", made["id"].as_str().unwrap()),
        test: url("test"),
        production: url("production"),
    }
}

async fn send(method: Method, url: &str, body: Option<&Value>) -> Response {
    let request = http_client().request(method, url);
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    request.send().await.unwrap()
}

/// Sends a request that becomes a sample.
async fn send_captured(method: Method, url: &str, body: Option<&Value>) {
    let answer = send(method, url, body).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers().contains_key("hookgate-sample-id"));
}

/// The fields of a list of a structure, as `path type`, with `!` for those that must be there.
fn fields(expected: &Value, list: &str) -> Vec<String> {
    let told = expected[list].as_array().unwrap().iter().map(|field| {
        let mark = if field["required"] == true { "!" } else { "" };
        format!(
            "{} {}{mark}",
            field["path"].as_str().unwrap(),
            field["type"].as_str().unwrap()
        )
    });
    told.collect()
}

async fn run_of(api: &Api, answer: &Response) -> Value {
    let event = answer.headers()["hookgate-event-id"].to_str().unwrap();
    api.get_eventually(&format!("/runs/{}", event.replace("evt_", "run_")))
        .await
}

/// Test URL → send → the fields appear → map them → activate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_to_the_test_url_shows_the_fields_that_are_mapped_and_activated() {
    let (installation, _database) = installation().await;
    let api = &installation.api;
    api.post("/collections", &json!({"name": "orders"})).await;
    let webhook = make(api, &json!({"name": "Orders", "suffix": "orders/{shop}"})).await;
    let url = webhook.test.replace("{shop}", "berlin");
    api.post(&format!("{}/capture", webhook.path), &json!({"samples": 1}))
        .await;
    let order = json!({"order": {"id": 42, "total": 19.9, "mail": "ada@example.com"}});
    send_captured(Method::POST, &url, Some(&order)).await;
    let window = api.get(&format!("{}/capture", webhook.path)).await;
    assert_eq!((&window["state"], &window["taken"]), (&json!("full"), &json!(1)));

    let learnt = api
        .post(&format!("{}/infer", webhook.path), &json!({"save": true}))
        .await;
    let expected = &learnt["expected_data"];
    assert_eq!(fields(expected, "path"), ["shop string!"]);
    assert_eq!(
        fields(expected, "body"),
        [
            "order object!",
            "order.id integer!",
            "order.mail email!",
            "order.total number!"
        ]
    );

    let mut draft = api.get(&format!("{}/draft", webhook.path)).await["document"].clone();
    draft["flow"] = json!({"steps": [{"name": "save", "kind": "record", "collection": "orders", "operation": "upsert",
        "key": "{{ path.shop }}-{{ body.order.id }}", "data": {"total": "{{ body.order.total }}", "mail": "{{ body.order.mail }}"}}]});
    draft["response"] = json!({"body": {"order": "{{ body.order.id }}"}});
    api.put(&format!("{}/draft", webhook.path), &draft).await;
    let sample = &window["samples"][0]["id"];
    let simulated = api
        .post(
            &format!("{}/simulate", webhook.path),
            &json!({"sample_id": sample}),
        )
        .await;
    assert_eq!(
        (&simulated["outcome"], &simulated["steps"][0]["output"]["key"]),
        (&json!("succeeded"), &json!("berlin-42"))
    );
    api.post(&format!("{}/publish", webhook.path), &json!({})).await;
    api.post(&format!("{}/activate", webhook.path), &json!({})).await;

    let url = webhook.production.replace("{shop}", "berlin");
    let answer = send(Method::POST, &url, Some(&order)).await;
    assert_eq!(run_of(api, &answer).await["outcome"], "succeeded");
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"order": 42}));
    let record = api.get("/collections/orders/records/berlin-42").await;
    assert_eq!(record["data"], json!({"total": 19.9, "mail": "ada@example.com"}));
    installation.stop();
}

/// Structure by hand → simulated data → published → a live call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_structure_by_hand_gives_data_to_try_and_is_published() {
    let (installation, _database) = installation().await;
    let api = &installation.api;
    let webhook = make(
        api,
        &json!({"name": "Contacts", "authentication": {"kind": "api_key"}}),
    )
    .await;
    let key = api
        .post(&format!("{}/api-keys", webhook.path), &json!({"name": "CRM"}))
        .await;
    let draft = json!({"expected_data": {"mode": "enforce", "body": [
            {"path": "customer.first_name", "type": "string", "required": true},
            {"path": "customer.email", "type": "email", "required": true},
            {"path": "tags[]", "type": "string", "example": "new"}]},
        "response": {"status": 201, "body": {"hello": "{{ body.customer.first_name }}"}}});
    api.put(&format!("{}/draft", webhook.path), &draft).await;
    let made = api.get(&format!("{}/made-up-request", webhook.path)).await;
    let mut request = made["request"].clone();
    assert_eq!(
        request["json"],
        json!({"customer": {"first_name": "Ada", "email": "ada@example.com"}, "tags": ["new"]})
    );
    request["json"]["customer"]["first_name"] = json!("Grace");
    let simulated = api
        .post(
            &format!("{}/simulate", webhook.path),
            &json!({"request": request}),
        )
        .await;
    assert_eq!(
        (&simulated["answer"]["status"], &simulated["answer"]["body"]),
        (&json!(201), &json!("{\"hello\":\"Grace\"}"))
    );
    // The same for real, at the test URL, with the command that came along.
    let sent = std::process::Command::new("sh")
        .args(["-c", made["curl"].as_str().unwrap()])
        .env("HOOKGATE_API_KEY", key["key"].as_str().unwrap())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&sent.stdout), "{\"hello\":\"Ada\"}");

    api.post(&format!("{}/publish", webhook.path), &json!({})).await;
    let live = http_client()
        .post(&webhook.production)
        .header("x-api-key", key["key"].as_str().unwrap())
        .json(&request["json"])
        .send()
        .await
        .unwrap();
    assert_eq!(live.status(), StatusCode::CREATED);
    assert_eq!(live.json::<Value>().await.unwrap(), json!({"hello": "Grace"}));
    installation.stop();
}

/// A window of three minutes, by GET and by POST → a required parameter is missing → the message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_window_has_shown_is_demanded_of_gets_and_of_posts() {
    let (installation, _database) = installation().await;
    let api = &installation.api;
    let settings = json!({"name": "Forms", "methods": ["GET", "POST"]});
    for method in [Method::GET, Method::POST] {
        let webhook = make(api, &settings).await;
        let opened = api.post(&format!("{}/capture", webhook.path), &json!({})).await;
        assert_eq!(opened["state"], "open");
        let (url, body) = match method {
            Method::GET => (format!("{}?name=Ada&age=36", webhook.production), None),
            _ => (
                webhook.production.clone(),
                Some(json!({"name": "Ada", "age": 36})),
            ),
        };
        send_captured(method.clone(), &url, body.as_ref()).await;
        api.delete(&format!("{}/capture", webhook.path)).await;
        let window = api.get(&format!("{}/capture", webhook.path)).await;
        assert_eq!(
            (&window["state"], &window["samples"][0]["method"]),
            (&json!("closed"), &json!(method.as_str()))
        );
        let id = webhook.path.trim_start_matches("/webhooks/");
        let events = api.get(&format!("/events?webhook_id={id}")).await;
        assert_eq!(events["data"], json!([]), "what is captured is no event");

        api.post(&format!("{}/infer", webhook.path), &json!({"save": true}))
            .await;
        let mut draft = api.get(&format!("{}/draft", webhook.path)).await["document"].clone();
        let place = if method == Method::GET { "query" } else { "body" };
        assert_eq!(
            fields(&draft["expected_data"], place),
            ["age integer!", "name string!"]
        );
        draft["expected_data"]["mode"] = json!("enforce");
        api.put(&format!("{}/draft", webhook.path), &draft).await;
        api.post(&format!("{}/publish", webhook.path), &json!({})).await;

        let (url, body) = match method {
            Method::GET => (format!("{}?name=Ada", webhook.production), None),
            _ => (webhook.production.clone(), Some(json!({"name": "Ada"}))),
        };
        let told = eventually(Duration::from_secs(30), "it is demanded", async || {
            let answer = send(method.clone(), &url, body.as_ref()).await;
            let is_refused = answer.status() == StatusCode::UNPROCESSABLE_ENTITY;
            is_refused.then_some(answer)
        });
        let told: Value = told.await.json().await.unwrap();
        assert_eq!(
            (
                &told["msg"],
                &told["errors"][0]["path"],
                &told["errors"][0]["place"]
            ),
            (&json!("Missing required parameter"), &json!("age"), &json!(place))
        );
    }
    installation.stop();
}

/// Two URLs: what is tried at the test URL leaves production alone, until it is published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tried_at_the_test_url_leaves_production_alone() {
    let (installation, _database) = installation().await;
    let api = &installation.api;
    let webhook = make(api, &json!({"name": "Orders"})).await;
    let answering =
        |version: &str| json!({"response": {"body": {"version": version, "id": "{{ body.id }}"}}});
    let draft = format!("{}/draft", webhook.path);
    let publish = format!("{}/publish", webhook.path);
    let version_at = async |url: &str, wanted: &str| {
        eventually(Duration::from_secs(30), format!("{wanted} answers"), async || {
            let answer = send(Method::POST, url, Some(&json!({"id": 7}))).await;
            let told: Value = answer.json().await.unwrap();
            (told == json!({"version": wanted, "id": 7})).then_some(())
        })
        .await;
    };
    api.put(&draft, &answering("one")).await;
    api.post(&publish, &json!({})).await;
    version_at(&webhook.production, "one").await;
    api.put(&draft, &answering("two")).await;
    version_at(&webhook.test, "two").await;
    // A window of the test URL alone: production goes on.
    let urls = api.get(&format!("{}/urls", webhook.path)).await;
    let test = urls["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|url| url["environment"] == "test");
    let window = json!({"url_id": test.unwrap()["id"]});
    api.post(&format!("{}/capture", webhook.path), &window).await;
    eventually(Duration::from_secs(30), "the window is heard of", async || {
        let answer = send(Method::POST, &webhook.test, Some(&json!({"id": 7}))).await;
        answer.headers().contains_key("hookgate-sample-id").then_some(())
    })
    .await;
    let live = send(Method::POST, &webhook.production, Some(&json!({"id": 7}))).await;
    assert!(live.headers().contains_key("hookgate-event-id"));
    assert_eq!(
        live.json::<Value>().await.unwrap(),
        json!({"version": "one", "id": 7})
    );
    api.post(&publish, &json!({})).await;
    version_at(&webhook.production, "two").await;
    let of = async |environment: &str| {
        let events = api
            .get(&format!("/events?environment={environment}&limit=200"))
            .await;
        events["data"].as_array().unwrap().len()
    };
    assert!(of("production").await >= 3 && of("test").await >= 1);
    installation.stop();
}
