//! How clients reach the private servers; it passes between processes as the directory of the sockets.

use std::path::{Path, PathBuf};

/// PostgreSQL names its socket after a port even when it listens on none.
pub(crate) const POSTGRES_PORT: &str = "5432";
pub(crate) const SUPERUSER: &str = "postgres";
pub(crate) const REDIS_SOCKET: &str = "redis.sock";

/// The addresses of a private PostgreSQL and Redis, which need no password.
#[derive(Debug, Clone)]
pub struct Address {
    sockets: PathBuf,
}

impl Address {
    /// The servers whose sockets are in a directory.
    pub fn new(sockets: impl Into<PathBuf>) -> Self {
        Self {
            sockets: sockets.into(),
        }
    }

    /// The directory of the sockets.
    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// The `postgres://` URL of a database for a role.
    pub fn postgres(&self, role: &str, database: &str) -> String {
        let host = self.sockets.display().to_string().replace('/', "%2F");
        format!("postgres://{role}@{host}:{POSTGRES_PORT}/{database}")
    }

    /// The `postgres://` URL of a database for the superuser, whom row-level security does not hold back.
    pub fn postgres_superuser(&self, database: &str) -> String {
        self.postgres(SUPERUSER, database)
    }

    /// The same on whichever of two servers takes writes: this one, or another one that follows it.
    pub fn postgres_with(&self, other: &Self, role: &str, database: &str) -> String {
        let [own, other] =
            [self, other].map(|address| address.sockets.display().to_string().replace('/', "%2F"));
        format!(
            "postgres://{role}@{own}:{POSTGRES_PORT},{other}:{POSTGRES_PORT}/{database}?target_session_attrs=read-write"
        )
    }

    /// The URL of the Redis. A `prefix` keeps the channels and keys of several users apart; empty for none.
    pub fn redis(&self, prefix: &str) -> String {
        let socket = self.sockets.join(REDIS_SOCKET);
        let query = if prefix.is_empty() {
            String::new()
        } else {
            format!("?prefix={prefix}")
        };
        format!("redis+unix://{}{query}", socket.display())
    }
}
