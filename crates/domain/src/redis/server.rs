//! What `hookgate doctor` looks at in Redis.

use chrono::DateTime;

use super::Redis;
use crate::clock;
use crate::error::{Error, Result};
use crate::inspection::ClockOffset;

/// The server as it describes itself.
#[derive(Debug, Clone)]
pub struct Server {
    /// Such as `7.0.15`.
    pub version: String,
    /// Bytes that it may take; 0 is no bound.
    pub maxmemory: u64,
    /// What it does when they are used up.
    pub maxmemory_policy: String,
    /// Bytes in use.
    pub used_memory: u64,
    /// Its clock.
    pub clock: ClockOffset,
}

impl Redis {
    /// Asks it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not answer; [`Error::Query`] when it may not be asked.
    pub async fn server(&self) -> Result<Server> {
        let mut connection = self.connection().await?;
        let info: String = redis::cmd("INFO").query_async(&mut connection).await?;
        let before = clock::now();
        let (seconds, microseconds): (i64, u32) = redis::cmd("TIME").query_async(&mut connection).await?;
        let after = clock::now();
        let told = DateTime::from_timestamp(seconds, microseconds.saturating_mul(1_000));
        let told = told.ok_or_else(|| Error::Query("Redis tells no time".into()))?;
        let value = |name: &str| {
            let lines = info.lines().filter_map(|line| line.split_once(':'));
            let mut values = lines
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value.trim());
            values.next().unwrap_or_default().to_owned()
        };
        let bytes = |name: &str| value(name).parse().unwrap_or_default();
        Ok(Server {
            version: value("redis_version"),
            maxmemory: bytes("maxmemory"),
            maxmemory_policy: value("maxmemory_policy"),
            used_memory: bytes("used_memory"),
            clock: ClockOffset::of(told, before, after),
        })
    }
}
