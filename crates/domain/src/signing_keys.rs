//! The keys that sign access tokens, shared by all management processes through this table.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;

use crate::error::Result;
use crate::schema::signing_keys;
use crate::scope;

/// Taken while a first key is made, so that processes that start together agree on one.
const LOCK: i64 = 7_046_029_254_386_353_132;

/// A key.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = signing_keys)]
pub struct SigningKey {
    /// Its name in a token's header.
    pub kid: String,
    /// The private half, sealed with the master key.
    pub private_key: Vec<u8>,
    /// The public half: 32 bytes of Ed25519.
    pub public_key: Vec<u8>,
}

/// What a sealed private half is bound to.
pub fn context(kid: &str) -> String {
    format!("signing_keys/{kid}")
}

/// The keys whose tokens are valid, the one to sign with first.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn live(conn: &mut PgConnection) -> Result<Vec<SigningKey>> {
    Ok(signing_keys::table
        .filter(signing_keys::retired_at.is_null())
        .order((signing_keys::created_at.desc(), signing_keys::kid))
        .select(SigningKey::as_select())
        .load(conn)?)
}

/// The live keys; if there is none, the one that `make` makes.
///
/// # Errors
/// When Postgres cannot be reached, or what `make` ends in.
pub fn live_or_first(
    conn: &mut PgConnection,
    make: impl FnOnce() -> Result<SigningKey>,
) -> Result<Vec<SigningKey>> {
    scope::transaction(conn, |conn| {
        let keys = live(conn)?;
        if !keys.is_empty() {
            return Ok(keys);
        }
        sql_query("SELECT pg_advisory_xact_lock($1)")
            .bind::<diesel::sql_types::BigInt, _>(LOCK)
            .execute(conn)?;
        let keys = live(conn)?;
        if !keys.is_empty() {
            return Ok(keys);
        }
        diesel::insert_into(signing_keys::table)
            .values(make()?)
            .execute(conn)?;
        live(conn)
    })
}
