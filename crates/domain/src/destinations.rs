//! Destinations: named outbound targets. A signing secret is sealed with the master key, bound to its row, and shown
//! only when it is made; after a rotation the one before it signs too, for a while. What is presented beside, the
//! authentication takes from [`crate::secrets`].
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::base_url::BaseUrl;
use hookgate_model::ids::{DestinationId, SecretId, TenantId, WebhookId};
use hookgate_model::outbound_authentication::{ClientCertificate, OutboundAuthentication};
use hookgate_model::outbound_signature::SigningSecret;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::clock;
use crate::crypto::MasterKey;
use crate::error::{Error, Result};
use crate::limits;
use crate::page::Page;
use crate::schema::{destination_pauses, destinations, revisions, webhooks};
use crate::scope::TenantScope;
use crate::stored_json::{MaybeJson, StoredJson, to_json};

/// A destination as it is stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = destinations, check_for_backend(diesel::pg::Pg))]
pub struct Destination {
    /// Its id.
    #[diesel(deserialize_as = Uuid)]
    pub id: DestinationId,
    /// A name, unique in the tenant.
    pub name: String,
    /// What the URL of every call begins with.
    pub base_url: String,
    /// What is presented with every call.
    #[diesel(deserialize_as = StoredJson<OutboundAuthentication>)]
    pub authentication: OutboundAuthentication,
    /// The client certificate for TLS.
    #[diesel(deserialize_as = MaybeJson<ClientCertificate>)]
    pub client_certificate: Option<ClientCertificate>,
    /// The sealed signing secret, if calls are signed.
    signing_secret: Option<Vec<u8>>,
    /// What a receiver verifies with, if calls are signed by Ed25519.
    pub public_key: Option<String>,
    /// The sealed signing secret before the last rotation.
    previous_signing_secret: Option<Vec<u8>>,
    /// Until when it signs too.
    pub previous_secret_expires_at: Option<DateTime<Utc>>,
    /// How many calls it takes in a second.
    pub calls_per_second: Option<i32>,
    /// How many calls it takes at the same time.
    pub calls_at_once: Option<i32>,
    /// Whether 410 Gone pauses it.
    pub pauses_on_gone: bool,
    /// Counts the changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a tenant chooses.
#[derive(Debug, Clone)]
pub struct DestinationSettings {
    /// A name, unique in the tenant.
    pub name: String,
    /// What the URL of every call begins with.
    pub base_url: BaseUrl,
    /// What is presented with every call.
    pub authentication: OutboundAuthentication,
    /// The client certificate for TLS.
    pub client_certificate: Option<ClientCertificate>,
    /// How many calls it takes in a second.
    pub calls_per_second: Option<i32>,
    /// How many calls it takes at the same time.
    pub calls_at_once: Option<i32>,
    /// Whether 410 Gone pauses it.
    pub pauses_on_gone: bool,
}

/// That no call goes to a destination until somebody resumes it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = destination_pauses, check_for_backend(diesel::pg::Pg))]
pub struct Pause {
    /// Since when.
    pub paused_at: DateTime<Utc>,
    /// Why, in words.
    pub reason: String,
}

impl DestinationSettings {
    /// Without authentication and limits.
    pub fn new(name: impl Into<String>, base_url: BaseUrl) -> Self {
        Self {
            name: name.into(),
            base_url,
            authentication: OutboundAuthentication::default(),
            client_certificate: None,
            calls_per_second: None,
            calls_at_once: None,
            pauses_on_gone: true,
        }
    }
}

impl Destination {
    /// Whether calls are signed.
    pub fn is_signed(&self) -> bool {
        self.signing_secret.is_some()
    }

    /// The signing secrets that count at a moment: the newest first.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when one was sealed with another master key, or is damaged.
    pub fn signing_secrets(
        &self,
        scope: &TenantScope,
        key: &MasterKey,
        now: DateTime<Utc>,
    ) -> Result<Vec<SigningSecret>> {
        let previous = self.previous_signing_secret.as_ref();
        let previous = previous.filter(|_| self.previous_secret_expires_at.is_some_and(|end| end > now));
        let unreadable = || Error::Unreadable {
            what: "signing secret",
        };
        let open = |sealed: &Vec<u8>| {
            let opened = key.open(&context(scope.tenant(), self.id), sealed)?;
            let text = std::str::from_utf8(&opened).map_err(|_| unreadable())?;
            SigningSecret::parse(text).map_err(|_| unreadable())
        };
        self.signing_secret.iter().chain(previous).map(open).collect()
    }

    /// Every secret that its settings name.
    pub fn secret_ids(&self) -> Vec<SecretId> {
        let certificate = self.client_certificate.iter();
        let places = self.authentication.secret_places().into_iter();
        places
            .map(|(_, id)| id)
            .chain(certificate.map(|certificate| certificate.private_key))
            .collect()
    }
}

/// What a sealed secret is bound to.
pub(crate) fn context(tenant: TenantId, id: DestinationId) -> String {
    format!("destinations/{tenant}/{id}")
}

fn seal(scope: &TenantScope, key: &MasterKey, id: DestinationId, secret: &SigningSecret) -> Result<Vec<u8>> {
    let text = Zeroizing::new(secret.expose());
    key.seal(&context(scope.tenant(), id), text.as_bytes())
}

/// Makes a destination; its calls are signed when a secret is given.
///
/// # Errors
/// `destinations_name_key` when the name is taken; [`Error::LimitReached`].
pub fn create(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    settings: &DestinationSettings,
    signing_secret: Option<&SigningSecret>,
) -> Result<Destination> {
    let existing = destinations::table
        .filter(destinations::tenant_id.eq(scope.uuid()))
        .count()
        .get_result::<i64>(conn)?;
    if existing >= limits::DESTINATIONS {
        return Err(Error::LimitReached {
            what: "destinations",
            most: limits::DESTINATIONS,
        });
    }
    let id: DestinationId = clock::new_id();
    let sealed = signing_secret
        .map(|secret| seal(scope, key, id, secret))
        .transpose()?;
    let certificate = settings.client_certificate.as_ref();
    Ok(diesel::insert_into(destinations::table)
        .values((
            destinations::tenant_id.eq(scope.uuid()),
            destinations::id.eq(id.uuid()),
            destinations::name.eq(&settings.name),
            destinations::base_url.eq(settings.base_url.as_str()),
            destinations::authentication.eq(to_json(&settings.authentication)?),
            destinations::client_certificate.eq(certificate.map(to_json).transpose()?),
            destinations::calls_per_second.eq(settings.calls_per_second),
            destinations::calls_at_once.eq(settings.calls_at_once),
            destinations::pauses_on_gone.eq(settings.pauses_on_gone),
            destinations::signing_secret.eq(sealed),
            destinations::public_key.eq(signing_secret.and_then(SigningSecret::public_key)),
        ))
        .returning(Destination::as_returning())
        .get_result(conn)?)
}

/// One destination.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read(conn: &mut PgConnection, scope: &TenantScope, id: DestinationId) -> Result<Destination> {
    Ok(destinations::table
        .find((scope.uuid(), id.uuid()))
        .select(Destination::as_select())
        .first(conn)?)
}

/// One destination, which nobody else changes until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read_for_change(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: DestinationId,
) -> Result<Destination> {
    Ok(destinations::table
        .find((scope.uuid(), id.uuid()))
        .select(Destination::as_select())
        .for_update()
        .first(conn)?)
}

/// A page of the tenant's destinations.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(conn: &mut PgConnection, scope: &TenantScope, page: Page) -> Result<Vec<Destination>> {
    Ok(destinations::table
        .filter(destinations::tenant_id.eq(scope.uuid()))
        .filter(destinations::id.lt(page.below()))
        .order(destinations::id.desc())
        .limit(page.limit)
        .select(Destination::as_select())
        .load(conn)?)
}

/// Changes what a tenant chooses.
///
/// # Errors
/// [`Error::NotFound`], `destinations_name_key` when the name is taken.
pub fn update(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: DestinationId,
    settings: &DestinationSettings,
) -> Result<Destination> {
    read_for_change(conn, scope, id)?;
    let certificate = settings.client_certificate.as_ref();
    Ok(
        diesel::update(destinations::table.find((scope.uuid(), id.uuid())))
            .set((
                destinations::name.eq(&settings.name),
                destinations::base_url.eq(settings.base_url.as_str()),
                destinations::authentication.eq(to_json(&settings.authentication)?),
                destinations::client_certificate.eq(certificate.map(to_json).transpose()?),
                destinations::calls_per_second.eq(settings.calls_per_second),
                destinations::calls_at_once.eq(settings.calls_at_once),
                destinations::pauses_on_gone.eq(settings.pauses_on_gone),
                destinations::version.eq(destinations::version + 1),
                destinations::updated_at.eq(clock::now()),
            ))
            .returning(Destination::as_returning())
            .get_result(conn)?,
    )
}

/// Replaces the signing secret, from the next call on; `None` leaves calls unsigned. The one before signs too until
/// `previous_until`.
///
/// # Errors
/// [`Error::NotFound`].
pub fn replace_signing_secret(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    id: DestinationId,
    secret: Option<&SigningSecret>,
    previous_until: Option<DateTime<Utc>>,
) -> Result<Destination> {
    let current = read_for_change(conn, scope, id)?;
    let sealed = secret.map(|secret| seal(scope, key, id, secret)).transpose()?;
    let previous_until = previous_until.filter(|_| secret.is_some() && current.is_signed());
    let previous = current.signing_secret.filter(|_| previous_until.is_some());
    Ok(
        diesel::update(destinations::table.find((scope.uuid(), id.uuid())))
            .set((
                destinations::signing_secret.eq(sealed),
                destinations::public_key.eq(secret.and_then(SigningSecret::public_key)),
                destinations::previous_signing_secret.eq(previous),
                destinations::previous_secret_expires_at.eq(previous_until),
                destinations::version.eq(destinations::version + 1),
                destinations::updated_at.eq(clock::now()),
            ))
            .returning(Destination::as_returning())
            .get_result(conn)?,
    )
}

/// Pauses a destination: no call goes there until it is resumed. Returns whether it was not paused before.
///
/// # Errors
/// [`Error::NotFound`].
pub fn pause(conn: &mut PgConnection, scope: &TenantScope, id: DestinationId, reason: &str) -> Result<bool> {
    let paused = diesel::insert_into(destination_pauses::table)
        .values((
            destination_pauses::tenant_id.eq(scope.uuid()),
            destination_pauses::destination_id.eq(id.uuid()),
            destination_pauses::paused_at.eq(clock::now()),
            destination_pauses::reason.eq(reason),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(paused > 0)
}

/// Resumes a destination. Workers release what waits for it ([`crate::jobs::held`]).
///
/// # Errors
/// When Postgres cannot be reached.
pub fn resume(conn: &mut PgConnection, scope: &TenantScope, id: DestinationId) -> Result<()> {
    diesel::delete(destination_pauses::table.find((scope.uuid(), id.uuid()))).execute(conn)?;
    Ok(())
}

/// Of some destinations, those that are paused.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn pauses(
    conn: &mut PgConnection,
    scope: &TenantScope,
    ids: &[DestinationId],
) -> Result<HashMap<DestinationId, Pause>> {
    let wanted: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let paused: Vec<(Uuid, Pause)> = destination_pauses::table
        .filter(destination_pauses::tenant_id.eq(scope.uuid()))
        .filter(destination_pauses::destination_id.eq_any(wanted))
        .select((destination_pauses::destination_id, Pause::as_select()))
        .load(conn)?;
    Ok(paused
        .into_iter()
        .map(|(id, pause)| (DestinationId::from(id), pause))
        .collect())
}

/// The destinations whose authentication or client certificate names a secret.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn using_secret(conn: &mut PgConnection, scope: &TenantScope, id: SecretId) -> Result<Vec<Destination>> {
    let settings =
        "destinations.authentication::text || coalesce(destinations.client_certificate::text, '') LIKE ";
    let mentions = diesel::dsl::sql::<diesel::sql_types::Bool>(settings)
        .bind::<diesel::sql_types::Text, _>(format!("%{id}%"));
    Ok(destinations::table
        .filter(destinations::tenant_id.eq(scope.uuid()))
        .filter(mentions)
        .order(destinations::id)
        .select(Destination::as_select())
        .load(conn)?)
}

/// The webhooks whose draft or published revision calls the destination.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn used_by(conn: &mut PgConnection, scope: &TenantScope, id: DestinationId) -> Result<Vec<WebhookId>> {
    let mentions = diesel::dsl::sql::<diesel::sql_types::Bool>("revisions.document::text LIKE ")
        .bind::<diesel::sql_types::Text, _>(format!("%{id}%"));
    let ids: Vec<Uuid> = webhooks::table
        .inner_join(
            revisions::table.on(revisions::tenant_id.eq(webhooks::tenant_id).and(
                revisions::id
                    .eq(webhooks::draft_revision_id)
                    .or(webhooks::published_revision_id.eq(revisions::id.nullable())),
            )),
        )
        .filter(webhooks::tenant_id.eq(scope.uuid()))
        .filter(mentions)
        .select(webhooks::id)
        .distinct()
        .load(conn)?;
    Ok(ids.into_iter().map(WebhookId::from).collect())
}

/// Deletes a destination.
///
/// # Errors
/// [`Error::NotFound`].
pub fn delete(conn: &mut PgConnection, scope: &TenantScope, id: DestinationId) -> Result<()> {
    read_for_change(conn, scope, id)?;
    diesel::delete(destinations::table.find((scope.uuid(), id.uuid()))).execute(conn)?;
    Ok(())
}

/// Of some ids, those that are destinations of the tenant. They cannot be deleted until the transaction ends.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn existing(
    conn: &mut PgConnection,
    scope: &TenantScope,
    ids: &[DestinationId],
) -> Result<HashSet<DestinationId>> {
    let wanted: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let present: Vec<Uuid> = destinations::table
        .filter(destinations::tenant_id.eq(scope.uuid()))
        .filter(destinations::id.eq_any(wanted))
        .select(destinations::id)
        .for_key_share()
        .load(conn)?;
    Ok(present.into_iter().map(DestinationId::from).collect())
}
