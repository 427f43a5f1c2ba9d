//! Requests that differ from what their webhook expects: refused, or counted. The counts are gathered here and written every
//! second; a node that is killed forgets what it has counted since.

use std::sync::Arc;

use hookgate_domain::clock;
use hookgate_domain::drift::Seen;
use hookgate_domain::gathered::Gathered;
use hookgate_model::body::most_memory;
use hookgate_model::expected_data::{Mode, Violation};
use hookgate_model::flow::variables::Request;
use hookgate_model::ids::EventId;
use parking_lot::Mutex;

use crate::answer::Prepared;
use crate::refusal::Refusal;
use crate::service::{READ_APART, Service};
use crate::webhook::Webhook;

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

/// Counts what of an event differs.
pub fn note_drift(drift: &Gathered<Seen>, webhook: &Webhook, event: EventId, violations: Vec<Violation>) {
    for violation in violations {
        drift.add(Seen {
            scope: webhook.route.scope,
            webhook_id: webhook.route.webhook_id,
            place: violation.place,
            // Which item of a list it is says nothing of the next event.
            path: violation.path_in_structure(),
            code: violation.code,
            msg: violation.msg,
            count: 1,
            first_event: event,
            last_event: event,
        });
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
