//! Invitations into a tenant: one for an address at a time, for one use.
//!
//! A [`TenantScope`] is made here for whoever presents the token of one, once it is known to be live.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::access::Role;
use hookgate_model::email::Email;
use hookgate_model::ids::{InvitationId, UserId};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::members::read_role;
use crate::page::Page;
use crate::schema::invitations;
use crate::scope::{self, TenantScope};

/// An invitation that was not accepted yet.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = invitations, check_for_backend(diesel::pg::Pg))]
pub struct Invitation {
    /// The id.
    #[diesel(deserialize_as = Uuid)]
    pub id: InvitationId,
    /// The address, in lower case, of whom it is for.
    pub email: String,
    /// What they become.
    pub role: String,
    /// Who invited them.
    #[diesel(deserialize_as = Uuid)]
    pub invited_by: UserId,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// Whether its token was mailed, so that nobody else has it.
    pub is_mailed: bool,
}

impl Invitation {
    /// What they become.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for a role that this program does not know.
    pub fn role(&self) -> Result<Role> {
        read_role(&self.role)
    }
}

/// What a new invitation needs.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// The id.
    pub id: InvitationId,
    /// Whom it is for.
    pub email: Email,
    /// What they become.
    pub role: Role,
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// Who invites.
    pub invited_by: UserId,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// Whether its token is mailed.
    pub is_mailed: bool,
}

/// Adds an invitation; an expired one for the same address makes room. The caller holds the lock of
/// [`crate::members::lock`].
///
/// # Errors
/// The constraint `invitations_email_key` when the address has one, [`Error::LimitReached`].
pub fn create(
    conn: &mut PgConnection,
    scope: &TenantScope,
    new: &NewInvitation,
    most: u32,
    now: DateTime<Utc>,
) -> Result<Invitation> {
    let of_tenant = invitations::table.filter(invitations::tenant_id.eq(scope.uuid()));
    diesel::delete(of_tenant.filter(invitations::expires_at.le(now))).execute(conn)?;
    let pending: i64 = of_tenant.count().get_result(conn)?;
    if pending >= i64::from(most) {
        return Err(Error::LimitReached {
            what: "pending invitations",
            most: most.into(),
        });
    }
    Ok(diesel::insert_into(invitations::table)
        .values((
            invitations::tenant_id.eq(scope.uuid()),
            invitations::id.eq(new.id.uuid()),
            invitations::email.eq(new.email.as_str()),
            invitations::role.eq(new.role.as_str()),
            invitations::digest.eq(&new.digest[..]),
            invitations::invited_by.eq(new.invited_by.uuid()),
            invitations::expires_at.eq(new.expires_at),
            invitations::is_mailed.eq(new.is_mailed),
        ))
        .returning(Invitation::as_returning())
        .get_result(conn)?)
}

/// A page of the tenant's invitations, expired ones included until they are deleted.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(conn: &mut PgConnection, scope: &TenantScope, page: Page) -> Result<Vec<Invitation>> {
    Ok(invitations::table
        .filter(invitations::tenant_id.eq(scope.uuid()))
        .filter(invitations::id.lt(page.below()))
        .order(invitations::id.desc())
        .limit(page.limit)
        .select(Invitation::as_select())
        .load(conn)?)
}

/// An invitation.
///
/// # Errors
/// [`Error::NotFound`].
pub fn find(conn: &mut PgConnection, scope: &TenantScope, id: InvitationId) -> Result<Invitation> {
    Ok(invitations::table
        .find((scope.uuid(), id.uuid()))
        .select(Invitation::as_select())
        .first(conn)?)
}

/// Gives an invitation a new token and a new end, as of whoever sends it again; the old token does not work any more.
///
/// # Errors
/// [`Error::NotFound`].
pub fn renew(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: InvitationId,
    by: UserId,
    digest: &[u8; 32],
    expires_at: DateTime<Utc>,
    is_mailed: bool,
) -> Result<Invitation> {
    Ok(diesel::update(invitations::table.find((scope.uuid(), id.uuid())))
        .set((
            invitations::invited_by.eq(by.uuid()),
            invitations::digest.eq(&digest[..]),
            invitations::expires_at.eq(expires_at),
            invitations::is_mailed.eq(is_mailed),
        ))
        .returning(Invitation::as_returning())
        .get_result(conn)?)
}

/// Takes an invitation back, or uses it up.
///
/// # Errors
/// [`Error::NotFound`].
pub fn delete(conn: &mut PgConnection, scope: &TenantScope, id: InvitationId) -> Result<()> {
    let deleted = diesel::delete(invitations::table.find((scope.uuid(), id.uuid()))).execute(conn)?;
    if deleted == 0 {
        Err(Error::NotFound)
    } else {
        Ok(())
    }
}

/// The live invitation of a token, in the running transaction, which is its tenant's from here on.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or it has expired.
pub fn open(
    conn: &mut PgConnection,
    digest: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<(TenantScope, Invitation)> {
    scope::present_digest(conn, digest)?;
    let (tenant, invitation): (Uuid, Invitation) = invitations::table
        .filter(invitations::digest.eq(&digest[..]))
        .filter(invitations::expires_at.gt(now))
        .select((invitations::tenant_id, Invitation::as_select()))
        .first(conn)?;
    let scope = TenantScope::proven(tenant.into());
    scope.enter(conn)?;
    Ok((scope, invitation))
}
