//! A backup that is taken under load, restored into other servers. Both ask their roles for passwords, which a backup does not have.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookgate_devservers::{OWNER, Options, Servers};
use hookgate_model::ids::EventId;
use hookgate_testkit::{eventually, http_client};
use serde_json::json;
use tokio::task::JoinSet;

use crate::chaos::DATABASE;
use crate::dev::open_to_the_servers_user;
use crate::installation::{Installation, Storage};
use crate::process::run;

const PATIENCE: Duration = Duration::from_secs(60);
const SENDERS: u64 = 8;
/// Events that are acknowledged before the backup begins, and those that come while it is taken or after it.
const BEFORE: usize = 400;
const MEANWHILE: usize = 200;

/// A webhook's events: their ids, in the order of their acknowledgements.
type Acknowledged = Arc<Mutex<Vec<EventId>>>;

async fn send(url: String, acknowledged: Acknowledged, is_over: Arc<AtomicBool>) {
    let client = http_client();
    while !is_over.load(Ordering::Relaxed) {
        let number = acknowledged.lock().unwrap().len();
        let answer = client
            .post(&url)
            .json(&json!({ "number": number }))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let id = answer.headers()["hookgate-event-id"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        acknowledged.lock().unwrap().push(id);
    }
}

async fn reach(acknowledged: &Acknowledged, count: usize) {
    let enough = async || (acknowledged.lock().unwrap().len() >= count).then_some(());
    eventually(PATIENCE, format!("{count} events are acknowledged"), enough).await;
}

/// Servers whose superuser alone, which is this test, needs no password.
fn start(directory: &Path) -> Servers {
    open_to_the_servers_user(directory);
    let access = directory.join("pg_hba.conf");
    std::fs::write(&access, "local all postgres trust\nlocal all all scram-sha-256\n").unwrap();
    let options = Options {
        postgres: vec![("hba_file".to_owned(), access.display().to_string())],
        ..Options::default()
    };
    Servers::start_temporary(&options).unwrap()
}

/// Gives the owner its password, and migrates, which gives the others theirs.
fn migrate(servers: &Servers) -> Storage {
    let url = |role: &str| {
        let without = servers.address().postgres(role, DATABASE);
        without.replacen(&format!("{role}@"), &format!("{role}:password-of-{role}@"), 1)
    };
    let [ingress, management, worker] =
        ["hookgate_ingress", "hookgate_management", "hookgate_worker"].map(url);
    let environment = [
        ("HOOKGATE_DATABASE__OWNER_URL", &url(OWNER)),
        ("HOOKGATE_DATABASE__INGRESS_URL", &ingress),
        ("HOOKGATE_DATABASE__MANAGEMENT_URL", &management),
        ("HOOKGATE_DATABASE__WORKER_URL", &worker),
    ]
    .map(|(name, value)| (name.to_owned(), value.clone()));
    assert!(
        !run(["migrate"], &environment).status.success(),
        "the owner has no password yet"
    );
    let password = format!("ALTER ROLE {OWNER} PASSWORD 'password-of-{OWNER}'");
    servers.postgres.execute(DATABASE, &password).unwrap();
    let migrated = run(["migrate"], &environment);
    assert!(
        migrated.status.success(),
        "{}",
        String::from_utf8_lossy(&migrated.stderr)
    );
    Storage {
        ingress,
        management,
        worker,
        redis: servers.address().redis(""),
    }
}

/// Runs one of PostgreSQL's tools as the superuser, whom row-level security does not hold back.
fn tool(name: &str, servers: &Servers, database: &str, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(name);
    command
        .arg("--dbname")
        .arg(servers.address().postgres_superuser(database))
        .args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn dump(servers: &Servers, directory: &Path) {
    let file = |name: &str| directory.join(name).display().to_string();
    tool(
        "pg_dumpall",
        servers,
        "postgres",
        &[
            "--globals-only",
            "--no-role-passwords",
            "--file",
            &file("roles.sql"),
        ],
    );
    tool(
        "pg_dump",
        servers,
        DATABASE,
        &["--format=custom", "--file", &file("hookgate.dump")],
    );
}

fn restore(servers: &Servers, directory: &Path) -> Storage {
    let file = |name: &str| directory.join(name).display().to_string();
    // Roles that there are already are told, and stay.
    tool(
        "psql",
        servers,
        "postgres",
        &["--quiet", "--no-psqlrc", "--file", &file("roles.sql")],
    );
    servers.postgres.ensure_database(DATABASE).unwrap();
    tool(
        "pg_restore",
        servers,
        DATABASE,
        &["--exit-on-error", &file("hookgate.dump")],
    );
    // The schema is the program's, and nothing of it is missing.
    migrate(servers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_backup_is_there_after_its_restore_and_runs() {
    let directory = tempfile::tempdir().unwrap();
    let servers = start(directory.path());
    servers.postgres.ensure_database(DATABASE).unwrap();
    let mut installation = Installation::start(&migrate(&servers), &[]).await;
    let flow = json!({ "flow": { "steps": [{ "name": "seen", "kind": "set", "values": { "n": "{{ body.number }}" } }] } });
    let url = installation
        .api
        .webhook(&json!({ "name": "Orders" }), Some(&flow))
        .await;
    // Nothing has run when the backup is taken: all of it is due in the restored database.
    installation.worker.stop();
    let (acknowledged, is_over) = (Acknowledged::default(), Arc::new(AtomicBool::new(false)));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        senders.spawn(send(url.clone(), Arc::clone(&acknowledged), Arc::clone(&is_over)));
    }
    reach(&acknowledged, BEFORE).await;
    let before: Vec<String> = acknowledged
        .lock()
        .unwrap()
        .iter()
        .map(|id| id.uuid().to_string())
        .collect();
    let path = directory.path().to_owned();
    let servers = tokio::task::spawn_blocking(move || {
        dump(&servers, &path);
        servers
    });
    let servers = servers.await.unwrap();
    reach(&acknowledged, before.len() + MEANWHILE).await;
    is_over.store(true, Ordering::Relaxed);
    senders.join_all().await;
    installation.ingress.stop();
    installation.management.stop();
    servers.stop().unwrap();

    let restored = start(directory.path());
    let storage = restore(&restored, directory.path());
    let settings = [
        ("HOOKGATE_DATABASE__INGRESS_URL", storage.ingress.as_str()),
        ("HOOKGATE_DATABASE__MANAGEMENT_URL", &storage.management),
        ("HOOKGATE_DATABASE__WORKER_URL", &storage.worker),
        ("HOOKGATE_REDIS__URL", &storage.redis),
    ];
    for service in [
        &mut installation.ingress,
        &mut installation.management,
        &mut installation.worker,
    ] {
        service.start_with(&settings);
        service.ready().await;
    }
    let ran = async || {
        let sql = "SELECT string_agg(id::text, ' ') FROM runs WHERE outcome = 'succeeded'";
        let run = restored.postgres.execute(DATABASE, sql).unwrap();
        let run: HashSet<&str> = run.split(' ').collect();
        before
            .iter()
            .all(|id| run.contains(id.as_str()))
            .then_some(run.len())
    };
    let runs = eventually(PATIENCE, "all of them have run", ran).await;
    println!(
        "{} events acknowledged before the backup, {} in all; {runs} have run after the restore",
        before.len(),
        acknowledged.lock().unwrap().len()
    );
    // It goes on where it was: the key opens the API, the URL takes events.
    let answer = http_client()
        .post(&url)
        .json(&json!({ "number": 0 }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let webhooks = installation.api.get("/webhooks?q=Orders").await;
    assert_eq!(webhooks["data"][0]["name"], "Orders");
    let environment: Vec<(String, String)> = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .chain([("HOOKGATE_MASTER_KEY".to_owned(), STANDARD.encode([7; 32]))])
        .collect();
    let doctor = run(["doctor"], &environment);
    let found = String::from_utf8_lossy(&doctor.stdout).into_owned();
    for check in [
        "postgres.row_security",
        "postgres.ingress.grants",
        "postgres.worker.grants",
        "master_key ",
        "migrations",
    ] {
        let line = found
            .lines()
            .find(|line| line.contains(check))
            .unwrap_or_default();
        assert!(line.starts_with("ok "), "{check}: {found}");
    }
    installation.stop();
}
