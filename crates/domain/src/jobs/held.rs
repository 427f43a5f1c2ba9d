//! Work that is held while its webhook is not active, or while the destination that it calls next is paused, and its release
//! in the order in which it came.
//!
//! An ingress stores what comes to a paused webhook as held; [`super::claim`] holds what was due already and has not begun.
//! Neither asks what the other does, and an ingress may hear of an activation late. So nothing is ever released by the
//! activation itself: workers release whatever is held for a webhook that is active, whenever it was held, and likewise what
//! waits for a destination that is not paused.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Text, Uuid as SqlUuid};
use uuid::Uuid;

use crate::error::Result;
use crate::scope::transaction;

/// A webhook, or a destination, with work that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Holding {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    holder: Uuid,
    #[diesel(sql_type = Bool)]
    is_destination: bool,
}

/// The jobs that a webhook holds, and those that a destination does: what tells them apart, and whose they are.
const OF_WEBHOOKS: (&str, &str) = ("is_held AND waits_for IS NULL", "webhook_id");
const OF_DESTINATIONS: (&str, &str) = ("is_held AND waits_for IS NOT NULL", "waits_for");

/// Whose held work is to be released: webhooks that are active, and those that are gone, which ends the work; destinations
/// that are not paused, or gone, which ends the call. Goes from one to the next, one look-up each, however much they hold.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn to_release(conn: &mut PgConnection) -> Result<Vec<Holding>> {
    let holding = |(which, holder): (&str, &str), is_destination: bool, still: &str| {
        format!(
            "WITH RECURSIVE holding AS (
               (SELECT tenant_id, {holder} AS holder FROM jobs WHERE {which} ORDER BY tenant_id, {holder} LIMIT 1)
               UNION ALL
               SELECT following.* FROM holding, LATERAL (
                 SELECT tenant_id, {holder} AS holder FROM jobs
                 WHERE {which} AND (jobs.tenant_id, jobs.{holder}) > (holding.tenant_id, holding.holder)
                 ORDER BY tenant_id, {holder} LIMIT 1) following)
             SELECT *, {is_destination} AS is_destination FROM holding WHERE NOT EXISTS ({still})"
        )
    };
    let stopped =
        "SELECT FROM webhooks WHERE webhooks.tenant_id = holding.tenant_id AND webhooks.id = holding.holder
        AND status <> 'active'";
    let paused = "SELECT FROM destination_pauses paused WHERE paused.tenant_id = holding.tenant_id
        AND paused.destination_id = holding.holder";
    let mut found: Vec<Holding> = sql_query(holding(OF_WEBHOOKS, false, stopped)).load(conn)?;
    found.extend(sql_query(holding(OF_DESTINATIONS, true, paused)).load::<Holding>(conn)?);
    Ok(found)
}

/// Lets the oldest held jobs of one holder go, at most so many; returns how many there were. They stay due since they came, so
/// that they are claimed in that order, also if some of them are held once more. Nothing when another worker is releasing for
/// the same holder: two would mix up the order.
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
            .bind::<Text, _>(holding.holder.to_string())
            .get_result(conn)?;
        if !lock.locked {
            return Ok(0);
        }
        let (which, holder) = if holding.is_destination {
            OF_DESTINATIONS
        } else {
            OF_WEBHOOKS
        };
        Ok(sql_query(format!(
            "UPDATE jobs SET is_held = false, waits_for = NULL FROM (
               SELECT id FROM jobs WHERE tenant_id = $1 AND {holder} = $2 AND {which} ORDER BY due_at, id LIMIT $3) oldest
             WHERE tenant_id = $1 AND jobs.id = oldest.id"
        ))
        .bind::<SqlUuid, _>(holding.tenant_id)
        .bind::<SqlUuid, _>(holding.holder)
        .bind::<BigInt, _>(most)
        .execute(conn)?)
    })
}
