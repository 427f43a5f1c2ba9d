//! `hookgate listen`: what comes in at a public URL is forwarded to an address on this machine.

use std::time::Duration;

use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, TestDatabase, http_client};
use reqwest::Method;
use serde_json::{Value, json};

use crate::installation::{Installation, Storage};
use crate::process::{Background, hookgate, run};

const PATIENCE: Duration = Duration::from_secs(30);

fn url_of(webhook: &Value, environment: &str) -> String {
    let urls = webhook["urls"].as_array().unwrap();
    let url = urls.iter().find(|url| url["environment"] == environment);
    url.unwrap()["public_url"].as_str().unwrap().to_owned()
}

async fn post(url: &str, body: &Value) -> String {
    let answer = http_client()
        .post(url)
        .header("x-api-key", "a secret")
        .json(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    answer.headers()["hookgate-event-id"].to_str().unwrap().to_owned()
}

/// The environment of a developer who has a key.
fn with_key(installation: &Installation) -> Vec<(String, String)> {
    vec![
        ("HOOKGATE_API_URL".into(), installation.api.url().into()),
        ("HOOKGATE_KEY".into(), installation.api.token().into()),
    ]
}

fn listen(environment: &[(String, String)], arguments: &[&str]) -> Background {
    let mut command = hookgate(&std::env::temp_dir(), environment);
    command.arg("listen").args(arguments);
    Background::start(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_forwarded_as_they_came_also_after_the_connection_was_lost() {
    let database = TestDatabase::create();
    let mut installation = Installation::start(&Storage::of(&database), &[]).await;
    let new = json!({ "name": "Orders", "suffix": "orders/{id}", "methods": ["POST", "PUT"] });
    let webhook = installation.api.post("/webhooks", &new).await;
    let (test, production) = (url_of(&webhook, "test"), url_of(&webhook, "production"));
    let (test, production) = (test.replace("{id}", "42"), production.replace("{id}", "42"));
    let receiver = Receiver::start().await;
    let environment = with_key(&installation);
    let to = format!("{}/hooks?own=1", receiver.url());
    let mut listener = listen(&environment, &[&to, "--webhook", "Orders"]);
    let said = listener.wait_for("Forwarding test events of Orders (whk_", PATIENCE);
    assert!(
        said.contains(&url_of(&webhook, "test")) && !said.contains(&production),
        "{said}"
    );

    // The body comes byte for byte, and only what its URLs received.
    post(&production, &json!({ "from": "production" })).await;
    let sent = http_client()
        .request(Method::PUT, format!("{test}?a=b%20c"))
        .header("content-type", "text/plain")
        .header("x-github-event", "push")
        .header("x-api-key", "a secret")
        .body("as it  is")
        .send()
        .await
        .unwrap();
    let event = sent.headers()["hookgate-event-id"].to_str().unwrap().to_owned();
    let received = receiver.wait_for(1, PATIENCE).await.remove(0);
    assert_eq!(
        (received.method.as_str(), received.target.as_str()),
        ("PUT", "/hooks?own=1&a=b%20c")
    );
    assert_eq!(received.body, b"as it  is");
    for (name, value) in [
        ("content-type", Some("text/plain")),
        ("x-github-event", Some("push")),
        ("x-api-key", None),
        ("hookgate-event-id", Some(event.as_str())),
    ] {
        assert_eq!(received.header(name), value, "{name}");
    }
    listener.wait_for(&format!("PUT /orders/42?a=b%20c  {event}  200 OK in "), PATIENCE);

    // An address that does not answer is told, and what comes then is forwarded all the same.
    receiver.script([Reply::hang_up()]);
    let failed = post(&test, &json!({ "number": 1 })).await;
    listener.wait_for(&format!("{failed}  no answer: "), PATIENCE);

    // What comes while the API is away is forwarded when it is back, once each.
    installation.management.kill();
    let missed = [
        post(&test, &json!({ "number": 2 })).await,
        post(&test, &json!({ "number": 3 })).await,
    ];
    listener.wait_for(" is lost (", PATIENCE);
    installation.management.start();
    listener.wait_for("Connected again.", PATIENCE);
    let received = receiver.wait_for(4, PATIENCE).await;
    let ids: Vec<_> = received
        .iter()
        .filter_map(|one| one.header("hookgate-event-id"))
        .collect();
    assert_eq!(ids, [&event, &failed, &missed[0], &missed[1]]);
    assert!(listener.stop("INT", PATIENCE).success());
    assert!(
        listener.output().contains(&format!("--since {}", missed[1])),
        "{}",
        listener.output()
    );

    // What was missed meanwhile can be had later.
    let last = post(&test, &json!({ "number": 4 })).await;
    let mut again = listen(&environment, &[&to, "--since", &missed[1]]);
    again.wait_for(&last, PATIENCE);
    assert_eq!(receiver.received().len(), 5);
    drop(again);
    installation.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_can_log_in_and_mistakes_are_told() {
    let database = TestDatabase::create();
    let installation = Installation::start(&Storage::of(&database), &[]).await;
    let webhook = installation
        .api
        .post("/webhooks", &json!({ "name": "Orders" }))
        .await;
    let url = [("HOOKGATE_API_URL".to_owned(), installation.api.url().to_owned())];
    let with_password =
        |password: &str| [&url[..], &[("HOOKGATE_PASSWORD".into(), password.into())]].concat();
    let receiver = Receiver::start().await;
    let to = receiver.url();
    let mut listener = listen(
        &with_password("three plain words"),
        &[&to, "--email", "ada@example.com"],
    );
    listener.wait_for("Forwarding test events of every webhook", PATIENCE);
    post(&url_of(&webhook, "test"), &json!({})).await;
    receiver.wait_for(1, PATIENCE).await;

    let nowhere = [("HOOKGATE_API_URL".to_owned(), "http://127.0.0.1:1".to_owned())];
    let nowhere = [&nowhere[..], &[("HOOKGATE_KEY".into(), "hgm_x".into())]].concat();
    for (environment, arguments, told) in [
        (
            url.to_vec(),
            vec![],
            "set HOOKGATE_KEY to a management key, or log in with --email",
        ),
        (
            with_password("wrong"),
            vec!["--email", "ada@example.com"],
            "refuses the login",
        ),
        (
            url.to_vec(),
            vec!["--email", "ada@example.com"],
            "set HOOKGATE_PASSWORD to the password of ada@example.com",
        ),
        (
            with_key(&installation),
            vec!["--webhook", "Bills"],
            "there is no webhook `Bills`",
        ),
        (
            with_key(&installation),
            vec!["--since", "yesterday"],
            "expected the id of an event",
        ),
        (
            nowhere,
            vec!["--webhook", "Orders"],
            "http://127.0.0.1:1 cannot be reached",
        ),
    ] {
        let output = run([&["listen", &to], &arguments[..]].concat(), &environment);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(told), "{said}");
        assert!(
            !said.contains("hgm_") && !said.contains("three plain words"),
            "{said}"
        );
    }
    installation.stop();
}
