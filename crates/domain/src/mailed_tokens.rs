//! Tokens that are mailed to people: 256 random bits, kept as digests, for one use. Several may be live at a time, since a mail
//! can arrive twice; using one ends all that the person has for that purpose.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::UserId;
use uuid::Uuid;

use crate::error::Result;
use crate::schema::mailed_tokens;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To show that an address is theirs: the one they have, or the one that they want.
    VerifyEmail,
    /// To choose a new password.
    ResetPassword,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }
}

/// Adds a token for a person, that is mailed to this address.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn create(
    conn: &mut PgConnection,
    digest: &[u8; 32],
    purpose: Purpose,
    user: UserId,
    email: &str,
    expires_at: DateTime<Utc>,
) -> Result<()> {
    diesel::insert_into(mailed_tokens::table)
        .values((
            mailed_tokens::digest.eq(&digest[..]),
            mailed_tokens::user_id.eq(user.uuid()),
            mailed_tokens::purpose.eq(purpose.as_str()),
            mailed_tokens::email.eq(email),
            mailed_tokens::expires_at.eq(expires_at),
        ))
        .execute(conn)?;
    Ok(())
}

/// Whether a token is live.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn is_live(
    conn: &mut PgConnection,
    digest: &[u8; 32],
    purpose: Purpose,
    now: DateTime<Utc>,
) -> Result<bool> {
    let live = mailed_tokens::table
        .filter(mailed_tokens::digest.eq(&digest[..]))
        .filter(mailed_tokens::purpose.eq(purpose.as_str()))
        .filter(mailed_tokens::expires_at.gt(now));
    Ok(diesel::select(diesel::dsl::exists(live)).get_result(conn)?)
}

/// Uses a token up, and with it the person's others for that purpose. Gives whose it is, and the address that it was mailed to.
///
/// # Errors
/// [`crate::Error::NotFound`] when it is not live: of two who use it, one does.
pub fn redeem(
    conn: &mut PgConnection,
    digest: &[u8; 32],
    purpose: Purpose,
    now: DateTime<Utc>,
) -> Result<(UserId, String)> {
    let live = mailed_tokens::table
        .filter(mailed_tokens::digest.eq(&digest[..]))
        .filter(mailed_tokens::purpose.eq(purpose.as_str()))
        .filter(mailed_tokens::expires_at.gt(now));
    let (user, email): (Uuid, String) = diesel::delete(live)
        .returning((mailed_tokens::user_id, mailed_tokens::email))
        .get_result(conn)?;
    diesel::delete(
        mailed_tokens::table
            .filter(mailed_tokens::user_id.eq(user))
            .filter(mailed_tokens::purpose.eq(purpose.as_str())),
    )
    .execute(conn)?;
    Ok((user.into(), email))
}

/// Deletes all tokens of a person: what they were mailed to, or for, has changed.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete_all(conn: &mut PgConnection, user: UserId) -> Result<()> {
    diesel::delete(mailed_tokens::table.filter(mailed_tokens::user_id.eq(user.uuid()))).execute(conn)?;
    Ok(())
}
