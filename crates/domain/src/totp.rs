//! The second factor of people: a secret for codes, and recovery codes for whoever has lost it.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::UserId;
use uuid::Uuid;

use crate::clock;
use crate::error::Result;
use crate::schema::{recovery_codes, totp_secrets};

/// What a secret is bound to when it is sealed.
pub fn context(user: UserId) -> String {
    format!("totp_secrets/{}", user.uuid())
}

/// A person's second factor.
#[derive(Debug, Clone)]
pub struct TotpSecret {
    /// The secret, sealed.
    pub sealed: Vec<u8>,
    /// Whether a code was shown, from which on logins ask for one.
    pub is_confirmed: bool,
}

/// Gives a person a secret that is to be confirmed, instead of another such. Whether there is none that is confirmed.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn enrol(conn: &mut PgConnection, user: UserId, sealed: &[u8]) -> Result<bool> {
    diesel::delete(
        totp_secrets::table
            .find(user.uuid())
            .filter(totp_secrets::confirmed_at.is_null()),
    )
    .execute(conn)?;
    let added = diesel::insert_into(totp_secrets::table)
        .values((
            totp_secrets::user_id.eq(user.uuid()),
            totp_secrets::secret.eq(sealed),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(added > 0)
}

/// A person's second factor, if they have one.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn find(conn: &mut PgConnection, user: UserId) -> Result<Option<TotpSecret>> {
    let found: Option<(Vec<u8>, bool)> = totp_secrets::table
        .find(user.uuid())
        .select((totp_secrets::secret, totp_secrets::confirmed_at.is_not_null()))
        .first(conn)
        .optional()?;
    Ok(found.map(|(sealed, is_confirmed)| TotpSecret { sealed, is_confirmed }))
}

/// Uses the code of a step up, and all before it. Whether it was unused: of two who show the same code, one passes.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn use_step(conn: &mut PgConnection, user: UserId, step: i64) -> Result<bool> {
    let used = diesel::update(
        totp_secrets::table
            .find(user.uuid())
            .filter(totp_secrets::last_step.lt(step)),
    )
    .set(totp_secrets::last_step.eq(step))
    .execute(conn)?;
    Ok(used > 0)
}

/// Has logins ask for codes from now on, and keeps the digests of the recovery codes.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn confirm(conn: &mut PgConnection, user: UserId, digests: &[[u8; 32]]) -> Result<()> {
    diesel::update(totp_secrets::table.find(user.uuid()))
        .set(totp_secrets::confirmed_at.eq(clock::now()))
        .execute(conn)?;
    let codes: Vec<_> = digests
        .iter()
        .map(|digest| {
            (
                recovery_codes::user_id.eq(user.uuid()),
                recovery_codes::digest.eq(&digest[..]),
            )
        })
        .collect();
    diesel::insert_into(recovery_codes::table)
        .values(codes)
        .execute(conn)?;
    Ok(())
}

/// Uses a recovery code up. Whether it was one, and unused.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn use_recovery_code(conn: &mut PgConnection, user: UserId, digest: &[u8; 32]) -> Result<bool> {
    let used = diesel::delete(recovery_codes::table.find((user.uuid(), &digest[..]))).execute(conn)?;
    Ok(used > 0)
}

/// How many recovery codes are left.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn recovery_codes_left(conn: &mut PgConnection, user: UserId) -> Result<i64> {
    Ok(recovery_codes::table
        .filter(recovery_codes::user_id.eq(user.uuid()))
        .count()
        .get_result(conn)?)
}

/// Takes the second factor away, with its recovery codes.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete(conn: &mut PgConnection, user: UserId) -> Result<()> {
    let id: Uuid = user.uuid();
    diesel::delete(totp_secrets::table.find(id)).execute(conn)?;
    Ok(())
}
