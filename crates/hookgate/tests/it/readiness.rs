//! Services that are started before the database is migrated.

use std::time::Duration;

use hookgate_testkit::{TestDatabase, eventually, http_client};

use crate::process::{Background, free_port, hookgate, run};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_are_not_ready_before_their_version_has_migrated() {
    let database = TestDatabase::create_empty();
    let [ingress, management, operator] = [(); 3].map(|()| format!("127.0.0.1:{}", free_port()));
    let environment = [
        (
            "HOOKGATE_MASTER_KEY",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned(),
        ),
        ("HOOKGATE_REDIS__URL", database.redis_url()),
        ("HOOKGATE_DATABASE__INGRESS_URL", database.ingress_url()),
        ("HOOKGATE_DATABASE__MANAGEMENT_URL", database.management_url()),
        ("HOOKGATE_DATABASE__WORKER_URL", database.worker_url()),
        ("HOOKGATE_INGRESS__LISTEN", ingress.clone()),
        ("HOOKGATE_MANAGEMENT__LISTEN", management.clone()),
        ("HOOKGATE_OPERATOR__LISTEN", operator.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let mut command = hookgate(&std::env::temp_dir(), &environment);
    command.arg("serve");
    let mut process = Background::start(command);
    // Nobody has to ask for the log to have it.
    process.wait_for("the database lacks migrations of this version", PATIENCE);

    let client = http_client();
    let ready = async |address: &str| {
        let answer = client.get(format!("http://{address}/readyz")).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.unwrap()))
    };
    for address in [&ingress, &management, &operator] {
        let (status, text) = eventually(PATIENCE, "it answers", async || ready(address).await).await;
        assert_eq!(status, 503, "{text}");
        assert!(text.contains("run its `hookgate migrate`"), "{text}");
    }

    let owner = [("HOOKGATE_DATABASE__OWNER_URL".to_owned(), database.owner_url())];
    assert!(run(["migrate"], &owner).status.success());
    for address in [&ingress, &management, &operator] {
        eventually(PATIENCE, "it is ready", async || {
            ready(address).await.filter(|(status, _)| *status == 200)
        })
        .await;
    }
    assert!(process.stop("TERM", PATIENCE).success());
}
