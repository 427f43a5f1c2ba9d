//! The connection to Redis, to whichever server it is. Where Sentinels watch it they are asked now and then which server that is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use redis::Client;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::sentinel::SentinelClient;
use tokio::sync::Mutex;

use crate::error::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a Sentinel may take to say who the master is; then the next one is asked.
const SENTINEL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a master is taken for it before Sentinels are asked again.
const MASTER_FOR: Duration = Duration::from_secs(1);

/// Where Redis is.
pub(super) enum Server {
    /// At one address.
    One(Client),
    /// Where the first of these Sentinels that answers says.
    Watched(Vec<Mutex<SentinelClient>>),
}

impl Server {
    pub(super) fn watched(sentinels: Vec<SentinelClient>) -> Self {
        Self::Watched(sentinels.into_iter().map(Mutex::new).collect())
    }

    /// The server that takes writes at present.
    async fn client(&self) -> Result<Client> {
        match self {
            Self::One(client) => Ok(client.clone()),
            Self::Watched(sentinels) => {
                for sentinel in sentinels {
                    let mut sentinel = sentinel.lock().await;
                    // Rare and deep: whoever connects should not become a larger future by it.
                    let asked = Box::pin(sentinel.async_get_client());
                    let asked = tokio::time::timeout(SENTINEL_TIMEOUT, asked);
                    if let Ok(Ok(master)) = asked.await {
                        return Ok(master);
                    }
                }
                Err(Error::Unavailable(
                    "no Sentinel knows a Redis that takes writes".into(),
                ))
            }
        }
    }
}

/// The way to Redis: a connection that several use at the same time, made when it is first needed.
pub(super) struct Link {
    server: Server,
    known: RwLock<Option<Known>>,
    /// Held by whoever connects.
    connecting: Mutex<()>,
    is_asking: AtomicBool,
}

/// A connection to a server.
#[derive(Clone)]
struct Known {
    client: Client,
    manager: ConnectionManager,
    since: Instant,
}

impl Link {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            known: RwLock::default(),
            connecting: Mutex::default(),
            is_asking: AtomicBool::new(false),
        }
    }

    /// The connection. Nobody waits for Sentinels but the first.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<ConnectionManager> {
        let known = self.known.read().clone();
        let Some(known) = known else {
            let _connecting = self.connecting.lock().await;
            let known = self.known.read().clone();
            return match known {
                Some(known) => Ok(known.manager),
                None => Box::pin(self.connect()).await,
            };
        };
        let may_have_moved = matches!(self.server, Server::Watched(_)) && known.since.elapsed() > MASTER_FOR;
        if may_have_moved && !self.is_asking.swap(true, Ordering::AcqRel) {
            let link = Arc::clone(self);
            tokio::spawn(async move {
                // Without an answer the server that is known stays.
                let _ = link.connect().await;
                link.is_asking.store(false, Ordering::Release);
            });
        }
        Ok(known.manager)
    }

    /// Connects to the server that takes writes at present, unless that is the one that is known.
    async fn connect(&self) -> Result<ConnectionManager> {
        let client = self.server.client().await?;
        let since = Instant::now();
        if let Some(known) = &mut *self.known.write()
            && known.client.get_connection_info().addr() == client.get_connection_info().addr()
        {
            known.since = since;
            return Ok(known.manager.clone());
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_number_of_retries(1);
        let manager = ConnectionManager::new_with_config(client.clone(), config).await?;
        *self.known.write() = Some(Known {
            client,
            manager: manager.clone(),
            since,
        });
        Ok(manager)
    }

    /// Another connection, to listen on.
    pub(super) async fn listen(&self) -> Result<PubSub> {
        let client = self.server.client().await?;
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, client.get_async_pubsub()).await;
        Ok(connected.map_err(|_| Error::Unavailable("Redis takes no connection".into()))??)
    }
}
