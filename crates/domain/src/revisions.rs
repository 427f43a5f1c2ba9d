//! Revisions: immutable versions of a webhook's behaviour. Saving a draft adds one and moves the webhook's pointer;
//! publishing and rolling back move the other pointer.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::{RevisionId, WebhookId};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::{revisions, webhooks};
use crate::scope::TenantScope;
use crate::webhooks::{lock, require};
use crate::{clock, limits};

/// A version of a webhook's behaviour.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = revisions, check_for_backend(diesel::pg::Pg))]
pub struct Revision {
    /// Its id.
    #[diesel(deserialize_as = Uuid)]
    pub id: RevisionId,
    /// The webhook.
    #[diesel(deserialize_as = Uuid)]
    pub webhook_id: WebhookId,
    /// Counts the webhook's revisions from 1.
    pub number: i32,
    /// The behaviour, as it was written.
    pub document: Value,
    /// When it was saved.
    pub created_at: DateTime<Utc>,
    /// The user or management key that saved it.
    pub created_by: String,
    /// When it was first published.
    pub published_at: Option<DateTime<Utc>>,
}

/// Inserts a revision.
pub(crate) fn insert(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    id: RevisionId,
    number: i32,
    document: &Value,
    created_by: &str,
) -> Result<Revision> {
    Ok(diesel::insert_into(revisions::table)
        .values((
            revisions::tenant_id.eq(scope.uuid()),
            revisions::id.eq(id.uuid()),
            revisions::webhook_id.eq(webhook.uuid()),
            revisions::number.eq(number),
            revisions::document.eq(document),
            revisions::created_by.eq(created_by),
        ))
        .returning(Revision::as_returning())
        .get_result(conn)?)
}

/// The webhook's draft.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read_draft(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId) -> Result<Revision> {
    Ok(webhooks::table
        .inner_join(
            revisions::table.on(revisions::tenant_id
                .eq(webhooks::tenant_id)
                .and(revisions::id.eq(webhooks::draft_revision_id))),
        )
        .filter(webhooks::tenant_id.eq(scope.uuid()))
        .filter(webhooks::id.eq(webhook.uuid()))
        .select(Revision::as_select())
        .first(conn)?)
}

/// Saves a draft. One that is like the draft before makes no revision.
///
/// # Errors
/// [`Error::NotFound`], [`Error::LimitReached`].
pub fn save_draft(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    document: &Value,
    created_by: &str,
) -> Result<Revision> {
    let locked = lock(conn, scope, webhook)?;
    let current = read(conn, scope, webhook, locked.draft_revision_id.into())?;
    if current.document == *document {
        return Ok(current);
    }
    let newest: Option<i32> = revisions::table
        .filter(revisions::tenant_id.eq(scope.uuid()))
        .filter(revisions::webhook_id.eq(webhook.uuid()))
        .select(diesel::dsl::max(revisions::number))
        .first(conn)?;
    let number = newest.unwrap_or(0) + 1;
    if i64::from(number) > limits::REVISIONS {
        return Err(Error::LimitReached {
            what: "revisions of a webhook",
            most: limits::REVISIONS,
        });
    }
    let revision = insert(
        conn,
        scope,
        webhook,
        clock::new_id(),
        number,
        document,
        created_by,
    )?;
    diesel::update(webhooks::table.find((scope.uuid(), webhook.uuid())))
        .set(webhooks::draft_revision_id.eq(revision.id.uuid()))
        .execute(conn)?;
    Ok(revision)
}

/// Makes a revision of the webhook the one that its production URLs run: its draft, or an older one to roll back.
///
/// # Errors
/// [`Error::NotFound`].
pub fn publish(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    revision: RevisionId,
) -> Result<Revision> {
    lock(conn, scope, webhook)?;
    let found = read(conn, scope, webhook, revision)?;
    if found.published_at.is_none() {
        diesel::update(revisions::table.find((scope.uuid(), revision.uuid())))
            .set(revisions::published_at.eq(clock::now()))
            .execute(conn)?;
    }
    diesel::update(webhooks::table.find((scope.uuid(), webhook.uuid())))
        .set(webhooks::published_revision_id.eq(revision.uuid()))
        .execute(conn)?;
    read(conn, scope, webhook, revision)
}

/// One revision of a webhook.
///
/// # Errors
/// [`Error::NotFound`], also for a revision of another webhook.
pub fn read(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    id: RevisionId,
) -> Result<Revision> {
    Ok(revisions::table
        .find((scope.uuid(), id.uuid()))
        .filter(revisions::webhook_id.eq(webhook.uuid()))
        .select(Revision::as_select())
        .first(conn)?)
}

/// A page of a webhook's revisions.
///
/// # Errors
/// [`Error::NotFound`] for a webhook that is not there.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    page: Page,
) -> Result<Vec<Revision>> {
    require(conn, scope, webhook)?;
    Ok(revisions::table
        .filter(revisions::tenant_id.eq(scope.uuid()))
        .filter(revisions::webhook_id.eq(webhook.uuid()))
        .filter(revisions::id.lt(page.below()))
        .order(revisions::id.desc())
        .limit(page.limit)
        .select(Revision::as_select())
        .load(conn)?)
}

/// Of some revisions, those that leave work behind: an event of one is pending until it has a run. (Whether it has a job would
/// say the same, but nothing finds a job by its events without reading them all.)
pub(crate) fn with_work(
    conn: &mut PgConnection,
    scope: &TenantScope,
    of: HashSet<Uuid>,
) -> Result<HashSet<Uuid>> {
    let working = revisions::table
        .filter(revisions::tenant_id.eq(scope.uuid()))
        .filter(revisions::id.eq_any(of))
        .filter(revisions::has_work)
        .select(revisions::id);
    Ok(working.load(conn)?.into_iter().collect())
}
