//! What tenants received is kept as long as they want, and no longer than their limits allow. Whole days are dropped for all of
//! them ([`crate::partitions`]); here a tenant's rows are deleted that are to go before, oldest first, in small transactions.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use hookgate_model::ids::{EventId, TenantId};
use hookgate_model::limits::TenantLimits;
use serde_json::Value;
use uuid::Uuid;

use crate::error::Result;

/// The tables that a tenant's retention shortens. Events go last: what belongs to one is not left without it.
pub const TABLES: [&str; 6] = [
    "failed_callbacks",
    "attempts",
    "runs",
    "duplicates",
    "refusals",
    "events",
];

/// How long a tenant keeps what it received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The tenant.
    pub tenant: TenantId,
    /// The days.
    pub days: u32,
}

/// The tenants that keep what they received for fewer days than the installation.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn shorter_than(conn: &mut PgConnection, days: u32, defaults: TenantLimits) -> Result<Vec<Retention>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = Nullable<Integer>)]
        retention_days: Option<i32>,
        #[diesel(sql_type = Jsonb)]
        limits: Value,
        #[diesel(sql_type = Nullable<Jsonb>)]
        plan: Option<Value>,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT tenants.id, retention_days, tenants.limits, plans.limits AS plan
         FROM tenants LEFT JOIN plans ON plans.id = plan_id",
    )
    .load(conn)?;
    let read = serde_json::from_value::<TenantLimits>;
    let mut shorter = Vec::new();
    for row in rows {
        let (Ok(plan), Ok(own)) = (row.plan.map(read).transpose(), read(row.limits)) else {
            tracing::error!(tenant = %TenantId::from(row.id), "the limits of a tenant cannot be read; nothing of it is deleted by its age");
            continue;
        };
        let limits = TenantLimits::in_effect(own, plan, defaults);
        let wanted = row.retention_days.and_then(|days| u32::try_from(days).ok());
        let kept = [wanted, limits.retention_days].into_iter().flatten().min();
        if let Some(kept) = kept.filter(|kept| *kept < days) {
            shorter.push(Retention {
                tenant: row.id.into(),
                days: kept.max(1),
            });
        }
    }
    Ok(shorter)
}

impl Retention {
    /// What is older than this moment goes.
    pub fn oldest(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now.checked_sub_signed(TimeDelta::days(self.days.into()))
            .unwrap_or(DateTime::UNIX_EPOCH)
    }
}

/// A part of what was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Deleted {
    /// How many rows.
    #[diesel(sql_type = BigInt)]
    pub deleted: i64,
    /// The oldest, if there was one.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub oldest: Option<Uuid>,
    /// The row that the next part begins after; `None` when it was the last.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub last: Option<Uuid>,
}

impl Deleted {
    /// When the oldest of them came in.
    pub fn oldest_at(&self) -> Option<DateTime<Utc>> {
        self.oldest.map(|id| EventId::from(id).created_at())
    }
}

/// Deletes rows of a tenant's table that are older than a moment, at most so many, after a row. What has work behind it stays.
///
/// # Errors
/// For a moment of the last day; when Postgres cannot be reached.
pub fn delete_older(
    conn: &mut PgConnection,
    tenant: TenantId,
    table: &str,
    after: Uuid,
    moment: DateTime<Utc>,
    most: i32,
) -> Result<Deleted> {
    Ok(
        sql_query("SELECT deleted, oldest, last FROM delete_older($1, $2, $3, $4, $5)")
            .bind::<Text, _>(table)
            .bind::<SqlUuid, _>(tenant.uuid())
            .bind::<SqlUuid, _>(after)
            .bind::<Timestamptz, _>(moment)
            .bind::<Integer, _>(most)
            .get_result(conn)?,
    )
}
