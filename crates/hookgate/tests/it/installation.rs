//! An installation of separate processes (ingress, management, worker) on fixed ports, and an account to use it with.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookgate_model::access::Scope;
use hookgate_testkit::{TestDatabase, eventually, http_client};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::process::{Background, HOOKGATE, free_port, program, run};

/// Where the facts and the rest are kept: URLs per role.
pub struct Storage {
    pub ingress: String,
    pub management: String,
    pub worker: String,
    pub redis: String,
}

impl Storage {
    /// A test's own database.
    pub fn of(database: &TestDatabase) -> Self {
        Self {
            ingress: database.ingress_url(),
            management: database.management_url(),
            worker: database.worker_url(),
            redis: database.redis_url(),
        }
    }
}

/// One service's process, which can be killed and started again on the same ports.
pub struct Service {
    role: &'static str,
    program: PathBuf,
    environment: Vec<(String, String)>,
    operator: u16,
    process: Option<Background>,
}

impl Service {
    /// From its next start on it is this program: another version.
    pub fn is_now(&mut self, program: &Path) {
        self.program = program.to_owned();
    }

    /// Starts the process, if it does not run.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts the process with further variables in its environment, if it does not run.
    pub fn start_with(&mut self, further: &[(&str, &str)]) {
        if self.process.is_none() {
            let mut command = program(&self.program, &std::env::temp_dir(), &self.environment);
            command.envs(further.iter().copied());
            command.args(["serve", "--roles", self.role]);
            self.process = Some(Background::start(command));
        }
    }

    /// Starts the process with settings that cannot be, and gives what it says.
    pub fn fail_to_start(&self, further: &[(&str, &str)]) -> String {
        let mut command = program(&self.program, &std::env::temp_dir(), &self.environment);
        command.envs(further.iter().copied());
        let output = command.args(["serve", "--roles", self.role]).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Another process of the same service, which does not run yet.
    pub fn another(&self) -> Self {
        let operator = free_port();
        let listen = (
            "HOOKGATE_OPERATOR__LISTEN".to_owned(),
            format!("127.0.0.1:{operator}"),
        );
        Self {
            role: self.role,
            program: self.program.clone(),
            environment: self.environment.iter().cloned().chain([listen]).collect(),
            operator,
            process: None,
        }
    }

    /// Sends the process a signal, such as `STOP`.
    pub fn signal(&mut self, signal: &str) {
        self.process.as_mut().expect("a process").signal(signal);
    }

    /// What the process printed so far.
    pub fn output(&self) -> String {
        self.process.as_ref().expect("a process").output()
    }

    /// Waits until the process ends by itself.
    pub async fn wait_for_end(&mut self, within: Duration) -> ExitStatus {
        let mut process = self.process.take().expect("a process");
        let ended = format!("the {} ends", self.role);
        let ended = eventually(within, ended, async || process.ended());
        ended.await
    }

    /// Waits until it reaches PostgreSQL.
    pub async fn ready(&mut self) {
        let url = format!("http://127.0.0.1:{}/readyz", self.operator);
        let client = http_client();
        eventually(
            Duration::from_secs(30),
            format!("the {} is ready", self.role),
            async || {
                client
                    .get(&url)
                    .send()
                    .await
                    .ok()
                    .filter(|answer| answer.status() == StatusCode::OK)
            },
        )
        .await;
    }

    /// Its metrics, as Prometheus reads them.
    pub async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.operator);
        http_client().get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Asks it to stop, as an operator does.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let status = process.stop("TERM", Duration::from_secs(30));
            assert!(
                status.success(),
                "the {} ended with {status}:\n{}",
                self.role,
                process.output()
            );
        }
    }
}

/// The processes, and a management key.
pub struct Installation {
    pub ingress: Service,
    pub management: Service,
    pub worker: Service,
    pub api: Api,
}

impl Installation {
    /// Starts the three services and makes an account. `worker` are further settings of the worker.
    pub async fn start(storage: &Storage, worker: &[(&str, &str)]) -> Self {
        Self::start_with(storage, &[], worker).await
    }

    /// The same with further settings of the management API.
    pub async fn start_with(storage: &Storage, management: &[(&str, &str)], worker: &[(&str, &str)]) -> Self {
        Self::start_program(HOOKGATE.as_ref(), storage, management, worker).await
    }

    /// The same with another program than the one under test.
    pub async fn start_program(
        program: &Path,
        storage: &Storage,
        management: &[(&str, &str)],
        worker: &[(&str, &str)],
    ) -> Self {
        let (ingress_port, management_port) = (free_port(), free_port());
        let base = [
            ("HOOKGATE_MASTER_KEY", STANDARD.encode([7; 32])),
            ("HOOKGATE_REDIS__URL", storage.redis.clone()),
            ("HOOKGATE_DATABASE__INGRESS_URL", storage.ingress.clone()),
            ("HOOKGATE_DATABASE__MANAGEMENT_URL", storage.management.clone()),
            ("HOOKGATE_DATABASE__WORKER_URL", storage.worker.clone()),
            ("HOOKGATE_INGRESS__LISTEN", format!("127.0.0.1:{ingress_port}")),
            (
                "HOOKGATE_MANAGEMENT__LISTEN",
                format!("127.0.0.1:{management_port}"),
            ),
            (
                "HOOKGATE_MANAGEMENT__PUBLIC_URL",
                format!("http://127.0.0.1:{ingress_port}"),
            ),
        ];
        let service = |role, further: &[(&str, &str)]| {
            let operator = free_port();
            let mut environment: Vec<(String, String)> = base
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect();
            environment.push((
                "HOOKGATE_OPERATOR__LISTEN".to_owned(),
                format!("127.0.0.1:{operator}"),
            ));
            environment.extend(
                further
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
            );
            Service {
                role,
                program: program.to_owned(),
                environment,
                operator,
                process: None,
            }
        };
        let mut installation = Self {
            ingress: service("ingress", &[]),
            management: service("management", management),
            worker: service("worker", worker),
            api: Api::new(format!("http://127.0.0.1:{management_port}/v1")),
        };
        let before = run(["ready"], &installation.worker.environment);
        assert!(!before.status.success(), "nothing runs yet");
        for service in [
            &mut installation.ingress,
            &mut installation.management,
            &mut installation.worker,
        ] {
            service.start();
            service.ready().await;
        }
        let after = run(["ready"], &installation.worker.environment);
        assert!(
            after.status.success(),
            "{}",
            String::from_utf8_lossy(&after.stderr)
        );
        installation.api.register().await;
        installation
    }

    /// Stops everything in good order.
    pub fn stop(mut self) {
        self.ingress.stop();
        self.management.stop();
        self.worker.stop();
    }
}

/// The management API with a credential.
pub struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    fn new(base: String) -> Self {
        Self {
            client: http_client(),
            base,
            token: String::new(),
        }
    }

    /// Makes an account and uses a management key of it from now on: an access token would expire.
    async fn register(&mut self) {
        let account = json!({ "email": "ada@example.com", "password": "three plain words", "name": "Ada",
            "tenant_name": "Analytical Engines" });
        let registered = self.post("/auth/register", &account).await;
        self.token = registered["tokens"]["access_token"].as_str().unwrap().to_owned();
        let all = json!({ "name": "tests", "scopes": Scope::ALL });
        let key = self.post("/management-keys", &all).await;
        self.token = key["key"].as_str().unwrap().to_owned();
    }

    /// Where it is, without `/v1`.
    pub fn url(&self) -> &str {
        self.base.trim_end_matches("/v1")
    }

    /// The credential.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// POSTs, and expects success.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.send(Method::POST, path, Some(body)).await
    }

    /// POSTs, and gives the status and the body.
    pub async fn try_post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.request(Method::POST, path).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// PUTs, and expects success.
    pub async fn put(&self, path: &str, body: &Value) -> Value {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// GETs, and expects success.
    pub async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, None).await
    }

    /// DELETEs, and expects success.
    pub async fn delete(&self, path: &str) -> Value {
        self.send(Method::DELETE, path, None).await
    }

    /// GETs what does not exist yet, until it does.
    pub async fn get_eventually(&self, path: &str) -> Value {
        eventually(
            Duration::from_secs(30),
            format!("GET {path} finds something"),
            async || {
                let answer = self.request(Method::GET, path).send().await.unwrap();
                if answer.status() == StatusCode::NOT_FOUND {
                    return None;
                }
                assert_eq!(answer.status(), StatusCode::OK, "GET {path}");
                Some(answer.json().await.unwrap())
            },
        )
        .await
    }

    /// GETs bytes, and expects success.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "GET {path}");
        answer.bytes().await.unwrap().to_vec()
    }

    /// Makes a webhook with a published revision; returns its production URL.
    pub async fn webhook(&self, webhook: &Value, revision: Option<&Value>) -> String {
        let made = self.post("/webhooks", webhook).await;
        let id = made["id"].as_str().unwrap();
        if let Some(revision) = revision {
            self.put(&format!("/webhooks/{id}/draft"), revision).await;
        }
        self.post(&format!("/webhooks/{id}/publish"), &json!({})).await;
        let urls = made["urls"].as_array().unwrap();
        let production = urls
            .iter()
            .find(|url| url["environment"] == "production")
            .unwrap();
        production["public_url"].as_str().unwrap().to_owned()
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let mut request = self.request(method.clone(), path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(
            status.is_success(),
            "{method} {path} was answered {status}: {text}"
        );
        if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap()
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        if self.token.is_empty() {
            request
        } else {
            request.bearer_auth(&self.token)
        }
    }
}
