//! From a URL's token to everything that admission needs: read by the ingress, over all tenants, as its own role.
//!
//! This is one of the four places that make a [`TenantScope`]: whoever holds a URL acts for its tenant.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::authentication::{Authentication, Material};
use hookgate_model::cors::Cors;
use hookgate_model::deduplication::Deduplication;
use hookgate_model::flow::definition::RevisionDocument;
use hookgate_model::ids::{ApiKeyId, PlanId, RevisionId, TenantId, UrlId, WebhookId};
use hookgate_model::limits::{Limits, TenantLimits};
use hookgate_model::methods::MethodSet;
use hookgate_model::protection::DataProtection;
use hookgate_model::senders::{self, Handshake, Handshaker};
use hookgate_model::suffix::UrlSuffix;
use hookgate_model::token::UrlToken;
use hookgate_model::webhook::{Environment, MalformedBodies, Status, UrlEnd};
use ipnet::IpNet;
use uuid::Uuid;

use crate::crypto::MasterKey;
use crate::error::{Error, Result};
use crate::gathered::Gather;
use crate::schema::{
    allowlist_entries, api_keys, captures, pairings, plans, revisions, tenants, url_tokens, urls,
    webhook_allowlists, webhooks,
};
use crate::scope::TenantScope;
use crate::stored_json::{MaybeJson, StoredJson};
use crate::{secrets, verification};

/// What a URL leads to.
#[derive(Debug)]
pub struct Route {
    /// The tenant, proven by the URL.
    pub scope: TenantScope,
    /// Whether the operator has suspended the tenant.
    pub is_suspended: bool,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The URL.
    pub url_id: UrlId,
    /// When the URL ends to be valid.
    pub end: Option<UrlEnd>,
    /// The system that sends, or `custom`.
    pub system: String,
    /// Whether it runs the draft or the published revision.
    pub environment: Environment,
    /// What follows the token.
    pub suffix: UrlSuffix,
    /// Whether the webhook takes requests.
    pub status: Status,
    /// The methods it accepts.
    pub methods: MethodSet,
    /// How it knows its senders.
    pub authentication: Authentication,
    /// What is secret in that, or why it cannot be read.
    pub material: Result<Material>,
    /// What its sender asks before it sends.
    pub handshaker: Handshaker,
    /// Until when it is open for pairing.
    pub pairing_until: Option<DateTime<Utc>>,
    /// Until when its requests become samples, unless the window ends before.
    pub capturing_until: Option<DateTime<Utc>>,
    /// The networks that may call; `None` when no allowlist is attached.
    pub networks: Option<Vec<IpNet>>,
    /// The most bytes of a body.
    pub body_limit: usize,
    /// What of its requests is stored masked.
    pub data_protection: DataProtection,
    /// Which web pages may call it, and read its answers.
    pub cors: Option<Cors>,
    /// What becomes of a body that is not what it is called.
    pub malformed_bodies: MalformedBodies,
    /// What it recognises a delivery by that came before.
    pub deduplication: Option<Deduplication>,
    /// How much the webhook takes.
    pub limits: Limits,
    /// How much the URL takes.
    pub url_limits: Limits,
    /// What the operator has set for the tenant.
    pub tenant_limits: TenantLimits,
    /// The tenant's plan.
    pub plan_id: Option<PlanId>,
    /// What the operator has set for it.
    pub plan_limits: Option<TenantLimits>,
    /// What runs; `None` for a production URL whose webhook never was published.
    pub revision: Option<(RevisionId, RevisionDocument)>,
}

/// The row of a token, its URL, webhook and tenant.
#[derive(Queryable)]
struct Row {
    tenant_id: Uuid,
    tenant_status: String,
    token_expires_at: Option<DateTime<Utc>>,
    url_id: Uuid,
    environment: String,
    suffix: String,
    url_expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    webhook_id: Uuid,
    status: String,
    system: String,
    methods: Vec<String>,
    authentication: serde_json::Value,
    handshake: Option<serde_json::Value>,
    pairing_until: Option<DateTime<Utc>>,
    capturing_until: Option<DateTime<Utc>>,
    body_limit_bytes: i32,
    #[diesel(deserialize_as = StoredJson<DataProtection>)]
    data_protection: DataProtection,
    cors: Option<serde_json::Value>,
    malformed_bodies: String,
    deduplication: Option<serde_json::Value>,
    draft_revision_id: Uuid,
    published_revision_id: Option<Uuid>,
    #[diesel(deserialize_as = StoredJson<Limits>)]
    limits: Limits,
    #[diesel(deserialize_as = StoredJson<Limits>)]
    url_limits: Limits,
    #[diesel(deserialize_as = StoredJson<TenantLimits>)]
    tenant_limits: TenantLimits,
    plan_id: Option<Uuid>,
    #[diesel(deserialize_as = MaybeJson<TenantLimits>)]
    plan_limits: Option<TenantLimits>,
}

/// Looks a token up. `None` for one that does not exist.
///
/// # Errors
/// When Postgres cannot be reached, or a stored setting cannot be read. That a secret cannot be opened is none: the
/// webhook then refuses, and says why.
pub fn resolve(conn: &mut PgConnection, key: &MasterKey, token: UrlToken) -> Result<Option<Route>> {
    conn.build_transaction()
        .read_only()
        .repeatable_read()
        .run(|conn| {
            let Some(row) = find(conn, token)? else {
                return Ok(None);
            };
            let (tenant, webhook) = (row.tenant_id, row.webhook_id);
            let scope = TenantScope::proven(TenantId::from(tenant));
            let authentication: Authentication =
                serde_json::from_value(row.authentication.clone()).map_err(|_| Error::Unreadable {
                    what: "authentication",
                })?;
            let material = verification::material(conn, &scope, key, webhook.into(), &authentication);
            let material = match material {
                Err(error) if !matches!(error, Error::Unreadable { .. }) => return Err(error),
                readable_or_not => readable_or_not,
            };
            let handshaker = handshaker(conn, &scope, key, row.handshake.clone(), &authentication)?;
            let networks = networks(conn, tenant, webhook)?;
            let environment =
                Environment::parse(&row.environment).ok_or(Error::Unreadable { what: "environment" })?;
            let revision_id = match environment {
                Environment::Test => Some(row.draft_revision_id),
                Environment::Production => row.published_revision_id,
            };
            let revision = revision_id.map(|id| revision(conn, tenant, id)).transpose()?;
            row.into_route(
                environment,
                (authentication, material, handshaker),
                networks,
                revision,
            )
            .map(Some)
        })
}

fn find(conn: &mut PgConnection, token: UrlToken) -> Result<Option<Row>> {
    let row = url_tokens::table
        .inner_join(
            urls::table.on(urls::tenant_id
                .eq(url_tokens::tenant_id)
                .and(urls::id.eq(url_tokens::url_id))),
        )
        .inner_join(
            webhooks::table.on(webhooks::tenant_id
                .eq(urls::tenant_id)
                .and(webhooks::id.eq(urls::webhook_id))),
        )
        .inner_join(tenants::table.on(tenants::id.eq(url_tokens::tenant_id)))
        .left_join(plans::table.on(tenants::plan_id.eq(plans::id.nullable())))
        .left_join(
            pairings::table.on(pairings::tenant_id
                .eq(urls::tenant_id)
                .and(pairings::webhook_id.eq(urls::webhook_id))
                .and(pairings::completed_at.is_null())),
        )
        .left_join(
            captures::table.on(captures::tenant_id
                .eq(urls::tenant_id)
                .and(captures::webhook_id.eq(urls::webhook_id))
                .and(captures::ended_at.is_null())
                .and(
                    captures::url_id
                        .is_null()
                        .or(captures::url_id.eq(urls::id.nullable())),
                )),
        )
        .filter(url_tokens::token.eq(token.to_uuid()))
        // The URLs of a tenant that is deleted are none any more.
        .filter(tenants::delete_at.is_null())
        .select((
            tenants::id,
            tenants::status,
            url_tokens::expires_at,
            urls::id,
            urls::environment,
            urls::suffix,
            urls::expires_at,
            urls::revoked_at,
            webhooks::id,
            webhooks::status,
            webhooks::system,
            webhooks::methods,
            webhooks::authentication,
            webhooks::handshake,
            pairings::expires_at.nullable(),
            captures::expires_at.nullable(),
            webhooks::body_limit_bytes,
            webhooks::data_protection,
            webhooks::cors,
            webhooks::malformed_bodies,
            webhooks::deduplication,
            webhooks::draft_revision_id,
            webhooks::published_revision_id,
            webhooks::limits,
            urls::limits,
            tenants::limits,
            tenants::plan_id,
            plans::limits.nullable(),
        ))
        .first(conn)
        .optional()?;
    Ok(row)
}

/// The webhook's handshake with its secrets. One that cannot be opened is left out: the handshake says that it is missing.
fn handshaker(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    own: Option<serde_json::Value>,
    authentication: &Authentication,
) -> Result<Handshaker> {
    let own: Option<Handshake> = own
        .map(serde_json::from_value)
        .transpose()
        .map_err(|_| Error::Unreadable { what: "handshake" })?;
    let handshake = senders::effective_handshake(own.as_ref(), authentication);
    let secrets = match secrets::open(conn, scope, key, handshake.secret_ids()) {
        Ok(secrets) => secrets,
        Err(Error::Unreadable { .. }) => HashMap::new(),
        Err(error) => return Err(error),
    };
    Ok(Handshaker::new(handshake, &secrets))
}

/// The networks of all attached allowlists; an attached list without entries lets nobody in.
fn networks(conn: &mut PgConnection, tenant: Uuid, webhook: Uuid) -> Result<Option<Vec<IpNet>>> {
    let rows: Vec<Option<IpNet>> = webhook_allowlists::table
        .left_join(
            allowlist_entries::table.on(allowlist_entries::tenant_id
                .eq(webhook_allowlists::tenant_id)
                .and(allowlist_entries::allowlist_id.eq(webhook_allowlists::allowlist_id))),
        )
        .filter(webhook_allowlists::tenant_id.eq(tenant))
        .filter(webhook_allowlists::webhook_id.eq(webhook))
        .select(allowlist_entries::network.nullable())
        .load(conn)?;
    Ok((!rows.is_empty()).then(|| rows.into_iter().flatten().collect()))
}

fn revision(conn: &mut PgConnection, tenant: Uuid, id: Uuid) -> Result<(RevisionId, RevisionDocument)> {
    let document: serde_json::Value = revisions::table
        .filter(revisions::tenant_id.eq(tenant))
        .filter(revisions::id.eq(id))
        .select(revisions::document)
        .first(conn)?;
    let document = serde_json::from_value(document).map_err(|_| Error::Unreadable { what: "revision" })?;
    Ok((RevisionId::from(id), document))
}

impl Row {
    fn into_route(
        self,
        environment: Environment,
        (authentication, material, handshaker): (Authentication, Result<Material>, Handshaker),
        networks: Option<Vec<IpNet>>,
        revision: Option<(RevisionId, RevisionDocument)>,
    ) -> Result<Route> {
        let unreadable = |what| move || Error::Unreadable { what };
        Ok(Route {
            scope: TenantScope::proven(TenantId::from(self.tenant_id)),
            is_suspended: self.tenant_status != "active",
            webhook_id: WebhookId::from(self.webhook_id),
            url_id: UrlId::from(self.url_id),
            end: UrlEnd::first(self.url_expires_at, self.revoked_at, self.token_expires_at),
            system: self.system,
            environment,
            suffix: UrlSuffix::parse(&self.suffix).map_err(|_| Error::Unreadable { what: "suffix" })?,
            status: Status::parse(&self.status).ok_or_else(unreadable("webhook status"))?,
            methods: MethodSet::parse(&self.methods).map_err(|_| Error::Unreadable { what: "methods" })?,
            authentication,
            material,
            handshaker,
            pairing_until: self.pairing_until,
            capturing_until: self.capturing_until,
            networks,
            body_limit: usize::try_from(self.body_limit_bytes)
                .map_err(|_| Error::Unreadable { what: "body limit" })?,
            data_protection: self.data_protection,
            cors: self
                .cors
                .map(serde_json::from_value)
                .transpose()
                .map_err(|_| Error::Unreadable { what: "CORS" })?,
            malformed_bodies: MalformedBodies::parse(&self.malformed_bodies)
                .ok_or_else(unreadable("setting for bodies"))?,
            deduplication: self
                .deduplication
                .map(serde_json::from_value)
                .transpose()
                .map_err(|_| Error::Unreadable {
                    what: "deduplication",
                })?,
            limits: self.limits,
            url_limits: self.url_limits,
            tenant_limits: self.tenant_limits,
            plan_id: self.plan_id.map(PlanId::from),
            plan_limits: self.plan_limits,
            revision,
        })
    }
}

/// An API key was used.
#[derive(Debug, Clone, Copy)]
pub struct UsedKey {
    /// Whose it is: the scope of the resolved URL.
    pub scope: TenantScope,
    /// The key.
    pub key: ApiKeyId,
    /// When.
    pub at: DateTime<Utc>,
}

impl Gather for UsedKey {
    const WHAT: &'static str = "the last use of API keys";
    const EVERY: Duration = Duration::from_secs(10);
    const MOST: usize = 1_000_000;
    type Key = ApiKeyId;

    fn key(&self) -> ApiKeyId {
        self.key
    }

    fn merge(&mut self, other: Self) {
        self.at = self.at.max(other.at);
    }

    /// A time that another node has set later stays.
    fn write(conn: &mut PgConnection, used: &[Self]) -> Result<()> {
        for Self { scope, key, at } in used {
            diesel::update(api_keys::table)
                .filter(api_keys::tenant_id.eq(scope.uuid()))
                .filter(api_keys::id.eq(key.uuid()))
                .filter(api_keys::last_used_at.is_null().or(api_keys::last_used_at.lt(at)))
                .set(api_keys::last_used_at.eq(at))
                .execute(conn)?;
        }
        Ok(())
    }
}
