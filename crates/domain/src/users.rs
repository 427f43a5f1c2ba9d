//! People. They are not a tenant's: a person can be a member of several.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::UserId;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::schema::users;

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct User {
    /// The id.
    #[diesel(deserialize_as = Uuid)]
    pub id: UserId,
    /// The address, in lower case, by which they log in.
    pub email: String,
    /// What to call them.
    pub name: String,
    /// When they registered.
    pub created_at: DateTime<Utc>,
    /// When they showed that the address is theirs.
    pub email_verified_at: Option<DateTime<Utc>>,
}

/// What a new person needs.
#[derive(Insertable)]
#[diesel(table_name = users)]
pub struct NewUser<'a> {
    /// The id.
    #[diesel(serialize_as = Uuid)]
    pub id: UserId,
    /// The address, in lower case.
    pub email: &'a str,
    /// What to call them.
    pub name: &'a str,
    /// The argon2id hash as a PHC string.
    pub password_hash: &'a str,
}

/// Adds a person.
///
/// # Errors
/// The constraint `users_email_key` when the address is taken.
pub fn create(conn: &mut PgConnection, new: NewUser<'_>) -> Result<User> {
    Ok(new
        .insert_into(users::table)
        .returning(User::as_returning())
        .get_result(conn)?)
}

/// Keeps everybody else from changing the person until the transaction ends.
///
/// # Errors
/// [`crate::Error::NotFound`] when there is none of this id.
pub fn lock(conn: &mut PgConnection, id: UserId) -> Result<()> {
    users::table
        .find(id.uuid())
        .select(users::id)
        .for_no_key_update()
        .first::<Uuid>(conn)?;
    Ok(())
}

/// The same, and checks that their password is still the one of this hash.
///
/// # Errors
/// [`crate::Error::NotFound`] when it was changed meanwhile.
pub fn lock_with_password(conn: &mut PgConnection, id: UserId, hash: &str) -> Result<()> {
    lock(conn, id)?;
    let (_, present) = find_with_password(conn, id)?;
    if present == hash {
        Ok(())
    } else {
        Err(Error::NotFound)
    }
}

/// The person of an address, with the hash of their password.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn find_by_email(conn: &mut PgConnection, email: &str) -> Result<Option<(User, String)>> {
    Ok(users::table
        .filter(users::email.eq(email))
        .select((User::as_select(), users::password_hash))
        .first(conn)
        .optional()?)
}

/// A person, with the hash of their password.
///
/// # Errors
/// [`crate::Error::NotFound`] when there is none of this id.
pub fn find_with_password(conn: &mut PgConnection, id: UserId) -> Result<(User, String)> {
    Ok(users::table
        .find(id.uuid())
        .select((User::as_select(), users::password_hash))
        .first(conn)?)
}

/// Notes that a person has shown that an address is theirs. Whether it is that of their account.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn verify_email(conn: &mut PgConnection, id: UserId, email: &str, now: DateTime<Utc>) -> Result<bool> {
    let verified = diesel::update(users::table.find(id.uuid()).filter(users::email.eq(email)))
        .set(users::email_verified_at.eq(now))
        .execute(conn)?;
    Ok(verified > 0)
}

/// Gives a person another address, which they have shown to be theirs.
///
/// # Errors
/// The constraint `users_email_key` when the address is taken.
pub fn set_email(conn: &mut PgConnection, id: UserId, email: &str, now: DateTime<Utc>) -> Result<()> {
    diesel::update(users::table.find(id.uuid()))
        .set((users::email.eq(email), users::email_verified_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

/// Gives a person another password.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn set_password(conn: &mut PgConnection, id: UserId, hash: &str) -> Result<()> {
    diesel::update(users::table.find(id.uuid()))
        .set(users::password_hash.eq(hash))
        .execute(conn)?;
    Ok(())
}

/// A person.
///
/// # Errors
/// [`crate::Error::NotFound`] when there is none of this id.
pub fn find(conn: &mut PgConnection, id: UserId) -> Result<User> {
    Ok(users::table
        .find(id.uuid())
        .select(User::as_select())
        .first(conn)?)
}
