//! Helping somebody who has lost their second factor: under `/admin/v1` and at the command line.

use hookgate_domain::Error;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::PgConnection;
use hookgate_domain::operator::{self, Person};
use hookgate_domain::users::User;

use crate::mail;
use crate::mail::notice::Notice;

/// Takes a person's second factor away, ends their logins, and tells them by mail where this installation sends any (`outbox` is then
/// the key that seals it). Gives the person; `None` when there is nothing to take away. In the running transaction.
///
/// # Errors
/// [`Error::NotFound`] when there is no such person.
pub fn remove_second_factor(
    conn: &mut PgConnection,
    outbox: Option<&MasterKey>,
    person: &Person,
) -> Result<Option<User>, Error> {
    let Some(user) = operator::remove_second_factor(conn, person)? else {
        return Ok(None);
    };
    mail::notify(conn, outbox, user.id, Notice::SecondFactorRemoved)?;
    tracing::warn!(user = %user.id, "the operator has removed a second factor");
    Ok(Some(user))
}
