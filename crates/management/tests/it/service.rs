//! A service under test and its callers.

use hookgate_domain::crypto::MasterKey;
use hookgate_domain::redis::Redis;
use hookgate_management::admin::{self, Admin, Tokens};
use hookgate_management::{Management, Settings};
use hookgate_testkit::TestDatabase;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// What seals the secrets of these tests.
pub fn master_key() -> MasterKey {
    MasterKey::from_bytes(&[7; 32])
}

/// The password of everyone.
pub const PASSWORD: &str = "three plain words";

/// Opens the operator's API.
pub const OPERATORS_TOKEN: &str = "the-operators-token-of-32-characters-at-least";

/// A running service with a database of its own.
pub struct Service {
    pub database: TestDatabase,
    pub management: Management,
    pub http: reqwest::Client,
    pub base: String,
}

/// What the service answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    /// Checks the status, and gives the body.
    #[track_caller]
    pub fn is(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()
    }

    /// Checks that it is a complete problem of this code, and gives its body.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) -> Value {
        let problem = self.is(status);
        assert_eq!(problem["code"], code, "{}", self.text);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:hookgate:problem:{code}"));
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["trace_id"], self.header("x-trace-id"));
        assert!(
            problem["errors"].is_array() && problem["detail"].is_string() && problem["title"].is_string()
        );
        problem
    }

    /// Checks that it is a 400 that names exactly these fields, as `(pointer, code)`.
    #[track_caller]
    pub fn is_invalid(&self, fields: &[(&str, &str)]) {
        let problem = self.is_problem(400, "invalid_request");
        let told: Vec<(&str, &str)> = problem["errors"]
            .as_array()
            .expect("errors")
            .iter()
            .map(|error| {
                (
                    error["pointer"].as_str().expect("text"),
                    error["code"].as_str().expect("text"),
                )
            })
            .collect();
        assert_eq!(told, fields, "{}", self.text);
    }
}

impl Service {
    /// Starts it with defaults that suit tests.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts it with other settings.
    pub async fn start_with(set: impl FnOnce(&mut Settings)) -> Self {
        let database = TestDatabase::create();
        let redis = database.redis();
        Self::start_on(database, redis, set).await
    }

    /// Starts it with streams that end soon, for tests that call every operation.
    pub async fn start_with_short_streams() -> Self {
        Self::start_with(|settings| settings.stream_seconds = 1).await
    }

    /// Starts the operator's API beside it; whoever calls it with the token is the operator.
    pub async fn operators_api(&self) -> (Admin, Caller) {
        let settings = admin::Settings {
            listen: "127.0.0.1:0".parse().expect("an address"),
            tls_certificate: None,
            tls_key: None,
            tokens: Tokens::new(&[OPERATORS_TOKEN.into(), "y".repeat(32).into()]).expect("tokens"),
        };
        let started = admin::start(&self.management, settings, self.database.admin()).await;
        let admin = started.expect("it starts");
        let operator = Caller {
            base: format!("http://{}", admin.addresses[0]),
            ..self.caller(OPERATORS_TOKEN)
        };
        (admin, operator)
    }

    /// Starts it on a database and a Redis.
    pub async fn start_on(database: TestDatabase, redis: Redis, set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            listen: "127.0.0.1:0".parse().expect("an address"),
            threads: 1,
            ..Settings::default()
        };
        set(&mut settings);
        let master_key = master_key();
        let egress = hookgate_egress::Client::new(&Default::default()).expect("a client");
        let management =
            hookgate_management::start(settings, database.management(), redis, master_key, egress)
                .await
                .expect("the service starts");
        let base = format!("http://{}", management.addresses[0]);
        Self {
            database,
            management,
            http: hookgate_testkit::http_client(),
            base,
        }
    }

    /// A caller with this credential.
    pub fn caller(&self, credential: impl Into<String>) -> Caller {
        Caller {
            http: self.http.clone(),
            base: self.base.clone(),
            credential: Some(credential.into()),
            headers: Vec::new(),
        }
    }

    /// A caller without a credential.
    pub fn stranger(&self) -> Caller {
        Caller {
            credential: None,
            ..self.caller("")
        }
    }

    /// Registers a person with a tenant of their own, and calls as them.
    pub async fn register(&self, email: &str) -> Caller {
        self.caller(
            self.register_account(email).await["tokens"]["access_token"]
                .as_str()
                .expect("a token"),
        )
    }

    /// Registers a person, and gives the whole answer.
    pub async fn register_account(&self, email: &str) -> Value {
        let registration =
            json!({"email": email, "password": PASSWORD, "name": "Ada", "tenant_name": "Engines"});
        self.stranger()
            .post("/v1/auth/register", registration)
            .await
            .is(201)
    }
}

/// Someone who calls the service.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    base: String,
    credential: Option<String>,
    headers: Vec<(String, String)>,
}

impl Caller {
    /// What they present.
    pub fn credential(&self) -> &str {
        self.credential.as_deref().unwrap_or_default()
    }

    /// The same caller, with another credential, or none.
    pub fn presenting(&self, credential: Option<&str>) -> Self {
        Self {
            credential: credential.map(str::to_owned),
            ..self.clone()
        }
    }

    /// The same caller, who sends one more header.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut caller = self.clone();
        caller.headers.push((name.to_owned(), value.to_owned()));
        caller
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body.to_string())).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body.to_string())).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// A GET, to be sent by whoever reads its answer piece by piece.
    pub fn request(&self, http: &reqwest::Client, path: &str) -> reqwest::RequestBuilder {
        http.get(format!("{}{path}", self.base))
            .bearer_auth(self.credential.as_deref().unwrap_or_default())
    }

    /// Sends a request with a body that need not be JSON.
    pub async fn send(&self, method: Method, path: &str, body: Option<String>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(credential) = &self.credential {
            request = request.bearer_auth(credential);
        }
        let mut has_type = false;
        for (name, value) in &self.headers {
            has_type |= name == "content-type";
            request = request.header(name, value);
        }
        if let Some(body) = body {
            if !has_type {
                request = request.header("content-type", "application/json");
            }
            request = request.body(body);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Answer {
            status,
            headers,
            text: response.text().await.expect("a body"),
        }
    }

    /// Makes a management key with these scopes, and calls with it.
    pub async fn key(&self, scopes: &[&str]) -> Self {
        let made = self
            .post(
                "/v1/management-keys",
                json!({"name": "a machine", "scopes": scopes}),
            )
            .await
            .is(201);
        Self {
            credential: Some(made["key"].as_str().expect("a key").to_owned()),
            ..self.clone()
        }
    }
}

/// An answer whose body need not be text.
pub struct Bytes {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Bytes {
    /// A header's text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }
}

impl Caller {
    /// Reads a body that need not be text.
    pub async fn bytes(&self, path: &str) -> Bytes {
        let credential = self.credential.clone().unwrap_or_default();
        let response = self
            .http
            .get(format!("{}{path}", self.base))
            .bearer_auth(credential)
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 200);
        Bytes {
            headers: response.headers().clone(),
            body: response.bytes().await.expect("a body").to_vec(),
        }
    }
}
