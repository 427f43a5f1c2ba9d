//! The tests' own support, tested.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use hookgate_testkit::eventually::eventually_blocking;
use hookgate_testkit::fixtures::NewWebhook;
use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, TestDatabase};

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[test]
fn each_test_has_a_migrated_database_of_its_own() {
    let (one, other) = (TestDatabase::create(), TestDatabase::create());
    let tenant = one.tenant("Acme");
    one.user(tenant, "ada@example.com", "owner", "no hash");
    let webhook = one.webhook(tenant, NewWebhook::default());
    assert!(webhook.production.path.ends_with("/orders"));
    let count = |database: &TestDatabase| {
        let query = sql_query("SELECT count(*) FROM url_tokens");
        query
            .get_result::<Count>(&mut database.superuser())
            .unwrap()
            .count
    };
    assert_eq!((count(&one), count(&other)), (2, 0));
}

#[test]
fn services_log_in_as_their_roles() {
    #[derive(QueryableByName)]
    struct Who {
        #[diesel(sql_type = Text)]
        who: String,
    }
    let database = TestDatabase::create();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (pool, role) in [
        (database.ingress(), "hookgate_ingress"),
        (database.management(), "hookgate_management"),
        (database.worker(), "hookgate_worker"),
        (database.admin(), "hookgate_admin"),
    ] {
        let query = |conn: &mut diesel::PgConnection| -> Result<Who, hookgate_domain::Error> {
            Ok(sql_query("SELECT current_user::text AS who").get_result(conn)?)
        };
        assert_eq!(runtime.block_on(pool.run(query)).unwrap().who, role);
    }
    runtime.block_on(database.redis().ping()).unwrap();
}

#[tokio::test]
async fn the_receiver_records_and_answers_as_told() {
    let receiver = Receiver::start().await;
    receiver.script([Reply::json(503, &serde_json::json!({"later": true})).with_header("retry-after", "1")]);
    let client = hookgate_testkit::http_client();
    let post = || {
        client
            .post(format!("{}/hook?x=1", receiver.url()))
            .header("X-Kind", "test")
            .body("body")
    };
    let first = post().send().await.unwrap();
    assert_eq!(
        (
            first.status().as_u16(),
            first.headers()["retry-after"].to_str().unwrap()
        ),
        (503, "1")
    );
    assert_eq!(first.text().await.unwrap(), r#"{"later":true}"#);
    assert_eq!(post().send().await.unwrap().status(), 200);
    let received = receiver.wait_for(2, Duration::from_secs(5)).await;
    assert_eq!(
        (received[1].method.as_str(), received[1].target.as_str()),
        ("POST", "/hook?x=1")
    );
    assert_eq!(
        (received[1].header("x-kind"), received[1].body.as_slice()),
        (Some("test"), &b"body"[..])
    );
}

#[test]
fn servers_end_with_a_process_that_is_killed() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_with-servers"))
        .args(["sh", "-c", "echo $TESTKIT_SERVERS; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut sockets = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut sockets)
        .unwrap();
    let sockets = sockets.trim();
    assert!(
        processes_of(sockets) >= 2,
        "PostgreSQL and Redis are told their directory"
    );
    process.kill().unwrap();
    process.wait().unwrap();
    eventually_blocking(
        Duration::from_secs(20),
        "the servers and their files are gone",
        || (processes_of(sockets) == 0 && !Path::new(sockets).exists()).then_some(()),
    );
}

#[test]
fn with_servers_adds_up_the_results_and_passes_the_exit_code_on() {
    let script = "echo 'test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured'; \
        echo 'test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured'; exit 7";
    let output = Command::new(env!("CARGO_BIN_EXE_with-servers"))
        .args(["sh", "-c", script])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.lines()
            .last()
            .unwrap()
            .starts_with("hookgate tests: 5 passed, 1 failed, 1 ignored in "),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(7));
}

/// How many processes name a directory in their arguments.
fn processes_of(directory: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|arguments| String::from_utf8_lossy(arguments).contains(directory))
        .count()
}
