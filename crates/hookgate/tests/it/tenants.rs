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
