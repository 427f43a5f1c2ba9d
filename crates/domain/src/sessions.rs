//! Sessions: what flows keep between events of one key. Workers read one as a run begins and write it as the run ends, in
//! the same transaction; events of one session run one at a time ([`crate::jobs`]), so nothing comes in between.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Integer, Json, Text, Timestamptz, Uuid as SqlUuid};
use hookgate_model::ids::WebhookId;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::sessions;
use crate::scope::TenantScope;

/// A session as it is stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = sessions, check_for_backend(diesel::pg::Pg))]
pub struct Session {
    /// Made from the webhook and the key.
    pub id: Uuid,
    /// Its key.
    pub key: String,
    /// What it holds.
    pub state: Value,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When its last event was over.
    pub updated_at: DateTime<Utc>,
    /// When it ends, unless another event comes.
    pub expires_at: DateTime<Utc>,
}

/// What a run leaves in its session.
#[derive(Debug, Clone)]
pub struct SessionWrite {
    /// The session.
    pub id: Uuid,
    /// Its key, as it is shown.
    pub key: String,
    /// What it holds; nothing ends it.
    pub state: Map<String, Value>,
    /// How long it is kept, in seconds.
    pub ttl_seconds: u32,
}

/// What a session holds; nothing when there is none, or its time is over.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn state(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Map<String, Value>> {
    let state: Option<Value> = sessions::table
        .find((scope.uuid(), id))
        .filter(sessions::expires_at.gt(now))
        .select(sessions::state)
        .first(conn)
        .optional()?;
    Ok(match state {
        Some(Value::Object(state)) => state,
        _ => Map::new(),
    })
}

/// Writes what a run leaves. A webhook that is gone has no sessions.
///
/// # Errors
/// When Postgres cannot be reached.
pub(crate) fn write(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    session: &SessionWrite,
) -> Result<()> {
    if session.state.is_empty() {
        diesel::delete(sessions::table.find((scope.uuid(), session.id))).execute(conn)?;
        return Ok(());
    }
    sql_query(
        "INSERT INTO sessions (tenant_id, id, webhook_id, key, state, expires_at)
         SELECT $1, $2, id, $4, $5, now() + make_interval(secs => $6) FROM webhooks WHERE tenant_id = $1 AND id = $3
         ON CONFLICT (tenant_id, id) DO UPDATE SET state = excluded.state, expires_at = excluded.expires_at, updated_at = now(),
           created_at = CASE WHEN sessions.expires_at <= now() THEN now() ELSE sessions.created_at END",
    )
    .bind::<SqlUuid, _>(scope.uuid())
    .bind::<SqlUuid, _>(session.id)
    .bind::<SqlUuid, _>(webhook.uuid())
    .bind::<Text, _>(&session.key)
    .bind::<Json, _>(Value::Object(session.state.clone()))
    .bind::<Integer, _>(i32::try_from(session.ttl_seconds).unwrap_or(i32::MAX))
    .execute(conn)?;
    Ok(())
}

/// A page of a webhook's sessions whose time is not over, in the order of their ids, which are random.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    page: Page,
    now: DateTime<Utc>,
) -> Result<Vec<Session>> {
    Ok(sessions::table
        .filter(sessions::tenant_id.eq(scope.uuid()))
        .filter(sessions::webhook_id.eq(webhook.uuid()))
        .filter(sessions::id.lt(page.below()))
        .filter(sessions::expires_at.gt(now))
        .order(sessions::id.desc())
        .limit(page.limit)
        .select(Session::as_select())
        .load(conn)?)
}

/// One session of a webhook.
///
/// # Errors
/// [`Error::NotFound`], also when its time is over.
pub fn read(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Session> {
    Ok(sessions::table
        .find((scope.uuid(), id))
        .filter(sessions::webhook_id.eq(webhook.uuid()))
        .filter(sessions::expires_at.gt(now))
        .select(Session::as_select())
        .first(conn)?)
}

/// Ends a session. An event that is running writes its own state all the same.
///
/// # Errors
/// [`Error::NotFound`].
pub fn delete(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId, id: Uuid) -> Result<()> {
    let deleted = diesel::delete(sessions::table.find((scope.uuid(), id)))
        .filter(sessions::webhook_id.eq(webhook.uuid()))
        .execute(conn)?;
    if deleted == 0 {
        return Err(Error::NotFound);
    }
    Ok(())
}

/// Deletes sessions whose time is over, at most so many; over all tenants, as the worker.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete_expired(conn: &mut PgConnection, most: i64) -> Result<usize> {
    Ok(sql_query(
        "DELETE FROM sessions USING (SELECT tenant_id, id FROM sessions WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) old
         WHERE sessions.tenant_id = old.tenant_id AND sessions.id = old.id",
    )
    .bind::<Timestamptz, _>(crate::clock::now())
    .bind::<BigInt, _>(most)
    .execute(conn)?)
}
