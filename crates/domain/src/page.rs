//! A page of a list. Lists are newest first, by id: a UUIDv7 carries its time, so no second index is needed.

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
