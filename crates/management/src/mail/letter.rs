//! What mails say: plain text, short, with one link.

use chrono::{DateTime, Utc};
use hookgate_model::access::Role;
use serde::{Deserialize, Serialize};

use super::Links;

/// The page of the application where invitations are accepted.
pub(super) const ACCEPT_INVITATION: &str = "accept-invitation";
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
        }
    }

    /// Writes it.
    pub(super) fn write(&self, links: &Links) -> Written {
        match self {
            Self::Invitation {
                token,
                tenant,
                inviter,
                role,
                expires_at,
            } => {
                let (tenant, inviter) = (name(tenant), name(inviter));
                let link = links.of_app(ACCEPT_INVITATION, token);
                let link = link.unwrap_or_else(|| {
                    let new = links.of_api("/v1/auth/accept-invitation");
                    let known = links.of_api("/v1/invitations/accept");
                    format!(
                        "POST {new} {{\"token\": \"{token}\", \"name\": \"…\", \"password\": \"…\"}}\n\
                         With an account, log in: POST {known} {{\"token\": \"{token}\"}}"
                    )
                });
                Written {
                    subject: format!("{inviter} invites you to {tenant}"),
                    text: format!(
                        "{inviter} invites you to \"{tenant}\" on Hookgate, with the role {role}.\n\n\
                         Accept the invitation until {}:\n\n{link}\n\n\
                         If you do not know what this is, leave it: nothing happens then.\n",
                        expires_at.format("%e %B %Y, %H:%M UTC").to_string().trim_start(),
                    ),
                    link,
                }
            }
        }
    }
}

fn name(text: &str) -> String {
    match text.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
