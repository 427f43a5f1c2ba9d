//! Failures of whoever guesses, each followed by a pause that doubles. They may be lost at any moment. Redis' own clock counts.

use std::time::Duration;

use super::Redis;
use super::script::Script;
use crate::error::Result;

/// Counts an attempt as failed, unless it comes within a pause; then it counts nothing and tells how long the pause still is.
/// From the last free failure on each one begins a pause.
const FAIL: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local free, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local wait = tonumber(redis.call('HGET', KEYS[1], 'until') or 0) - now
if wait > 0 then return {wait, 0} end
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
local pause = 0
if failures >= free then pause = math.min(window, 1000 * 2 ^ math.min(failures - free, 30)) end
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + pause))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', window + pause))
return {0, failures}
";

/// Takes one failure back, and the pause that it began.
const TAKE_BACK: &str = r"
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HINCRBY', KEYS[1], 'failures', -1)
  redis.call('HDEL', KEYS[1], 'until')
end
return {0, 0}
";

static FAIL_SCRIPT: Script = Script::new(FAIL);
static TAKE_BACK_SCRIPT: Script = Script::new(TAKE_BACK);

impl Redis {
    fn failures(&self, kind: &str, key: &str) -> String {
        self.name(&format!("hookgate:failures:{kind}:{key}"))
    }

    /// Counts an attempt as failed. After so many free ones each begins a pause, of a second and then twice as long each time,
    /// at most the window; an attempt within a pause counts nothing, and is told how long it still is. All is forgotten a window
    /// after the last pause.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn fail(&self, kind: &str, key: &str, free: u32, window: Duration) -> Result<Option<Duration>> {
        let arguments = vec![free.to_string(), window.as_millis().to_string()];
        let calls = [(self.failures(kind, key), arguments)];
        let answers = FAIL_SCRIPT.run(self, &calls).await?;
        let wait = answers.first().map_or(0, |(wait, _)| *wait);
        Ok(u64::try_from(wait)
            .ok()
            .filter(|wait| *wait > 0)
            .map(Duration::from_millis))
    }

    /// Takes back what an attempt counted that did not fail.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn take_failure_back(&self, kind: &str, key: &str) -> Result<()> {
        TAKE_BACK_SCRIPT
            .run(self, &[(self.failures(kind, key), Vec::new())])
            .await?;
        Ok(())
    }

    /// Forgets all failures of a key.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn forget_failures(&self, kind: &str, key: &str) -> Result<()> {
        let mut connection = self.connection().await?;
        Ok(redis::cmd("DEL")
            .arg(self.failures(kind, key))
            .query_async(&mut connection)
            .await?)
    }
}
