//! The task that draws tokens from Redis, for all rates of this node: what is wished while one draw is on its way goes
//! into the next. While Redis is away the node decides alone, and asks again four times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookgate_domain::redis::Redis;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::rate::SharedRate;

/// How long Redis may take for an answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(100);
/// How soon it is asked again when it did not answer.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// The most rates of one draw.
const AT_ONCE: usize = 256;

/// Hands rates to the task.
pub struct Drawer {
    wishes: mpsc::UnboundedSender<Arc<SharedRate>>,
    is_alone: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drawer {
    /// Starts the task on the running runtime. The node decides alone until Redis has answered once.
    pub fn start(redis: Redis) -> Self {
        // A rate is in the queue once at most, so the queue is bounded by the rates that there are.
        let (wishes, wished) = mpsc::unbounded_channel();
        let is_alone = Arc::new(AtomicBool::new(true));
        let task = tokio::spawn(draw_all(redis, wished, Arc::clone(&is_alone)));
        Self {
            wishes,
            is_alone,
            task,
        }
    }

    /// Whether Redis is away.
    pub fn is_alone(&self) -> bool {
        self.is_alone.load(Ordering::Relaxed)
    }

    /// Asks for a draw, unless one is on its way; never blocks.
    pub fn draw(&self, rate: &Arc<SharedRate>) {
        if rate.begin_draw() {
            // It fails when the node stops; then nobody needs tokens any more.
            let _ = self.wishes.send(Arc::clone(rate));
        }
    }
}

impl Drop for Drawer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn draw_all(
    redis: Redis,
    mut wished: mpsc::UnboundedReceiver<Arc<SharedRate>>,
    is_alone: Arc<AtomicBool>,
) {
    let mut rates = Vec::new();
    loop {
        if is_alone.load(Ordering::Relaxed) {
            if !answers(&redis).await {
                tokio::time::sleep(ASK_AGAIN).await;
                continue;
            }
            is_alone.store(false, Ordering::Relaxed);
            metrics::gauge!("hookgate_limits_alone").set(0.0);
        }
        rates.clear();
        if wished.recv_many(&mut rates, AT_ONCE).await == 0 {
            return;
        }
        let wishes: Vec<_> = rates.iter().map(|rate| rate.wish()).collect();
        let drawn = tokio::time::timeout(ANSWER_WITHIN, redis.draw_rates(&wishes)).await;
        metrics::counter!("hookgate_limit_draws_total").increment(1);
        if let Ok(Ok(drawn)) = drawn {
            for ((rate, wish), drawn) in rates.iter().zip(&wishes).zip(&drawn) {
                rate.end_draw(wish, drawn);
            }
        } else {
            tracing::warn!("Redis is away: rates are kept by each node alone");
            is_alone.store(true, Ordering::Relaxed);
            metrics::gauge!("hookgate_limits_alone").set(1.0);
            for (rate, wish) in rates.iter().zip(&wishes) {
                rate.fail_draw(wish);
            }
        }
    }
}

async fn answers(redis: &Redis) -> bool {
    matches!(
        tokio::time::timeout(ANSWER_WITHIN, redis.ping()).await,
        Ok(Ok(()))
    )
}
