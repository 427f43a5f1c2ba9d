//! Events with all that they brought, part by part, the oldest first.
//!
//! A part is a few MiB of headers and bodies, or one event that is longer ([`together`]). It is read as it is stored: who decodes
//! it needs no connection.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::EventId;
use uuid::Uuid;

use super::filter::{indexed, matching};
use super::search::{ROWS_AT_ONCE, lengths, together};
use super::status::with_status;
use super::{Event, EventFilter, Row, StoredContent};
use crate::error::Result;
use crate::page;
use crate::schema::events;
use crate::scope::TenantScope;

/// A part of an export.
#[derive(Debug)]
pub struct Part {
    /// The events that the filter finds.
    pub events: Vec<(Event, StoredContent)>,
    /// The last event that was looked at: the next part begins after it. `None` when there are no more.
    pub seen_to: Option<EventId>,
}

/// The next part of an export: what a filter finds among the next events, of which it takes as many as are read at once.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn export(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &EventFilter,
    after: Option<EventId>,
) -> Result<Part> {
    let first = after.map_or(Uuid::nil(), |after| page::after(after.uuid()));
    let oldest = indexed(scope, filter, &filter.within(first..Uuid::max())).order(events::id.asc());
    let lengths = lengths(conn, oldest, ROWS_AT_ONCE)?;
    let Some((last, _)) = lengths.get(together(&lengths).saturating_sub(1)).copied() else {
        return Ok(Part {
            events: Vec::new(),
            seen_to: None,
        });
    };
    let found: Vec<(Row, StoredContent)> = matching(scope, filter, first..page::after(last))
        .order(events::id.asc())
        .select((Row::as_select(), StoredContent::as_select()))
        .load(conn)?;
    let (rows, contents): (Vec<Row>, Vec<StoredContent>) = found.into_iter().unzip();
    let events = with_status(conn, scope, rows)?;
    Ok(Part {
        events: events.into_iter().zip(contents).collect(),
        seen_to: Some(last.into()),
    })
}
