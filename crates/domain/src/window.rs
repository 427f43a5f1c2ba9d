//! The part of a list that a query reads: newest first, by id.

use uuid::Uuid;

/// At most `limit` rows whose id is smaller than `before`. Queries add `.order(id.desc()).limit(window.limit)` and, when
/// `before` is given, `.filter(id.lt(before))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The id of the last row already read; none to begin with the newest.
    pub before: Option<Uuid>,
    /// How many rows to read at most: one more than is shown, so that it is known whether there are more.
    pub limit: i64,
}

impl Window {
    /// The bound as a UUID that every row is smaller than or equal to when there is no bound.
    pub fn before_or_newest(&self) -> Uuid {
        self.before.unwrap_or(Uuid::max())
    }
}
