//! Callers that wait for their flow's answer. It comes over Redis; when it may have been missed, from Postgres.
//!
//! Several may wait for one event: who sent it, and who sent it again. The answer travels to the node that stored the event,
//! so the others ask Postgres.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
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
use hookgate_model::fair_share::FairShare;
use hookgate_model::ids::EventId;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How often Postgres is asked while answers do not come over Redis.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long a caller waits for Redis before Postgres is asked all the same: the worker may have lost Redis alone. Also the
/// longest pause between two questions for an event that was stored elsewhere.
const ASK_ANYWAY_AFTER: Duration = Duration::from_secs(1);

/// The callers of this node that wait.
pub struct Waiting {
    shared: Arc<Shared>,
    node: Arc<str>,
    _answers: Subscription,
    task: JoinHandle<()>,
}

struct Shared {
    most: usize,
    share: FairShare,
    callers: Mutex<Callers>,
    connected: AtomicBool,
}

#[derive(Default)]
struct Callers {
    events: HashMap<EventId, Awaited>,
    /// How many there are, of all events.
    count: usize,
    /// How many there are, by tenant.
    by_tenant: HashMap<TenantScope, usize>,
    /// Numbers the places.
    next: u64,
    /// Whether nobody waits any more.
    is_over: bool,
}

/// An event with the callers who wait for its answer.
struct Awaited {
    scope: TenantScope,
    /// Opens the answer, if it is not stored openly.
    key: Option<RunKey>,
    callers: Vec<(u64, oneshot::Sender<Answer>)>,
    asked_at: Instant,
    /// How long to wait for Redis before Postgres is asked.
    patience: Duration,
}

/// A place among those who wait; given up when dropped.
pub struct Place {
    shared: Arc<Shared>,
    scope: TenantScope,
    event: EventId,
    number: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Waiting {
    /// Begins to listen for answers, under a name that no other node has. So many callers may wait, and of each tenant no more
    /// than its share.
    pub fn start(database: Database, redis: &Redis, most: usize, share: FairShare) -> Self {
        let node: Arc<str> = format!("{:032x}", rand::random::<u128>()).into();
        let shared = Arc::new(Shared {
            most,
            share,
            callers: Mutex::default(),
            connected: AtomicBool::new(false),
        });
        let told = Arc::clone(&shared);
        let answers = redis.on_answer(&node, move |notice| match notice {
            AnswerNotice::Connected => told.connected.store(true, Ordering::Relaxed),
            AnswerNotice::Lost => told.connected.store(false, Ordering::Relaxed),
            AnswerNotice::Answered(event, answer) => told.give(event, &answer),
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

    /// Takes a place for an event that is about to be stored; `None` when too many wait, or too many of the
    /// tenant's.
    pub fn take_place(&self, scope: TenantScope, event: EventId) -> Option<Place> {
        self.place(scope, event, ASK_ANYWAY_AFTER)
    }

    /// Takes a place for an event that is stored already, maybe by another node; `None` when too many wait, or too many of the
    /// tenant's.
    pub fn join(&self, scope: TenantScope, event: EventId) -> Option<Place> {
        self.place(scope, event, Duration::ZERO)
    }

    /// Ends the waiting of all, and of those who come later: they are answered as when the flow took too long.
    pub fn end(&self) {
        let mut callers = self.shared.callers.lock();
        callers.is_over = true;
        callers.events.clear();
    }

    fn place(&self, scope: TenantScope, event: EventId, patience: Duration) -> Option<Place> {
        let mut callers = self.shared.callers.lock();
        let left = self.shared.most.checked_sub(callers.count + 1)?;
        let of_tenant = callers.by_tenant.get(&scope).map_or(1, |held| held + 1);
        if !self.shared.share.allows(of_tenant, left) {
            return None;
        }
        callers.by_tenant.insert(scope, of_tenant);
        callers.count += 1;
        callers.next += 1;
        let is_over = callers.is_over;
        let number = callers.next;
        let (sender, answer) = oneshot::channel();
        let awaited = callers.events.entry(event).or_insert_with(|| Awaited {
            scope,
            key: None,
            callers: Vec::with_capacity(1),
            asked_at: Instant::now(),
            patience,
        });
        if !is_over {
            awaited.callers.push((number, sender));
        }
        Some(Place {
            shared: Arc::clone(&self.shared),
            scope,
            event,
            number,
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
        if let Some(awaited) = self.shared.callers.lock().events.get_mut(&self.event) {
            awaited.key = Some(key);
        }
    }

    /// Waits for the answer; `None` when it does not come in time, or never will.
    pub async fn wait(mut self, longest: Duration) -> Option<Answer> {
        tokio::time::timeout(longest, &mut self.answer).await.ok()?.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut callers = self.shared.callers.lock();
        callers.count = callers.count.saturating_sub(1);
        if let Entry::Occupied(mut held) = callers.by_tenant.entry(self.scope) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
        if let Some(awaited) = callers.events.get_mut(&self.event) {
            awaited.callers.retain(|(number, _)| *number != self.number);
            if awaited.callers.is_empty() {
                callers.events.remove(&self.event);
            }
        }
    }
}

impl Shared {
    fn give(&self, event: EventId, answer: &Answer) {
        let awaited = self.callers.lock().events.remove(&event);
        for (_, caller) in awaited.into_iter().flat_map(|awaited| awaited.callers) {
            // A caller that went away does not need it.
            let _ = caller.send(answer.clone());
        }
    }

    /// Lets callers go for whom there is no answer.
    fn let_go(&self, event: EventId) {
        self.callers.lock().events.remove(&event);
    }

    /// The events for whose callers Postgres must be asked now, by their tenants.
    fn overdue(&self) -> HashMap<TenantScope, Vec<(EventId, Option<RunKey>)>> {
        let connected = self.connected.load(Ordering::Relaxed);
        let mut overdue: HashMap<_, Vec<_>> = HashMap::new();
        for (event, awaited) in &mut self.callers.lock().events {
            let patience = if connected {
                awaited.patience
            } else {
                Duration::ZERO
            };
            if awaited.asked_at.elapsed() >= patience {
                awaited.asked_at = Instant::now();
                // Asked at once, then more and more seldom.
                awaited.patience = (awaited.patience * 2).clamp(ASK_EVERY, ASK_ANYWAY_AFTER);
                let asked = (*event, awaited.key.clone());
                overdue.entry(awaited.scope).or_default().push(asked);
            }
        }
        overdue
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
            for (scope, asked) in overdue {
                found.extend(scope.transaction(conn, |conn| answers::read(conn, &scope, &asked))?);
            }
            Ok::<_, hookgate_domain::Error>(found)
        });
        match found.await {
            Ok(found) => {
                for (event, answer) in found {
                    match answer {
                        Ok(Some(answer)) => shared.give(event, &answer),
                        Ok(None) => shared.let_go(event),
                        Err(error) => {
                            tracing::error!(%event, %error, "an answer could not be read");
                            shared.let_go(event);
                        }
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "answers could not be read"),
        }
    }
}
