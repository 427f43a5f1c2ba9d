//! A page of a list. Lists are newest first, by id: a UUIDv7 carries its time, so no second index is needed.
//!
//! What no index finds is looked for in slices of the list, until the page is full or the effort is spent: a page may then
//! have less than it could, and names where the next one goes on.

use std::ops::Range;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use uuid::Uuid;

use crate::clock;
use crate::error::Result;

/// Rows of the first slice, so that a page of what is frequent costs little.
const FIRST_SLICE: i64 = 500;
/// Rows of a slice at most.
const SLICE: i64 = 2_000;

/// How far back a page is looked for first.
const RECENT: TimeDelta = TimeDelta::days(2);

/// Where a page begins and how long it is.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Only what is older than this id; `None` for the beginning of the list.
    pub before: Option<Uuid>,
    /// The most rows.
    pub limit: i64,
    /// How far it is looked for rows that no index finds.
    pub effort: Effort,
}

/// How far a list looks for what no index finds. One slice is looked through however little that is.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// The most rows that are looked at.
    pub rows: i64,
    /// For how long.
    pub time: Duration,
}

impl Effort {
    /// Until the list is over.
    pub const ALL: Self = Self {
        rows: i64::MAX,
        time: Duration::MAX,
    };
}

/// The rows of a page.
#[derive(Debug, Clone)]
pub struct Found<T> {
    /// They, newest first.
    pub rows: Vec<T>,
    /// How far it was looked, when the effort was spent before the page was full: everything from this id on.
    pub seen_to: Option<Uuid>,
}

impl<T> Found<T> {
    /// Rows that an index found: there are no more than these, or the page is full.
    pub(crate) const fn all(rows: Vec<T>) -> Self {
        Self { rows, seen_to: None }
    }
}

impl<T> From<Vec<T>> for Found<T> {
    fn from(rows: Vec<T>) -> Self {
        Self::all(rows)
    }
}

impl Page {
    /// The newest rows, at most so many.
    pub const fn newest(limit: i64) -> Self {
        Self {
            before: None,
            limit,
            effort: Effort::ALL,
        }
    }

    /// The id below which the page lies: the greatest possible id for the first page.
    pub(crate) fn below(&self) -> Uuid {
        self.before.unwrap_or(Uuid::max())
    }

    /// Its rows where an index finds them in their order: the newest, at most so many, in a range of ids of which the end is not
    /// part. Most pages are full with the rows of two days, which are looked at first: Postgres then plans for the partitions
    /// of these days alone.
    pub(crate) fn recent_first<T>(
        self,
        conn: &mut PgConnection,
        mut newest: impl FnMut(&mut PgConnection, Range<Uuid>, i64) -> Result<Vec<T>>,
    ) -> Result<Found<T>> {
        let below = self.below();
        let recent = floor(moment(below).min(clock::now()) - RECENT);
        let mut rows = newest(conn, recent..below, self.limit)?;
        let left = self.limit.saturating_sub(count(rows.len()));
        if left > 0 {
            rows.extend(newest(conn, Uuid::nil()..recent, left)?);
        }
        Ok(Found::all(rows))
    }

    /// Looks for its rows in slices. `nth` gives the id of the n-th row below an id, if there are so many; `matching` the wanted
    /// rows, at most so many, in a range of ids of which the end is not part.
    pub(crate) fn in_slices<T>(
        self,
        conn: &mut PgConnection,
        mut nth: impl FnMut(&mut PgConnection, Uuid, i64) -> Result<Option<Uuid>>,
        mut matching: impl FnMut(&mut PgConnection, Range<Uuid>, i64) -> Result<Vec<T>>,
    ) -> Result<Found<T>> {
        let began = Instant::now();
        let mut rows = Vec::new();
        let mut seen = 0;
        let mut below = self.below();
        let mut slice = FIRST_SLICE;
        loop {
            let length = slice.min(self.effort.rows.saturating_sub(seen)).max(1);
            let last = nth(conn, below, length)?;
            let most = self.limit.saturating_sub(count(rows.len()));
            rows.extend(matching(conn, last.unwrap_or(Uuid::nil())..below, most)?);
            let Some(last) = last.filter(|_| count(rows.len()) < self.limit) else {
                return Ok(Found::all(rows));
            };
            seen += length;
            if seen >= self.effort.rows || began.elapsed() >= self.effort.time {
                return Ok(Found {
                    rows,
                    seen_to: Some(last),
                });
            }
            below = last;
            slice = (slice * 2).min(SLICE);
        }
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// The smallest UUIDv7 of a moment: what bounds a range of ids by time. A moment before 1970 counts as 1970.
pub(crate) fn floor(moment: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(moment.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

/// The moment of a UUIDv7.
fn moment(id: Uuid) -> DateTime<Utc> {
    let millis = i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX);
    DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The id after an id.
pub(crate) fn after(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_add(1))
}

/// The ids between two moments, as far as they are given; the second is not part of it.
pub(crate) fn between(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Range<Uuid> {
    from.map_or(Uuid::nil(), floor)..to.map_or(Uuid::max(), floor)
}
