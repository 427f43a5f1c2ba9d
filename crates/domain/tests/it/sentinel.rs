//! Redis with a replica, which takes over when Sentinel says so.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookgate_domain::clock;
use hookgate_domain::redis::Redis;
use hookgate_domain::redis::changes::{Change, ChangeNotice};
use hookgate_testkit::eventually;

const PATIENCE: Duration = Duration::from_secs(60);

/// A `redis-server`, killed when this is dropped.
struct Server {
    port: u16,
    process: Child,
}

impl Server {
    fn start(directory: &std::path::Path, arguments: &[&str]) -> Self {
        let port = free_port();
        let mut command = Command::new("redis-server");
        command.args(arguments).args(["--port", &port.to_string()]);
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(directory);
        let process = command.stdout(Stdio::null()).spawn().expect("redis-server");
        Self { port, process }
    }

    /// What it answers, as it is sent.
    fn ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(300))).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        // It keeps the connection: all that comes at once is the answer.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        Some(answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_replica_that_sentinel_promotes_is_followed() {
    let directory = tempfile::tempdir().expect("a directory");
    let master = Server::start(directory.path(), &[]);
    let of_master = master.port.to_string();
    let replica = Server::start(directory.path(), &["--replicaof", "127.0.0.1", &of_master]);
    let file = directory.path().join("sentinel.conf");
    let watched = format!(
        "sentinel monitor main 127.0.0.1 {of_master} 1\nsentinel down-after-milliseconds main 500\n\
         sentinel failover-timeout main 5000\n"
    );
    std::fs::write(&file, watched).expect("a file");
    let sentinel = Server::start(directory.path(), &[file.to_str().expect("a path"), "--sentinel"]);
    eventually(PATIENCE, "Sentinel knows the replica", async || {
        let replicas = sentinel.ask("SENTINEL replicas main")?;
        let linked = replicas.contains(&replica.port.to_string()) && replicas.contains("\r\nok\r\n");
        linked.then_some(())
    })
    .await;

    // The first one does not answer.
    let url = format!(
        "redis+sentinel://127.0.0.1:{},127.0.0.1:{}/main",
        free_port(),
        sentinel.port
    );
    let redis = Redis::new(&url).expect("a URL");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let _subscription = redis.on_change(move |notice| hears.lock().unwrap().push(notice));
    let hear = async |wanted: ChangeNotice| {
        eventually(PATIENCE, format!("{wanted:?} is heard"), async || {
            heard.lock().unwrap().contains(&wanted).then_some(())
        })
        .await;
    };
    hear(ChangeNotice::Connected).await;
    let first = Change::Tenant(clock::new_id());
    redis.announce(first).await.expect("a master");
    hear(ChangeNotice::Changed(first)).await;

    drop(master);
    hear(ChangeNotice::Lost).await;
    eventually(PATIENCE, "it listens again", async || {
        let heard = heard.lock().unwrap();
        let connected = heard.iter().filter(|notice| **notice == ChangeNotice::Connected);
        (connected.count() == 2).then_some(())
    })
    .await;
    let second = Change::Tenant(clock::new_id());
    eventually(PATIENCE, "the replica takes writes", async || {
        redis.count("test", "writes", 60).await.ok()
    })
    .await;
    redis.announce(second).await.expect("the new master");
    hear(ChangeNotice::Changed(second)).await;
    let role = replica.ask("ROLE").expect("an answer");
    assert!(role.contains("master"), "{role}");
}
