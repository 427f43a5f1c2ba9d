//! Attempts: the outbound HTTP calls that flows made. Each is written once, when it has ended.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use std::ops::Range;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::{AttemptId, DestinationId, RunId, WebhookId};
use serde_json::Value;
use uuid::Uuid;

use crate::error::Result;
use crate::page::{Found, Page};
use crate::schema::attempts;
use crate::scope::TenantScope;

/// An outbound HTTP call.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = attempts, check_for_backend(diesel::pg::Pg))]
pub struct Attempt {
    /// Its id.
    #[diesel(deserialize_as = Uuid)]
    pub id: AttemptId,
    /// The run that made it.
    #[diesel(deserialize_as = Uuid)]
    pub run_id: RunId,
    /// The run's webhook.
    #[diesel(deserialize_as = Uuid)]
    pub webhook_id: WebhookId,
    /// Where it went.
    #[diesel(deserialize_as = Uuid)]
    pub destination_id: DestinationId,
    /// The name of the step that made it.
    pub step: String,
    /// Counts the attempts of that step from 1.
    pub number: i32,
    /// The HTTP method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// How it ended.
    pub outcome: String,
    /// The status of the answer, if there was one.
    pub status: Option<i16>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_us: i64,
    /// How long its parts took.
    pub timing: Value,
    /// The beginning of the answer's body.
    pub response_preview: Option<Vec<u8>>,
}

/// Which attempts are wanted; `None` means any.
#[derive(Debug, Clone, Default)]
pub struct AttemptFilter {
    /// Of this run.
    pub run_id: Option<RunId>,
    /// Of this webhook.
    pub webhook_id: Option<WebhookId>,
    /// To this destination.
    pub destination_id: Option<DestinationId>,
    /// That ended like this.
    pub outcome: Option<String>,
}

/// A page of the tenant's attempts.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &AttemptFilter,
    page: Page,
) -> Result<Found<Attempt>> {
    let indexed = |ids: Range<Uuid>| {
        let mut query = attempts::table
            .filter(attempts::tenant_id.eq(scope.uuid()))
            .filter(attempts::id.ge(ids.start))
            .filter(attempts::id.lt(ids.end))
            .order(attempts::id.desc())
            .into_boxed();
        if let Some(run) = filter.run_id {
            query = query.filter(attempts::run_id.eq(run.uuid()));
        }
        query
    };
    let newest = |conn: &mut PgConnection, ids, most| {
        let mut query = indexed(ids).limit(most);
        if let Some(webhook) = filter.webhook_id {
            query = query.filter(attempts::webhook_id.eq(webhook.uuid()));
        }
        if let Some(destination) = filter.destination_id {
            query = query.filter(attempts::destination_id.eq(destination.uuid()));
        }
        if let Some(outcome) = &filter.outcome {
            query = query.filter(attempts::outcome.eq(outcome));
        }
        Ok(query.select(Attempt::as_select()).load(conn)?)
    };
    let is_indexed =
        filter.webhook_id.is_none() && filter.destination_id.is_none() && filter.outcome.is_none();
    if is_indexed {
        return page.recent_first(conn, newest);
    }
    page.in_slices(
        conn,
        |conn, below, n| {
            let nth = indexed(Uuid::nil()..below).offset(n - 1).limit(1);
            Ok(nth.select(attempts::id).first(conn).optional()?)
        },
        newest,
    )
}

/// One attempt.
///
/// # Errors
/// [`crate::Error::NotFound`].
pub fn read(conn: &mut PgConnection, scope: &TenantScope, id: AttemptId) -> Result<Attempt> {
    Ok(attempts::table
        .find((scope.uuid(), id.uuid()))
        .select(Attempt::as_select())
        .first(conn)?)
}
