//! How far events have come, and how often they came again: what other tables say of them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use uuid::Uuid;

use super::{Duplicates, Event, EventStatus, Row};
use crate::error::Result;
use crate::revisions;
use crate::schema::{duplicates, runs};
use crate::scope::TenantScope;

/// Events with what other tables say of them.
pub(super) fn with_status(
    conn: &mut PgConnection,
    scope: &TenantScope,
    rows: Vec<Row>,
) -> Result<Vec<Event>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let outcomes: HashMap<Uuid, String> = runs::table
        .filter(runs::tenant_id.eq(scope.uuid()))
        .filter(runs::id.eq_any(ids))
        .select((runs::id, runs::outcome))
        .load::<(Uuid, String)>(conn)?
        .into_iter()
        .collect();
    let duplicates = duplicates_of(conn, scope, &rows)?;
    let ran_by = rows.iter().filter_map(|row| row.revision_id).collect();
    let working = revisions::with_work(conn, scope, ran_by)?;
    rows.into_iter()
        .map(|row| {
            let status = match outcomes.get(&row.id) {
                Some(outcome) => EventStatus::Finished(outcome.clone()),
                None if row.revision_id.is_some_and(|id| working.contains(&id)) => EventStatus::Pending,
                None => EventStatus::Received,
            };
            let duplicates = duplicates.get(&row.id).copied();
            row.into_event(duplicates, status)
        })
        .collect()
}

fn duplicates_of(
    conn: &mut PgConnection,
    scope: &TenantScope,
    rows: &[Row],
) -> Result<HashMap<Uuid, Duplicates>> {
    let remembered = rows.iter().filter(|row| row.deduplication.is_some());
    let found: Vec<(Uuid, i64, DateTime<Utc>)> = duplicates::table
        .filter(duplicates::tenant_id.eq(scope.uuid()))
        .filter(duplicates::event_id.eq_any(remembered.map(|row| row.id).collect::<Vec<_>>()))
        .select((duplicates::event_id, duplicates::count, duplicates::last_at))
        .load(conn)?;
    Ok(found
        .into_iter()
        .map(|(event, count, last_at)| (event, Duplicates { count, last_at }))
        .collect())
}
