//! What an operator can set of this service.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use serde::Deserialize;
use url::Url;

/// The settings of the management service, each with a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens. Port 0 takes any free one.
    pub listen: Vec<SocketAddr>,
    /// Threads that serve requests; as many as there are processors when absent.
    pub threads: Option<NonZeroUsize>,
    /// The longest request body that is read, in bytes.
    pub body_limit_bytes: usize,
    /// How long a stop waits for requests in flight, in seconds.
    pub shutdown_timeout_seconds: u64,
    /// What the public URLs of webhooks begin with.
    pub public_url: Url,
    /// How long an access token works, in seconds.
    pub access_token_seconds: u32,
    /// How long a login can be left alone before it ends, in seconds.
    pub refresh_token_seconds: u32,
    /// How long a login lasts at most, however often it is refreshed, in seconds.
    pub login_seconds: u32,
    /// How many passwords are hashed at once; each takes 19 MiB and a processor for some 20 ms.
    pub passwords_at_once: NonZeroUsize,
    /// Failed logins of one e-mail from one address before further ones wait.
    pub login_failures: u32,
    /// The time in which those failures are counted, in seconds.
    pub login_failure_window_seconds: u32,
}

impl Default for Settings {
    #[allow(clippy::expect_used)]
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8081))],
            threads: None,
            body_limit_bytes: 1 << 20,
            shutdown_timeout_seconds: 10,
            public_url: "http://127.0.0.1:8080".parse().expect("a URL"),
            access_token_seconds: 15 * 60,
            refresh_token_seconds: 14 * 24 * 3600,
            login_seconds: 90 * 24 * 3600,
            passwords_at_once: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            login_failures: 10,
            login_failure_window_seconds: 15 * 60,
        }
    }
}
