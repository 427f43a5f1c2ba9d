//! Two of each service behind HAProxy, under load.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookgate_model::ids::EventId;
use hookgate_testkit::{TestDatabase, eventually, http_client};
use reqwest::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::installation::{Installation, Service, Storage};
use crate::process::{Background, free_port};

pub const PATIENCE: Duration = Duration::from_secs(60);
/// Senders and API clients, each with one request at a time.
pub const SENDERS: usize = 6;
pub const CLIENTS: usize = 2;
/// Each sends at most so often.
const EVERY: Duration = Duration::from_millis(20);

/// HAProxy, before two nodes each of the ingress and of the management API.
struct Balancer {
    process: Background,
    _directory: tempfile::TempDir,
    statistics: u16,
}

impl Balancer {
    fn start(public: u16, api: u16, ingress: [u16; 2], management: [u16; 2]) -> Self {
        let (directory, statistics) = (tempfile::tempdir().unwrap(), free_port());
        let mut text = format!(
            "defaults\n  mode http\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n  timeout check 2s\n  \
             option redispatch\n  retries 3\n  retry-on conn-failure\n\
             frontend statistics\n  bind 127.0.0.1:{statistics}\n  stats enable\n  stats uri /\n"
        );
        for (name, port, nodes) in [("ingress", public, ingress), ("management", api, management)] {
            write!(
                text,
                "frontend {name}_in\n  bind 127.0.0.1:{port}\n  default_backend {name}\n\
                 backend {name}\n  option httpchk GET /readyz\n  default-server check inter 200ms fall 1 rise 1\n"
            )
            .unwrap();
            for (place, node) in nodes.iter().enumerate() {
                writeln!(text, "  server node{place} 127.0.0.1:{node}").unwrap();
            }
        }
        let file = directory.path().join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        // Debian's place is outside the path of ordinary users.
        let program = Some("/usr/sbin/haproxy").filter(|path| Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("haproxy"));
        command.arg("-db").arg("-f").arg(&file).stdin(Stdio::null());
        Self {
            process: Background::start(command),
            _directory: directory,
            statistics,
        }
    }

    /// Waits until it sends requests to every node.
    async fn sees_all(&mut self) {
        let url = format!("http://127.0.0.1:{}/;csv", self.statistics);
        let client = http_client();
        let all_up = async || {
            let answer = client.get(&url).send().await.ok()?;
            let text = answer.text().await.ok()?;
            let nodes: Vec<&str> = text.lines().filter(|line| line.contains(",node")).collect();
            let is_up = |line: &&&str| line.split(',').nth(17).is_some_and(|status| status == "UP");
            (nodes.len() == 4 && nodes.iter().filter(is_up).count() == 4).then_some(())
        };
        eventually(PATIENCE, "the balancer sees all nodes", all_up).await;
        assert_eq!(self.process.ended(), None);
    }
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    acknowledged: Mutex<Vec<EventId>>,
    listed: Mutex<usize>,
    failed: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Seen {
    fn failures(&self) -> Vec<String> {
        std::mem::take(&mut self.failed.lock().unwrap())
    }

    fn fail(&self, what: &str, outcome: Result<StatusCode, reqwest::Error>) {
        let outcome = outcome.map_or_else(|error| error.to_string(), |status| status.to_string());
        self.failed.lock().unwrap().push(format!("{what}: {outcome}"));
    }
}

async fn send(seen: Arc<Seen>, url: String) {
    let (client, mut ticks) = (http_client(), tokio::time::interval(EVERY));
    while !seen.is_over.load(Ordering::Relaxed) {
        ticks.tick().await;
        match client.post(&url).body(r#"{"n":1}"#).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => {
                let id = answer.headers()["hookgate-event-id"]
                    .to_str()
                    .unwrap()
                    .parse()
                    .unwrap();
                seen.acknowledged.lock().unwrap().push(id);
            }
            other => seen.fail("a sender", other.map(|answer| answer.status())),
        }
    }
}

async fn list(seen: Arc<Seen>, url: String, token: String) {
    let (client, mut ticks) = (http_client(), tokio::time::interval(EVERY));
    while !seen.is_over.load(Ordering::Relaxed) {
        ticks.tick().await;
        match client.get(&url).bearer_auth(&token).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => *seen.listed.lock().unwrap() += 1,
            other => seen.fail("an API client", other.map(|answer| answer.status())),
        }
    }
}

/// A service with the settings that are its own.
pub struct Node {
    pub name: &'static str,
    pub service: Service,
    settings: Vec<(&'static str, String)>,
}

impl Node {
    fn new(name: &'static str, service: &Service, listen: Option<(&'static str, u16)>) -> Self {
        let listen = listen.map(|(setting, port)| (setting, format!("127.0.0.1:{port}")));
        let drain = ("HOOKGATE_OPERATOR__DRAIN_SECONDS", "2".to_owned());
        Self {
            name,
            service: service.another(),
            settings: listen.into_iter().chain([drain]).collect(),
        }
    }

    async fn start(&mut self) {
        let settings: Vec<(&str, &str)> = self
            .settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.service.start_with(&settings);
        self.service.ready().await;
    }
}

/// Six nodes behind a balancer, senders to one webhook, and clients of the API.
pub struct Cluster {
    pub nodes: [Node; 6],
    balancer: Balancer,
    seen: Arc<Seen>,
    load: JoinSet<()>,
}

impl Cluster {
    /// Starts everything with a program, on a database that it has migrated.
    pub async fn start(database: &TestDatabase, program: &Path) -> Self {
        let ports: [u16; 6] = std::array::from_fn(|_| free_port());
        let [public, api, ingress_0, ingress_1, management_0, management_1] = ports;
        let public_url = format!("http://127.0.0.1:{public}");
        let further = [("HOOKGATE_MANAGEMENT__PUBLIC_URL", public_url.as_str())];
        // By itself, to have an account and a webhook.
        let mut installation =
            Installation::start_program(program, &Storage::of(database), &further, &[]).await;
        let revision = json!({ "flow": { "steps": [{ "name": "seen", "kind": "set", "values": { "n": "{{ body.n }}" } }] } });
        let url = installation
            .api
            .webhook(&json!({ "name": "Balanced" }), Some(&revision))
            .await;
        assert!(url.starts_with(&public_url));
        let token = installation.api.token().to_owned();
        let Installation {
            ingress,
            management,
            worker,
            ..
        } = &mut installation;
        for service in [&mut *ingress, &mut *management, &mut *worker] {
            service.stop();
        }

        let listen = |name, port| Some((name, port));
        let (of_ingress, of_management) = ("HOOKGATE_INGRESS__LISTEN", "HOOKGATE_MANAGEMENT__LISTEN");
        let mut nodes = [
            Node::new("ingress", ingress, listen(of_ingress, ingress_0)),
            Node::new("ingress", ingress, listen(of_ingress, ingress_1)),
            Node::new("management", management, listen(of_management, management_0)),
            Node::new("management", management, listen(of_management, management_1)),
            Node::new("worker", worker, None),
            Node::new("worker", worker, None),
        ];
        for node in &mut nodes {
            node.start().await;
        }
        let mut balancer = Balancer::start(public, api, [ingress_0, ingress_1], [management_0, management_1]);
        balancer.sees_all().await;

        let seen = Arc::<Seen>::default();
        let mut load = JoinSet::new();
        for _ in 0..SENDERS {
            load.spawn(send(Arc::clone(&seen), url.clone()));
        }
        for _ in 0..CLIENTS {
            let url = format!("http://127.0.0.1:{api}/v1/webhooks");
            load.spawn(list(Arc::clone(&seen), url, token.clone()));
        }
        Self {
            nodes,
            balancer,
            seen,
            load,
        }
    }

    /// Ends one node in some way after the other, and starts each again before the next.
    pub async fn roll(&mut self, end: impl Fn(&mut Service), mut check: impl FnMut(&str, Vec<String>)) {
        for node in &mut self.nodes {
            end(&mut node.service);
            node.start().await;
            self.balancer.sees_all().await;
            check(node.name, self.seen.failures());
        }
    }

    /// What failed since this was asked last.
    pub fn failures(&self) -> Vec<String> {
        self.seen.failures()
    }

    /// How many events were acknowledged, and how many lists answered.
    pub fn answered(&self) -> (usize, usize) {
        let acknowledged = self.seen.acknowledged.lock().unwrap().len();
        (acknowledged, *self.seen.listed.lock().unwrap())
    }

    /// Ends the load, and checks that no further request failed and every event that was acknowledged runs; then stops everything.
    pub async fn finish(mut self, database: &TestDatabase) {
        self.seen.is_over.store(true, Ordering::Relaxed);
        self.load.join_all().await;
        assert_eq!(self.seen.failures(), [""; 0]);
        let acknowledged = std::mem::take(&mut *self.seen.acknowledged.lock().unwrap());
        let ran = async || {
            let run = database.query_text("SELECT id::text FROM runs WHERE outcome = 'succeeded'");
            let run: HashSet<String> = run.into_iter().collect();
            let all = acknowledged.iter().all(|id| run.contains(&id.uuid().to_string()));
            all.then_some(())
        };
        eventually(PATIENCE, "every acknowledged event has run", ran).await;
        for node in &mut self.nodes {
            node.service.stop();
        }
    }
}
