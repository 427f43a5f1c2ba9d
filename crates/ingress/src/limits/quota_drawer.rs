//! The task that draws from quotas, for all tenants of this node. What Postgres knows to be used is read once a minute, and
//! whenever Redis has forgotten the count. While Redis is away each node draws from what Postgres knows.

use std::sync::Arc;
use std::time::Duration;

use hookgate_domain::clock;
use hookgate_domain::database::Database;
use hookgate_domain::gathered::Gathered;
use hookgate_domain::redis::Redis;
use hookgate_domain::redis::draws::{QuotaDraw, QuotaDrawn};
use hookgate_domain::usage::{self, Month, Received};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::quota::SharedQuota;

/// How long Redis may take for an answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);
/// The most quotas of one draw.
const AT_ONCE: usize = 256;

/// Hands quotas to the task.
pub struct QuotaDrawer {
    wishes: mpsc::UnboundedSender<Arc<SharedQuota>>,
    task: JoinHandle<()>,
}

impl QuotaDrawer {
    /// Starts the task on the running runtime.
    pub fn start(redis: Redis, database: Database, usage: Gathered<Received>) -> Self {
        // A quota is in the queue once at most, so the queue is bounded by the quotas that there are.
        let (wishes, wished) = mpsc::unbounded_channel();
        let sources = Sources {
            redis,
            database,
            usage,
        };
        let task = tokio::spawn(draw_all(sources, wished));
        Self { wishes, task }
    }

    /// Asks for a draw, unless one is on its way; never blocks.
    pub fn draw(&self, quota: &Arc<SharedQuota>) {
        if quota.begin_draw() {
            // It fails when the node stops; then nobody needs a part any more.
            let _ = self.wishes.send(Arc::clone(quota));
        }
    }
}

impl Drop for QuotaDrawer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where quotas are counted.
struct Sources {
    redis: Redis,
    database: Database,
    usage: Gathered<Received>,
}

async fn draw_all(sources: Sources, mut wished: mpsc::UnboundedReceiver<Arc<SharedQuota>>) {
    let mut quotas = Vec::new();
    while wished.recv_many(&mut quotas, AT_ONCE).await > 0 {
        let unknown: Vec<_> = quotas.iter().filter(|quota| quota.needs_knowledge()).collect();
        sources.learn(unknown.into_iter()).await;
        let wishes: Vec<_> = quotas.iter().map(|quota| quota.wish(false)).collect();
        match draw(&sources.redis, &wishes).await {
            Some(drawn) => {
                let mut forgotten = Vec::new();
                for ((quota, wish), drawn) in quotas.drain(..).zip(&wishes).zip(drawn) {
                    match drawn {
                        Some(_) => quota.end_draw(wish, drawn),
                        None => forgotten.push(quota),
                    }
                }
                sources.begin_counts(forgotten).await;
            }
            None => sources.draw_alone(&mut quotas).await,
        }
    }
}

async fn draw(redis: &Redis, wishes: &[QuotaDraw]) -> Option<Vec<Option<QuotaDrawn>>> {
    let drawn = tokio::time::timeout(ANSWER_WITHIN, redis.draw_quotas(wishes)).await;
    drawn.ok()?.ok()
}

/// Gives back what nobody uses here; at the end of this node all that is left.
pub async fn give_back(redis: &Redis, quotas: impl Iterator<Item = &Arc<SharedQuota>>, is_end: bool) {
    let given: Vec<_> = quotas.filter_map(|quota| quota.give_back(is_end)).collect();
    // What cannot be given back is lost for the month: less than a second's use.
    if !given.is_empty() && draw(redis, &given).await.is_none() {
        tracing::debug!("parts of quotas were not given back");
    }
}

impl Sources {
    /// Begins the counts that Redis does not have, with what Postgres knows now.
    async fn begin_counts(&self, quotas: Vec<Arc<SharedQuota>>) {
        if quotas.is_empty() {
            return;
        }
        self.learn(quotas.iter()).await;
        let wishes: Vec<_> = quotas.iter().map(|quota| quota.wish(true)).collect();
        let drawn = draw(&self.redis, &wishes).await;
        let drawn = drawn.unwrap_or_else(|| vec![None; quotas.len()]);
        for ((quota, wish), drawn) in quotas.iter().zip(&wishes).zip(drawn) {
            quota.end_draw(wish, drawn);
        }
    }

    /// Draws without Redis.
    async fn draw_alone(&self, quotas: &mut Vec<Arc<SharedQuota>>) {
        self.learn(quotas.iter()).await;
        for quota in quotas.drain(..) {
            let wish = quota.wish(true);
            let drawn = quota.draw_alone(&wish);
            quota.end_draw(&wish, Some(drawn));
        }
    }

    /// Reads what Postgres knows of quotas, after what this node has to add to it.
    async fn learn(&self, quotas: impl Iterator<Item = &Arc<SharedQuota>>) {
        let quotas: Vec<_> = quotas.cloned().collect();
        if quotas.is_empty() {
            return;
        }
        self.usage.flush().await;
        let now = clock::now();
        let scopes: Vec<_> = quotas.iter().map(|quota| quota.scope).collect();
        let read = self.database.run(move |conn| {
            let months = scopes.iter().map(|scope| usage::month(conn, scope, now));
            months.collect::<hookgate_domain::Result<Vec<Month>>>()
        });
        match read.await {
            Ok(months) => {
                for (quota, month) in quotas.iter().zip(months) {
                    quota.learn(super::quota::month_of(now), month);
                }
            }
            Err(error) => tracing::warn!(%error, "what tenants have used this month is not known"),
        }
    }
}
