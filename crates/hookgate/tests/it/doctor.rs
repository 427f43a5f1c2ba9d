//! `hookgate doctor`, at installations that are well and at such that are broken.

use std::process::Output;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::signing_keys;
use hookgate_testkit::TestDatabase;
use serde_json::Value;

use crate::dev::{dev, open_to_the_servers_user};
use crate::process::{free_port, hookgate, run};

const KEY: [u8; 32] = [7; 32];

/// The settings of a test's database, on free ports.
fn environment(database: &TestDatabase) -> Vec<(String, String)> {
    let listen = || format!("127.0.0.1:{}", free_port());
    [
        ("HOOKGATE_MASTER_KEY", STANDARD.encode(KEY)),
        ("HOOKGATE_REDIS__URL", database.redis_url()),
        ("HOOKGATE_DATABASE__INGRESS_URL", database.ingress_url()),
        ("HOOKGATE_DATABASE__MANAGEMENT_URL", database.management_url()),
        ("HOOKGATE_DATABASE__WORKER_URL", database.worker_url()),
        ("HOOKGATE_INGRESS__LISTEN", listen()),
        ("HOOKGATE_MANAGEMENT__LISTEN", listen()),
        ("HOOKGATE_OPERATOR__LISTEN", listen()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn with(environment: &[(String, String)], name: &str, value: &str) -> Vec<(String, String)> {
    let mut changed: Vec<_> = environment
        .iter()
        .filter(|(other, _)| other != name)
        .cloned()
        .collect();
    changed.push((name.to_owned(), value.to_owned()));
    changed
}

fn findings(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    report["checks"].as_array().unwrap().clone()
}

/// What is wrong: `status check: detail`.
fn problems(environment: &[(String, String)]) -> Vec<String> {
    let output = run(["doctor", "--json"], environment);
    let found: Vec<String> = findings(&output)
        .iter()
        .filter(|finding| finding["status"] != "ok")
        .map(|finding| {
            assert!(
                finding["action"].as_str().is_some_and(|action| action.len() > 5),
                "{finding}"
            );
            let text = |name: &str| finding[name].as_str().unwrap();
            format!("{} {}: {}", text("status"), text("check"), text("detail"))
        })
        .collect();
    let has_errors = found.iter().any(|problem| problem.starts_with("error"));
    assert_eq!(output.status.code(), Some(i32::from(has_errors)), "{found:?}");
    found
}

/// The test servers do not sync: that is always found.
fn beside_durability(mut problems: Vec<String>) -> Vec<String> {
    let before = problems.len();
    problems.retain(|problem| !problem.starts_with("error postgres.durability: fsync, full_page_writes"));
    assert_eq!(
        problems.len() + 1,
        before,
        "the test servers do not sync: {problems:?}"
    );
    problems
}

#[test]
fn a_running_dev_installation_is_well() {
    let directory = tempfile::tempdir().unwrap();
    open_to_the_servers_user(directory.path());
    let doctor = |arguments: &[&str]| {
        hookgate(directory.path(), &[])
            .arg("doctor")
            .args(arguments)
            .output()
            .unwrap()
    };
    let stopped = doctor(&["--dev"]);
    assert_eq!(stopped.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&stopped.stderr).contains("no `hookgate dev` runs in .hookgate"));

    let (mut process, _) = dev(directory.path(), &[]);
    let output = doctor(&["--dev", ".hookgate", "--json"]);
    let wrong: Vec<_> = findings(&output)
        .into_iter()
        .filter(|finding| finding["status"] != "ok")
        .collect();
    assert!(output.status.success() && wrong.is_empty(), "{wrong:#?}");
    let text = doctor(&["--dev"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("ok       postgres.ingress ") && text.contains("0 errors, 0 warnings"),
        "{text}"
    );
    for check in [
        "postgres.durability",
        "postgres.admin.grants",
        "postgres.owner",
        "master_key",
        "partitions",
        "jobs",
        "redis.clock",
        "migrations",
    ] {
        assert!(text.contains(check), "{check}: {text}");
    }
    assert!(process.stop("INT", Duration::from_secs(20)).success());
}

#[test]
fn the_operators_api_is_looked_at_when_it_is_on() {
    let database = TestDatabase::create();
    database.execute(
        "SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date + day) FROM generate_series(3, 7) AS day",
    );
    let off = environment(&database);
    assert_eq!(beside_durability(problems(&off)), Vec::<String>::new());
    let on = with(
        &off,
        "HOOKGATE_ADMIN__LISTEN",
        &format!("127.0.0.1:{}", free_port()),
    );
    let found = beside_durability(problems(&on)).join("\n");
    for expected in [
        "error settings.admin: admin.tokens (HOOKGATE_ADMIN__TOKENS): at least one",
        "error postgres.admin: database.admin_url (HOOKGATE_DATABASE__ADMIN_URL) is not set",
    ] {
        assert!(found.contains(expected), "{found}");
    }
    let on = with(&on, "HOOKGATE_ADMIN__TOKENS", &format!("[{:?}]", "x".repeat(32)));
    let on = with(&on, "HOOKGATE_DATABASE__ADMIN_URL", &database.admin_url());
    assert_eq!(beside_durability(problems(&on)), Vec::<String>::new());
    database.execute("GRANT SELECT ON secrets TO hookgate_admin");
    let on = with(&on, "HOOKGATE_MANAGEMENT__PLAN_OF_NEW_TENANTS", "Small");
    assert_eq!(
        beside_durability(problems(&on)),
        [
            "error postgres.admin.grants: it may SELECT secrets, which it must not",
            "error management.plan_of_new_tenants: there is no plan \"Small\": nobody can register",
        ]
    );
}

#[test]
fn a_broken_database_is_found_and_mended() {
    let database = TestDatabase::create();
    let environment = environment(&database);
    database.execute(
        "SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date + day) FROM generate_series(3, 7) AS day",
    );
    assert_eq!(beside_durability(problems(&environment)), [""; 0]);

    let today = database
        .query_text("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
        .remove(0);
    let newest = database
        .query_text("SELECT max(version)::text FROM __diesel_schema_migrations")
        .remove(0);
    let (lost, mended) = (
        format!("DELETE FROM __diesel_schema_migrations WHERE version = '{newest}'"),
        format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{newest}')"),
    );
    let no_today = format!("DROP TABLE events_{today}");
    let cases: [(&str, &str, &str); 9] = [
        (
            "REVOKE INSERT ON jobs FROM hookgate_ingress",
            "GRANT INSERT ON jobs TO hookgate_ingress",
            "error postgres.ingress.grants: it may not INSERT jobs",
        ),
        (
            "GRANT SELECT ON events TO hookgate_ingress",
            "REVOKE SELECT ON events FROM hookgate_ingress",
            "error postgres.ingress.grants: it may SELECT events, which it must not",
        ),
        (
            "ALTER TABLE secrets NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE secrets FORCE ROW LEVEL SECURITY",
            "error postgres.row_security: not forced on secrets",
        ),
        (&lost, &mended, "error migrations: missing: 2"),
        (
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')",
            "DELETE FROM __diesel_schema_migrations WHERE version = '99990101000000'",
            "warning migrations: of a newer version: 99990101000000",
        ),
        (
            "INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, due_at)
             SELECT u, u, u, u, ARRAY[u], now() - interval '1 hour' FROM gen_random_uuid() AS u",
            "DELETE FROM jobs",
            "error jobs: 1 due, the oldest since 36",
        ),
        (
            "ALTER TABLE events_20000101 RENAME TO events_20000102",
            "DROP TABLE events_20000102, runs_20000101",
            "warning partitions.retention: the oldest is of 2000-01-01",
        ),
        (
            "SELECT pg_create_physical_replication_slot('doctor_' || pg_backend_pid(), true)",
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'doctor\\_%'",
            "warning postgres.replication: nobody reads doctor_",
        ),
        // The last one: nobody makes it again.
        (&no_today, "SELECT", "error partitions: there are none for today"),
    ];
    database.execute(
        "CREATE TABLE events_20000101 PARTITION OF events FOR VALUES FROM ('00dc6acfac0000000000000000000000') TO ('00dc6acfac0100000000000000000000');
         CREATE TABLE runs_20000101 PARTITION OF runs FOR VALUES FROM ('00dc6acfac0000000000000000000000') TO ('00dc6acfac0100000000000000000000')",
    );
    for (broken, mended, expected) in cases {
        database.execute(broken);
        let problems = beside_durability(problems(&environment));
        assert!(
            problems.iter().any(|problem| problem.starts_with(expected)),
            "{expected}: {problems:?}"
        );
        database.execute(mended);
    }
}

#[test]
fn a_role_that_could_do_everything_is_refused() {
    let database = TestDatabase::create();
    let name = "HOOKGATE_DATABASE__INGRESS_URL";
    let environment = environment(&database);
    let as_superuser = problems(&with(&environment, name, &database.superuser_url()));
    let found = as_superuser.iter().any(|problem| {
        problem.starts_with(
            "error postgres.ingress: the role postgres is a superuser, bypasses row-level security",
        )
    });
    assert!(found, "{as_superuser:?}");
    let as_owner = problems(&with(&environment, name, &database.owner_url()));
    assert!(
        as_owner.iter().any(|problem| problem.contains("owns tables")),
        "{as_owner:?}"
    );
    let as_worker = problems(&with(&environment, name, &database.worker_url()));
    let found = as_worker
        .iter()
        .any(|problem| problem.contains("connected as hookgate_worker, not as hookgate_ingress"));
    assert!(found, "{as_worker:?}");
}

#[test]
fn an_owner_whom_row_level_security_does_not_hold_back_is_refused() {
    let database = TestDatabase::create();
    let problem = |url: &str| {
        let found = problems(&with(
            &environment(&database),
            "HOOKGATE_DATABASE__OWNER_URL",
            url,
        ));
        found
            .into_iter()
            .find(|problem| problem.contains("postgres.owner"))
    };
    assert_eq!(problem(&database.owner_url()), None);
    assert_eq!(
        problem(&database.superuser_url()).as_deref(),
        Some(
            "error postgres.owner: the role postgres is a superuser, bypasses row-level security (BYPASSRLS): \
             row-level security does not hold for what runs with its rights"
        )
    );
}

#[test]
fn a_wrong_master_key_is_found() {
    let database = TestDatabase::create();
    let other = MasterKey::from_bytes(&[8; 32]);
    let sealed = other.seal(&signing_keys::context("k1"), b"private").unwrap();
    let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
    database.execute(&format!(
        "INSERT INTO signing_keys (kid, private_key, public_key) VALUES ('k1', '\\x{hex}', '\\x00')"
    ));
    let found = problems(&environment(&database));
    let expected = "error master_key: does not open 1 of 1 stored signing keys";
    assert!(found.iter().any(|problem| problem == expected), "{found:?}");
}

#[test]
fn what_cannot_be_reached_is_said_without_secrets() {
    let database = TestDatabase::create();
    let environment = environment(&database);
    let nobody = free_port();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let socket = database
        .worker_url()
        .replace("hookgate_worker@", "nobody_such:s3cret@");
    for (name, value, expected) in [
        (
            "HOOKGATE_DATABASE__WORKER_URL",
            socket.as_str(),
            "error postgres.worker: there is no such role",
        ),
        (
            "HOOKGATE_DATABASE__WORKER_URL",
            &format!("postgres://hookgate_worker:s3cret@127.0.0.1:{nobody}/hookgate"),
            "error postgres.worker: nothing listens there",
        ),
        (
            "HOOKGATE_DATABASE__WORKER_URL",
            "postgres://hookgate_worker:x@s3cret@127.0.0.1/hookgate",
            "error postgres.worker: ",
        ),
        (
            "HOOKGATE_DATABASE__WORKER_URL",
            "",
            "error postgres.worker: database.worker_url (HOOKGATE_DATABASE__WORKER_URL) is not set",
        ),
        (
            "HOOKGATE_REDIS__URL",
            &format!("redis://:s3cret@127.0.0.1:{nobody}"),
            "error redis: does not answer",
        ),
        ("HOOKGATE_MASTER_KEY", "s3cret", "error settings.master_key: "),
        ("HOOKGATE_INGRESS__LISTEN", &address, "error ingress.listen: "),
    ] {
        let environment = with(&environment, name, value);
        let found = problems(&environment);
        assert!(
            found.iter().any(|problem| problem.starts_with(expected)),
            "{name}={value}: {found:?}"
        );
        let text = run(["doctor"], &environment);
        let text = [text.stdout, text.stderr].concat();
        assert!(
            !String::from_utf8_lossy(&text).contains("s3cret"),
            "{}",
            String::from_utf8_lossy(&text)
        );
    }
}

#[test]
fn values_of_previous_and_of_unknown_keys_are_found() {
    let database = TestDatabase::create();
    let tenant = database.tenant("Analytical Engines");
    let old = [8; 32];
    database.secret(tenant, &MasterKey::from_bytes(&old), "value");
    let environment = environment(&database);
    let unknown = "1 values are sealed with keys that are not set";
    let of = |place: &str, status: &str, detail: &str| format!("{status} {place}: {detail}");
    assert!(problems(&environment).contains(&of("master_key.secrets", "error", unknown)));

    let previous = format!("[\"{}\"]", STANDARD.encode(old));
    let environment = with(&environment, "HOOKGATE_PREVIOUS_MASTER_KEYS", &previous);
    let environment = with(
        &environment,
        "HOOKGATE_DATABASE__OWNER_URL",
        &database.owner_url(),
    );
    let found = problems(&environment);
    for place in ["master_key.secrets", "master_key.all"] {
        let expected = of(place, "warning", "1 values are still sealed with a previous key");
        assert!(found.contains(&expected), "{found:?}");
    }
}
