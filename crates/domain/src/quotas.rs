//! What a tenant may receive in a month, for what makes events without a request. Requests are counted by the ingress, which draws
//! from Redis and writes to Postgres what it drew: here that is asked, and so a little more can be made than is left.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Jsonb, Nullable, Uuid as SqlUuid};
use hookgate_model::limits::TenantLimits;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::scope::TenantScope;
use crate::usage;

/// Asks whether the tenant may have any more events this month.
///
/// # Errors
/// [`Error::LimitReached`].
pub fn require_left(
    conn: &mut PgConnection,
    scope: &TenantScope,
    defaults: TenantLimits,
    now: DateTime<Utc>,
) -> Result<()> {
    #[derive(QueryableByName)]
    struct Limits {
        #[diesel(sql_type = Jsonb)]
        own: Value,
        #[diesel(sql_type = Nullable<Jsonb>)]
        plan: Option<Value>,
    }
    let Limits { own, plan } = sql_query(
        "SELECT tenants.limits AS own, plans.limits AS plan FROM tenants LEFT JOIN plans ON plans.id = plan_id
         WHERE tenants.id = $1",
    )
    .bind::<SqlUuid, _>(scope.uuid())
    .get_result(conn)?;
    let read = |limits| {
        serde_json::from_value::<TenantLimits>(limits).map_err(|_| Error::Unreadable { what: "limits" })
    };
    let limits = TenantLimits::in_effect(read(own)?, plan.map(read).transpose()?, defaults);
    if (limits.events_per_month, limits.body_bytes_per_month) == (None, None) {
        return Ok(());
    }
    let used = usage::month(conn, scope, now)?;
    for (used, most, what) in [
        (used.events, limits.events_per_month, "events in a month"),
        (
            used.body_bytes,
            limits.body_bytes_per_month,
            "bytes of events in a month",
        ),
    ] {
        if let Some(most) = most.filter(|most| used >= *most) {
            return Err(Error::LimitReached {
                what,
                most: i64::try_from(most).unwrap_or(i64::MAX),
            });
        }
    }
    Ok(())
}
