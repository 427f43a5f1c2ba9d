//! `hookgate tenants`, against a running installation.

use std::process::Output;
use std::time::Duration;

use hookgate_testkit::{TestDatabase, eventually, http_client};
use serde_json::json;

use crate::installation::{Installation, Storage};
use crate::process::run;

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_suspended_at_once_and_goes_on_later() {
    let database = TestDatabase::create();
    let installation = Installation::start(&Storage::of(&database), &[]).await;
    let url = installation.api.webhook(&json!({ "name": "Orders" }), None).await;
    let client = http_client();
    let post = async || {
        client
            .post(&url)
            .body("{}")
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(post().await, 200);

    let environment = [
        ("HOOKGATE_DATABASE__OWNER_URL".to_owned(), database.owner_url()),
        ("HOOKGATE_REDIS__URL".to_owned(), database.redis_url()),
    ];
    let list = stdout(&run(["tenants", "list"], &environment));
    assert!(
        list.contains("active") && list.trim().ends_with("Analytical Engines"),
        "{list}"
    );
    let id = list.split_whitespace().next().unwrap();

    let suspended = run(["tenants", "suspend", id], &environment);
    assert!(stdout(&suspended).contains("suspended") && stderr(&suspended).is_empty());
    // Far sooner than a cached webhook is read again by itself.
    let at_once = Duration::from_secs(5);
    eventually(at_once, "the ingress knows", async || {
        (post().await == 403).then_some(())
    })
    .await;
    assert!(
        run(["tenants", "suspend", id], &environment).status.success(),
        "again"
    );
    assert!(run(["tenants", "resume", id], &environment).status.success());
    eventually(at_once, "the ingress knows", async || {
        (post().await == 200).then_some(())
    })
    .await;

    let refusals = installation.api.get("/refusals").await;
    assert_eq!(refusals["data"][0]["reason"], "tenant_suspended");
    let unknown = run(
        ["tenants", "suspend", "tnt_01k9z3v8e5f2q8r7w6t5y4x3m2"],
        &environment,
    );
    assert!(!unknown.status.success() && stderr(&unknown).contains("there is no tenant"));
    let wrong = run(
        ["tenants", "resume", "whk_01k9z3v8e5f2q8r7w6t5y4x3m2"],
        &environment,
    );
    assert!(!wrong.status.success());
    installation.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_holds_flows_and_lets_no_caller_wait_for_ever() {
    let database = TestDatabase::create();
    let mut installation = Installation::start(&Storage::of(&database), &[]).await;
    let revision = json!({
        "flow": { "steps": [{ "name": "seen", "kind": "set", "values": { "n": "{{ body.n }}" } }] },
        "response": { "mode": "wait", "timeout_ms": 4000, "status": 201 },
    });
    let url = installation
        .api
        .webhook(&json!({ "name": "Orders" }), Some(&revision))
        .await;
    let environment = [
        ("HOOKGATE_DATABASE__OWNER_URL".to_owned(), database.owner_url()),
        ("HOOKGATE_REDIS__URL".to_owned(), database.redis_url()),
    ];
    let list = stdout(&run(["tenants", "list"], &environment));
    let id = list.split_whitespace().next().unwrap();

    // A caller waits, and no worker has taken the event up yet.
    installation.worker.kill();
    let caller = tokio::spawn(http_client().post(&url).body(r#"{"n": 1}"#).send());
    let due = "SELECT count(*)::text FROM jobs WHERE attempt = 0";
    eventually(Duration::from_secs(10), "the event is stored", async || {
        (database.query_text(due) == ["1"]).then_some(())
    })
    .await;
    assert!(run(["tenants", "suspend", id], &environment).status.success());
    installation.worker.start();
    installation.worker.ready().await;
    let answer = caller.await.unwrap().unwrap();
    assert_eq!(answer.status(), 202, "its time is over, and its event is stored");
    let event = answer.headers()["hookgate-event-id"].to_str().unwrap().to_owned();
    assert_eq!(database.query_text(due), ["1"], "no worker has touched it");

    assert!(run(["tenants", "resume", id], &environment).status.success());
    let run = event.replace("evt_", "run_");
    let run = installation.api.get_eventually(&format!("/runs/{run}")).await;
    assert_eq!(run["outcome"], "succeeded");
    installation.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_is_unknown_at_once_and_gone_when_its_time_has_come() {
    let database = TestDatabase::create();
    let often = [("HOOKGATE_WORKER__MAINTENANCE_SECONDS", "1")];
    let installation = Installation::start(&Storage::of(&database), &often).await;
    let url = installation.api.webhook(&json!({ "name": "Orders" }), None).await;
    let client = http_client();
    let post = async || {
        client
            .post(&url)
            .body("{}")
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(post().await, 200);
    let login = json!({ "email": "ada@example.com", "password": "three plain words" });
    let tokens = installation.api.post("/auth/login", &login).await;
    let token = tokens["access_token"].as_str().unwrap();
    let tenant = |method: reqwest::Method, path: &str| {
        let url = format!("{}/v1/tenant{path}", installation.api.url());
        client.request(method, url).bearer_auth(token)
    };
    let delete = async || {
        let delete = tenant(reqwest::Method::DELETE, "?name=Analytical%20Engines");
        assert_eq!(delete.send().await.unwrap().status(), 200);
    };
    // Far sooner than a cached webhook is read again by itself.
    let at_once = Duration::from_secs(5);
    delete().await;
    eventually(at_once, "the ingress knows", async || {
        (post().await == 404).then_some(())
    })
    .await;
    let export = tenant(reqwest::Method::GET, "/export").send().await.unwrap();
    assert!(export.text().await.unwrap().contains(r#""kind":"event""#));
    let restore = tenant(reqwest::Method::POST, "/restore").send().await.unwrap();
    assert_eq!(restore.status(), 200);
    eventually(at_once, "the ingress knows", async || {
        (post().await == 200).then_some(())
    })
    .await;

    delete().await;
    let events = || database.query_text("SELECT count(*)::text FROM events");
    assert_eq!(events(), ["2"]);
    database.execute("UPDATE tenants SET delete_at = now()");
    eventually(Duration::from_secs(20), "a worker erases it", async || {
        let tenants = database.query_text("SELECT count(*)::text FROM tenants");
        (tenants == ["0"]).then_some(())
    })
    .await;
    assert_eq!(events(), ["0"]);
    assert_eq!(
        database.query_text("SELECT email FROM users"),
        Vec::<String>::new()
    );
    assert_eq!(post().await, 404);
    installation.stop();
}
