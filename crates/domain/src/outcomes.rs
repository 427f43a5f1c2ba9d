//! What became of requests and runs, counted by day (UTC) and webhook: beside the accepted events of [`crate::usage`], which
//! quotas are kept by, and less exact than those: a node that is killed forgets what it has counted in the last seconds.

use std::time::Duration;

use chrono::NaiveDate;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Date, Nullable, Text, Uuid as SqlUuid};
use hookgate_model::flow::advance::RunOutcome;
use hookgate_model::ids::WebhookId;
use uuid::Uuid;

use crate::error::Result;
use crate::gathered::Gather;
use crate::scope::TenantScope;
use crate::usage::By;

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A delivery that came before.
    Duplicate,
    /// A request was refused, for this reason.
    Refused(&'static str),
    /// A run ended.
    Ran(RunOutcome),
}

impl Outcome {
    /// As it is stored.
    const fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Duplicate => ("duplicate", ""),
            Self::Refused(reason) => ("refused", reason),
            Self::Ran(outcome) => ("run", outcome.as_str()),
        }
    }
}

/// Outcomes that were not counted yet.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// Whose: the scope of the resolved URL, or the claimed job.
    pub scope: TenantScope,
    /// Of which webhook.
    pub webhook_id: WebhookId,
    /// On which day.
    pub day: NaiveDate,
    /// What.
    pub outcome: Outcome,
    /// How often.
    pub count: i64,
}

impl Gather for Counted {
    const WHAT: &'static str = "what became of requests and runs";
    const EVERY: Duration = Duration::from_secs(5);
    const MOST: usize = 100_000;
    type Key = (TenantScope, NaiveDate, WebhookId, Outcome);

    fn key(&self) -> Self::Key {
        (self.scope, self.day, self.webhook_id, self.outcome)
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
    }

    /// Of many tenants in one statement. What belongs to a tenant that is gone is let go.
    fn write(conn: &mut PgConnection, counted: &[Self]) -> Result<()> {
        let mut sorted: Vec<&Self> = counted.iter().collect();
        // In one order on every node, so that they do not wait for each other in a circle.
        sorted.sort_unstable_by_key(|one| (one.scope.uuid(), one.day, one.webhook_id, one.outcome.columns()));
        macro_rules! column {
            ($one:ident => $value:expr) => {
                sorted.iter().map(|$one| $value).collect::<Vec<_>>()
            };
        }
        sql_query(
            "INSERT INTO outcomes AS known (tenant_id, day, webhook_id, kind, name, count)
             SELECT row.* FROM unnest($1, $2, $3, $4, $5, $6) AS row (tenant_id, day, webhook_id, kind, name, count)
             WHERE EXISTS (SELECT FROM tenants WHERE tenants.id = row.tenant_id)
             ON CONFLICT (tenant_id, day, webhook_id, kind, name) DO UPDATE SET count = known.count + excluded.count",
        )
        .bind::<Array<SqlUuid>, _>(column!(one => one.scope.uuid()))
        .bind::<Array<Date>, _>(column!(one => one.day))
        .bind::<Array<SqlUuid>, _>(column!(one => one.webhook_id.uuid()))
        .bind::<Array<Text>, _>(column!(one => one.outcome.columns().0))
        .bind::<Array<Text>, _>(column!(one => one.outcome.columns().1))
        .bind::<Array<BigInt>, _>(column!(one => one.count))
        .execute(conn)?;
        Ok(())
    }
}

/// How often something became of requests and runs on one day, or of one webhook.
#[derive(Debug, Clone, QueryableByName)]
pub struct Count {
    /// The day; `None` in a sum of several.
    #[diesel(sql_type = Nullable<Date>)]
    pub day: Option<NaiveDate>,
    /// The webhook; `None` in a sum of several.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub webhook_id: Option<Uuid>,
    /// `duplicate`, `refused` or `run`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// The reason of a refusal, the outcome of a run.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// How often.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

/// What became of requests and runs from one day to another, both included: of one webhook, or of all.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn between(
    conn: &mut PgConnection,
    scope: &TenantScope,
    (from, to): (NaiveDate, NaiveDate),
    webhook: Option<WebhookId>,
    by: By,
) -> Result<Vec<Count>> {
    let (columns, group) = by.columns();
    let query = sql_query(format!(
        "SELECT {columns}, kind, name, sum(count)::bigint AS count FROM outcomes AS counted
         WHERE tenant_id = $1 AND counted.day BETWEEN $2 AND $3 AND ($4 IS NULL OR counted.webhook_id = $4)
         GROUP BY counted.{group}, kind, name"
    ));
    Ok(query
        .bind::<SqlUuid, _>(scope.uuid())
        .bind::<Date, _>(from)
        .bind::<Date, _>(to)
        .bind::<Nullable<SqlUuid>, _>(webhook.map(|id| id.uuid()))
        .load(conn)?)
}
