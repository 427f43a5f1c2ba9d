//! The keys that sign access tokens, shared by all management processes through this table.
//!
//! A new key is known to all before it signs: it is announced for a while first, since processes look for keys once a minute. The
//! one before it verifies until the last token that it signed has expired.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;

use crate::error::Result;
use crate::schema::signing_keys;
use crate::scope;

/// Taken while a key is made, so that processes agree on one.
const LOCK: i64 = 7_046_029_254_386_353_132;
/// How long a key is known before it signs: twice as long as processes go without looking for keys.
const ANNOUNCED: TimeDelta = TimeDelta::minutes(2);
/// How long a retired key is kept after its end, for whoever looks into what was.
const KEPT: TimeDelta = TimeDelta::days(30);

/// A key.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = signing_keys, check_for_backend(diesel::pg::Pg))]
pub struct SigningKey {
    /// Its name in a token's header.
    pub kid: String,
    /// The private half, sealed with the master key.
    pub private_key: Vec<u8>,
    /// The public half: 32 bytes of Ed25519.
    pub public_key: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its tokens stop being valid, once there is a newer one.
    pub retired_at: Option<DateTime<Utc>>,
}

/// A new key.
#[derive(Clone, Insertable)]
#[diesel(table_name = signing_keys)]
pub struct NewSigningKey {
    /// Its name in a token's header.
    pub kid: String,
    /// The private half, sealed with the master key.
    pub private_key: Vec<u8>,
    /// The public half: 32 bytes of Ed25519.
    pub public_key: Vec<u8>,
}

/// When keys make room for others.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// After this age a key is followed by another; `None` for never.
    pub age: Option<TimeDelta>,
    /// How long the tokens work that a key signs.
    pub tokens_live: TimeDelta,
}

/// What a key's private half is bound to when it is sealed.
pub fn context(kid: &str) -> String {
    format!("signing_keys/{kid}")
}

/// The keys whose tokens are valid, newest first.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn live(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<SigningKey>> {
    Ok(signing_keys::table
        .filter(
            signing_keys::retired_at
                .is_null()
                .or(signing_keys::retired_at.gt(now)),
        )
        .order((signing_keys::created_at.desc(), signing_keys::kid))
        .select(SigningKey::as_select())
        .load(conn)?)
}

/// Which of the live keys, newest first, signs: the newest that all processes know. Without one it is the oldest.
pub fn signing(keys: &[SigningKey], now: DateTime<Utc>) -> Option<&SigningKey> {
    keys.iter()
        .find(|key| key.created_at + ANNOUNCED <= now)
        .or(keys.last())
}

/// The live keys, newest first; if there is none, or the newest is older than it may be, with the one that `make` makes.
///
/// # Errors
/// When Postgres cannot be reached, or what `make` ends in.
pub fn live_or_rotated(
    conn: &mut PgConnection,
    rotation: Rotation,
    now: DateTime<Utc>,
    make: impl FnOnce() -> Result<NewSigningKey>,
) -> Result<Vec<SigningKey>> {
    let is_due = |keys: &[SigningKey]| match keys.first() {
        None => true,
        Some(newest) => rotation.age.is_some_and(|age| newest.created_at + age <= now),
    };
    scope::transaction(conn, |conn| {
        let keys = live(conn, now)?;
        if !is_due(&keys) {
            return Ok(keys);
        }
        lock(conn)?;
        if is_due(&live(conn, now)?) {
            follow(conn, rotation.tokens_live, now, make()?)?;
        }
        live(conn, now)
    })
}

/// Has a new key follow the others, which verify for as long as their tokens live; or, where they are revoked, no longer.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn rotate(
    conn: &mut PgConnection,
    tokens_live: TimeDelta,
    revokes: bool,
    now: DateTime<Utc>,
    new: NewSigningKey,
) -> Result<()> {
    scope::transaction(conn, |conn| {
        lock(conn)?;
        if revokes {
            diesel::update(signing_keys::table)
                .set(signing_keys::retired_at.eq(now))
                .execute(conn)?;
        }
        follow(conn, tokens_live, now, new)
    })
}

fn lock(conn: &mut PgConnection) -> Result<()> {
    sql_query("SELECT pg_advisory_xact_lock($1)")
        .bind::<diesel::sql_types::BigInt, _>(LOCK)
        .execute(conn)?;
    Ok(())
}

fn follow(
    conn: &mut PgConnection,
    tokens_live: TimeDelta,
    now: DateTime<Utc>,
    new: NewSigningKey,
) -> Result<()> {
    // The others go on signing until this one does, and a process may be late by as much again.
    let end = now + ANNOUNCED * 2 + tokens_live;
    diesel::update(signing_keys::table.filter(signing_keys::retired_at.is_null()))
        .set(signing_keys::retired_at.eq(end))
        .execute(conn)?;
    diesel::delete(signing_keys::table.filter(signing_keys::retired_at.lt(now - KEPT))).execute(conn)?;
    diesel::insert_into(signing_keys::table)
        .values((&new, signing_keys::created_at.eq(now)))
        .execute(conn)?;
    Ok(())
}
