//! The public side of Hookgate: takes requests at the tenants' URLs, stores them, and answers.
//!
//! The way of a request: [`service`] → [`routes`] (whose URL is it?) → [`admission`] (may it come in?) → the appender
//! (is it durable?) → [`service`] again (what does the caller get?).

mod admission;
mod answer;
mod body_room;
mod capture;
mod connection;
mod cors;
mod credentials;
mod delivery;
mod evaluation;
mod expectations;
mod handshakes;
mod limits;
mod listener;
mod pace;
mod protection;
mod read_body;
mod refusal;
mod refused;
mod request;
mod routes;
mod service;
mod settings;
mod status;
mod traced;
mod waiting;
mod webhook;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_server::ServerHandle;
use hookgate_domain::apart::Apart;
use hookgate_domain::appender::Appender;
use hookgate_domain::appender::refusals::RefusalLog;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::{Database, DatabaseSettings};
use hookgate_domain::gathered::Gathered;
use hookgate_domain::redis::Redis;
use hookgate_domain::redis::wakeups::WakeUps;
use hookgate_egress::Client;
use hookgate_egress::published_keys::PublishedKeys;
use hookgate_model::network_set::NetworkSet;
use tokio::task::JoinHandle;

use body_room::BodyRoom;
use capture::Captures;
use limits::Limits;
use listener::Listening;
use routes::Routes;
use service::Service;
pub use settings::{ForwardedHeader, Settings};
use waiting::Waiting;

/// A running ingress.
pub struct Ingress {
    addresses: Vec<SocketAddr>,
    server: ServerHandle,
    running: JoinHandle<std::io::Result<()>>,
    service: Arc<Service>,
}

/// Starts the ingress. Postgres and Redis may be away: requests get 503 until Postgres is there.
///
/// # Errors
/// When the address to listen on is taken, or no thread can be made.
pub async fn start(
    settings: Settings,
    database: &DatabaseSettings,
    redis: Redis,
    master_key: MasterKey,
    egress: Client,
) -> Result<Ingress, std::io::Error> {
    let pool = Database::new(database).map_err(std::io::Error::other)?;
    let wake_ups = WakeUps::start(redis.clone());
    let appender = Appender::new(settings.appender(), database, Some(wake_ups));
    let refusals = RefusalLog::start(
        database,
        settings.refusals_per_minute,
        settings.refused_bytes_per_minute,
    );
    let limits = Arc::new(Limits::start(redis.clone(), pool.clone(), settings.tenant_limits));
    let service = Arc::new(Service {
        routes: Routes::start(
            pool.clone(),
            &redis,
            master_key.clone(),
            settings.cached_urls,
            Arc::clone(&limits),
        ),
        limits,
        keys: PublishedKeys::new(egress.clone()),
        egress,
        public_url: settings.public_url(),
        waiting: Waiting::start(pool.clone(), &redis, settings.waiting_callers, settings.share()),
        used_keys: Gathered::start(pool.clone()),
        repetitions: Gathered::start(pool.clone()),
        drift: Gathered::start(pool.clone()),
        outcomes: Gathered::start(pool.clone()),
        captures: Captures::default(),
        key_secrets: master_key.delivery_secrets().into(),
        pool,
        appender,
        refusals,
        master_key,
        trusted_proxies: NetworkSet::new(&settings.trusted_proxies),
        body_room: BodyRoom::new(settings.body_room(), settings.share()),
        apart: Apart::new(settings.body_memory_bytes),
        redis,
        is_draining: AtomicBool::new(false),
        settings,
    });
    let Listening { server, addresses } = listener::listen(&service)?;
    let handle = server.handle();
    Ok(Ingress {
        addresses,
        server: handle,
        running: tokio::spawn(server),
        service,
    })
}

impl Ingress {
    /// The addresses that it listens on: the senders', then the proxies'.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it works with.
    pub fn database(&self) -> &Database {
        &self.service.pool
    }

    /// Goes on, and lets go of those who would come again: probes hear that it is not ready, connections end with their next
    /// answer.
    pub fn drain(&self) {
        self.service.is_draining.store(true, Ordering::Relaxed);
    }

    /// Takes no further connection, answers what has been received, writes what is waiting, and ends.
    pub async fn stop(self) {
        let service = self.service;
        let no_longer_waited_for = async {
            tokio::time::sleep(service.settings.longest_wait_at_stop()).await;
            service.waiting.end();
            std::future::pending().await
        };
        tokio::select! {
            () = self.server.stop(true) => {}
            () = no_longer_waited_for => {}
        }
        service.used_keys.flush().await;
        service.repetitions.flush().await;
        service.drift.flush().await;
        service.outcomes.flush().await;
        service.appender.stop();
        service.refusals.stop().await;
        service.limits.stop().await;
        if !matches!(self.running.await, Ok(Ok(()))) {
            tracing::error!("the ingress did not stop cleanly");
        }
    }
}
