//! A page of a list. Lists are newest first, by id: a UUIDv7 carries its time, so no second index is needed.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Where a page begins and how long it is.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Only what is older than this id; `None` for the beginning of the list.
    pub before: Option<Uuid>,
    /// The most rows.
    pub limit: i64,
}

impl Page {
    /// The id below which the page lies: the greatest possible id for the first page.
    pub(crate) fn below(&self) -> Uuid {
        self.before.unwrap_or(Uuid::max())
    }
}

/// The smallest UUIDv7 of a moment: what bounds a range of ids by time. A moment before 1970 counts as 1970.
pub(crate) fn floor(moment: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(moment.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}
