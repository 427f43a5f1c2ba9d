//! Scripts that Redis runs, each in one step that nothing comes between.

use std::sync::OnceLock;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::Redis;
use crate::error::Result;

/// A script, by its digest once Redis knows it. It takes one key and answers with two integers.
pub(super) struct Script {
    text: &'static str,
    digest: OnceLock<String>,
}

impl Script {
    pub const fn new(text: &'static str) -> Self {
        Self {
            text,
            digest: OnceLock::new(),
        }
    }

    /// Runs it for each of the calls, in one round trip, or three when Redis does not know it.
    pub async fn run(&self, redis: &Redis, calls: &[(String, Vec<String>)]) -> Result<Vec<(i64, i64)>> {
        let mut connection = redis.connection().await?;
        if let Some(digest) = self.digest.get() {
            match pipeline(digest, calls).query_async(&mut connection).await {
                Err(error) if is_unknown_script(&error) => {}
                answered => return Ok(answered?),
            }
        }
        let digest: String = redis::cmd("SCRIPT")
            .arg("LOAD")
            .arg(self.text)
            .query_async(&mut connection)
            .await?;
        let digest = self.digest.get_or_init(|| digest);
        Ok(pipeline(digest, calls).query_async(&mut connection).await?)
    }
}

fn pipeline(digest: &str, calls: &[(String, Vec<String>)]) -> redis::Pipeline {
    let mut pipeline = redis::Pipeline::with_capacity(calls.len());
    for (key, arguments) in calls {
        pipeline.cmd("EVALSHA").arg(digest).arg(1).arg(key).arg(arguments);
    }
    pipeline
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
