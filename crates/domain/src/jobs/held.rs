//! Work that is held while its webhook is not active, and its release in the order in which it came.
//!
//! An ingress stores what comes to a paused webhook as held; [`super::claim`] holds what was due already and has not begun.
//! Neither asks what the other does, and an ingress may hear of an activation late. So nothing is ever released by the
//! activation itself: workers release whatever is held for a webhook that is active, whenever it was held.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Text, Uuid as SqlUuid};
use uuid::Uuid;

use crate::error::Result;
use crate::scope::transaction;

/// A webhook with work that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Holding {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    webhook_id: Uuid,
}

/// Whose held work is to be released: webhooks that are active, and those that are gone, which ends the work. Goes from
/// webhook to webhook, one look-up each, however much they hold.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn to_release(conn: &mut PgConnection) -> Result<Vec<Holding>> {
    Ok(sql_query(
        "WITH RECURSIVE holding AS (
           (SELECT tenant_id, webhook_id FROM jobs WHERE is_held ORDER BY tenant_id, webhook_id LIMIT 1)
           UNION ALL
           SELECT following.* FROM holding, LATERAL (
             SELECT tenant_id, webhook_id FROM jobs
             WHERE is_held AND (jobs.tenant_id, jobs.webhook_id) > (holding.tenant_id, holding.webhook_id)
             ORDER BY tenant_id, webhook_id LIMIT 1) following)
         SELECT * FROM holding WHERE NOT EXISTS (
           SELECT FROM webhooks WHERE webhooks.tenant_id = holding.tenant_id AND webhooks.id = holding.webhook_id
             AND status <> 'active')",
    )
    .load(conn)?)
}

/// Lets the oldest held jobs of a webhook go, at most so many; returns how many there were. They stay due since they came, so
/// that they are claimed in that order, also if some of them are held once more. Nothing when another worker is releasing for
/// the same webhook: two would mix up the order.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn release(conn: &mut PgConnection, holding: Holding, most: i64) -> Result<usize> {
    #[derive(QueryableByName)]
    struct Locked {
        #[diesel(sql_type = Bool)]
        locked: bool,
    }
    transaction(conn, |conn| {
        let lock: Locked = sql_query("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS locked")
            .bind::<Text, _>(holding.webhook_id.to_string())
            .get_result(conn)?;
        if !lock.locked {
            return Ok(0);
        }
        Ok(sql_query(
            "UPDATE jobs SET is_held = false FROM (
               SELECT id FROM jobs WHERE tenant_id = $1 AND webhook_id = $2 AND is_held ORDER BY due_at, id LIMIT $3) oldest
             WHERE tenant_id = $1 AND jobs.id = oldest.id",
        )
        .bind::<SqlUuid, _>(holding.tenant_id)
        .bind::<SqlUuid, _>(holding.webhook_id)
        .bind::<BigInt, _>(most)
        .execute(conn)?)
    })
}
