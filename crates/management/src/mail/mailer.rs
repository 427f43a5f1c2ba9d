//! Handing a mail over: to an SMTP server, or, in development, to a folder.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookgate_model::ids::MailId;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::{AsyncTransport, Tokio1Executor};

use super::letter::Written;

/// How long the server may take for each step.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Sends mails, or writes them down.
#[derive(Clone)]
pub struct Mailer {
    from: Mailbox,
    transport: Transport,
}

#[derive(Clone)]
enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder {
        folder: PathBuf,
        shows_links: Arc<AtomicBool>,
    },
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailer(…)")
    }
}

impl Mailer {
    /// Sends to the server of a URL: `smtps://user:password@host`, or `smtp://…?tls=required`.
    ///
    /// # Errors
    /// What is wrong with the URL or the sender's address, without either.
    pub fn smtp(url: &str, from: &str) -> Result<Self, &'static str> {
        let from = mailbox(from)?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| "mail.smtp_url looks like smtps://user:password@mail.example.com")?
            .timeout(Some(TIMEOUT))
            .build();
        Ok(Self {
            from,
            transport: Transport::Smtp(transport),
        })
    }

    /// Writes each mail into a file, and prints its link while that is wanted.
    ///
    /// # Errors
    /// What is wrong with the sender's address.
    pub fn folder(folder: PathBuf, from: &str, shows_links: Arc<AtomicBool>) -> Result<Self, &'static str> {
        Ok(Self {
            from: mailbox(from)?,
            transport: Transport::Folder { folder, shows_links },
        })
    }

    /// Hands a mail over.
    ///
    /// # Errors
    /// Why not, without what the mail says and whom it is for.
    pub(super) async fn send(&self, id: MailId, recipient: &str, written: Written) -> Result<(), String> {
        let (link, subject) = (written.link.clone(), written.subject.clone());
        let message = self.message(id, recipient, written)?;
        match &self.transport {
            // The server's text can repeat the recipient.
            Transport::Smtp(transport) => match transport.send(message).await {
                Ok(_) => Ok(()),
                Err(error) => Err(match error.status() {
                    Some(code) => format!("the SMTP server answered {code}"),
                    None => format!("the SMTP server cannot be used: {error}"),
                }),
            },
            Transport::Folder { folder, shows_links } => {
                let path = folder.join(format!("{id}.eml"));
                write(folder, &path, &message.formatted()).map_err(|error| format!("{path:?}: {error}"))?;
                if shows_links.load(Ordering::Relaxed) {
                    let what = link.unwrap_or(subject).replace('\n', " ");
                    println!("Mail to {recipient}: {what}  ({})", path.display());
                }
                Ok(())
            }
        }
    }

    fn message(&self, id: MailId, recipient: &str, written: Written) -> Result<Message, String> {
        let to = recipient
            .parse()
            .map_err(|_| "the address cannot be written to")?;
        let domain = self.from.email.domain();
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(written.subject)
            .message_id(Some(format!("<{id}@{domain}>")))
            // RFC 3834: nobody's holiday notice should answer.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .header(ContentType::TEXT_PLAIN);
        // Quoted-printable would break the link for whoever reads the text as it is. No line is longer than 998 characters
        // (RFC 5322, section 2.1.1).
        let body = if written.text.is_ascii() {
            let lines = written.text.replace('\n', "\r\n");
            Body::dangerous_pre_encoded(lines.into_bytes(), ContentTransferEncoding::SevenBit)
        } else {
            Body::new(written.text)
        };
        message.body(body).map_err(|error| error.to_string())
    }
}

fn mailbox(text: &str) -> Result<Mailbox, &'static str> {
    text.parse()
        .map_err(|_| "mail.from looks like Hookgate <hookgate@example.com>")
}

/// What a mail says is secret: it goes into a file that its owner alone reads.
fn write(folder: &PathBuf, path: &PathBuf, text: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text)
}
