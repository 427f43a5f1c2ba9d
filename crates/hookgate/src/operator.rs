//! The operator's port: `/metrics` for Prometheus, `/livez` and `/readyz` for whoever restarts and routes.
//!
//! Three fixed answers to GET need no web framework: a request's first line is read, and the connection is closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use hookgate_domain::database::Database;
use hookgate_domain::redis::Redis;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const REQUEST_WITHIN: Duration = Duration::from_secs(5);
const REQUEST_BYTES: u64 = 8 * 1024;
/// Upper bounds of what is measured in seconds: from a commit's time to a caller's patience.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// Upper bounds of what is counted at once: rows of a commit, jobs of a claim.
const COUNTS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 1000.0];

/// Collects metrics from now on: what is measured before is lost.
///
/// # Errors
/// When something else collects them already.
pub fn collect() -> Result<PrometheusHandle> {
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Full("hookgate_append_rows".to_owned()), &COUNTS)?
        .set_buckets_for_metric(Matcher::Full("hookgate_claimed_jobs".to_owned()), &COUNTS)?
        .install_recorder()
        .context("starting the metrics")?;
    let build = metrics::gauge!("hookgate_build_info", "version" => env!("CARGO_PKG_VERSION"));
    build.set(1.0);
    Ok(metrics)
}

/// What the answers are made of.
#[derive(Clone)]
struct Sources {
    metrics: PrometheusHandle,
    databases: Vec<(&'static str, Database)>,
    redis: Redis,
    is_draining: Arc<AtomicBool>,
}

/// The running port; it closes when this is dropped.
pub struct Operator {
    address: SocketAddr,
    is_draining: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Operator {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells whoever asks from now on that the process is not ready.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

/// Starts listening. Ready means that every service of this process reaches PostgreSQL and finds its version's migrations there;
/// without Redis everything goes on, only slower, so its absence is told and nothing more.
///
/// # Errors
/// When the port is taken.
pub async fn start(
    listen: SocketAddr,
    metrics: PrometheusHandle,
    databases: Vec<(&'static str, Database)>,
    redis: Redis,
) -> Result<Operator> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("operator.listen (HOOKGATE_OPERATOR__LISTEN): listening on {listen}"))?;
    let address = listener.local_addr()?;
    let sources = Sources {
        metrics,
        databases,
        redis,
        is_draining: Arc::default(),
    };
    let is_draining = Arc::clone(&sources.is_draining);
    let mut tasks = JoinSet::new();
    let early = sources.clone();
    // The log then has what keeps it from being ready, also where nobody asks.
    tasks.spawn(async move { drop(readiness(&early).await) });
    let upkeep = sources.metrics.clone();
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, sources.clone()))),
                // Out of descriptors, most likely: it passes.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
            while connections.try_join_next().is_some() {}
        }
    });
    Ok(Operator {
        address,
        is_draining,
        _tasks: tasks,
    })
}

async fn serve(mut stream: TcpStream, sources: Sources) {
    let Ok(Some(path)) = tokio::time::timeout(REQUEST_WITHIN, read_path(&mut stream)).await else {
        return;
    };
    let (status, body) = match path.as_str() {
        "/metrics" => ("200 OK", sources.metrics.render()),
        "/livez" => ("200 OK", "alive\n".to_owned()),
        "/readyz" => readiness(&sources).await,
        _ => (
            "404 Not Found",
            "there are /metrics, /livez and /readyz\n".to_owned(),
        ),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    // A caller that went away is no concern.
    let _ = stream
        .write_all(&[head.as_bytes(), body.as_bytes()].concat())
        .await;
    let _ = stream.shutdown().await;
}

/// Reads a GET request up to its empty line, and returns its path.
async fn read_path(stream: &mut TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream.take(REQUEST_BYTES)).lines();
    let first = lines.next_line().await.ok()??;
    while !lines.next_line().await.ok()??.is_empty() {}
    let mut words = first.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let path = target.split('?').next()?;
    (method == "GET").then(|| path.to_owned())
}

async fn readiness(sources: &Sources) -> (&'static str, String) {
    if sources.is_draining.load(Ordering::Relaxed) {
        return ("503 Service Unavailable", "stopping\n".to_owned());
    }
    let mut ready = true;
    let mut text = String::new();
    for (service, database) in &sources.databases {
        let found = database.readiness().await;
        ready &= found.is_ok();
        text.push_str(&match found {
            Ok(()) => format!("{service}: PostgreSQL answers\n"),
            Err(reason) => format!("{service}: {reason}\n"),
        });
    }
    let redis = if sources.redis.ping().await.is_ok() {
        "answers"
    } else {
        "is away; wake-ups and answers are slower"
    };
    text.push_str(&format!("Redis {redis}\n"));
    (
        if ready {
            "200 OK"
        } else {
            "503 Service Unavailable"
        },
        text,
    )
}
