//! The public URLs of webhooks. A URL has one current token; a rotation gives it a new one and lets the old one live
//! through a grace period.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::{UrlId, WebhookId};
use hookgate_model::limits::Limits;
use hookgate_model::suffix::UrlSuffix;
use hookgate_model::token::UrlToken;
use hookgate_model::webhook::Environment;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::{url_tokens, urls};
use crate::scope::TenantScope;
use crate::stored_json::{StoredJson, to_json};
use crate::{clock, limits, webhooks};

/// A public URL of a webhook.
#[derive(Debug, Clone)]
pub struct Url {
    /// Its id.
    pub id: UrlId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// What the tenant calls it, such as the sender's name.
    pub name: String,
    /// What it runs.
    pub environment: Environment,
    /// What follows the token.
    pub suffix: UrlSuffix,
    /// The current token.
    pub token: UrlToken,
    /// Until when a token from before a rotation still works, while one does.
    pub grace_until: Option<DateTime<Utc>>,
    /// How much it takes, besides what its webhook does.
    pub limits: Limits,
    /// Counts the changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when it does not work any more.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// What a tenant can change of a URL.
#[derive(Debug, Clone)]
pub struct UrlSettings {
    /// What the tenant calls it.
    pub name: String,
    /// What follows the token.
    pub suffix: UrlSuffix,
    /// From when it does not work any more.
    pub expires_at: Option<DateTime<Utc>>,
    /// How much it takes.
    pub limits: Limits,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = urls, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    webhook_id: Uuid,
    name: String,
    environment: String,
    suffix: String,
    version: i64,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    #[diesel(deserialize_as = StoredJson<Limits>)]
    limits: Limits,
}

/// The URL of a webhook that a token leads to, be it the current one or one in its grace period.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn of_token(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    token: UrlToken,
) -> Result<Option<UrlId>> {
    let found: Option<Uuid> = url_tokens::table
        .inner_join(
            urls::table.on(urls::tenant_id
                .eq(url_tokens::tenant_id)
                .and(urls::id.eq(url_tokens::url_id))),
        )
        .filter(urls::tenant_id.eq(scope.uuid()))
        .filter(urls::webhook_id.eq(webhook.uuid()))
        .filter(url_tokens::token.eq(token.to_uuid()))
        .select(urls::id)
        .first(conn)
        .optional()?;
    Ok(found.map(UrlId::from))
}

/// Adds a URL to a webhook. Without a suffix it gets the webhook's.
///
/// # Errors
/// [`Error::NotFound`], [`Error::LimitReached`].
pub fn create(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    name: &str,
    environment: Environment,
    suffix: Option<&UrlSuffix>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<Url> {
    let locked = webhooks::lock(conn, scope, webhook)?;
    let existing = urls::table
        .filter(urls::tenant_id.eq(scope.uuid()))
        .filter(urls::webhook_id.eq(webhook.uuid()))
        .count()
        .get_result::<i64>(conn)?;
    if existing >= limits::URLS {
        return Err(Error::LimitReached {
            what: "URLs of a webhook",
            most: limits::URLS,
        });
    }
    let inherited = UrlSuffix::parse(&locked.suffix).map_err(|_| Error::Unreadable { what: "webhook" })?;
    let id = insert(
        conn,
        scope,
        webhook,
        name,
        environment,
        suffix.unwrap_or(&inherited),
        expires_at,
    )?;
    read(conn, scope, webhook, id)
}

/// Inserts a URL with its first token.
pub(crate) fn insert(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    name: &str,
    environment: Environment,
    suffix: &UrlSuffix,
    expires_at: Option<DateTime<Utc>>,
) -> Result<UrlId> {
    let id: UrlId = clock::new_id();
    diesel::insert_into(urls::table)
        .values((
            urls::tenant_id.eq(scope.uuid()),
            urls::id.eq(id.uuid()),
            urls::webhook_id.eq(webhook.uuid()),
            urls::name.eq(name),
            urls::environment.eq(environment.as_str()),
            urls::suffix.eq(suffix.as_str()),
            urls::expires_at.eq(expires_at),
        ))
        .execute(conn)?;
    insert_token(conn, scope, id)?;
    Ok(id)
}

/// One URL of a webhook.
///
/// # Errors
/// [`Error::NotFound`], also for a URL of another webhook.
pub fn read(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId, id: UrlId) -> Result<Url> {
    let row = urls::table
        .find((scope.uuid(), id.uuid()))
        .filter(urls::webhook_id.eq(webhook.uuid()))
        .select(Row::as_select())
        .first(conn)?;
    with_tokens(conn, scope, vec![row])?.pop().ok_or(Error::NotFound)
}

/// A page of a webhook's URLs.
///
/// # Errors
/// [`Error::NotFound`] for a webhook that is not there.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    page: Page,
) -> Result<Vec<Url>> {
    webhooks::require(conn, scope, webhook)?;
    let rows = urls::table
        .filter(urls::tenant_id.eq(scope.uuid()))
        .filter(urls::webhook_id.eq(webhook.uuid()))
        .filter(urls::id.lt(page.below()))
        .order(urls::id.desc())
        .limit(page.limit)
        .select(Row::as_select())
        .load(conn)?;
    with_tokens(conn, scope, rows)
}

/// All URLs of some webhooks, in the order in which they were made.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn of_webhooks(conn: &mut PgConnection, scope: &TenantScope, of: &[WebhookId]) -> Result<Vec<Url>> {
    let of: Vec<Uuid> = of.iter().map(|id| id.uuid()).collect();
    let rows = urls::table
        .filter(urls::tenant_id.eq(scope.uuid()))
        .filter(urls::webhook_id.eq_any(of))
        // Those of a new webhook are made in one moment.
        .order((urls::created_at, urls::environment, urls::id))
        .select(Row::as_select())
        .load(conn)?;
    with_tokens(conn, scope, rows)
}

/// One URL of a webhook, which nobody else changes until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`], also for a URL of another webhook.
pub fn read_for_change(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    id: UrlId,
) -> Result<Url> {
    lock(conn, scope, webhook, id)?;
    read(conn, scope, webhook, id)
}

/// Changes what a tenant chooses.
///
/// # Errors
/// [`Error::NotFound`].
pub fn update(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    id: UrlId,
    settings: &UrlSettings,
) -> Result<Url> {
    lock(conn, scope, webhook, id)?;
    diesel::update(urls::table.find((scope.uuid(), id.uuid())))
        .set((
            urls::name.eq(&settings.name),
            urls::suffix.eq(settings.suffix.as_str()),
            urls::expires_at.eq(settings.expires_at),
            urls::limits.eq(to_json(&settings.limits)?),
            urls::version.eq(urls::version + 1),
        ))
        .execute(conn)?;
    read(conn, scope, webhook, id)
}

/// Gives a URL a new token; the old one works on for `grace`.
///
/// # Errors
/// [`Error::NotFound`], also for a revoked URL: its token is gone for good.
pub fn rotate(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    id: UrlId,
    grace: TimeDelta,
) -> Result<Url> {
    if lock(conn, scope, webhook, id)?.is_some() {
        return Err(Error::NotFound);
    }
    let now = clock::now();
    diesel::delete(url_tokens::table)
        .filter(url_tokens::tenant_id.eq(scope.uuid()))
        .filter(url_tokens::url_id.eq(id.uuid()))
        .filter(url_tokens::expires_at.le(now))
        .execute(conn)?;
    diesel::update(url_tokens::table)
        .filter(url_tokens::tenant_id.eq(scope.uuid()))
        .filter(url_tokens::url_id.eq(id.uuid()))
        .filter(url_tokens::expires_at.is_null())
        .set(url_tokens::expires_at.eq(now + grace))
        .execute(conn)?;
    insert_token(conn, scope, id)?;
    diesel::update(urls::table.find((scope.uuid(), id.uuid())))
        .set(urls::version.eq(urls::version + 1))
        .execute(conn)?;
    read(conn, scope, webhook, id)
}

/// Revokes a URL, at once and for good. Revoking it again changes nothing.
///
/// # Errors
/// [`Error::NotFound`].
pub fn revoke(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId, id: UrlId) -> Result<Url> {
    if lock(conn, scope, webhook, id)?.is_none() {
        diesel::update(urls::table.find((scope.uuid(), id.uuid())))
            .set((
                urls::revoked_at.eq(clock::now()),
                urls::version.eq(urls::version + 1),
            ))
            .execute(conn)?;
    }
    read(conn, scope, webhook, id)
}

/// Deletes a URL with its tokens.
///
/// # Errors
/// [`Error::NotFound`].
pub fn delete(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId, id: UrlId) -> Result<()> {
    lock(conn, scope, webhook, id)?;
    diesel::delete(urls::table.find((scope.uuid(), id.uuid()))).execute(conn)?;
    Ok(())
}

/// Locks a URL until the transaction ends, and tells when it was revoked.
fn lock(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    id: UrlId,
) -> Result<Option<DateTime<Utc>>> {
    Ok(urls::table
        .find((scope.uuid(), id.uuid()))
        .filter(urls::webhook_id.eq(webhook.uuid()))
        .select(urls::revoked_at)
        .for_no_key_update()
        .first(conn)?)
}

fn insert_token(conn: &mut PgConnection, scope: &TenantScope, id: UrlId) -> Result<()> {
    diesel::insert_into(url_tokens::table)
        .values((
            url_tokens::token.eq(UrlToken::from_bytes(clock::secret_bytes()).to_uuid()),
            url_tokens::tenant_id.eq(scope.uuid()),
            url_tokens::url_id.eq(id.uuid()),
        ))
        .execute(conn)?;
    Ok(())
}

fn with_tokens(conn: &mut PgConnection, scope: &TenantScope, rows: Vec<Row>) -> Result<Vec<Url>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let tokens: Vec<(Uuid, Uuid, Option<DateTime<Utc>>)> = url_tokens::table
        .filter(url_tokens::tenant_id.eq(scope.uuid()))
        .filter(url_tokens::url_id.eq_any(ids))
        .select((url_tokens::url_id, url_tokens::token, url_tokens::expires_at))
        .load(conn)?;
    let now = clock::now();
    rows.into_iter()
        .map(|row| {
            let unreadable = || Error::Unreadable { what: "URL" };
            let own = || tokens.iter().filter(|(url, _, _)| *url == row.id);
            let (_, token, _) = own().find(|(_, _, end)| end.is_none()).ok_or_else(unreadable)?;
            Ok(Url {
                id: row.id.into(),
                webhook_id: row.webhook_id.into(),
                environment: Environment::parse(&row.environment).ok_or_else(unreadable)?,
                suffix: UrlSuffix::parse(&row.suffix).map_err(|_| unreadable())?,
                token: UrlToken::from_uuid(*token),
                grace_until: own()
                    .filter_map(|(_, _, end)| *end)
                    .filter(|end| *end > now)
                    .max(),
                name: row.name,
                limits: row.limits,
                version: row.version,
                created_at: row.created_at,
                expires_at: row.expires_at,
                revoked_at: row.revoked_at,
            })
        })
        .collect()
}
