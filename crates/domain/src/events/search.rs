//! Text in the bodies of events.
//!
//! Bodies are compressed, so nothing in Postgres can look into them: slices of the list, of a bounded size, are read as they are
//! stored, and looked through without a connection. What data protection masks is stored masked, and so is not found.

use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use hookgate_model::body::Body;
use hookgate_model::headers;
use hookgate_model::ids::EventId;
use regex::bytes::{Regex, RegexBuilder};
use uuid::Uuid;

use super::filter::{indexed, matching};
use super::{EventContent, EventFilter, StoredContent};
use crate::error::Result;
use crate::schema::events;
use crate::scope::TenantScope;

/// Bytes of headers and bodies, as they were sent, that are read at once; what is longer is read alone.
const BYTES_AT_ONCE: i64 = 4 << 20;
/// Events that are.
pub(super) const ROWS_AT_ONCE: i64 = 500;

diesel::define_sql_function! {
    /// The length of bytes.
    fn octet_length(bytes: diesel::sql_types::Binary) -> diesel::sql_types::Integer;
}

/// Text to look for. Upper and lower case are the same; everything else must stand in the body as it is here.
#[derive(Debug, Clone)]
pub struct Text(Regex);

impl Text {
    /// Takes a text; `None` when it is too long.
    pub fn new(text: &str) -> Option<Self> {
        let pattern = RegexBuilder::new(&regex::escape(text))
            .case_insensitive(true)
            .build();
        pattern.ok().map(Self)
    }

    /// Whether a body has it, which is decoded first if it was sent with a content encoding. What cannot be decoded is looked
    /// through as it is.
    pub fn is_in(&self, content: &EventContent) -> bool {
        let EventContent { headers, body } = content;
        if headers::find(headers, "content-encoding").is_none() {
            return self.0.is_match(body);
        }
        let read = Body::new(headers, body.clone());
        self.0.is_match(read.decoded().unwrap_or(body))
    }
}

/// The first events of a query, and how long their headers and bodies are.
pub(super) fn lengths(
    conn: &mut PgConnection,
    query: events::BoxedQuery<'static, Pg>,
    most: i64,
) -> Result<Vec<(Uuid, i32)>> {
    Ok(query
        .limit(most)
        .select((events::id, events::body_bytes + octet_length(events::headers)))
        .load(conn)?)
}

/// How many events are read at once, by their lengths: as many as fit together, one at least.
pub(super) fn together(lengths: &[(Uuid, i32)]) -> usize {
    let mut bytes = 0;
    let fit = lengths.iter().take_while(|(_, length)| {
        bytes += i64::from(*length);
        bytes <= BYTES_AT_ONCE
    });
    fit.count().max(1).min(lengths.len())
}

/// A part of the tenant's events that is looked through at once.
#[derive(Debug)]
pub struct Slice {
    /// What the filter finds in it, the newest first.
    pub events: Vec<(EventId, StoredContent)>,
    /// How many it looked at.
    pub rows: usize,
    /// The last event of the slice: the next one lies below. `None` when there are no more.
    pub seen_to: Option<EventId>,
}

/// The events below an id that are read at once: so many rows at most, fewer where bodies are long.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn slice(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &EventFilter,
    below: Uuid,
    rows: i64,
) -> Result<Slice> {
    let rows = rows.clamp(1, ROWS_AT_ONCE);
    let newest = indexed(scope, filter, &filter.within(Uuid::nil()..below)).order(events::id.desc());
    let lengths = lengths(conn, newest, rows)?;
    let is_over = lengths.len() < usize::try_from(rows).unwrap_or(usize::MAX);
    let together = together(&lengths);
    let last = lengths.get(together.saturating_sub(1)).map(|(id, _)| *id);
    let seen_to = last.filter(|_| !is_over || together < lengths.len());
    let found: Vec<(Uuid, StoredContent)> = matching(scope, filter, seen_to.unwrap_or(Uuid::nil())..below)
        .order(events::id.desc())
        .select((events::id, StoredContent::as_select()))
        .load(conn)?;
    Ok(Slice {
        events: found
            .into_iter()
            .map(|(id, content)| (id.into(), content))
            .collect(),
        rows: together,
        seen_to: seen_to.map(EventId::from),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn has(text: &str, headers: &str, body: &[u8]) -> bool {
        let content = EventContent {
            headers: headers.as_bytes().to_vec(),
            body: body.to_vec().into(),
        };
        Text::new(text).expect("a text").is_in(&content)
    }

    #[test]
    fn what_is_long_is_read_alone() {
        let count = |lengths: &[i32]| {
            let lengths: Vec<_> = lengths.iter().map(|length| (Uuid::nil(), *length)).collect();
            together(&lengths)
        };
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&[1, 2, 3]), 3);
        assert_eq!(count(&[1 << 20; 5]), 4);
        assert_eq!(count(&[1, i32::MAX, 1]), 1);
        assert_eq!(count(&[i32::MAX, i32::MAX]), 1);
    }

    #[test]
    fn text_is_found_whatever_its_case_and_encoding() {
        let body = "{\"city\": \"Lübeck (North)\"}";
        assert!(has("lÜbeck (n", "", body.as_bytes()));
        assert!(!has("l.beck", "", body.as_bytes()));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(body.as_bytes()).expect("compressed");
        let gzip = gzip.finish().expect("compressed");
        assert!(has("north", "content-encoding: gzip\r\n", &gzip));
        assert!(!has("north", "", &gzip));
        assert!(has("north", "content-encoding: gzip\r\n", body.as_bytes()));
    }
}
