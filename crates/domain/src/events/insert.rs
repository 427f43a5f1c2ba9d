//! Events that are made of what is stored already, one at a time; those that are received are the [`crate::appender`]'s.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Bool, Uuid as SqlUuid};
use hookgate_model::ids::{EventId, RefusalId};
use hookgate_model::webhook::Status;
use uuid::Uuid;

use crate::appender::{NewEvent, Remember, Work};
use crate::deduplication::{self, Duplicate};
use crate::error::Result;
use crate::schema::events;
use crate::scope::TenantScope;
use crate::usage::{self, Received};
use crate::{partitions, refusals, webhooks};

/// Takes a refused request after all: stores it as an event with its keys and its job, and counts it. Work that is to run is
/// held while the webhook is paused. Returns the event that the request has become; an earlier one when it was taken before, or
/// when its delivery came again meanwhile and was accepted.
///
/// # Errors
/// [`crate::Error::NotFound`] when the webhook or the refusal is gone.
pub fn take_refused(
    conn: &mut PgConnection,
    scope: &TenantScope,
    refusal: RefusalId,
    event: &NewEvent<'_>,
) -> Result<EventId> {
    // Nobody takes the refusal meanwhile.
    let webhook = webhooks::lock(conn, scope, event.webhook_id)?;
    if let Some(taken) = refusals::read(conn, scope, refusal)?.event_id() {
        return Ok(taken);
    }
    let is_held = webhook.status == Status::Paused.as_str();
    let taken = match insert(conn, scope, event, refusal, is_held)? {
        Some(duplicate) => duplicate.first,
        None => event.id,
    };
    refusals::set_event(conn, scope, refusal, taken)?;
    Ok(taken)
}

/// Returns the event that came before, if the event was not stored for that.
fn insert(
    conn: &mut PgConnection,
    scope: &TenantScope,
    event: &NewEvent<'_>,
    refusal: RefusalId,
    is_held: bool,
) -> Result<Option<Duplicate>> {
    if let Remember::By(keys) = event.remember
        && let Some(duplicate) = deduplication::claim(conn, scope, event.id, keys)?
    {
        return Ok(Some(duplicate));
    }
    let day = event.id.created_at().date_naive();
    partitions::ensure(conn, day)?;
    diesel::insert_into(events::table)
        .values((
            (
                events::tenant_id.eq(scope.uuid()),
                events::id.eq(event.id.uuid()),
                events::webhook_id.eq(event.webhook_id.uuid()),
                events::url_id.eq(event.url_id.uuid()),
                events::revision_id.eq(event.revision_id.map(|id| id.uuid())),
                events::environment.eq(event.environment.as_str()),
                events::method.eq(event.method),
                events::suffix.eq(event.suffix),
                events::path.eq(event.path),
                events::query.eq(event.query),
            ),
            (
                events::address.eq(event.address),
                events::headers.eq(event.headers),
                events::body_codec.eq(event.body.codec()),
                events::body_bytes.eq(event.body.original_length()),
                events::body.eq(event.body.stored()),
                events::event_type.eq(event.event_type),
                events::delivery_id.eq(event.delivery_id),
                events::deduplication.eq(event.remember.as_str()),
                events::refusal_id.eq(refusal.uuid()),
            ),
        ))
        .execute(conn)?;
    if let Some(revision) = event.revision_id
        && event.work != Work::None
    {
        insert_job(conn, scope, event, revision.uuid(), is_held)?;
    }
    let received = Received {
        scope: *scope,
        webhook_id: event.webhook_id,
        day,
        events: 1,
        body_bytes: event.body.original_length().into(),
    };
    usage::add(conn, &[received])?;
    Ok(None)
}

fn insert_job(
    conn: &mut PgConnection,
    scope: &TenantScope,
    event: &NewEvent<'_>,
    revision: Uuid,
    is_held: bool,
) -> Result<()> {
    sql_query(
        "INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, is_held)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind::<SqlUuid, _>(scope.uuid())
    .bind::<SqlUuid, _>(event.id.uuid())
    .bind::<SqlUuid, _>(event.webhook_id.uuid())
    .bind::<SqlUuid, _>(revision)
    .bind::<Array<SqlUuid>, _>(vec![event.id.uuid()])
    .bind::<Bool, _>(is_held)
    .execute(conn)?;
    Ok(())
}
