//! Which events are wanted, and the queries that find them.

use std::ops::Range;

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, not};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use hookgate_model::ids::{ReplayId, UrlId, WebhookId};
use hookgate_model::webhook::Environment;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::EventStatus;
use crate::error::Result;
use crate::page;
use crate::schema::{duplicates, events, revisions, runs};
use crate::scope::TenantScope;

/// Which events are wanted; `None` means any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    /// Of this webhook.
    pub webhook_id: Option<WebhookId>,
    /// To this URL.
    pub url_id: Option<UrlId>,
    /// In this environment.
    pub environment: Option<Environment>,
    /// With this method.
    pub method: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// Of this delivery.
    pub delivery_id: Option<String>,
    /// That came again, or did not.
    pub duplicated: Option<bool>,
    /// That have come as far as this. The stored name is the one that older versions know, which would else replay everything.
    #[serde(rename = "outcome")]
    pub status: Option<EventStatus>,
    /// That this replay made.
    pub replay_id: Option<ReplayId>,
    /// Received at this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Received before this moment.
    pub to: Option<DateTime<Utc>>,
}

impl EventFilter {
    /// Whether an index finds what it wants.
    pub(super) fn is_indexed(&self) -> bool {
        let indexed = Self {
            webhook_id: self.webhook_id,
            from: self.from,
            to: self.to,
            ..Self::default()
        };
        *self == indexed
    }

    /// The part of a range of ids that is within its time.
    pub(super) fn within(&self, ids: Range<Uuid>) -> Range<Uuid> {
        let time = page::between(self.from, self.to);
        ids.start.max(time.start)..ids.end.min(time.end)
    }
}

/// The events of a range of ids, as far as an index finds them.
pub(super) fn indexed(
    scope: &TenantScope,
    filter: &EventFilter,
    ids: &Range<Uuid>,
) -> events::BoxedQuery<'static, Pg> {
    let mut query = events::table
        .filter(events::tenant_id.eq(scope.uuid()))
        .filter(events::id.ge(ids.start))
        .filter(events::id.lt(ids.end))
        .into_boxed();
    if let Some(webhook) = filter.webhook_id {
        query = query.filter(events::webhook_id.eq(webhook.uuid()));
    }
    query
}

/// The id of the n-th event below an id, of those that an index finds.
pub(super) fn nth_below(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &EventFilter,
    below: Uuid,
    n: i64,
) -> Result<Option<Uuid>> {
    let nth = indexed(scope, filter, &filter.within(Uuid::nil()..below))
        .order(events::id.desc())
        .offset(n - 1)
        .limit(1)
        .select(events::id);
    Ok(nth.first(conn).optional()?)
}

/// The id of the n-th event of a range of ids, of those that an index finds.
pub(super) fn nth_above(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &EventFilter,
    ids: Range<Uuid>,
    n: i64,
) -> Result<Option<Uuid>> {
    let nth = indexed(scope, filter, &filter.within(ids))
        .order(events::id.asc())
        .offset(n - 1)
        .limit(1)
        .select(events::id);
    Ok(nth.first(conn).optional()?)
}

/// The events of a range of ids that a filter finds. What other tables say is asked for that range alone.
pub(super) fn matching(
    scope: &TenantScope,
    filter: &EventFilter,
    ids: Range<Uuid>,
) -> events::BoxedQuery<'static, Pg> {
    let ids = filter.within(ids);
    let mut query = indexed(scope, filter, &ids);
    if let Some(url) = filter.url_id {
        query = query.filter(events::url_id.eq(url.uuid()));
    }
    if let Some(environment) = filter.environment {
        query = query.filter(events::environment.eq(environment.as_str()));
    }
    if let Some(method) = &filter.method {
        query = query.filter(events::method.eq(method.clone()));
    }
    if let Some(event_type) = &filter.event_type {
        query = query.filter(events::event_type.eq(event_type.clone()));
    }
    if let Some(delivery) = &filter.delivery_id {
        query = query.filter(events::delivery_id.eq(delivery.clone()));
    }
    if let Some(duplicated) = filter.duplicated {
        let again = exists(
            duplicates::table
                .filter(duplicates::tenant_id.eq(events::tenant_id))
                .filter(duplicates::event_id.eq(events::id))
                .filter(duplicates::event_id.ge(ids.start))
                .filter(duplicates::event_id.lt(ids.end)),
        );
        query = if duplicated {
            query.filter(again)
        } else {
            query.filter(not(again))
        };
    }
    if let Some(status) = &filter.status {
        let has_work = exists(
            revisions::table
                .filter(revisions::tenant_id.eq(events::tenant_id))
                .filter(revisions::id.nullable().eq(events::revision_id))
                .filter(revisions::has_work),
        );
        query = match status {
            EventStatus::Finished(outcome) => query.filter(has_run(filter.webhook_id, &ids, Some(outcome))),
            EventStatus::Pending => query
                .filter(not(has_run(filter.webhook_id, &ids, None)))
                .filter(has_work),
            EventStatus::Received => query
                .filter(not(has_run(filter.webhook_id, &ids, None)))
                .filter(not(has_work)),
        };
    }
    if let Some(replay) = filter.replay_id {
        query = query.filter(events::replay_id.eq(replay.uuid()));
    }
    query
}

/// Whether an event of a range of ids has run, and ended like this if that is asked. A run's webhook is its event's: said twice,
/// so that its index is used, too.
fn has_run(
    webhook: Option<WebhookId>,
    ids: &Range<Uuid>,
    outcome: Option<&str>,
) -> Box<dyn BoxableExpression<events::table, Pg, SqlType = Bool>> {
    let run = runs::table
        .filter(runs::tenant_id.eq(events::tenant_id))
        .filter(runs::id.eq(events::id))
        .filter(runs::id.ge(ids.start))
        .filter(runs::id.lt(ids.end));
    let of = |webhook: WebhookId| runs::webhook_id.eq(webhook.uuid());
    let ended = |outcome: &str| runs::outcome.eq(outcome.to_owned());
    match (webhook, outcome) {
        (None, None) => Box::new(exists(run)),
        (None, Some(outcome)) => Box::new(exists(run.filter(ended(outcome)))),
        (Some(webhook), None) => Box::new(exists(run.filter(of(webhook)))),
        (Some(webhook), Some(outcome)) => Box::new(exists(run.filter(of(webhook)).filter(ended(outcome)))),
    }
}
