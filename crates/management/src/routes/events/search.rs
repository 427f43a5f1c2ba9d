//! Looking for text: slice by slice, each read with a connection and looked through without one, until the page is full or the
//! effort is spent.

use std::time::Instant;

use hookgate_domain::Error;
use hookgate_domain::events::{self, Event, EventFilter, StoredContent, Text};
use hookgate_domain::page::{Found, Page};
use hookgate_model::body::encoding::most_decoded;
use hookgate_model::ids::EventId;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};

/// The newest events of a page that a filter finds and whose bodies have the text.
///
/// # Errors
/// 429 when there is no place for the search; when the storage cannot be reached, or a body is damaged.
pub async fn page(caller: &Caller, filter: &EventFilter, text: &Text, page: Page) -> ApiResult<Found<Event>> {
    // A search takes far longer than a list: few go on at once.
    let _place = caller.state().searches.take(caller)?;
    let most = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let began = Instant::now();
    let (mut below, mut left) = (page.before.unwrap_or(Uuid::max()), page.effort.rows);
    let mut ids = Vec::new();
    let seen_to = loop {
        let wanted = filter.clone();
        let slice = caller
            .run(move |conn, scope| events::slice(conn, scope, &wanted, below, left))
            .await?;
        left -= i64::try_from(slice.rows).unwrap_or(i64::MAX);
        let (memory, text) = (most_memory(&slice.events), text.clone());
        let looked = move || having(slice.events, &text);
        let found = caller.state().apart.run(memory, looked).await;
        ids.extend(found.ok_or_else(|| ApiError::internal("bodies were not looked through"))??);
        ids.truncate(most);
        let Some(last) = slice.seen_to.filter(|_| ids.len() < most) else {
            break None;
        };
        if left <= 0 || began.elapsed() >= page.effort.time {
            break Some(last.uuid());
        }
        below = last.uuid();
    };
    let rows = caller
        .run(move |conn, scope| events::read_all(conn, scope, &ids))
        .await?;
    Ok(Found { rows, seen_to })
}

/// Those whose bodies have the text.
fn having(events: Vec<(EventId, StoredContent)>, text: &Text) -> Result<Vec<EventId>, Error> {
    let mut ids = Vec::new();
    for (id, stored) in events {
        if text.is_in(&stored.read()?) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// About the most memory that looking through a slice takes: one body as it was sent, and that decoded.
fn most_memory(events: &[(EventId, StoredContent)]) -> usize {
    let lengths = events.iter().map(|(_, content)| content.body_bytes());
    let longest = lengths.max().unwrap_or(0);
    longest + most_decoded(longest)
}
