//! Whether a service can work: Postgres answers, and has the migrations that this program needs.
//!
//! Load balancers ask that of every node at the same time, so it is looked at over a connection of its own, in a thread of its
//! own: a service whose pool or whose threads are used up for a while is slow, and not away.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use std::{iter, thread};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use tokio::sync::oneshot;

use super::{DatabaseSettings, connect};
use crate::error::Error;
use crate::migrations;

/// How long it may take to answer: less than those wait who ask.
const WITHIN: Duration = Duration::from_secs(3);

/// Why a service cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// Postgres does not answer, or not in time.
    #[error("PostgreSQL is away")]
    Away,
    /// The database lacks migrations of this program.
    #[error("the database lacks migrations of this version: run its `hookgate migrate`")]
    Unmigrated,
}

type Asker = oneshot::Sender<Result<(), Unready>>;

/// Looks when somebody asks. Its thread begins with the first one who does, and ends with this.
pub(crate) struct Probe {
    settings: DatabaseSettings,
    askers: OnceLock<Sender<Asker>>,
}

impl Probe {
    pub(crate) fn new(settings: DatabaseSettings) -> Self {
        Self {
            settings,
            askers: OnceLock::new(),
        }
    }

    pub(crate) async fn ask(&self) -> Result<(), Unready> {
        let askers = self.askers.get_or_init(|| Look::start(self.settings.clone()));
        let (asker, answer) = oneshot::channel();
        askers.send(asker).map_err(|_| Unready::Away)?;
        match tokio::time::timeout(WITHIN, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Unready::Away),
        }
    }
}

/// What the thread keeps from one look to the next.
struct Look {
    settings: DatabaseSettings,
    conn: Option<PgConnection>,
    /// Nobody takes migrations back while a version runs that needs them, so this is asked until it was once so.
    is_migrated: bool,
    /// Whether the log has it.
    is_told: bool,
}

impl Look {
    fn start(settings: DatabaseSettings) -> Sender<Asker> {
        let (askers, asked) = channel();
        let mut look = Self {
            settings,
            conn: None,
            is_migrated: false,
            is_told: false,
        };
        let thread = thread::Builder::new().name("hookgate-ready".to_owned());
        if let Err(error) = thread.spawn(move || look.keep(&asked)) {
            tracing::error!(%error, "no thread can be made to look whether Postgres is there");
        }
        askers
    }

    fn keep(&mut self, asked: &Receiver<Asker>) {
        while let Ok(first) = asked.recv() {
            // One look for all who wait.
            let askers: Vec<Asker> = iter::once(first).chain(asked.try_iter()).collect();
            let found = self.look();
            for asker in askers {
                // Who went away needs no answer.
                let _ = asker.send(found);
            }
        }
    }

    fn look(&mut self) -> Result<(), Unready> {
        let kept = self.conn.take();
        let kept = kept.and_then(|mut conn| conn.batch_execute("SELECT 1").is_ok().then_some(conn));
        let mut conn = match kept {
            Some(conn) => conn,
            None => connect(&self.settings).map_err(|_| Unready::Away)?,
        };
        let found = if self.is_migrated {
            Ok(())
        } else {
            self.compare(&mut conn)
        };
        self.conn = Some(conn);
        found
    }

    fn compare(&mut self, conn: &mut PgConnection) -> Result<(), Unready> {
        const ACTION: &str = "it is ready once `hookgate migrate` of this version has run";
        let missing = match migrations::difference(conn) {
            Ok(difference) if difference.missing.is_empty() => {
                if self.is_told {
                    tracing::info!("the database has the migrations of this version");
                }
                self.is_migrated = true;
                return Ok(());
            }
            Ok(difference) => difference.missing.join(", "),
            Err(Error::Unavailable(_)) => return Err(Unready::Away),
            // Nothing was ever migrated, or not since services may read how far it is.
            Err(error) => error.to_string(),
        };
        if !self.is_told {
            tracing::error!(
                missing,
                action = ACTION,
                "the database lacks migrations of this version"
            );
            self.is_told = true;
        }
        Err(Unready::Unmigrated)
    }
}
