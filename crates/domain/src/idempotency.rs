//! Answers kept for requests that carry an Idempotency-Key, so that a repeated request is not done twice.
//!
//! A key is claimed before the work and given its answer after it. A process that dies in between leaves a claim
//! without an answer, which may be taken over once it is older than any request can take.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::TenantId;

use crate::error::{Error, Result};
use crate::schema::idempotency_keys;
use crate::scope::TenantScope;

/// How long an answer is kept.
pub const KEPT: TimeDelta = TimeDelta::hours(24);
/// How long a request can be in flight: past this, its process is gone.
pub const IN_FLIGHT_MOST: TimeDelta = TimeDelta::seconds(60);

/// A request that carries a key.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who sends it: keys of different actors have nothing to do with each other.
    pub actor: String,
    /// The key.
    pub key: String,
    /// SHA-256 of what identifies the request: method, path, query, body.
    pub digest: [u8; 32],
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: the caller does the work, then calls [`finish`] or [`release`] with this claim's moment.
    Claimed(DateTime<Utc>),
    /// The same request is being worked on.
    InFlight,
    /// The same request was answered so (sealed).
    Answered(Vec<u8>),
    /// Another request has used this key.
    OtherRequest,
}

/// What a sealed answer is bound to.
pub fn context(tenant: TenantId, actor: &str, key: &str) -> String {
    format!("idempotency_keys/{tenant}/{actor}/{key}")
}

/// Claims a key, in a transaction of its own: the claim must be visible while the work goes on.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn claim(
    conn: &mut PgConnection,
    scope: &TenantScope,
    request: &Request,
    now: DateTime<Utc>,
) -> Result<Claim> {
    // Postgres keeps microseconds; the moment must compare equal when it comes back.
    let now = truncated(now);
    let claimed = diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::tenant_id.eq(scope.uuid()),
            idempotency_keys::actor.eq(&request.actor),
            idempotency_keys::key.eq(&request.key),
            idempotency_keys::request_digest.eq(&request.digest[..]),
            idempotency_keys::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    if claimed == 1 {
        return Ok(Claim::Claimed(now));
    }
    let (digest, created_at, answer): (Vec<u8>, DateTime<Utc>, Option<Vec<u8>>) = idempotency_keys::table
        .find((scope.uuid(), &request.actor, &request.key))
        .select((
            idempotency_keys::request_digest,
            idempotency_keys::created_at,
            idempotency_keys::answer,
        ))
        .for_update()
        .first(conn)
        .map_err(|error| match error {
            // Released between the two statements: the caller may try again at once.
            diesel::result::Error::NotFound => {
                Error::Unavailable("an idempotency key was just released".into())
            }
            other => other.into(),
        })?;
    let abandoned = answer.is_none() && now - created_at > IN_FLIGHT_MOST;
    if abandoned || now - created_at > KEPT {
        diesel::update(idempotency_keys::table.find((scope.uuid(), &request.actor, &request.key)))
            .set((
                idempotency_keys::request_digest.eq(&request.digest[..]),
                idempotency_keys::created_at.eq(now),
                idempotency_keys::answer_status.eq(None::<i16>),
                idempotency_keys::answer.eq(None::<Vec<u8>>),
            ))
            .execute(conn)?;
        return Ok(Claim::Claimed(now));
    }
    Ok(match answer {
        _ if digest != request.digest => Claim::OtherRequest,
        Some(answer) => Claim::Answered(answer),
        None => Claim::InFlight,
    })
}

/// Keeps the answer of a claimed request, unless another has taken the claim over.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn finish(
    conn: &mut PgConnection,
    scope: &TenantScope,
    request: &Request,
    claimed: DateTime<Utc>,
    status: u16,
    sealed: &[u8],
) -> Result<()> {
    diesel::update(
        idempotency_keys::table
            .find((scope.uuid(), &request.actor, &request.key))
            .filter(idempotency_keys::created_at.eq(claimed)),
    )
    .set((
        idempotency_keys::answer_status.eq(i16::try_from(status).ok()),
        idempotency_keys::answer.eq(sealed),
    ))
    .execute(conn)?;
    Ok(())
}

/// Gives a claim up: the request may be repeated.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn release(
    conn: &mut PgConnection,
    scope: &TenantScope,
    request: &Request,
    claimed: DateTime<Utc>,
) -> Result<()> {
    diesel::delete(
        idempotency_keys::table
            .find((scope.uuid(), &request.actor, &request.key))
            .filter(idempotency_keys::created_at.eq(claimed))
            .filter(idempotency_keys::answer.is_null()),
    )
    .execute(conn)?;
    Ok(())
}

fn truncated(now: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}
