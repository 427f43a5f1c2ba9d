//! Callers that wait for their flow's answer. It comes over Redis; when it may have been missed, from Postgres.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hookgate_domain::answers;
use hookgate_domain::crypto::RunKey;
use hookgate_domain::database::Database;
use hookgate_domain::redis::answers::AnswerNotice;
use hookgate_domain::redis::{Redis, Subscription};
use hookgate_domain::scope::TenantScope;
use hookgate_model::answer::Answer;
use hookgate_model::ids::EventId;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How often Postgres is asked while answers do not come over Redis.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long a caller waits for Redis before Postgres is asked all the same: the worker may have lost Redis alone.
const ASK_ANYWAY_AFTER: Duration = Duration::from_secs(1);

/// The callers of this node that wait.
pub struct Waiting {
    shared: Arc<Shared>,
    node: Arc<str>,
    _answers: Subscription,
    task: JoinHandle<()>,
}

struct Shared {
    callers: Mutex<HashMap<EventId, Caller>>,
    connected: AtomicBool,
}

struct Caller {
    scope: TenantScope,
    asked_at: Instant,
    key: Option<RunKey>,
    answer: oneshot::Sender<Answer>,
}

/// A place among those who wait; given up when dropped.
pub struct Place {
    shared: Arc<Shared>,
    event: EventId,
    answer: oneshot::Receiver<Answer>,
}

impl Waiting {
    /// Begins to listen for answers, under a name that no other node has.
    pub fn start(database: Database, redis: &Redis) -> Self {
        let node: Arc<str> = format!("{:032x}", rand::random::<u128>()).into();
        let shared = Arc::new(Shared {
            callers: Mutex::default(),
            connected: AtomicBool::new(false),
        });
        let told = Arc::clone(&shared);
        let answers = redis.on_answer(&node, move |notice| match notice {
            AnswerNotice::Connected => told.connected.store(true, Ordering::Relaxed),
            AnswerNotice::Lost => told.connected.store(false, Ordering::Relaxed),
            AnswerNotice::Answered(event, answer) => told.give(event, answer),
        });
        let task = tokio::spawn(ask(Arc::clone(&shared), database));
        Self {
            shared,
            node,
            _answers: answers,
            task,
        }
    }

    /// The name of this node, for jobs.
    pub const fn node(&self) -> &Arc<str> {
        &self.node
    }

    /// Takes a place for an event that is about to be stored; `None` when too many wait.
    pub fn take_place(&self, scope: TenantScope, event: EventId, most: usize) -> Option<Place> {
        let mut callers = self.shared.callers.lock();
        if callers.len() >= most {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        callers.insert(
            event,
            Caller {
                scope,
                asked_at: Instant::now(),
                key: None,
                answer: sender,
            },
        );
        Some(Place {
            shared: Arc::clone(&self.shared),
            event,
            answer,
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Place {
    /// Takes the key that opens the answer, if it is not stored openly.
    pub fn open_with(&self, key: RunKey) {
        if let Some(caller) = self.shared.callers.lock().get_mut(&self.event) {
            caller.key = Some(key);
        }
    }

    /// Waits for the answer; `None` when it does not come in time.
    pub async fn wait(mut self, longest: Duration) -> Option<Answer> {
        tokio::time::timeout(longest, &mut self.answer).await.ok()?.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.callers.lock().remove(&self.event);
    }
}

impl Shared {
    fn give(&self, event: EventId, answer: Answer) {
        if let Some(caller) = self.callers.lock().remove(&event) {
            // A caller that went away does not need it.
            let _ = caller.answer.send(answer);
        }
    }

    /// The callers for whom Postgres must be asked now.
    fn overdue(&self) -> Vec<(TenantScope, EventId, Option<RunKey>)> {
        let longest = if self.connected.load(Ordering::Relaxed) {
            ASK_ANYWAY_AFTER
        } else {
            Duration::ZERO
        };
        let mut callers = self.callers.lock();
        let overdue = callers
            .iter_mut()
            .filter(|(_, caller)| caller.asked_at.elapsed() >= longest);
        overdue
            .map(|(event, caller)| {
                caller.asked_at = Instant::now();
                (caller.scope, *event, caller.key.clone())
            })
            .collect()
    }
}

async fn ask(shared: Arc<Shared>, database: Database) {
    let mut ticks = tokio::time::interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let overdue = shared.overdue();
        if overdue.is_empty() {
            continue;
        }
        let found = database.run(move |conn| {
            let mut found = Vec::new();
            for (scope, event, key) in overdue {
                match scope.transaction(conn, |conn| answers::read(conn, &scope, event, key.as_ref())) {
                    Ok(Some(answer)) => found.push((event, answer)),
                    Ok(None) => {}
                    Err(error) if error.is_transient() => {
                        tracing::debug!(%error, "answers could not be read");
                        break;
                    }
                    // One damaged answer must not keep the others from their callers.
                    Err(error) => tracing::error!(%event, %error, "an answer could not be read"),
                }
            }
            Ok::<_, hookgate_domain::Error>(found)
        });
        match found.await {
            Ok(found) => found
                .into_iter()
                .for_each(|(event, answer)| shared.give(event, answer)),
            Err(error) => tracing::debug!(%error, "answers could not be read"),
        }
    }
}
