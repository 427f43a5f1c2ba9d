//! Requests that differ from what their webhook expects: refused, or counted. The counts are gathered here and written every
//! second; a node that is killed forgets what it has counted since.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hookgate_domain::clock;
use hookgate_domain::database::Database;
use hookgate_domain::drift::{self, Seen};
use hookgate_model::body::most_memory;
use hookgate_model::expected_data::{Mode, Violation};
use hookgate_model::flow::variables::Request;
use hookgate_model::ids::{EventId, WebhookId};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::answer::Prepared;
use crate::refusal::Refusal;
use crate::service::{READ_APART, Service};
use crate::webhook::Webhook;

const EVERY: Duration = Duration::from_secs(1);
/// Differences that are gathered between two writes; what differs otherwise beyond that is not told.
const GATHERED: usize = 10_000;

impl Service {
    /// How a request differs, where that is only counted.
    ///
    /// # Errors
    /// When the webhook refuses what differs.
    pub async fn check_expected(
        &self,
        webhook: &Arc<Webhook>,
        request: &Arc<Request>,
    ) -> Result<Vec<Violation>, Refusal> {
        let Some((mode, matcher)) = webhook.revision.expectations() else {
            return Ok(Vec::new());
        };
        let most = self.settings.drift_checks_per_second;
        if mode == Mode::Warn && !webhook.looks.may_look(clock::now().timestamp(), most) {
            return Ok(Vec::new());
        }
        let event = request.event();
        let memory = most_memory(&event.headers, event.body.len());
        let violations = if !matcher.needs_body() || memory < READ_APART {
            matcher.check(request)
        } else {
            let (checked, request) = (Arc::clone(webhook), Arc::clone(request));
            let check = move || {
                checked
                    .revision
                    .expectations()
                    .map(|(_, matcher)| matcher.check(&request))
            };
            self.apart.run(memory, check).await.flatten().unwrap_or_default()
        };
        if mode != Mode::Enforce || violations.is_empty() {
            return Ok(violations);
        }
        let (evaluated, request, told) = (Arc::clone(webhook), Arc::clone(request), violations.clone());
        let evaluate = move || evaluated.revision.invalid_answer(&request, &told);
        let made = webhook
            .evaluations
            .within(&self.apart, memory, self.template_timeout(), evaluate);
        let answer = made
            .await
            .unwrap_or_else(|| webhook.revision.invalid_answer_without_template(&violations));
        Err(Refusal::DataInvalid(violations, Prepared::from(&answer)))
    }
}

/// How many requests of one webhook were looked at in a second: counting what differs is not worth slowing a flood for.
#[derive(Debug, Default)]
pub struct Looks(Mutex<(i64, u32)>);

impl Looks {
    /// Whether one more may be looked at in this second; 0 for as many as there are.
    fn may_look(&self, second: i64, most: u32) -> bool {
        let (counted, looks) = &mut *self.0.lock();
        if *counted != second {
            (*counted, *looks) = (second, 0);
        }
        *looks = looks.saturating_add(1);
        most == 0 || *looks <= most
    }
}

type Key = (WebhookId, &'static str, String, &'static str);
type Counts = Arc<Mutex<HashMap<Key, Seen>>>;

/// The differences that were seen since they were last written.
pub struct Drift {
    counts: Counts,
    task: JoinHandle<()>,
}

impl Drift {
    /// Starts to write every second.
    pub fn start(database: Database) -> Self {
        let counts = Counts::default();
        let written = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                write(&written, &database).await;
            }
        });
        Self { counts, task }
    }

    /// Counts what of an event differs.
    pub fn note(&self, webhook: &Webhook, event: EventId, violations: Vec<Violation>) {
        let (scope, webhook_id) = (webhook.route.scope, webhook.route.webhook_id);
        let mut counts = self.counts.lock();
        for violation in violations {
            // Which item of a list it is says nothing of the next event.
            let path = violation.path_in_structure();
            let seen = Seen {
                scope,
                webhook_id,
                place: violation.place,
                path,
                code: violation.code,
                msg: violation.msg,
                count: 1,
                first_event: event,
                last_event: event,
            };
            add(&mut counts, seen);
        }
    }

    /// Writes what is not written yet.
    pub async fn flush(&self, database: &Database) {
        write(&self.counts, database).await;
    }
}

impl Drop for Drift {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn add(counts: &mut HashMap<Key, Seen>, seen: Seen) {
    let key = (
        seen.webhook_id,
        seen.place.as_str(),
        seen.path.clone(),
        seen.code.as_str(),
    );
    if let Some(known) = counts.get_mut(&key) {
        // Two items of one event count once.
        if known.last_event != seen.last_event {
            known.count += seen.count;
        }
        known.first_event = known.first_event.min(seen.first_event);
        known.last_event = known.last_event.max(seen.last_event);
    } else if counts.len() < GATHERED {
        counts.insert(key, seen);
    }
}

async fn write(counts: &Counts, database: &Database) {
    let taken = std::mem::take(&mut *counts.lock());
    if taken.is_empty() {
        return;
    }
    let seen: Vec<Seen> = taken.into_values().collect();
    let written = seen.clone();
    if let Err(error) = database.run(move |conn| drift::add(conn, &written)).await {
        tracing::debug!(%error, "drift could not be counted; trying again");
        let mut counts = counts.lock();
        for again in seen {
            add(&mut counts, again);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_looked_at_in_a_second() {
        let looks = Looks::default();
        let looked = |second, most| (0..5).filter(|_| looks.may_look(second, most)).count();
        assert_eq!(
            [looked(1, 3), looked(1, 3), looked(2, 3), looked(3, 0)],
            [3, 0, 3, 5]
        );
    }
}
