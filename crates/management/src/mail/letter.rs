//! What mails say: plain text, short, with one link.

use chrono::{DateTime, TimeDelta, Utc};
use hookgate_domain::database::PgConnection;
use hookgate_domain::mailed_tokens::{self, Purpose};
use hookgate_domain::{Error, users};
use hookgate_model::access::Role;
use hookgate_model::ids::UserId;
use serde::{Deserialize, Serialize};

use super::Links;
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
    EmailChange { user: UserId },
    /// Somebody has forgotten their password.
    PasswordReset,
}

/// A mail as it is sent.
pub(crate) struct Written {
    pub(crate) subject: String,
    pub(crate) text: String,
    /// The link in the text, or the operation to call when there is no application for people.
    pub(crate) link: String,
}

impl Letter {
    /// Its name in the log.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Invitation { .. } => "invitation",
            Self::EmailVerification => "email_verification",
            Self::EmailChange { .. } => "email_change",
            Self::PasswordReset => "password_reset",
        }
    }

    /// The token of the mail. Those for accounts are made when it is sent, so that they are nowhere before, and nobody can tell by
    /// what they have asked for whether there is such an account; `None` if there is none, and then there is nothing to say.
    ///
    /// # Errors
    /// When Postgres cannot be reached.
    pub(super) fn token(
        &self,
        conn: &mut PgConnection,
        recipient: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, Error> {
        let holder = users::find_by_email(conn, recipient)?.map(|(user, _)| user);
        let (prefix, purpose, ends, user) = match self {
            Self::Invitation { token, .. } => return Ok(Some(token.clone())),
            Self::EmailVerification => {
                let unverified = holder.filter(|user| user.email_verified_at.is_none());
                let days = TimeDelta::days(VERIFICATION_DAYS);
                (
                    EMAIL_VERIFICATION,
                    Purpose::VerifyEmail,
                    days,
                    unverified.map(|user| user.id),
                )
            }
            Self::EmailChange { user } => {
                let days = TimeDelta::days(VERIFICATION_DAYS);
                let user = match users::find(conn, *user) {
                    Ok(user) => holder.is_none().then_some(user.id),
                    Err(Error::NotFound) => None,
                    Err(error) => return Err(error),
                };
                (EMAIL_VERIFICATION, Purpose::VerifyEmail, days, user)
            }
            Self::PasswordReset => {
                let hours = TimeDelta::hours(RESET_HOURS);
                (
                    PASSWORD_RESET,
                    Purpose::ResetPassword,
                    hours,
                    holder.map(|user| user.id),
                )
            }
        };
        let Some(user) = user else { return Ok(None) };
        let token = SecretToken::new(prefix);
        mailed_tokens::create(conn, &token.digest, purpose, user, recipient, now + ends)?;
        Ok(Some(token.text))
    }

    /// Writes it.
    pub(super) fn write(&self, token: &str, links: &Links) -> Written {
        match self {
            Self::Invitation {
                tenant,
                inviter,
                role,
                expires_at,
                ..
            } => {
                let (tenant, inviter) = (name(tenant), name(inviter));
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
                    link,
                }
            }
            Self::EmailVerification | Self::EmailChange { .. } => {
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
                    link,
                }
            }
            Self::PasswordReset => {
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
                    link,
                }
            }
        }
    }
}

fn name(text: &str) -> String {
    match text.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
