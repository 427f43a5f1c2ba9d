//! Webhooks: a tenant's live settings, effective at once. Their behaviour is in [`crate::revisions`], their addresses in
//! [`crate::urls`].
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened. A webhook's row is locked first by
//! whatever counts or changes what belongs to it, so that bounds hold and writers do not deadlock.

pub(crate) mod search;

pub use search::Search;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::authentication::Authentication;
use hookgate_model::cors::Cors;
use hookgate_model::deduplication::Deduplication;
use hookgate_model::ids::{AllowlistId, RevisionId, WebhookId};
use hookgate_model::limits::Limits;
use hookgate_model::methods::MethodSet;
use hookgate_model::protection::DataProtection;
use hookgate_model::senders::Handshake;
use hookgate_model::suffix::UrlSuffix;
use hookgate_model::webhook::{Environment, MalformedBodies, Status};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::{failed_callbacks, jobs, url_tokens, urls, webhook_allowlists, webhooks};
use crate::scope::TenantScope;
use crate::stored_json::{StoredJson, to_json};
use crate::{clock, limits, revisions};

/// A webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// What the tenant calls it.
    pub name: String,
    /// The system that sends, such as `github`, or `custom`.
    pub system: String,
    /// Whether it takes requests.
    pub status: Status,
    /// The suffix of new URLs.
    pub suffix: UrlSuffix,
    /// The methods that it accepts.
    pub methods: MethodSet,
    /// What a sender must present.
    pub authentication: Authentication,
    /// What the sender asks before it sends; `None`: what is known of the sender.
    pub handshake: Option<Handshake>,
    /// The largest body that it accepts, in bytes.
    pub body_limit_bytes: i32,
    /// How much it takes.
    pub limits: Limits,
    /// The allowlists of which one must hold the sender's address; none: every address may send.
    pub allowlists: Vec<AllowlistId>,
    /// What of its requests is stored masked.
    pub data_protection: DataProtection,
    /// Which web pages may call it; none: no page may read its answers.
    pub cors: Option<Cors>,
    /// What becomes of a body that is not what it is called.
    pub malformed_bodies: MalformedBodies,
    /// What it recognises a delivery by that came before; `None`: it takes every one for a new one.
    pub deduplication: Option<Deduplication>,
    /// What the test URLs run.
    pub draft_revision_id: RevisionId,
    /// What the production URLs run.
    pub published_revision_id: Option<RevisionId>,
    /// Counts the changes of the settings and the status.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its settings or status last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a tenant chooses.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// What the tenant calls it.
    pub name: String,
    /// The system that sends.
    pub system: String,
    /// The suffix of new URLs.
    pub suffix: UrlSuffix,
    /// The methods that it accepts.
    pub methods: MethodSet,
    /// What a sender must present.
    pub authentication: Authentication,
    /// What the sender asks before it sends; `None`: what is known of the sender.
    pub handshake: Option<Handshake>,
    /// The largest body that it accepts, in bytes.
    pub body_limit_bytes: i32,
    /// How much it takes.
    pub limits: Limits,
    /// The allowlists of which one must hold the sender's address.
    pub allowlists: Vec<AllowlistId>,
    /// What of its requests is stored masked.
    pub data_protection: DataProtection,
    /// Which web pages may call it.
    pub cors: Option<Cors>,
    /// What becomes of a body that is not what it is called.
    pub malformed_bodies: MalformedBodies,
    /// What it recognises a delivery by that came before; `None`: it takes every one for a new one.
    pub deduplication: Option<Deduplication>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = webhooks, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    name: String,
    system: String,
    status: String,
    suffix: String,
    methods: Vec<String>,
    authentication: Value,
    handshake: Option<Value>,
    body_limit_bytes: i32,
    #[diesel(deserialize_as = StoredJson<DataProtection>)]
    data_protection: DataProtection,
    cors: Option<Value>,
    malformed_bodies: String,
    deduplication: Option<Value>,
    #[diesel(deserialize_as = StoredJson<Limits>)]
    limits: Limits,
    draft_revision_id: Uuid,
    published_revision_id: Option<Uuid>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn into_webhook(self, allowlists: Vec<AllowlistId>) -> Result<Webhook> {
        let unreadable = || Error::Unreadable { what: "webhook" };
        Ok(Webhook {
            id: self.id.into(),
            name: self.name,
            system: self.system,
            status: Status::parse(&self.status).ok_or_else(unreadable)?,
            suffix: UrlSuffix::parse(&self.suffix).map_err(|_| unreadable())?,
            methods: MethodSet::parse(&self.methods).map_err(|_| unreadable())?,
            authentication: serde_json::from_value(self.authentication).map_err(|_| unreadable())?,
            handshake: self
                .handshake
                .map(serde_json::from_value)
                .transpose()
                .map_err(|_| unreadable())?,
            body_limit_bytes: self.body_limit_bytes,
            limits: self.limits,
            allowlists,
            data_protection: self.data_protection,
            cors: self
                .cors
                .map(serde_json::from_value)
                .transpose()
                .map_err(|_| unreadable())?,
            malformed_bodies: MalformedBodies::parse(&self.malformed_bodies).ok_or_else(unreadable)?,
            deduplication: self
                .deduplication
                .map(serde_json::from_value)
                .transpose()
                .map_err(|_| unreadable())?,
            draft_revision_id: self.draft_revision_id.into(),
            published_revision_id: self.published_revision_id.map(RevisionId::from),
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Makes a webhook with its first draft and its two URLs: one for production, one for tests.
///
/// # Errors
/// [`Error::LimitReached`]; `webhook_allowlists_allowlist_fkey` for an allowlist that is not there.
pub fn create(
    conn: &mut PgConnection,
    scope: &TenantScope,
    settings: &WebhookSettings,
    draft: &Value,
    created_by: &str,
) -> Result<Webhook> {
    let existing = webhooks::table
        .filter(webhooks::tenant_id.eq(scope.uuid()))
        .count()
        .get_result::<i64>(conn)?;
    if existing >= limits::WEBHOOKS {
        return Err(Error::LimitReached {
            what: "webhooks",
            most: limits::WEBHOOKS,
        });
    }
    let id: WebhookId = clock::new_id();
    let draft_id: RevisionId = clock::new_id();
    diesel::insert_into(webhooks::table)
        .values((
            webhooks::tenant_id.eq(scope.uuid()),
            webhooks::id.eq(id.uuid()),
            webhooks::draft_revision_id.eq(draft_id.uuid()),
            Columns::of(settings)?,
        ))
        .execute(conn)?;
    revisions::insert(conn, scope, id, draft_id, 1, draft, created_by)?;
    attach(conn, scope, id, &settings.allowlists)?;
    for environment in [Environment::Production, Environment::Test] {
        crate::urls::insert(
            conn,
            scope,
            id,
            environment.as_str(),
            environment,
            &settings.suffix,
            None,
        )?;
    }
    read(conn, scope, id)
}

/// One webhook.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read(conn: &mut PgConnection, scope: &TenantScope, id: WebhookId) -> Result<Webhook> {
    let row = webhooks::table
        .find((scope.uuid(), id.uuid()))
        .select(Row::as_select())
        .first(conn)?;
    with_allowlists(conn, scope, vec![row])?
        .pop()
        .ok_or(Error::NotFound)
}

/// A page of the tenant's webhooks, of those that a search finds.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    search: Option<&Search>,
    page: Page,
) -> Result<Vec<Webhook>> {
    let mut query = webhooks::table
        .filter(webhooks::tenant_id.eq(scope.uuid()))
        .filter(webhooks::id.lt(page.below()))
        .order(webhooks::id.desc())
        .limit(page.limit)
        .select(Row::as_select())
        .into_boxed();
    query = match search {
        None => query,
        Some(Search::Webhook(id)) => query.filter(webhooks::id.eq(id.uuid())),
        Some(Search::Url(id)) => query.filter(
            webhooks::id.eq_any(
                urls::table
                    .filter(urls::tenant_id.eq(scope.uuid()))
                    .filter(urls::id.eq(id.uuid()))
                    .select(urls::webhook_id),
            ),
        ),
        Some(Search::Token(token)) => query.filter(
            webhooks::id.eq_any(
                urls::table
                    .inner_join(
                        url_tokens::table.on(url_tokens::tenant_id
                            .eq(urls::tenant_id)
                            .and(url_tokens::url_id.eq(urls::id))),
                    )
                    .filter(urls::tenant_id.eq(scope.uuid()))
                    .filter(url_tokens::token.eq(token.to_uuid()))
                    .select(urls::webhook_id),
            ),
        ),
        Some(Search::Text(pattern)) => query.filter(
            webhooks::name
                .ilike(pattern.clone())
                .or(webhooks::system.ilike(pattern.clone()))
                .or(webhooks::suffix.ilike(pattern.clone())),
        ),
    };
    let rows = query.load(conn)?;
    with_allowlists(conn, scope, rows)
}

/// The webhooks that take requests, the oldest first, at most so many.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list_live(conn: &mut PgConnection, scope: &TenantScope, most: i64) -> Result<Vec<Webhook>> {
    let rows = webhooks::table
        .filter(webhooks::tenant_id.eq(scope.uuid()))
        .filter(webhooks::status.ne(Status::Disabled.as_str()))
        .order(webhooks::id)
        .limit(most)
        .select(Row::as_select())
        .load(conn)?;
    with_allowlists(conn, scope, rows)
}

/// One webhook, which nobody else changes until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read_for_change(conn: &mut PgConnection, scope: &TenantScope, id: WebhookId) -> Result<Webhook> {
    lock(conn, scope, id)?;
    read(conn, scope, id)
}

/// Changes what a tenant chooses. URLs that have the webhook's old suffix get the new one.
///
/// # Errors
/// [`Error::NotFound`]; `webhook_allowlists_allowlist_fkey` for an allowlist that is not
/// there.
pub fn update(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: WebhookId,
    settings: &WebhookSettings,
) -> Result<Webhook> {
    let before = lock(conn, scope, id)?;
    diesel::update(webhooks::table.find((scope.uuid(), id.uuid())))
        .set((
            Columns::of(settings)?,
            webhooks::version.eq(webhooks::version + 1),
            webhooks::updated_at.eq(clock::now()),
        ))
        .execute(conn)?;
    if before.suffix != settings.suffix.as_str() {
        diesel::update(urls::table)
            .filter(urls::tenant_id.eq(scope.uuid()))
            .filter(urls::webhook_id.eq(id.uuid()))
            .filter(urls::suffix.eq(before.suffix))
            .set((
                urls::suffix.eq(settings.suffix.as_str()),
                urls::version.eq(urls::version + 1),
            ))
            .execute(conn)?;
    }
    diesel::delete(webhook_allowlists::table)
        .filter(webhook_allowlists::tenant_id.eq(scope.uuid()))
        .filter(webhook_allowlists::webhook_id.eq(id.uuid()))
        .execute(conn)?;
    attach(conn, scope, id, &settings.allowlists)?;
    read(conn, scope, id)
}

/// Activates, pauses or disables a webhook. Workers hold what has not begun while it is not active, and release it when it is
/// ([`crate::jobs::held`]).
///
/// # Errors
/// [`Error::NotFound`].
pub fn set_status(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: WebhookId,
    status: Status,
) -> Result<Webhook> {
    let before = lock(conn, scope, id)?;
    if before.status != status.as_str() {
        diesel::update(webhooks::table.find((scope.uuid(), id.uuid())))
            .set((
                webhooks::status.eq(status.as_str()),
                webhooks::version.eq(webhooks::version + 1),
                webhooks::updated_at.eq(clock::now()),
            ))
            .execute(conn)?;
    }
    read(conn, scope, id)
}

/// Deletes a webhook with its URLs, keys, revisions and the work that is still due. What came in stays until its time
/// is over.
///
/// # Errors
/// [`Error::NotFound`].
pub fn delete(conn: &mut PgConnection, scope: &TenantScope, id: WebhookId) -> Result<()> {
    lock(conn, scope, id)?;
    diesel::delete(webhooks::table.find((scope.uuid(), id.uuid()))).execute(conn)?;
    diesel::delete(jobs::table)
        .filter(jobs::tenant_id.eq(scope.uuid()))
        .filter(jobs::webhook_id.eq(id.uuid()))
        .execute(conn)?;
    diesel::delete(failed_callbacks::table)
        .filter(failed_callbacks::tenant_id.eq(scope.uuid()))
        .filter(failed_callbacks::webhook_id.eq(id.uuid()))
        .execute(conn)?;
    Ok(())
}

/// What a lock shows of a webhook.
#[derive(Queryable, Selectable)]
#[diesel(table_name = webhooks, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Locked {
    pub(crate) status: String,
    pub(crate) suffix: String,
    pub(crate) draft_revision_id: Uuid,
}

/// Locks a webhook until the transaction ends.
pub(crate) fn lock(conn: &mut PgConnection, scope: &TenantScope, id: WebhookId) -> Result<Locked> {
    Ok(webhooks::table
        .find((scope.uuid(), id.uuid()))
        .select(Locked::as_select())
        .for_no_key_update()
        .first(conn)?)
}

/// Whether the tenant has the webhook.
///
/// # Errors
/// [`Error::NotFound`].
pub fn require(conn: &mut PgConnection, scope: &TenantScope, id: WebhookId) -> Result<()> {
    webhooks::table
        .find((scope.uuid(), id.uuid()))
        .select(webhooks::id)
        .first::<Uuid>(conn)?;
    Ok(())
}

/// The chosen settings as columns.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = webhooks, treat_none_as_null = true)]
struct Columns<'a> {
    name: &'a str,
    system: &'a str,
    suffix: &'a str,
    methods: Vec<&'static str>,
    authentication: Value,
    handshake: Option<Value>,
    body_limit_bytes: i32,
    data_protection: Value,
    cors: Option<Value>,
    malformed_bodies: &'static str,
    deduplication: Option<Value>,
    limits: Value,
}

impl<'a> Columns<'a> {
    fn of(settings: &'a WebhookSettings) -> Result<Self> {
        Ok(Self {
            name: &settings.name,
            system: &settings.system,
            suffix: settings.suffix.as_str(),
            methods: settings.methods.iter().collect(),
            authentication: to_json(&settings.authentication)?,
            handshake: settings.handshake.as_ref().map(to_json).transpose()?,
            body_limit_bytes: settings.body_limit_bytes,
            data_protection: to_json(&settings.data_protection)?,
            cors: settings.cors.as_ref().map(to_json).transpose()?,
            malformed_bodies: settings.malformed_bodies.as_str(),
            deduplication: settings.deduplication.as_ref().map(to_json).transpose()?,
            limits: to_json(&settings.limits)?,
        })
    }
}

fn attach(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: WebhookId,
    allowlists: &[AllowlistId],
) -> Result<()> {
    let rows: Vec<_> = allowlists
        .iter()
        .map(|allowlist| {
            (
                webhook_allowlists::tenant_id.eq(scope.uuid()),
                webhook_allowlists::webhook_id.eq(id.uuid()),
                webhook_allowlists::allowlist_id.eq(allowlist.uuid()),
            )
        })
        .collect();
    diesel::insert_into(webhook_allowlists::table)
        .values(rows)
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(())
}

fn with_allowlists(conn: &mut PgConnection, scope: &TenantScope, rows: Vec<Row>) -> Result<Vec<Webhook>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let attached: Vec<(Uuid, Uuid)> = webhook_allowlists::table
        .filter(webhook_allowlists::tenant_id.eq(scope.uuid()))
        .filter(webhook_allowlists::webhook_id.eq_any(ids))
        .order(webhook_allowlists::allowlist_id)
        .select((webhook_allowlists::webhook_id, webhook_allowlists::allowlist_id))
        .load(conn)?;
    rows.into_iter()
        .map(|row| {
            let own = attached.iter().filter(|(webhook, _)| *webhook == row.id);
            let allowlists = own.map(|(_, allowlist)| AllowlistId::from(*allowlist)).collect();
            row.into_webhook(allowlists)
        })
        .collect()
}
