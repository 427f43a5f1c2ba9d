//! The commands that end by themselves, and what a wrong setting is answered with.

use hookgate_testkit::TestDatabase;
use hookgate_testkit::servers;

use crate::process::run;

fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn migrate_brings_an_empty_database_to_the_schema_and_back() {
    let database = TestDatabase::create_empty();
    let owner = database.owner_url();
    let ingress = database
        .ingress_url()
        .replace("hookgate_ingress@", "hookgate_ingress:it%27s%20secret@");
    let environment = settings(&[
        ("HOOKGATE_DATABASE__OWNER_URL", &owner),
        ("HOOKGATE_DATABASE__INGRESS_URL", &ingress),
    ]);
    let first = run(["migrate"], &environment);
    assert!(
        first.status.success() && stdout(&first).starts_with("applied "),
        "{}",
        stderr(&first)
    );
    let second = run(["migrate"], &environment);
    assert!(
        second.status.success() && stdout(&second).contains("the schema is current"),
        "{}",
        stderr(&second)
    );
    let reverted = run(["migrate", "--revert-last"], &environment);
    assert!(
        reverted.status.success() && stdout(&reverted).starts_with("reverted "),
        "{}",
        stderr(&reverted)
    );
    let again = run(["migrate"], &environment);
    assert!(
        again.status.success() && stdout(&again).starts_with("applied "),
        "{}",
        stderr(&again)
    );
}

#[test]
fn openapi_prints_the_document_that_is_kept() {
    let printed = run(["openapi"], &[]);
    assert!(printed.status.success(), "{}", stderr(&printed));
    let kept =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/openapi.json")).unwrap();
    assert!(
        stdout(&printed) == kept,
        "openapi/openapi.json is not current: run `make openapi`"
    );
}

#[test]
fn a_missing_setting_is_named_with_the_way_to_set_it() {
    let output = run(["serve"], &[]);
    assert_eq!(output.status.code(), Some(1));
    for variable in [
        "HOOKGATE_MASTER_KEY",
        "HOOKGATE_REDIS__URL",
        "HOOKGATE_DATABASE__INGRESS_URL",
        "HOOKGATE_DATABASE__MANAGEMENT_URL",
        "HOOKGATE_DATABASE__WORKER_URL",
    ] {
        assert!(
            stderr(&output).contains(variable),
            "{variable}: {}",
            stderr(&output)
        );
    }
    let output = run(["serve", "--roles", "ingress"], &[]);
    assert!(!stderr(&output).contains("WORKER_URL") && stderr(&output).contains("DATABASE__INGRESS_URL"));
}

#[test]
fn a_wrong_setting_is_named_and_a_secret_is_not_repeated() {
    for (name, value, expected) in [
        (
            "HOOKGATE_INGRESS__LISTEN",
            "nowhere",
            "ingress.listen (HOOKGATE_INGRESS__LISTEN)",
        ),
        (
            "HOOKGATE_INGRESS__WRITERS",
            "many",
            "ingress.writers (HOOKGATE_INGRESS__WRITERS)",
        ),
        (
            "HOOKGATE_INGRESS__LISEN",
            "127.0.0.1:1",
            "ingress.lisen (HOOKGATE_INGRESS__LISEN) is not a setting",
        ),
        (
            "HOOKGATE_NONSENSE",
            "1",
            "nonsense (HOOKGATE_NONSENSE) is not a setting",
        ),
        ("HOOKGATE_LOG__FORMAT", "xml", "log.format (HOOKGATE_LOG__FORMAT)"),
        (
            "HOOKGATE_LOG__FILTER",
            "a=b=c",
            "log.filter (HOOKGATE_LOG__FILTER)",
        ),
        (
            "HOOKGATE_MASTER_KEY",
            "c2VjcmV0",
            "master_key (HOOKGATE_MASTER_KEY): the master key must be 32 bytes",
        ),
        (
            "HOOKGATE_MASTER_KEY",
            "1234567",
            "master_key (HOOKGATE_MASTER_KEY)",
        ),
        ("HOOKGATE_REDIS__URL", "s3cret", "redis.url (HOOKGATE_REDIS__URL)"),
        (
            "HOOKGATE_DATABASE__WORKER_URL",
            "mysql://s3cret",
            "database.worker_url (HOOKGATE_DATABASE__WORKER_URL)",
        ),
    ] {
        let output = run(["serve"], &settings(&[(name, value)]));
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{name}={value}: {text}");
        assert!(text.contains(expected), "{name}={value}: {text}");
        let secret = ["MASTER_KEY", "_URL", "__URL"]
            .iter()
            .any(|end| name.ends_with(end));
        assert!(
            !secret || !text.contains(value),
            "{name}: the secret is repeated: {text}"
        );
    }
}

#[test]
fn a_file_sets_what_the_environment_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hookgate.toml");
    std::fs::write(
        &file,
        "[operator]\nlisten = \"127.0.0.1:1\"\n[log]\nfilter = \"warn\"\n[redis]\nurl = \"redis://:pw@h\"\n",
    )
    .unwrap();
    let arguments = ["--config", file.to_str().unwrap(), "settings"];
    let output = run(arguments, &settings(&[("HOOKGATE_LOG__FILTER", "debug")]));
    let text = stdout(&output);
    assert!(
        text.contains("listen = \"127.0.0.1:1\"") && text.contains("filter = \"debug\""),
        "{text}"
    );
    assert!(text.contains("url = \"(set)\"") && !text.contains("pw"), "{text}");
    std::fs::write(&file, "[ingress]\nlisten = 5\n").unwrap();
    let output = run(arguments, &[]);
    assert!(
        stderr(&output).contains("ingress.listen") && stderr(&output).contains("hookgate.toml"),
        "{}",
        stderr(&output)
    );
    let output = run(["--config", "/nowhere.toml", "settings"], &[]);
    assert!(
        stderr(&output).contains("there is no file /nowhere.toml"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_taken_port_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let database = TestDatabase::create();
    let environment = settings(&[
        ("HOOKGATE_DATABASE__INGRESS_URL", &database.ingress_url()),
        ("HOOKGATE_REDIS__URL", &servers::address().redis("")),
        (
            "HOOKGATE_MASTER_KEY",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        ("HOOKGATE_INGRESS__LISTEN", &address),
    ]);
    let output = run(["serve", "--roles", "ingress"], &environment);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("HOOKGATE_INGRESS__LISTEN") && stderr(&output).contains(&address));
}

#[test]
fn the_operators_api_starts_with_tokens_that_cannot_be_guessed_and_nothing_prints_them() {
    let token = "a-token-of-the-operator-that-is-long-enough";
    let database = TestDatabase::create();
    let with = |pairs: &[(&str, &str)]| {
        let mut environment = settings(&[
            ("HOOKGATE_ADMIN__LISTEN", "127.0.0.1:0"),
            (
                "HOOKGATE_MASTER_KEY",
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            ),
            ("HOOKGATE_REDIS__URL", &database.redis_url()),
            ("HOOKGATE_DATABASE__MANAGEMENT_URL", &database.management_url()),
        ]);
        environment.extend(settings(pairs));
        environment
    };
    let one = format!("[{token:?}]");
    let short = format!("[{token:?}, \"too-short-by-far\"]");
    for (pairs, expected) in [
        (vec![], "admin.tokens (HOOKGATE_ADMIN__TOKENS): at least one"),
        (
            vec![("HOOKGATE_ADMIN__TOKENS", short.as_str())],
            "admin.tokens (HOOKGATE_ADMIN__TOKENS): number 2: at least 32 characters",
        ),
        (
            vec![("HOOKGATE_ADMIN__TOKENS", one.as_str())],
            "database.admin_url (HOOKGATE_DATABASE__ADMIN_URL) is not set",
        ),
    ] {
        let refused = run(["serve", "--roles", "management"], &with(&pairs));
        let told = stderr(&refused);
        assert!(!refused.status.success() && told.contains(expected), "{told}");
        assert!(!told.contains(token) && !told.contains("too-short"), "{told}");
    }
    let shown = stdout(&run(["settings"], &with(&[("HOOKGATE_ADMIN__TOKENS", &one)])));
    assert!(
        shown.contains("tokens = [\"(set)\"]") && !shown.contains(token),
        "{shown}"
    );
}

#[test]
fn the_operator_helps_at_the_command_line() {
    let database = TestDatabase::create();
    let tenant = database.tenant("Engines");
    let user = database.user(tenant, "ada@example.com", "owner", "no hash");
    database.execute(&format!(
        "INSERT INTO plans (id, name) VALUES (gen_random_uuid(), 'Small');
         INSERT INTO totp_secrets (user_id, secret, confirmed_at) VALUES ('{}', '\\x01', now())",
        user.uuid()
    ));
    let environment = settings(&[
        ("HOOKGATE_DATABASE__OWNER_URL", &database.owner_url()),
        ("HOOKGATE_REDIS__URL", &database.redis_url()),
    ]);
    let tenant = tenant.to_string();
    let plan_of = || {
        database
            .query_text("SELECT coalesce((SELECT name FROM plans WHERE id = plan_id), 'none') FROM tenants")
    };
    let set = run(["tenants", "set-plan", &tenant, "Small"], &environment);
    assert!(set.status.success(), "{}", stderr(&set));
    assert_eq!(plan_of(), ["Small"]);
    let unknown = run(["tenants", "set-plan", &tenant, "Large"], &environment);
    assert!(
        stderr(&unknown).contains("there is no plan \"Large\""),
        "{}",
        stderr(&unknown)
    );
    assert!(
        run(["tenants", "set-plan", &tenant], &environment)
            .status
            .success()
    );
    assert_eq!(plan_of(), ["none"]);
    let suspended = run(["tenants", "suspend", &tenant, "--reason", "Spam."], &environment);
    assert!(stdout(&suspended).contains("suspended"), "{}", stderr(&suspended));
    assert_eq!(
        database.query_text("SELECT suspension_reason FROM tenants"),
        ["Spam."]
    );

    let remove = ["users", "remove-second-factor", "Ada@example.com"];
    let removed = run(remove, &environment);
    assert!(
        stdout(&removed).contains("ada@example.com"),
        "{}",
        stderr(&removed)
    );
    assert_eq!(
        database.query_text("SELECT count(*)::text FROM totp_secrets"),
        ["0"]
    );
    assert!(stderr(&run(remove, &environment)).contains("has no second factor"));
    let nobody = run(["users", "remove-second-factor", "eve@example.com"], &environment);
    assert!(stderr(&nobody).contains("there is no person"));
}
