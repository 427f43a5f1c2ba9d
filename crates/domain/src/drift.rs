//! Drift: how live requests differ from what their webhook expects. Counted behind the answers, one row for each field and
//! kind of difference; the rows of a webhook are bounded.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz, Uuid as SqlUuid};
use hookgate_model::expected_data::{Place, ViolationCode};
use hookgate_model::ids::{EventId, WebhookId};
use uuid::Uuid;

use crate::error::Result;
use crate::gathered::Gather;
use crate::schema::drift;
use crate::scope::TenantScope;

/// The most differences that are kept of one webhook.
pub const PER_WEBHOOK: i64 = 500;

/// A difference that was seen, and was not counted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whose it is: the scope of the resolved URL.
    pub scope: TenantScope,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// In which part of the request.
    pub place: Place,
    /// Which field; without the places in lists.
    pub path: String,
    /// How it differs.
    pub code: ViolationCode,
    /// The same in words.
    pub msg: String,
    /// In how many events.
    pub count: i64,
    /// The first of them.
    pub first_event: EventId,
    /// The last of them.
    pub last_event: EventId,
}

/// A difference, as it is kept.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = drift, check_for_backend(diesel::pg::Pg))]
pub struct Difference {
    /// In which part of the request.
    pub place: String,
    /// Which field.
    pub path: String,
    /// How it differs.
    pub code: String,
    /// The same in words.
    pub msg: String,
    /// In how many events.
    pub count: i64,
    /// Since when.
    pub first_at: DateTime<Utc>,
    /// When last.
    pub last_at: DateTime<Utc>,
    first_event: Uuid,
    last_event: Uuid,
}

impl Difference {
    /// The first event that differed so.
    pub fn first_event(&self) -> EventId {
        self.first_event.into()
    }

    /// The last event that differed so.
    pub fn last_event(&self) -> EventId {
        self.last_event.into()
    }
}

impl Gather for Seen {
    const WHAT: &'static str = "drift";
    const EVERY: Duration = Duration::from_secs(1);
    const MOST: usize = 10_000;
    type Key = (WebhookId, &'static str, String, &'static str);

    fn key(&self) -> Self::Key {
        let (place, code) = (self.place.as_str(), self.code.as_str());
        (self.webhook_id, place, self.path.clone(), code)
    }

    fn merge(&mut self, other: Self) {
        // Two items of one event count once.
        if self.last_event != other.last_event {
            self.count += other.count;
        }
        self.first_event = self.first_event.min(other.first_event);
        self.last_event = self.last_event.max(other.last_event);
    }

    /// Over all tenants, as the ingress. Of a webhook with too many differences no further ones are kept.
    fn write(conn: &mut PgConnection, seen: &[Self]) -> Result<()> {
        let mut sorted: Vec<&Self> = seen.iter().collect();
        // In one order for all nodes, so that they do not wait for each other in a circle.
        sorted.sort_unstable_by_key(|seen| {
            (
                seen.scope.uuid(),
                seen.webhook_id,
                seen.place.as_str(),
                seen.path.clone(),
                seen.code.as_str(),
            )
        });
        macro_rules! column {
            ($seen:ident => $value:expr) => {
                sorted.iter().map(|$seen| $value).collect::<Vec<_>>()
            };
        }
        sql_query(
            "INSERT INTO drift AS known (tenant_id, webhook_id, place, path, code, msg, count, first_at, last_at, first_event, last_event)
             SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
               AS seen (tenant_id, webhook_id, place, path, code, msg, count, first_at, last_at, first_event, last_event)
             WHERE (SELECT count(*) FROM drift kept WHERE kept.tenant_id = seen.tenant_id AND kept.webhook_id = seen.webhook_id) < $12
               OR EXISTS (SELECT FROM drift kept WHERE kept.tenant_id = seen.tenant_id AND kept.webhook_id = seen.webhook_id
                 AND kept.place = seen.place AND kept.path = seen.path AND kept.code = seen.code)
             ON CONFLICT (tenant_id, webhook_id, place, path, code) DO UPDATE SET count = known.count + excluded.count,
               msg = excluded.msg, last_at = greatest(known.last_at, excluded.last_at),
               last_event = greatest(known.last_event, excluded.last_event)",
        )
        .bind::<Array<SqlUuid>, _>(column!(seen => seen.scope.uuid()))
        .bind::<Array<SqlUuid>, _>(column!(seen => seen.webhook_id.uuid()))
        .bind::<Array<Text>, _>(column!(seen => seen.place.as_str()))
        .bind::<Array<Text>, _>(column!(seen => seen.path.as_str()))
        .bind::<Array<Text>, _>(column!(seen => seen.code.as_str()))
        .bind::<Array<Text>, _>(column!(seen => seen.msg.as_str()))
        .bind::<Array<BigInt>, _>(column!(seen => seen.count))
        .bind::<Array<Timestamptz>, _>(column!(seen => seen.first_event.created_at()))
        .bind::<Array<Timestamptz>, _>(column!(seen => seen.last_event.created_at()))
        .bind::<Array<SqlUuid>, _>(column!(seen => seen.first_event.uuid()))
        .bind::<Array<SqlUuid>, _>(column!(seen => seen.last_event.uuid()))
        .bind::<BigInt, _>(PER_WEBHOOK)
        .execute(conn)?;
        Ok(())
    }
}

/// The differences of a webhook's requests, the latest first.
///
/// Runs inside a [`TenantScope::transaction`] that the caller opened, as does [`clear`].
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId) -> Result<Vec<Difference>> {
    Ok(drift::table
        .filter(drift::tenant_id.eq(scope.uuid()))
        .filter(drift::webhook_id.eq(webhook.uuid()))
        .order((drift::last_at.desc(), drift::place, drift::path, drift::code))
        .select(Difference::as_select())
        .load(conn)?)
}

/// Forgets the differences of a webhook's requests.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn clear(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId) -> Result<()> {
    let of_webhook = drift::table
        .filter(drift::tenant_id.eq(scope.uuid()))
        .filter(drift::webhook_id.eq(webhook.uuid()));
    diesel::delete(of_webhook).execute(conn)?;
    Ok(())
}
