//! Connections to Postgres: one pool per service, each as its own least-privileged role.

mod readiness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
pub use diesel::pg::PgConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection};
use secrecy::{ExposeSecret, SecretString};

use crate::database_url::with_timeouts;
use crate::error::{Error, Result};
use crate::trace;
use readiness::Probe;
pub use readiness::Unready;

/// What PostgreSQL shows as the name of the pools' connections.
const APPLICATION: &str = "hookgate";

/// How a service reaches Postgres.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// A `postgres://` URL of the service's role, as libpq reads it: with one host or several.
    pub url: SecretString,
    /// The most connections that the pool opens.
    pub pool_size: u32,
    /// How long a query waits for a free connection before it gives up.
    pub acquire_timeout: Duration,
    /// How long Postgres works on one statement before it cancels it.
    pub statement_timeout: Duration,
}

impl DatabaseSettings {
    /// The defaults for a URL.
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            pool_size: 8,
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

/// A pool of connections. Cloning shares it.
#[derive(Clone)]
pub struct Database {
    pool: diesel::r2d2::Pool<ConnectionManager<PgConnection>>,
    probe: Arc<Probe>,
}

impl Database {
    /// Makes the pool. Connections are opened when they are needed, so this works while Postgres is away.
    ///
    /// # Errors
    /// None today; the signature leaves room for settings that cannot work.
    pub fn new(settings: &DatabaseSettings) -> Result<Self> {
        let pool = diesel::r2d2::Pool::builder()
            .max_size(settings.pool_size)
            .min_idle(Some(0))
            .connection_timeout(settings.acquire_timeout)
            // A restart of Postgres leaves dead connections behind; finding them costs a round trip, failing costs a caller.
            .test_on_check_out(true)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .connection_customizer(Box::new(Session {
                statement_timeout: settings.statement_timeout,
            }))
            .build_unchecked(ConnectionManager::new(conninfo(settings)));
        let probe = Arc::new(Probe::new(settings.clone()));
        Ok(Self { pool, probe })
    }

    /// Runs a query on a blocking thread.
    ///
    /// # Errors
    /// What the query ends in; [`Error::Unavailable`] when no connection can be had in time.
    pub async fn run<T, E, F>(&self, query: F) -> Result<T, E>
    where
        F: FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let pool = self.pool.clone();
        let trace = trace::current();
        let outcome = tokio::task::spawn_blocking(move || {
            trace::within(trace, || {
                let asked = Instant::now();
                let conn = pool.get();
                metrics::histogram!("hookgate_pool_wait_seconds").record(asked.elapsed().as_secs_f64());
                let mut conn = conn.map_err(|error| E::from(Error::from(error)))?;
                query(&mut conn)
            })
        });
        match outcome.await {
            Ok(result) => result,
            Err(stopped) => Err(E::from(Error::Query(format!("a query stopped: {stopped}")))),
        }
    }

    /// Whether a service can work with it, however busy the pool is.
    ///
    /// # Errors
    /// When Postgres does not answer, or the database lacks migrations of this program.
    pub async fn readiness(&self) -> Result<(), Unready> {
        self.probe.ask().await
    }
}

/// Opens one connection outside the pool, for a thread that owns it.
///
/// # Errors
/// [`Error::Unavailable`] when Postgres cannot be reached.
pub fn connect(settings: &DatabaseSettings) -> Result<PgConnection> {
    use diesel::Connection;
    let mut conn = PgConnection::establish(&conninfo(settings))?;
    prepare(&mut conn, settings.statement_timeout)?;
    Ok(conn)
}

/// A server that is away is given up soon, also in the middle of a query: the next one may have taken its place.
fn conninfo(settings: &DatabaseSettings) -> String {
    with_timeouts(settings.url.expose_secret(), APPLICATION)
}

fn prepare(conn: &mut PgConnection, statement_timeout: Duration) -> Result<(), diesel::result::Error> {
    conn.batch_execute(&format!(
        "SET TIME ZONE 'UTC'; SET statement_timeout = {}; SET idle_in_transaction_session_timeout = 60000",
        statement_timeout.as_millis()
    ))
}

#[derive(Debug)]
struct Session {
    statement_timeout: Duration,
}

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Session {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        prepare(conn, self.statement_timeout).map_err(diesel::r2d2::Error::QueryError)
    }
}
