//! When API keys were last used: gathered here, written every ten seconds, so that no request pays for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hookgate_domain::database::Database;
use hookgate_domain::routing;
use hookgate_domain::scope::TenantScope;
use hookgate_model::ids::ApiKeyId;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_secs(10);

type Used = Arc<Mutex<HashMap<ApiKeyId, (TenantScope, DateTime<Utc>)>>>;

/// The keys used since they were last written.
pub struct UsedKeys {
    used: Used,
    task: JoinHandle<()>,
}

impl UsedKeys {
    /// Starts to write every ten seconds.
    pub fn start(database: Database) -> Self {
        let used = Used::default();
        let written = Arc::clone(&used);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            loop {
                ticks.tick().await;
                write(&written, &database).await;
            }
        });
        Self { used, task }
    }

    /// Notes that a key is used now.
    pub fn note(&self, scope: TenantScope, key: ApiKeyId, now: DateTime<Utc>) {
        self.used.lock().insert(key, (scope, now));
    }

    /// Writes what is not written yet.
    pub async fn flush(&self, database: &Database) {
        write(&self.used, database).await;
    }
}

impl Drop for UsedKeys {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write(used: &Used, database: &Database) {
    let taken = std::mem::take(&mut *used.lock());
    if taken.is_empty() {
        return;
    }
    let rows: Vec<_> = taken
        .into_iter()
        .map(|(key, (scope, moment))| (scope, key, moment))
        .collect();
    if let Err(error) = database
        .run(move |conn| routing::note_used_keys(conn, &rows))
        .await
    {
        tracing::debug!(%error, "the last use of keys was not noted");
    }
}
