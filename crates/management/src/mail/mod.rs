//! Mails. They are put into the outbox in the transaction of what they tell of, so nothing is mailed that did not happen, and
//! a task of every management process sends them ([`sender`]): at least once, with the same `Message-ID` each time.

pub(crate) mod letter;
mod mailer;
pub(crate) mod notice;
pub(crate) mod sender;

use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::PgConnection;
use hookgate_domain::{Error, clock, mails, users};
use hookgate_model::ids::{MailId, UserId};
use tokio::sync::Notify;
use url::Url;

use crate::Settings;
use crate::error::{ApiError, ApiResult, ErrorCode};
use letter::Letter;
pub use mailer::Mailer;
use notice::Notice;

/// Whether and how mails go out.
pub struct Outbox {
    mailer: Option<Mailer>,
    posted: Notify,
    links: Links,
}

/// What the links in mails begin with.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    /// The application for people, if there is one.
    pub(crate) app: Option<Url>,
    /// This API.
    pub(crate) api: Url,
}

impl Outbox {
    /// Sends nothing yet.
    pub(crate) fn new(settings: &Settings) -> Self {
        let listens = || format!("http://{}/", settings.listen).parse();
        Self {
            mailer: settings.mailer.clone(),
            posted: Notify::new(),
            links: Links {
                app: settings.app_url.clone(),
                api: settings
                    .api_url
                    .clone()
                    .or_else(|| listens().ok())
                    .unwrap_or_else(|| settings.public_url.clone()),
            },
        }
    }

    /// Whether this installation sends mails.
    pub fn is_on(&self) -> bool {
        self.mailer.is_some()
    }

    /// Checks that this installation sends mails, for what cannot be done without.
    ///
    /// # Errors
    /// 503.
    pub fn required(&self) -> ApiResult<()> {
        if self.is_on() {
            Ok(())
        } else {
            Err(ApiError::new(
                ErrorCode::MailUnavailable,
                "this installation sends no mail: its operator sets mail.smtp_url",
            ))
        }
    }

    /// Has mails sent at once that were posted, after the transaction.
    pub fn posted(&self) {
        self.posted.notify_one();
    }

    /// What people open to accept an invitation, when there is an application for people.
    pub(crate) fn invitation_link(&self, token: &str) -> Option<String> {
        self.links.of_app(letter::ACCEPT_INVITATION, token)
    }
}

impl Links {
    /// A page of the application. The token is in the fragment, which browsers send to no server.
    fn of_app(&self, page: &str, token: &str) -> Option<String> {
        let app = self.app.as_ref()?.as_str().trim_end_matches('/');
        Some(format!("{app}/{page}#token={token}"))
    }

    /// An operation of this API.
    fn of_api(&self, path: &str) -> String {
        format!("{}{path}", self.api.as_str().trim_end_matches('/'))
    }
}

/// Puts a mail into the outbox, in the running transaction. Call [`Outbox::posted`] after it.
///
/// # Errors
/// When Postgres cannot be reached.
pub(crate) fn post(
    conn: &mut PgConnection,
    master_key: &MasterKey,
    recipient: &str,
    letter: &Letter,
) -> Result<(), Error> {
    let id: MailId = clock::new_id();
    let letter = serde_json::to_vec(letter).map_err(|error| Error::Query(error.to_string()))?;
    mails::post(
        conn,
        id,
        recipient,
        &master_key.seal(&mails::context(id), &letter)?,
    )
}

/// Tells a person of what was done with their account, where this installation sends mails; in the running transaction. Call
/// [`Outbox::posted`] after it.
///
/// # Errors
/// When Postgres cannot be reached.
pub(crate) fn notify(
    conn: &mut PgConnection,
    outbox: Option<&MasterKey>,
    user: UserId,
    notice: Notice,
) -> Result<(), Error> {
    let Some(master_key) = outbox else {
        return Ok(());
    };
    let email = users::find(conn, user)?.email;
    post(conn, master_key, &email, &Letter::Notice { notice })
}
