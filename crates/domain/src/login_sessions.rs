//! Logins. Each has a family of refresh tokens of which only the newest works: presenting a used one means that two
//! parties hold the family's tokens, so the whole login ends (RFC 9700, section 4.14.2).

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::{LoginSessionId, TenantId, UserId};
use ipnet::IpNet;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::{login_sessions, refresh_tokens};
use crate::{scope, users};

/// How stale `last_used_at` may be.
const LAST_USED_PRECISION: TimeDelta = TimeDelta::minutes(1);

/// One login of a person, to one tenant.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = login_sessions, check_for_backend(diesel::pg::Pg))]
pub struct LoginSession {
    /// The id.
    #[diesel(deserialize_as = Uuid)]
    pub id: LoginSessionId,
    /// Who logged in.
    #[diesel(deserialize_as = Uuid)]
    pub user_id: UserId,
    /// The tenant it is for.
    #[diesel(deserialize_as = Uuid)]
    pub tenant_id: TenantId,
    /// When the login ends, however often it is refreshed.
    pub expires_at: DateTime<Utc>,
    /// When it was ended.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// From which network.
    pub network: Option<IpNet>,
    /// The program that began it.
    pub user_agent: Option<String>,
    /// When it was last used, to the minute.
    pub last_used_at: DateTime<Utc>,
}

/// What a new login needs.
#[derive(Debug, Clone)]
pub struct NewLoginSession {
    /// The id.
    pub id: LoginSessionId,
    /// Who logs in.
    pub user: UserId,
    /// The tenant it is for.
    pub tenant: TenantId,
    /// When the login ends, however often it is refreshed.
    pub expires_at: DateTime<Utc>,
    /// From which network.
    pub network: Option<IpNet>,
    /// The program that begins it.
    pub user_agent: Option<String>,
    /// The first refresh token.
    pub token: NewRefreshToken,
}

/// What a new refresh token needs.
#[derive(Debug, Clone, Copy)]
pub struct NewRefreshToken {
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
}

/// What becomes of a presented refresh token.
#[derive(Debug, Clone)]
pub enum Rotation {
    /// It worked, and is replaced.
    Rotated(LoginSession),
    /// It was used before: the login is ended.
    Reused(LoginSessionId),
    /// Unknown, expired, or of a login that has ended.
    Refused,
}

/// What a login rests on. It is looked at again when the login is stored: in between all logins may have been ended.
#[derive(Debug, Clone)]
pub enum Basis {
    /// The password was shown; its hash.
    Password(String),
    /// Another login of the person. The new one ends no later.
    Login(LoginSessionId),
}

/// Starts a login, in the running transaction.
///
/// # Errors
/// [`Error::NotFound`] when the password was changed meanwhile, or the other login has ended.
pub fn create(
    conn: &mut PgConnection,
    new: &NewLoginSession,
    basis: &Basis,
    now: DateTime<Utc>,
) -> Result<()> {
    let expires_at = match basis {
        Basis::Password(hash) => {
            users::lock_with_password(conn, new.user, hash)?;
            new.expires_at
        }
        Basis::Login(id) => {
            users::lock(conn, new.user)?;
            let other = live(new.user, now).filter(login_sessions::id.eq(id.uuid()));
            let ends: DateTime<Utc> = other.select(login_sessions::expires_at).first(conn)?;
            new.expires_at.min(ends)
        }
    };
    diesel::insert_into(login_sessions::table)
        .values((
            login_sessions::id.eq(new.id.uuid()),
            login_sessions::user_id.eq(new.user.uuid()),
            login_sessions::tenant_id.eq(new.tenant.uuid()),
            login_sessions::expires_at.eq(expires_at),
            login_sessions::network.eq(new.network),
            login_sessions::user_agent.eq(&new.user_agent),
        ))
        .execute(conn)?;
    add_token(conn, new.id, &new.token)
}

/// Replaces a refresh token by the next one of its family.
///
/// # Errors
/// When Postgres cannot be reached; a token that does not work is a [`Rotation`], so that what follows from it is
/// committed.
pub fn rotate(
    conn: &mut PgConnection,
    presented: &[u8; 32],
    next: &NewRefreshToken,
    now: DateTime<Utc>,
) -> Result<Rotation> {
    scope::transaction(conn, |conn| {
        // The row's lock makes two users of one token come one after the other: the second finds it used.
        let found: Option<(DateTime<Utc>, Option<DateTime<Utc>>, LoginSession)> = refresh_tokens::table
            .inner_join(login_sessions::table.on(login_sessions::id.eq(refresh_tokens::session_id)))
            .filter(refresh_tokens::digest.eq(&presented[..]))
            .select((
                refresh_tokens::expires_at,
                refresh_tokens::used_at,
                LoginSession::as_select(),
            ))
            .for_update()
            .first(conn)
            .optional()?;
        let Some((expires_at, used_at, session)) = found else {
            return Ok(Rotation::Refused);
        };
        if session.revoked_at.is_some() || session.expires_at <= now {
            return Ok(Rotation::Refused);
        }
        if used_at.is_some() {
            revoke(conn, session.id, now)?;
            return Ok(Rotation::Reused(session.id));
        }
        if expires_at <= now {
            return Ok(Rotation::Refused);
        }
        diesel::update(refresh_tokens::table.find(&presented[..]))
            .set(refresh_tokens::used_at.eq(now))
            .execute(conn)?;
        note_use(conn, session.id, session.last_used_at, now)?;
        let expires_at = next.expires_at.min(session.expires_at);
        add_token(conn, session.id, &NewRefreshToken { expires_at, ..*next })?;
        Ok(Rotation::Rotated(session))
    })
}

/// Ends a login: its access tokens and refresh tokens stop working at once.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn revoke(conn: &mut PgConnection, id: LoginSessionId, now: DateTime<Utc>) -> Result<()> {
    diesel::update(
        login_sessions::table
            .find(id.uuid())
            .filter(login_sessions::revoked_at.is_null()),
    )
    .set(login_sessions::revoked_at.eq(now))
    .execute(conn)?;
    Ok(())
}

/// Ends a login of the person, who may know it to be theirs only.
///
/// # Errors
/// [`crate::Error::NotFound`] when there is none of this id that goes on.
pub fn revoke_own(
    conn: &mut PgConnection,
    user: UserId,
    id: LoginSessionId,
    now: DateTime<Utc>,
) -> Result<()> {
    let ended = diesel::update(live(user, now).filter(login_sessions::id.eq(id.uuid())))
        .set(login_sessions::revoked_at.eq(now))
        .execute(conn)?;
    if ended == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Ends all logins of a person, but one, in the running transaction. Those that are being made and rest on one of them fail.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn revoke_others(
    conn: &mut PgConnection,
    user: UserId,
    but: Option<LoginSessionId>,
    now: DateTime<Utc>,
) -> Result<()> {
    users::lock(conn, user)?;
    let but = but.map_or(Uuid::nil(), LoginSessionId::uuid);
    diesel::update(live(user, now).filter(login_sessions::id.ne(but)))
        .set(login_sessions::revoked_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// A page of the person's logins that go on.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list_live(
    conn: &mut PgConnection,
    user: UserId,
    page: Page,
    now: DateTime<Utc>,
) -> Result<Vec<LoginSession>> {
    Ok(live(user, now)
        .filter(login_sessions::id.lt(page.below()))
        .order(login_sessions::id.desc())
        .limit(page.limit)
        .select(LoginSession::as_select())
        .load(conn)?)
}

#[diesel::dsl::auto_type(no_type_alias)]
fn live(user: UserId, now: DateTime<Utc>) -> _ {
    let user: Uuid = user.uuid();
    login_sessions::table
        .filter(login_sessions::user_id.eq(user))
        .filter(login_sessions::revoked_at.is_null())
        .filter(login_sessions::expires_at.gt(now))
}

/// Notes that a login is used, unless it was noted within the last minute: writing it on every request would cost each a commit.
///
/// # Errors
/// When Postgres cannot be reached.
pub(crate) fn note_use(
    conn: &mut PgConnection,
    id: LoginSessionId,
    last_used_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    if now - last_used_at > LAST_USED_PRECISION {
        diesel::update(login_sessions::table.find(id.uuid()))
            .set(login_sessions::last_used_at.eq(now))
            .execute(conn)?;
    }
    Ok(())
}

/// Ends the login of a refresh token, if it is one.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn revoke_by_token(conn: &mut PgConnection, presented: &[u8; 32], now: DateTime<Utc>) -> Result<()> {
    let session: Option<Uuid> = refresh_tokens::table
        .find(&presented[..])
        .select(refresh_tokens::session_id)
        .first(conn)
        .optional()?;
    match session {
        Some(session) => revoke(conn, session.into(), now),
        None => Ok(()),
    }
}

fn add_token(conn: &mut PgConnection, session: LoginSessionId, token: &NewRefreshToken) -> Result<()> {
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::digest.eq(&token.digest[..]),
            refresh_tokens::session_id.eq(session.uuid()),
            refresh_tokens::expires_at.eq(token.expires_at),
        ))
        .execute(conn)?;
    Ok(())
}
