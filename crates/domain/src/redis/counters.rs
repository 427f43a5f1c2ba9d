//! Counters over a window of time, for throttling. They may be lost at any moment.

use super::Redis;
use crate::error::Result;

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// How often, this time included.
    pub count: u64,
    /// Until the counting begins anew.
    pub seconds_left: u64,
}

impl Redis {
    fn counter(&self, kind: &str, key: &str) -> String {
        self.name(&format!("hookgate:count:{kind}:{key}"))
    }

    /// Counts once; the window begins with the first.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn count(&self, kind: &str, key: &str, window_seconds: u32) -> Result<Counted> {
        let name = self.counter(kind, key);
        let mut connection = self.connection().await?;
        let (count, seconds_left): (u64, i64) = redis::pipe()
            .atomic()
            .cmd("INCR")
            .arg(&name)
            .cmd("EXPIRE")
            .arg(&name)
            .arg(window_seconds)
            .arg("NX")
            .ignore()
            .cmd("TTL")
            .arg(&name)
            .query_async(&mut connection)
            .await?;
        Ok(Counted {
            count,
            seconds_left: u64::try_from(seconds_left).unwrap_or(0),
        })
    }

    /// Begins the counting anew.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn forget(&self, kind: &str, key: &str) -> Result<()> {
        let mut connection = self.connection().await?;
        Ok(redis::cmd("DEL")
            .arg(self.counter(kind, key))
            .query_async(&mut connection)
            .await?)
    }
}
