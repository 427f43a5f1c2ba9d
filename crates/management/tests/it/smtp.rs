//! An SMTP server that keeps what it gets: plain SMTP (RFC 5321) on this machine, enough of it for a client of the field.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hookgate_management::mail::Mailer;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::sync::mpsc;

/// A mail as it came.
#[derive(Debug, Clone)]
pub struct Mail {
    pub recipient: String,
    /// Head and body, as sent.
    pub text: String,
}

impl Mail {
    /// The token in its link or in the operation that it names.
    #[track_caller]
    pub fn token(&self) -> String {
        let text = self.text.replace("=\r\n", "").replace("=3D", "=");
        // The head has letters by chance.
        let (_, text) = text.split_once("\r\n\r\n").expect("a body");
        let begin = text.find("hg").expect("a token");
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        text[begin..].chars().take_while(|c| is_part(*c)).collect()
    }
}

/// The server.
pub struct SmtpServer {
    address: std::net::SocketAddr,
    /// How many of the next mails it refuses for the moment.
    pub refusing: Arc<AtomicU32>,
    mails: Mutex<mpsc::UnboundedReceiver<Mail>>,
}

impl SmtpServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, mails) = mpsc::unbounded_channel();
        let refusing = Arc::new(AtomicU32::new(0));
        let refuses = Arc::clone(&refusing);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, sender.clone(), Arc::clone(&refuses)));
            }
        });
        Self {
            address,
            refusing,
            mails: Mutex::new(mails),
        }
    }

    pub fn mailer(&self) -> Mailer {
        let url = format!("smtp://{}", self.address);
        Mailer::smtp(&url, "Hookgate <hookgate@example.com>").expect("a mailer")
    }

    /// The next mail.
    pub async fn mail(&self) -> Mail {
        let mut mails = self.mails.lock().await;
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), mails.recv());
        next.await.expect("a mail in time").expect("a mail")
    }

    /// The next mail, which is for this recipient and has this subject.
    #[track_caller]
    pub fn expect(&self, recipient: &str, subject: &str) -> impl Future<Output = Mail> {
        let wanted = (recipient.to_owned(), format!("Subject: {subject}\r\n"));
        async move {
            let mail = self.mail().await;
            assert_eq!(mail.recipient, wanted.0);
            assert!(mail.text.contains(&wanted.1), "{}", mail.text);
            mail
        }
    }

    /// Whether no mail is there that was not looked at.
    pub async fn is_empty(&self) -> bool {
        self.mails.lock().await.is_empty()
    }
}

async fn serve(
    stream: TcpStream,
    mails: mpsc::UnboundedSender<Mail>,
    refusing: Arc<AtomicU32>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 here\r\n").await?;
    let mut recipient = String::new();
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let command = line.trim_end().to_owned();
        line.clear();
        let verb = command.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "RCPT" => {
                recipient = between(&command, '<', '>').to_owned();
                let refuse = |left: u32| left.checked_sub(1);
                match refusing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse) {
                    Ok(_) => "451 not now\r\n",
                    Err(_) => "250 yes\r\n",
                }
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while stream.read_line(&mut line).await? > 0 && line != ".\r\n" {
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    line.clear();
                }
                line.clear();
                let mail = Mail {
                    recipient: recipient.clone(),
                    text,
                };
                drop(mails.send(mail));
                "250 kept\r\n"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "250 yes\r\n",
        };
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

fn between(text: &str, open: char, close: char) -> &str {
    let (_, rest) = text.split_once(open).unwrap_or_default();
    rest.split_once(close).unwrap_or_default().0
}
