//! Events with all that they brought, part by part, the oldest first.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::EventId;
use uuid::Uuid;

use super::filter::{indexed, matching};
use super::search::{ROWS_AT_ONCE, together};
use super::status::with_status;
use super::{ContentRow, Event, EventContent, EventFilter, Row, Text};
use crate::error::Result;
use crate::page;
use crate::schema::events;
use crate::scope::TenantScope;

/// A part of an export.
#[derive(Debug)]
pub struct Exported {
    /// The events that are wanted.
    pub events: Vec<(Event, EventContent)>,
    /// The last event that was looked at: the next part begins after it. `None` when there are no more.
    pub seen_to: Option<EventId>,
}

/// The next part of an export: what is wanted among the next events, as many as it reads into memory at once.
///
/// # Errors
/// [`crate::Error::Unreadable`] when a stored body is damaged; when Postgres cannot be reached.
pub fn export(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &EventFilter,
    text: Option<&Text>,
    after: Option<EventId>,
) -> Result<Exported> {
    let first = after.map_or(Uuid::nil(), |after| page::after(after.uuid()));
    let lengths: Vec<(Uuid, i32)> = indexed(scope, filter, &filter.within(first..Uuid::max()))
        .order(events::id.asc())
        .limit(ROWS_AT_ONCE)
        .select((events::id, events::body_bytes))
        .load(conn)?;
    let Some((last, _)) = lengths.get(together(&lengths).saturating_sub(1)).copied() else {
        return Ok(Exported {
            events: Vec::new(),
            seen_to: None,
        });
    };
    let rows: Vec<(Row, ContentRow)> = matching(scope, filter, first..page::after(last))
        .order(events::id.asc())
        .select((Row::as_select(), ContentRow::as_select()))
        .load(conn)?;
    let mut contents = Vec::new();
    let mut wanted = Vec::new();
    for (row, content) in rows {
        let content = content.into_content()?;
        if text.is_none_or(|text| text.is_in(&content)) {
            wanted.push(row);
            contents.push(content);
        }
    }
    let events = with_status(conn, scope, wanted)?;
    Ok(Exported {
        events: events.into_iter().zip(contents).collect(),
        seen_to: Some(last.into()),
    })
}
