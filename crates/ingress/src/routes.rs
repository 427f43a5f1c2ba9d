//! From a token to its compiled webhook: an in-process cache before Postgres.
//!
//! A configuration change is told over Redis and removes what it concerns. While the subscription is down, an entry
//! counts for two seconds; while it is up, for a minute, in case a message was lost. Tokens that do not exist are
//! remembered for two seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::Database;
use hookgate_domain::redis::changes::{Change, ChangeNotice};
use hookgate_domain::redis::{Redis, Subscription};
use hookgate_domain::{Error, routing};
use hookgate_model::token::UrlToken;
use quick_cache::sync::Cache;

use crate::limits::Limits;
use crate::webhook::Webhook;

/// How long an entry counts while changes are told.
const FRESH: Duration = Duration::from_secs(60);
/// How long an entry counts while they are not, and how long a token is known not to exist.
const FRESH_WITHOUT_NOTICES: Duration = Duration::from_secs(2);

/// The webhooks by token.
pub struct Routes {
    database: Database,
    master_key: MasterKey,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    _changes: Subscription,
}

struct Shared {
    entries: Cache<UrlToken, Entry>,
    /// Whether changes are told at present.
    connected: AtomicBool,
    /// Counts notices, so that what was read before a change is not cached after it.
    notices: AtomicU64,
}

#[derive(Clone)]
enum Entry {
    Known(Arc<Webhook>),
    Unknown(Instant),
}

impl Routes {
    /// Begins to listen for changes.
    pub fn start(
        database: Database,
        redis: &Redis,
        master_key: MasterKey,
        capacity: usize,
        limits: Arc<Limits>,
    ) -> Self {
        let shared = Arc::new(Shared {
            entries: Cache::new(capacity.max(1)),
            connected: AtomicBool::new(false),
            notices: AtomicU64::new(0),
        });
        let told = Arc::clone(&shared);
        let changes = redis.on_change(move |notice| told.note(notice));
        Self {
            database,
            master_key,
            shared,
            limits,
            _changes: changes,
        }
    }

    /// The webhook of a token; `None` when there is no such token.
    ///
    /// # Errors
    /// When it must be read from Postgres, and Postgres cannot be reached.
    pub async fn find(&self, token: UrlToken) -> Result<Option<Arc<Webhook>>, Error> {
        if let Some(known) = self
            .shared
            .entries
            .get(&token)
            .and_then(|entry| self.shared.fresh(entry))
        {
            return Ok(known);
        }
        self.shared
            .entries
            .remove_if(&token, |entry| self.shared.fresh(entry.clone()).is_none());
        match self.shared.entries.get_value_or_guard_async(&token).await {
            Ok(entry) => Ok(match entry {
                Entry::Known(webhook) => Some(webhook),
                Entry::Unknown(_) => None,
            }),
            Err(guard) => {
                metrics::counter!("hookgate_url_cache_misses_total").increment(1);
                let before = self.shared.notices.load(Ordering::Acquire);
                let key = self.master_key.clone();
                let route = self
                    .database
                    .run(move |conn| routing::resolve(conn, &key, token))
                    .await?;
                let webhook = route.map(|route| Arc::new(Webhook::compile(route, &self.limits)));
                if self.shared.notices.load(Ordering::Acquire) == before {
                    let entry = webhook
                        .clone()
                        .map_or_else(|| Entry::Unknown(Instant::now()), Entry::Known);
                    // Fails when the cache was cleared while it was read: then it is read again next time.
                    let _ = guard.insert(entry);
                    // A notice removes what is in the cache; what was about to come into it, it did not see.
                    if self.shared.notices.load(Ordering::Acquire) != before {
                        self.shared.entries.remove(&token);
                    }
                }
                Ok(webhook)
            }
        }
    }
}

impl Routes {
    /// Forgets what has changed, as a notice would make it: for a change that this node itself has made.
    pub fn forget(&self, change: Change) {
        self.shared.note(ChangeNotice::Changed(change));
    }
}

impl Shared {
    /// What an entry says, if it still counts.
    fn fresh(&self, entry: Entry) -> Option<Option<Arc<Webhook>>> {
        let longest = if self.connected.load(Ordering::Relaxed) {
            FRESH
        } else {
            FRESH_WITHOUT_NOTICES
        };
        match entry {
            Entry::Known(webhook) => (webhook.loaded_at.elapsed() < longest).then_some(Some(webhook)),
            Entry::Unknown(at) => (at.elapsed() < FRESH_WITHOUT_NOTICES).then_some(None),
        }
    }

    fn note(&self, notice: ChangeNotice) {
        self.notices.fetch_add(1, Ordering::Release);
        match notice {
            ChangeNotice::Connected => {
                self.entries.clear();
                self.connected.store(true, Ordering::Relaxed);
            }
            ChangeNotice::Lost => self.connected.store(false, Ordering::Relaxed),
            ChangeNotice::Changed(change) => {
                self.entries.retain(|_, entry| match (entry, change) {
                    (Entry::Known(webhook), Change::Webhook(id)) => webhook.route.webhook_id != id,
                    (Entry::Known(webhook), Change::Tenant(id)) => webhook.route.scope.tenant() != id,
                    (Entry::Known(webhook), Change::Plan(id)) => webhook.route.plan_id != Some(id),
                    (Entry::Unknown(_), _) => false,
                });
            }
        }
    }
}
