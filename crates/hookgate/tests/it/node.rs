//! A receiver in Node.js, which verifies calls with the published libraries.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hookgate_testkit::{eventually, http_client};
use serde::Deserialize;

/// What the receiver saw.
#[derive(Deserialize)]
pub struct Received {
    pub id: String,
    pub event: Option<String>,
    pub body: String,
    /// The keys that verified it, and not a changed body.
    pub verified: Vec<String>,
}

/// The directory of the published packages, installed when they are missing.
pub fn node_packages() -> PathBuf {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
    let wanted = ["@octokit/webhooks-examples", "standardwebhooks", "svix"];
    if !wanted.iter().all(|package| {
        directory
            .join("node_modules")
            .join(package)
            .join("package.json")
            .is_file()
    }) {
        let npm = Command::new("npm")
            .arg("ci")
            .current_dir(&directory)
            .stdin(Stdio::null())
            .output();
        let npm = npm.expect("npm is needed for this test: scripts/install-deps.sh test");
        assert!(
            npm.status.success(),
            "npm ci: {}",
            String::from_utf8_lossy(&npm.stderr)
        );
    }
    directory
}

/// The receiver in Node.js; it ends when this is dropped.
pub struct NodeReceiver {
    process: Child,
    pub url: String,
}

impl NodeReceiver {
    /// Starts it with keys: signing secrets, or public keys.
    pub fn start(node: &Path, keys: &[&str]) -> Self {
        let mut process = Command::new("node")
            .arg("receiver.js")
            .args(keys)
            .current_dir(node)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is needed for this test: scripts/install-deps.sh test");
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        Self {
            process,
            url: format!("http://127.0.0.1:{}", port.trim()),
        }
    }

    /// Gives it other keys.
    pub async fn take_keys(&self, keys: &[&str]) {
        let put = http_client().put(format!("{}/keys", self.url)).json(keys);
        assert!(put.send().await.unwrap().status().is_success());
    }

    /// Waits until so many calls came, and gives them.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let client = http_client();
        let url = format!("{}/received", self.url);
        eventually(
            Duration::from_secs(60),
            format!("{count} deliveries"),
            async || {
                let received: Vec<Received> = client.get(&url).send().await.unwrap().json().await.unwrap();
                (received.len() >= count).then_some(received)
            },
        )
        .await
    }
}

impl Drop for NodeReceiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
