//! An upgrade as operators do it: the schema first, then one process after the other, under load. And back.

use std::path::PathBuf;

use hookgate_testkit::TestDatabase;

use crate::cluster::Cluster;
use crate::process::{HOOKGATE, program};

/// Where `scripts/upgrade-test.sh` says the older version is.
fn older() -> PathBuf {
    let path = std::env::var_os("HOOKGATE_OLDER").expect("HOOKGATE_OLDER: run make upgrade-test");
    path.into()
}

fn migrate(version: &std::path::Path, database: &TestDatabase) {
    let url = ("HOOKGATE_DATABASE__OWNER_URL".to_owned(), database.owner_url());
    let output = program(version, &std::env::temp_dir(), &[url])
        .arg("migrate")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the program of an older version: make upgrade-test"]
async fn an_older_version_and_this_one_run_side_by_side_and_no_request_fails() {
    let (older, newer) = (older(), PathBuf::from(HOOKGATE));
    let database = TestDatabase::create_empty();
    migrate(&older, &database);
    let applied = "SELECT count(*)::text FROM __diesel_schema_migrations";
    let before = database.query_text(applied);
    let mut cluster = Cluster::start(&database, &older).await;

    // The schema of the newer version under the older one.
    migrate(&newer, &database);
    assert_ne!(
        database.query_text(applied),
        before,
        "there is something to upgrade"
    );
    // Forward, and back, as when the newer version turns out not to do.
    for (version, what) in [
        (&newer, "upgraded"),
        (&older, "set back"),
        (&newer, "upgraded again"),
    ] {
        let none = |name: &str, failures: Vec<String>| assert_eq!(failures, [""; 0], "{name} was {what}");
        cluster
            .roll(
                |service| {
                    service.stop();
                    service.is_now(version);
                },
                none,
            )
            .await;
        let (acknowledged, listed) = cluster.answered();
        println!("{what}: {acknowledged} events acknowledged, {listed} lists answered");
    }
    assert_eq!(cluster.failures(), [""; 0]);
    cluster.finish(&database).await;
}
