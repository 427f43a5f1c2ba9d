//! The outbox of mails: facts until they are sent. What a mail says is sealed by whoever posts it.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Timestamptz;
use hookgate_model::ids::MailId;
use uuid::Uuid;

use crate::error::Result;
use crate::schema::mails;

/// How often a mail is tried: over some six hours.
pub const ATTEMPTS: i32 = 12;

/// A mail that is being tried.
#[derive(Debug, Clone, QueryableByName)]
#[diesel(table_name = mails, check_for_backend(diesel::pg::Pg))]
pub struct Mail {
    /// The id.
    #[diesel(deserialize_as = Uuid)]
    pub id: MailId,
    /// Whom it is for.
    pub recipient: String,
    /// What it says, sealed.
    pub letter: Vec<u8>,
    /// How often it was tried, this time included.
    pub attempts: i32,
}

/// What a letter is bound to when it is sealed.
pub fn context(id: MailId) -> String {
    format!("mails/{id}")
}

/// Adds a mail, due at once, in the running transaction.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn post(conn: &mut PgConnection, id: MailId, recipient: &str, letter: &[u8]) -> Result<()> {
    diesel::insert_into(mails::table)
        .values((
            mails::id.eq(id.uuid()),
            mails::recipient.eq(recipient),
            mails::letter.eq(letter),
        ))
        .execute(conn)?;
    Ok(())
}

/// Takes the mail that is due first, which nobody else does then for a minute, and for longer the more often it was tried.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn claim(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<Mail>> {
    Ok(sql_query(
        "UPDATE mails SET attempts = attempts + 1,
           due_at = $1 + least(interval '1 hour', interval '1 minute' * 2 ^ least(attempts, 10))
         WHERE id = (SELECT id FROM mails WHERE due_at <= $1 ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING id, recipient, letter, attempts",
    )
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .optional()?)
}

/// Deletes a mail that was sent, or is given up.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete(conn: &mut PgConnection, id: MailId) -> Result<()> {
    diesel::delete(mails::table.find(id.uuid())).execute(conn)?;
    Ok(())
}
