//! What mails say: plain text, short, with one link at most.

use chrono::{DateTime, TimeDelta, Utc};
use hookgate_domain::database::PgConnection;
use hookgate_domain::mailed_tokens::{self, Purpose};
use hookgate_domain::{Error, crypto, users};
use hookgate_model::access::Role;
use hookgate_model::ids::UserId;
use serde::{Deserialize, Serialize};

use super::Links;
use super::notice::Notice;
use crate::auth::secret_token::{EMAIL_VERIFICATION, PASSWORD_RESET, SecretToken};

/// The pages of the application for people.
pub(super) const ACCEPT_INVITATION: &str = "accept-invitation";
const VERIFY_EMAIL: &str = "verify-email";
const RESET_PASSWORD: &str = "reset-password";

/// How long a new password can be chosen.
const RESET_HOURS: i64 = 1;
/// How long an address can be verified.
const VERIFICATION_DAYS: i64 = 3;
/// Characters that a mail repeats of a name that somebody chose: it should not carry their message.
const NAME: usize = 60;

/// What a mail is about, as it lies sealed in the outbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Letter {
    /// Somebody is invited into a tenant.
    Invitation {
        token: String,
        tenant: String,
        inviter: String,
        role: Role,
        expires_at: DateTime<Utc>,
    },
    /// Somebody is to show that the address of their account is theirs.
    EmailVerification,
    /// Somebody is to show that the address that they want is theirs.
    EmailChange {
        user: UserId,
        /// The digest of the hash of the password that they showed: once that is changed, nothing is sent.
        #[serde(default)]
        password: [u8; 32],
    },
    /// Somebody has forgotten their password.
    PasswordReset,
    /// Something was done with somebody's account.
    Notice { notice: Notice },
}

/// A mail as it is sent.
pub(crate) struct Written {
    pub(crate) subject: String,
    pub(crate) text: String,
    /// The link in the text, if any, or the operation to call when there is no application for people.
    pub(crate) link: Option<String>,
}

impl Letter {
    /// Its name in the log.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Invitation { .. } => "invitation",
            Self::EmailVerification => "email_verification",
            Self::EmailChange { .. } => "email_change",
            Self::PasswordReset => "password_reset",
            Self::Notice { .. } => "notice",
        }
    }

    /// Writes it; `None` when there is nobody, or nothing, that it is about. Tokens for accounts are made when the mail is sent, so
    /// that they are nowhere before, and nobody can tell by what they have asked for whether there is such an account.
    ///
    /// # Errors
    /// When Postgres cannot be reached.
    pub(super) fn written(
        &self,
        conn: &mut PgConnection,
        recipient: &str,
        now: DateTime<Utc>,
        links: &Links,
    ) -> Result<Option<Written>, Error> {
        let mut holder = || Ok::<_, Error>(users::find_by_email(conn, recipient)?.map(|(user, _)| user));
        let (user, write): (_, fn(&str, &Links) -> Written) = match self {
            Self::Notice { notice } => return Ok(Some(notice.write())),
            Self::Invitation {
                token,
                tenant,
                inviter,
                role,
                expires_at,
            } => {
                let (tenant, inviter) = (name(tenant), name(inviter));
                return Ok(Some(invitation(
                    token,
                    &tenant,
                    &inviter,
                    *role,
                    *expires_at,
                    links,
                )));
            }
            Self::EmailVerification => {
                let unverified = holder()?.filter(|user| user.email_verified_at.is_none());
                (unverified.map(|user| user.id), verification)
            }
            Self::EmailChange { user, password } => {
                let is_free = holder()?.is_none();
                let wanted = is_free && has_password(conn, *user, password)?;
                (wanted.then_some(*user), verification)
            }
            Self::PasswordReset => (holder()?.map(|user| user.id), password_reset),
        };
        let Some(user) = user else { return Ok(None) };
        let (prefix, purpose, ends) = match self {
            Self::PasswordReset => (
                PASSWORD_RESET,
                Purpose::ResetPassword,
                TimeDelta::hours(RESET_HOURS),
            ),
            _ => (
                EMAIL_VERIFICATION,
                Purpose::VerifyEmail,
                TimeDelta::days(VERIFICATION_DAYS),
            ),
        };
        let token = SecretToken::new(prefix);
        mailed_tokens::create(conn, &token.digest, purpose, user, recipient, now + ends)?;
        Ok(Some(write(&token.text, links)))
    }
}

/// Whether a person has the password, of whose hash this is the digest; nobody changes it until the transaction ends.
fn has_password(conn: &mut PgConnection, user: UserId, digest: &[u8; 32]) -> Result<bool, Error> {
    let hash = users::lock(conn, user).and_then(|()| users::find_with_password(conn, user));
    match hash {
        Ok((_, hash)) => Ok(crypto::digest(hash.as_bytes()) == *digest),
        Err(Error::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

fn invitation(
    token: &str,
    tenant: &str,
    inviter: &str,
    role: Role,
    expires_at: DateTime<Utc>,
    links: &Links,
) -> Written {
    let link = links.of_app(ACCEPT_INVITATION, token).unwrap_or_else(|| {
        let new = links.of_api("/v1/auth/accept-invitation");
        let known = links.of_api("/v1/invitations/accept");
        format!(
            "POST {new} {{\"token\": \"{token}\", \"name\": \"...\", \"password\": \"...\"}}\n\
             or with an account, logged in: POST {known} {{\"token\": \"{token}\"}}"
        )
    });
    let until = expires_at.format("%-d %B %Y, %H:%M UTC");
    Written {
        subject: format!("{inviter} invites you to {tenant}"),
        text: format!(
            "{inviter} invites you to \"{tenant}\" on Hookgate, with the role {role}.\n\n\
             Accept the invitation until {until}:\n\n{link}\n\n\
             If you do not know what this is, leave it: nothing happens then.\n"
        ),
        link: Some(link),
    }
}

fn verification(token: &str, links: &Links) -> Written {
    let link = links.of_app(VERIFY_EMAIL, token).unwrap_or_else(|| {
        let operation = links.of_api("/v1/auth/verify-email");
        format!("POST {operation} {{\"token\": \"{token}\"}}")
    });
    Written {
        subject: "Verify your e-mail address".to_owned(),
        text: format!(
            "Somebody, probably you, gave this address to Hookgate as theirs.\n\n\
             Verify it within three days:\n\n{link}\n\n\
             If it was not you, leave it: nothing happens then.\n"
        ),
        link: Some(link),
    }
}

fn password_reset(token: &str, links: &Links) -> Written {
    let link = links.of_app(RESET_PASSWORD, token).unwrap_or_else(|| {
        let operation = links.of_api("/v1/auth/password-reset/confirm");
        format!("POST {operation} {{\"token\": \"{token}\", \"password\": \"...\"}}")
    });
    Written {
        subject: "Choose a new password".to_owned(),
        text: format!(
            "Somebody, probably you, asked for a new password of the Hookgate account with this address.\n\n\
             Choose one within an hour:\n\n{link}\n\n\
             If it was not you, leave it: the password stays as it is.\n"
        ),
        link: Some(link),
    }
}

fn name(text: &str) -> String {
    match text.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
