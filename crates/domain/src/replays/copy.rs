//! Copies of events, with their jobs.

use std::collections::HashMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use hookgate_model::ids::{EventId, ReplayId, WebhookId};
use hookgate_model::replay::RevisionChoice;
use hookgate_model::webhook::Status;
use uuid::Uuid;

use crate::error::Result;
use crate::scope::TenantScope;
use crate::usage::{self, Received};
use crate::{clock, partitions, revisions};

/// Why an event cannot run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReplayed {
    /// Parts of it are not stored.
    Masked,
    /// Its webhook is gone.
    NoWebhook,
    /// Its webhook takes no requests.
    Disabled,
}

#[derive(QueryableByName)]
struct Source {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    webhook_id: Uuid,
    #[diesel(sql_type = Integer)]
    body_bytes: i32,
    #[diesel(sql_type = Bool)]
    is_masked: bool,
    #[diesel(sql_type = Nullable<Text>)]
    status: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    revision: Option<Uuid>,
}

impl Source {
    fn check(&self) -> Result<(), NotReplayed> {
        match self.status.as_deref() {
            None => Err(NotReplayed::NoWebhook),
            Some(status) if status == Status::Disabled.as_str() => Err(NotReplayed::Disabled),
            Some(_) if self.is_masked => Err(NotReplayed::Masked),
            Some(_) => Ok(()),
        }
    }
}

/// Copies events, in their order; each comes with its copy, or why there is none. Work for a paused webhook is held when it
/// is claimed.
pub fn copy(
    conn: &mut PgConnection,
    scope: &TenantScope,
    events: &[Uuid],
    revision: RevisionChoice,
    replay: Option<ReplayId>,
) -> Result<Vec<(Uuid, Result<EventId, NotReplayed>)>> {
    let sources: Vec<Source> = sql_query(
        "SELECT events.id, events.webhook_id, body_bytes, masked IS NOT NULL AS is_masked, webhooks.status,
           CASE WHEN $3 THEN revision_id WHEN environment = 'test' THEN draft_revision_id ELSE published_revision_id END AS revision
         FROM events LEFT JOIN webhooks ON webhooks.tenant_id = events.tenant_id AND webhooks.id = events.webhook_id
         WHERE events.tenant_id = $1 AND events.id = ANY ($2) ORDER BY events.id",
    )
    .bind::<SqlUuid, _>(scope.uuid())
    .bind::<Array<SqlUuid>, _>(events)
    .bind::<Bool, _>(revision == RevisionChoice::Original)
    .load(conn)?;
    let copied: Vec<(Uuid, Result<EventId, NotReplayed>)> = sources
        .iter()
        .map(|source| (source.id, source.check().map(|()| clock::new_id())))
        .collect();
    let made: Vec<(&Source, EventId)> = sources
        .iter()
        .zip(&copied)
        .filter_map(|(source, (_, copied))| Some((source, copied.ok()?)))
        .collect();
    let Some((_, last)) = made.last() else {
        return Ok(copied);
    };
    partitions::ensure(conn, last.created_at().date_naive())?;
    insert_events(conn, scope, &made, replay)?;
    insert_jobs(conn, scope, &made)?;
    count(conn, scope, &made)?;
    Ok(copied)
}

fn insert_events(
    conn: &mut PgConnection,
    scope: &TenantScope,
    made: &[(&Source, EventId)],
    replay: Option<ReplayId>,
) -> Result<()> {
    sql_query(
        "INSERT INTO events (tenant_id, id, webhook_id, url_id, revision_id, environment, method, suffix, path, query, address,
           headers, body_codec, body_bytes, body, event_type, delivery_id, replay_of, replay_id)
         SELECT tenant_id, copy.id, webhook_id, url_id, copy.revision, environment, method, suffix, path, query, address,
           headers, body_codec, body_bytes, body, event_type, delivery_id, events.id, $5
         FROM unnest($2, $3, $4) AS copy (source, id, revision)
         JOIN events ON events.tenant_id = $1 AND events.id = copy.source",
    )
    .bind::<SqlUuid, _>(scope.uuid())
    .bind::<Array<SqlUuid>, _>(made.iter().map(|(source, _)| source.id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(made.iter().map(|(_, id)| id.uuid()).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(made.iter().map(|(source, _)| source.revision).collect::<Vec<_>>())
    .bind::<Nullable<SqlUuid>, _>(replay.map(|replay| replay.uuid()))
    .execute(conn)?;
    Ok(())
}

/// A job for each whose revision has anything to do.
fn insert_jobs(conn: &mut PgConnection, scope: &TenantScope, made: &[(&Source, EventId)]) -> Result<()> {
    let wanted = made.iter().filter_map(|(source, _)| source.revision).collect();
    let working = revisions::with_work(conn, scope, wanted)?;
    let jobs: Vec<(Uuid, Uuid, Uuid)> = made
        .iter()
        .filter_map(|(source, id)| {
            let revision = source.revision.filter(|revision| working.contains(revision))?;
            Some((id.uuid(), source.webhook_id, revision))
        })
        .collect();
    let column = |of: fn(&(Uuid, Uuid, Uuid)) -> Uuid| -> Vec<Uuid> { jobs.iter().map(of).collect() };
    sql_query(
        "INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids)
         SELECT $1, id, webhook, revision, ARRAY[id] FROM unnest($2, $3, $4) AS job (id, webhook, revision)",
    )
    .bind::<SqlUuid, _>(scope.uuid())
    .bind::<Array<SqlUuid>, _>(column(|job| job.0))
    .bind::<Array<SqlUuid>, _>(column(|job| job.1))
    .bind::<Array<SqlUuid>, _>(column(|job| job.2))
    .execute(conn)?;
    Ok(())
}

fn count(conn: &mut PgConnection, scope: &TenantScope, made: &[(&Source, EventId)]) -> Result<()> {
    let mut received: HashMap<(Uuid, chrono::NaiveDate), Received> = HashMap::new();
    for (source, id) in made {
        let day = id.created_at().date_naive();
        let of_webhook = received.entry((source.webhook_id, day)).or_insert(Received {
            scope: *scope,
            webhook_id: WebhookId::from(source.webhook_id),
            day,
            events: 0,
            body_bytes: 0,
        });
        of_webhook.events += 1;
        of_webhook.body_bytes += i64::from(source.body_bytes);
    }
    usage::add(conn, &received.into_values().collect::<Vec<_>>())
}
