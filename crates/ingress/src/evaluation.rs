//! Templates of tenants, evaluated on threads apart and for so long at most. Fuel bounds the steps of a template, not what
//! a step does with a long text.
//!
//! A thread cannot be stopped: a template ends soon after its time, but not at once. So a webhook has few at a time, and none at all while one of them is over its time: its
//! callers get what the fallback gives, and nobody else waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hookgate_domain::apart::Apart;
use hookgate_model::flow::template;
use tokio::sync::Semaphore;

/// How many evaluations of one webhook run at the same time.
const AT_ONCE: usize = 16;

/// The evaluations of one webhook.
#[derive(Debug)]
pub struct Evaluations(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    room: Arc<Semaphore>,
    /// How many are over their time and still run.
    overdue: AtomicUsize,
}

impl Default for Evaluations {
    fn default() -> Self {
        Self(Arc::new(Shared {
            room: Arc::new(Semaphore::new(AT_ONCE)),
            overdue: AtomicUsize::new(0),
        }))
    }
}

impl Evaluations {
    /// Evaluates something that may take so many bytes of memory; `None` when there is no result in time.
    pub async fn within<T: Send + 'static>(
        &self,
        apart: &Apart,
        memory: usize,
        longest: Duration,
        evaluate: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.0.overdue.load(Ordering::Relaxed) > 0 {
            metrics::counter!("hookgate_templates_not_evaluated_total").increment(1);
            return None;
        }
        let room = Arc::clone(&self.0.room);
        let deadline = tokio::time::Instant::now() + longest;
        let entered = async { Some((room.acquire_owned().await.ok()?, apart.room(memory).await)) };
        let evaluated = match tokio::time::timeout_at(deadline, entered).await {
            Ok(Some(permits)) => {
                let is_over = move || tokio::time::Instant::now() > deadline;
                let mut running = tokio::task::spawn_blocking(move || {
                    let value = template::until(is_over, evaluate);
                    drop(permits);
                    value
                });
                match tokio::time::timeout_at(deadline, &mut running).await {
                    Ok(value) => value.ok(),
                    Err(_) => {
                        self.leave(running);
                        None
                    }
                }
            }
            _ => None,
        };
        if evaluated.is_none() {
            metrics::counter!("hookgate_templates_not_evaluated_total").increment(1);
        }
        evaluated
    }

    /// Counts an evaluation that is over its time until it ends.
    fn leave<T: Send + 'static>(&self, running: tokio::task::JoinHandle<T>) {
        let shared = Arc::clone(&self.0);
        shared.overdue.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let _ = running.await;
            shared.overdue.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn what_takes_too_long_is_not_waited_for_and_not_begun_again() {
        let (evaluations, apart) = (Evaluations::default(), Apart::new(1 << 20));
        assert_eq!(evaluations.within(&apart, 0, LONG, || 1).await, Some(1));
        let (end, ended) = mpsc::channel::<()>();
        let stuck = move || ended.recv().is_err();
        assert_eq!(
            evaluations
                .within(&apart, 0, Duration::from_millis(20), stuck)
                .await,
            None
        );
        assert_eq!(evaluations.within(&apart, 0, LONG, || 2).await, None);
        drop(end);
        let free = async {
            while evaluations.within(&apart, 0, LONG, || 3).await.is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, free)
            .await
            .expect("it is evaluated again");
    }

    #[tokio::test]
    async fn a_panic_is_no_result() {
        let (evaluations, apart) = (Evaluations::default(), Apart::new(1 << 20));
        let panic = || -> u8 { std::panic::resume_unwind(Box::new("a template")) };
        assert_eq!(evaluations.within(&apart, 0, LONG, panic).await, None);
        assert_eq!(evaluations.within(&apart, 0, LONG, || 1).await, Some(1));
    }
}
