//! What a tenant tells the world about its webhooks: those that take requests, and the links that show them.
//!
//! A [`TenantScope`] is made here for a link, once it is known to be live.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::flow::definition::{RevisionDocument, Step};
use hookgate_model::ids::{DestinationId, PublicApiLinkId, RevisionId};
use hookgate_model::public_api::{CallbackTarget, LiveUrl, LiveWebhook, PublicApi};
use hookgate_model::webhook::Environment;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::{destinations, public_api_links, revisions};
use crate::scope::{self, TenantScope};
use crate::webhooks::Webhook;
use crate::{clock, limits, tenants, urls, webhooks};

/// A link to the document.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = public_api_links, check_for_backend(diesel::pg::Pg))]
pub struct Link {
    /// The id.
    #[diesel(deserialize_as = Uuid)]
    pub id: PublicApiLinkId,
    /// Whom it is for.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What the document tells; `server` is what public URLs begin with.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn read(conn: &mut PgConnection, scope: &TenantScope, server: &str) -> Result<PublicApi> {
    let tenant = tenants::find(conn, scope)?;
    let mut live = webhooks::list_live(conn, scope, limits::DOCUMENTED_WEBHOOKS)?;
    let is_cut = cut(conn, scope, &mut live)?;
    let mut documents = published(conn, scope, &live)?;
    let mut urls = live_urls(conn, scope, &live)?;
    let targets = targets(conn, scope, documents.values().map(|(document, _)| document))?;
    let mut changed_at = tenant.updated_at;
    let mut told = Vec::with_capacity(live.len());
    for webhook in live {
        let published = webhook.published_revision_id;
        let (revision, published_at) = published.and_then(|id| documents.remove(&id)).unwrap_or_default();
        let urls = urls.remove(&webhook.id).unwrap_or_default();
        if urls.is_empty() {
            continue;
        }
        changed_at = changed_at.max(webhook.updated_at).max(published_at);
        told.push(LiveWebhook {
            destinations: of_callbacks(&revision)
                .filter_map(|id| Some((id, targets.get(&id)?.clone())))
                .collect(),
            name: webhook.name,
            status: webhook.status,
            methods: webhook.methods,
            authentication: webhook.authentication,
            has_allowlist: !webhook.allowlists.is_empty(),
            body_limit_bytes: webhook.body_limit_bytes,
            revision,
            urls,
        });
    }
    Ok(PublicApi {
        title: tenant.name,
        server: server.to_owned(),
        changed_at,
        webhooks: told,
        is_cut,
    })
}

/// Leaves webhooks out whose revisions, with those before, are too long to be read. Returns whether there are such.
fn cut(conn: &mut PgConnection, scope: &TenantScope, live: &mut Vec<Webhook>) -> Result<bool> {
    let ids: Vec<Uuid> = live
        .iter()
        .filter_map(|webhook| webhook.published_revision_id)
        .map(RevisionId::uuid)
        .collect();
    let lengths: HashMap<Uuid, i32> = revisions::table
        .filter(revisions::tenant_id.eq(scope.uuid()))
        .filter(revisions::id.eq_any(ids))
        .select((
            revisions::id,
            diesel::dsl::sql::<diesel::sql_types::Integer>("octet_length(document::text)"),
        ))
        .load::<(Uuid, i32)>(conn)?
        .into_iter()
        .collect();
    let mut bytes = 0_i64;
    let fits = live.iter().take_while(|webhook| {
        let length = webhook
            .published_revision_id
            .and_then(|id| lengths.get(&id.uuid()));
        bytes += i64::from(length.copied().unwrap_or(0));
        bytes <= limits::DOCUMENTED_BYTES
    });
    let (fitting, all) = (fits.count(), live.len());
    live.truncate(fitting);
    Ok(fitting < all)
}

/// What the production URLs run, with the time of its publication.
fn published(
    conn: &mut PgConnection,
    scope: &TenantScope,
    of: &[Webhook],
) -> Result<HashMap<RevisionId, (RevisionDocument, DateTime<Utc>)>> {
    let ids: Vec<Uuid> = of
        .iter()
        .filter_map(|webhook| webhook.published_revision_id)
        .map(RevisionId::uuid)
        .collect();
    let rows: Vec<(Uuid, serde_json::Value, Option<DateTime<Utc>>)> = revisions::table
        .filter(revisions::tenant_id.eq(scope.uuid()))
        .filter(revisions::id.eq_any(ids))
        .select((revisions::id, revisions::document, revisions::published_at))
        .load(conn)?;
    rows.into_iter()
        .map(|(id, document, at)| {
            let document =
                serde_json::from_value(document).map_err(|_| Error::Unreadable { what: "revision" })?;
            Ok((id.into(), (document, at.unwrap_or_default())))
        })
        .collect()
}

fn live_urls(
    conn: &mut PgConnection,
    scope: &TenantScope,
    of: &[Webhook],
) -> Result<HashMap<hookgate_model::ids::WebhookId, Vec<LiveUrl>>> {
    let ids: Vec<_> = of.iter().map(|webhook| webhook.id).collect();
    let now = clock::now();
    let mut live: HashMap<_, Vec<LiveUrl>> = HashMap::new();
    for url in urls::of_webhooks(conn, scope, &ids)? {
        let works = url.revoked_at.is_none() && url.expires_at.is_none_or(|end| end > now);
        if works && url.environment == Environment::Production {
            live.entry(url.webhook_id).or_default().push(LiveUrl {
                id: url.id,
                name: url.name,
                path: format!("/{}/{}", url.token, url.suffix),
                suffix: url.suffix,
                expires_at: url.expires_at,
            });
        }
    }
    Ok(live)
}

/// Where the callbacks of a revision go.
fn of_callbacks(revision: &RevisionDocument) -> impl Iterator<Item = DestinationId> {
    revision.flow.steps.iter().filter_map(|step| match step {
        Step::Callback { destination, .. } => Some(*destination),
        _ => None,
    })
}

fn targets<'d>(
    conn: &mut PgConnection,
    scope: &TenantScope,
    of: impl Iterator<Item = &'d RevisionDocument>,
) -> Result<BTreeMap<DestinationId, CallbackTarget>> {
    let ids: Vec<Uuid> = of.flat_map(of_callbacks).map(DestinationId::uuid).collect();
    let rows: Vec<(Uuid, String, bool)> = destinations::table
        .filter(destinations::tenant_id.eq(scope.uuid()))
        .filter(destinations::id.eq_any(ids))
        .select((
            destinations::id,
            destinations::base_url,
            destinations::signing_secret.is_not_null(),
        ))
        .load(conn)?;
    let targets = rows
        .into_iter()
        .map(|(id, base_url, is_signed)| (id.into(), CallbackTarget { base_url, is_signed }));
    Ok(targets.collect())
}

/// The tenant of a link that is live.
///
/// # Errors
/// [`Error::NotFound`] when there is none, it has expired, or the operator has suspended the tenant.
pub fn open(conn: &mut PgConnection, digest: &[u8; 32], now: DateTime<Utc>) -> Result<TenantScope> {
    scope::transaction(conn, |conn| {
        scope::present_digest(conn, digest)?;
        let (tenant, expires_at): (Uuid, Option<DateTime<Utc>>) = public_api_links::table
            .filter(public_api_links::digest.eq(&digest[..]))
            .select((public_api_links::tenant_id, public_api_links::expires_at))
            .first(conn)?;
        let scope = TenantScope::proven(tenant.into());
        scope.enter(conn)?;
        if expires_at.is_some_and(|end| end <= now) || !tenants::find(conn, &scope)?.standing().is_usable() {
            return Err(Error::NotFound);
        }
        Ok(scope)
    })
}

/// Makes a link; of its token only the digest is kept.
///
/// # Errors
/// [`Error::LimitReached`].
pub fn create_link(
    conn: &mut PgConnection,
    scope: &TenantScope,
    name: &str,
    digest: &[u8; 32],
    expires_at: Option<DateTime<Utc>>,
) -> Result<Link> {
    tenants::lock(conn, scope)?;
    let existing = public_api_links::table
        .filter(public_api_links::tenant_id.eq(scope.uuid()))
        .count()
        .get_result::<i64>(conn)?;
    if existing >= limits::PUBLIC_API_LINKS {
        return Err(Error::LimitReached {
            what: "links to the public API",
            most: limits::PUBLIC_API_LINKS,
        });
    }
    let id: PublicApiLinkId = clock::new_id();
    Ok(diesel::insert_into(public_api_links::table)
        .values((
            public_api_links::tenant_id.eq(scope.uuid()),
            public_api_links::id.eq(id.uuid()),
            public_api_links::name.eq(name),
            public_api_links::digest.eq(&digest[..]),
            public_api_links::expires_at.eq(expires_at),
        ))
        .returning(Link::as_returning())
        .get_result(conn)?)
}

/// A page of the tenant's links.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list_links(conn: &mut PgConnection, scope: &TenantScope, page: Page) -> Result<Vec<Link>> {
    Ok(public_api_links::table
        .filter(public_api_links::tenant_id.eq(scope.uuid()))
        .filter(public_api_links::id.lt(page.below()))
        .order(public_api_links::id.desc())
        .limit(page.limit)
        .select(Link::as_select())
        .load(conn)?)
}

/// Deletes a link: it stops working at once.
///
/// # Errors
/// [`Error::NotFound`].
pub fn delete_link(conn: &mut PgConnection, scope: &TenantScope, id: PublicApiLinkId) -> Result<()> {
    let deleted = diesel::delete(public_api_links::table.find((scope.uuid(), id.uuid()))).execute(conn)?;
    if deleted == 0 {
        Err(Error::NotFound)
    } else {
        Ok(())
    }
}
