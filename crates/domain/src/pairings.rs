//! Pairings: a webhook takes the secret that its sender brings, once, in a window that the tenant opened.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool, Integer, Text, Uuid as SqlUuid};
use hookgate_model::ids::{SecretId, WebhookId};
use hookgate_model::senders::Preset;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::crypto::MasterKey;
use crate::error::Result;
use crate::schema::pairings;
use crate::scope::TenantScope;
use crate::{clock, limits, secrets, webhooks};

/// The latest pairing of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = pairings, check_for_backend(diesel::pg::Pg))]
pub struct Pairing {
    /// Whom it is with.
    pub sender: String,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// Until when it is open, unless a secret comes before.
    pub expires_at: DateTime<Utc>,
    /// When the secret came.
    pub completed_at: Option<DateTime<Utc>>,
    secret_id: Option<Uuid>,
    /// When the secret was shown to the tenant.
    pub revealed_at: Option<DateTime<Utc>>,
}

impl Pairing {
    /// The secret that came.
    pub fn secret_id(&self) -> Option<SecretId> {
        self.secret_id.map(SecretId::from)
    }
}

/// Opens a webhook for pairing, anew if it was before.
///
/// # Errors
/// [`crate::Error::NotFound`]; [`crate::Error::LimitReached`] when the tenant can have no further secret.
pub fn open(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    sender: &Preset,
    expires_at: DateTime<Utc>,
) -> Result<Pairing> {
    webhooks::require(conn, scope, webhook)?;
    secrets::require_room(conn, scope)?;
    let state = (
        pairings::sender.eq(sender.name),
        pairings::opened_at.eq(clock::now()),
        pairings::expires_at.eq(expires_at),
        pairings::completed_at.eq(None::<DateTime<Utc>>),
        pairings::secret_id.eq(None::<Uuid>),
        pairings::revealed_at.eq(None::<DateTime<Utc>>),
    );
    Ok(diesel::insert_into(pairings::table)
        .values((
            pairings::tenant_id.eq(scope.uuid()),
            pairings::webhook_id.eq(webhook.uuid()),
            state,
        ))
        .on_conflict((pairings::tenant_id, pairings::webhook_id))
        .do_update()
        .set(state)
        .returning(Pairing::as_returning())
        .get_result(conn)?)
}

/// The latest pairing; `None` when the webhook never was open for one.
///
/// # Errors
/// [`crate::Error::NotFound`] for a webhook that is not there.
pub fn read(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId) -> Result<Option<Pairing>> {
    webhooks::require(conn, scope, webhook)?;
    Ok(pairings::table
        .find((scope.uuid(), webhook.uuid()))
        .select(Pairing::as_select())
        .first(conn)
        .optional()?)
}

/// Ends a pairing that is open. One that is complete stays as it is.
///
/// # Errors
/// [`crate::Error::NotFound`] for a webhook that is not there.
pub fn close(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId) -> Result<()> {
    webhooks::require(conn, scope, webhook)?;
    let now = clock::now();
    diesel::update(pairings::table.find((scope.uuid(), webhook.uuid())))
        .filter(pairings::completed_at.is_null())
        .filter(pairings::expires_at.gt(now))
        .set(pairings::expires_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// The secret that came, once: `None` when it was shown before, or there is none (any more).
///
/// # Errors
/// [`crate::Error::NotFound`] for a webhook that is not there.
pub fn reveal(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    webhook: WebhookId,
) -> Result<Option<Zeroizing<String>>> {
    webhooks::require(conn, scope, webhook)?;
    let secret: Option<Option<Uuid>> = diesel::update(pairings::table.find((scope.uuid(), webhook.uuid())))
        .filter(pairings::completed_at.is_not_null())
        .filter(pairings::revealed_at.is_null())
        .set(pairings::revealed_at.eq(clock::now()))
        .returning(pairings::secret_id)
        .get_result(conn)
        .optional()?;
    let Some(id) = secret.flatten().map(SecretId::from) else {
        return Ok(None);
    };
    let value = secrets::open(conn, scope, key, &[id])?.remove(&id);
    let text = value.map(|value| String::from_utf8_lossy(&value).into_owned());
    Ok(text.map(Zeroizing::new))
}

/// Installs a secret that a request brought, and closes the pairing. `None` when the webhook is not open (any more).
///
/// # Errors
/// When Postgres cannot be reached.
pub fn complete(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    webhook: WebhookId,
    secret: &str,
) -> Result<Option<SecretId>> {
    #[derive(QueryableByName)]
    struct Done {
        #[diesel(sql_type = Bool)]
        complete_pairing: bool,
    }
    let id: SecretId = clock::new_id();
    let sealed = key.seal(&secrets::context(scope.tenant(), id), secret.as_bytes())?;
    let done: Done = diesel::sql_query("SELECT complete_pairing($1, $2, $3, $4, $5, $6)")
        .bind::<SqlUuid, _>(webhook.uuid())
        .bind::<SqlUuid, _>(id.uuid())
        .bind::<Text, _>(id.to_string())
        .bind::<Text, _>(format!("paired with {webhook}: {id}"))
        .bind::<Binary, _>(sealed)
        .bind::<Integer, _>(limits::SENDER_SECRETS)
        .get_result(conn)?;
    Ok(done.complete_pairing.then_some(id))
}
