//! What tenants have received: accepted events and the bytes of their bodies, by day (UTC) and webhook. This is the truth
//! that quotas are kept by; what is drawn from Redis only comes before it.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Date, Nullable, Uuid as SqlUuid};
use hookgate_model::ids::WebhookId;

use crate::error::Result;
use crate::gathered::Gather;
use crate::scope::TenantScope;

/// What one webhook received on one day, and was not counted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Whose it is: the scope of the resolved URL.
    pub scope: TenantScope,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The day.
    pub day: NaiveDate,
    /// The events; below zero when some were counted that did not come to be.
    pub events: i64,
    /// The bytes of their bodies.
    pub body_bytes: i64,
}

impl Gather for Received {
    const WHAT: &'static str = "what was received";
    const EVERY: Duration = Duration::from_secs(5);
    /// Quotas are kept by it: nothing is left out.
    const MOST: usize = usize::MAX;
    type Key = (TenantScope, WebhookId, NaiveDate);

    fn key(&self) -> Self::Key {
        (self.scope, self.webhook_id, self.day)
    }

    fn merge(&mut self, other: Self) {
        self.events += other.events;
        self.body_bytes += other.body_bytes;
    }

    fn write(conn: &mut PgConnection, gathered: &[Self]) -> Result<()> {
        add(conn, gathered)
    }
}

/// What a tenant received in a month.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Month {
    /// The events.
    pub events: u64,
    /// The bytes of their bodies.
    pub body_bytes: u64,
}

/// The first day of a moment's month (UTC).
pub fn month_of(moment: DateTime<Utc>) -> NaiveDate {
    let day = moment.date_naive();
    day.with_day(1).unwrap_or(day)
}

/// The first moment of the month after a moment's.
pub fn next_month(moment: DateTime<Utc>) -> DateTime<Utc> {
    let first = month_of(moment) + chrono::Months::new(1);
    first.and_time(chrono::NaiveTime::MIN).and_utc()
}

/// Adds what was received, of many tenants in one statement. What belongs to a tenant that is gone is let go.
///
/// # Errors
/// When Postgres cannot be reached; nothing is added then.
pub fn add(conn: &mut PgConnection, received: &[Received]) -> Result<()> {
    // In one order on every node, so that two of them do not wait for each other's rows.
    let mut received = received.to_vec();
    received.sort_unstable_by_key(|row| (row.scope.uuid(), row.day, row.webhook_id));
    let column = |of: fn(&Received) -> i64| -> Vec<i64> { received.iter().map(of).collect() };
    sql_query(
        "INSERT INTO usage (tenant_id, day, webhook_id, events, body_bytes)
         SELECT row.tenant_id, row.day, row.webhook_id, row.events, row.body_bytes
         FROM unnest($1, $2, $3, $4, $5) AS row (tenant_id, day, webhook_id, events, body_bytes)
         WHERE EXISTS (SELECT FROM tenants WHERE tenants.id = row.tenant_id)
         ON CONFLICT (tenant_id, day, webhook_id) DO UPDATE
         SET events = usage.events + excluded.events, body_bytes = usage.body_bytes + excluded.body_bytes",
    )
    .bind::<Array<SqlUuid>, _>(received.iter().map(|row| row.scope.uuid()).collect::<Vec<_>>())
    .bind::<Array<Date>, _>(received.iter().map(|row| row.day).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(
        received
            .iter()
            .map(|row| row.webhook_id.uuid())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<BigInt>, _>(column(|row| row.events))
    .bind::<Array<BigInt>, _>(column(|row| row.body_bytes))
    .execute(conn)?;
    Ok(())
}

/// What the tenant received in the month of a day.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn month(conn: &mut PgConnection, scope: &TenantScope, moment: DateTime<Utc>) -> Result<Month> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        events: i64,
        #[diesel(sql_type = BigInt)]
        body_bytes: i64,
    }
    let row: Row = sql_query(
        "SELECT coalesce(sum(events), 0)::bigint AS events, coalesce(sum(body_bytes), 0)::bigint AS body_bytes
         FROM usage WHERE tenant_id = $1 AND day >= $2 AND day < $3",
    )
    .bind::<SqlUuid, _>(scope.uuid())
    .bind::<Date, _>(month_of(moment))
    .bind::<Date, _>(next_month(moment).date_naive())
    .get_result(conn)?;
    let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
    Ok(Month {
        events: unsigned(row.events),
        body_bytes: unsigned(row.body_bytes),
    })
}

/// What was received on one day, or by one webhook.
#[derive(Debug, Clone, QueryableByName)]
pub struct Usage {
    /// The day; `None` in a sum of several.
    #[diesel(sql_type = Nullable<Date>)]
    pub day: Option<NaiveDate>,
    /// The webhook; `None` in a sum of several.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub webhook_id: Option<uuid::Uuid>,
    /// The events.
    #[diesel(sql_type = BigInt)]
    pub events: i64,
    /// The bytes of their bodies.
    #[diesel(sql_type = BigInt)]
    pub body_bytes: i64,
}

/// How usage is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A sum for each day.
    Day,
    /// A sum for each webhook.
    Webhook,
}

impl By {
    /// What a sum shows of a day and a webhook, and what it is grouped by.
    pub(crate) const fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Day => ("day, NULL::uuid AS webhook_id", "day"),
            Self::Webhook => ("NULL::date AS day, webhook_id", "webhook_id"),
        }
    }
}

/// What was received from one day to another, both included: of one webhook, or of all. Days and webhooks without any are left
/// out.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn between(
    conn: &mut PgConnection,
    scope: &TenantScope,
    (from, to): (NaiveDate, NaiveDate),
    webhook: Option<WebhookId>,
    by: By,
) -> Result<Vec<Usage>> {
    let (columns, order) = by.columns();
    let query = sql_query(format!(
        "SELECT {columns}, sum(events)::bigint AS events, sum(body_bytes)::bigint AS body_bytes FROM usage
         WHERE tenant_id = $1 AND usage.day BETWEEN $2 AND $3 AND ($4 IS NULL OR usage.webhook_id = $4)
         GROUP BY usage.{order} ORDER BY usage.{order}"
    ));
    Ok(query
        .bind::<SqlUuid, _>(scope.uuid())
        .bind::<Date, _>(from)
        .bind::<Date, _>(to)
        .bind::<Nullable<SqlUuid>, _>(webhook.map(|id| id.uuid()))
        .load(conn)?)
}
