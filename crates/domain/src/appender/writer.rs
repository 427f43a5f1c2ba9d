//! A writer thread: takes a batch, commits it, tells its waiters, takes the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use secrecy::ExposeSecret;

use super::batch::{Batch, Outcome};
use super::event::{copy_statement, job_statement};
use super::libpq::{PgError, RawConnection};
use super::row::{HEADER, TRAILER};
use super::{AppendError, Shared};
use crate::database::DatabaseSettings;
use crate::redis::wakeups::WakeUps;

/// How long after a failed connection the next one is tried. Meanwhile events are refused at once.
const RECONNECT_AFTER: Duration = Duration::from_millis(100);

/// The session of a writer: names are looked up in `public` alone, a commit is durable whatever the server's default
/// is, and nothing hangs.
const SESSION: &str = "SET search_path = public; SET synchronous_commit = on; SET statement_timeout = 5000; \
    SET idle_in_transaction_session_timeout = 5000";

/// A thread that commits batches.
pub struct Writer {
    shared: Arc<Shared>,
    conninfo: String,
    wake_ups: Option<WakeUps>,
    connection: Option<RawConnection>,
    failed_at: Option<Instant>,
}

impl Writer {
    /// A writer that is not connected yet.
    pub fn new(shared: Arc<Shared>, database: DatabaseSettings, wake_ups: Option<WakeUps>) -> Self {
        let conninfo = with_timeouts(database.url.expose_secret());
        Self { shared, conninfo, wake_ups, connection: None, failed_at: None }
    }

    /// Commits batches until the appender is stopped and nothing waits.
    pub fn run(mut self) {
        if let Err(error) = self.connect() {
            tracing::warn!(error = error.message, "a writer cannot reach Postgres yet");
        }
        while let Some(batch) = self.next() {
            self.commit(batch);
        }
    }

    fn next(&self) -> Option<Batch> {
        let mut waiting = self.shared.waiting.lock();
        loop {
            if let Some(batch) = waiting.take() {
                return Some(batch);
            }
            if waiting.closed {
                return None;
            }
            self.shared.arrived.wait(&mut waiting);
        }
    }

    /// Commits a batch and tells its waiters. One bad row does not fail its neighbours: a batch that Postgres refuses is
    /// halved until the row stands alone.
    fn commit(&mut self, mut batch: Batch) {
        let rows = batch.entries.len();
        let began = Instant::now();
        match self.write(&mut batch) {
            Ok(()) => {
                metrics::histogram!("hookgate_append_rows").record(f64::from(u32::try_from(rows).unwrap_or(u32::MAX)));
                metrics::histogram!("hookgate_append_seconds").record(began.elapsed().as_secs_f64());
                let has_jobs = batch.entries.iter().any(|entry| entry.job.is_some());
                batch.settle(&Ok(()));
                if let (true, Some(wake_ups)) = (has_jobs, &self.wake_ups) {
                    wake_ups.send();
                }
            }
            Err(AppendError::Rejected(_)) if rows > 1 => {
                let (first, second) = batch.halve();
                self.commit(first);
                self.commit(second);
            }
            Err(error) => {
                metrics::counter!("hookgate_append_failed_rows").increment(rows as u64);
                batch.settle(&Err(error));
            }
        }
    }

    fn write(&mut self, batch: &mut Batch) -> Outcome {
        // A connection can have died while it was idle, so the batch gets a second chance on a new one. Should the first
        // commit have succeeded after all, the ids are taken: the batch is there, whole, as it was one transaction.
        for last_chance in [false, true] {
            match self.try_write(batch) {
                Ok(()) => return Ok(()),
                Err(error) if error.sqlstate == UNIQUE_VIOLATION && batch.uncertain => return Ok(()),
                Err(error) if error.sqlstate == UNDEFINED_TABLE && !last_chance => self.make_partition(batch.day)?,
                Err(error) if is_row_fault(&error) => return Err(AppendError::Rejected(error.message)),
                Err(error) => {
                    tracing::warn!(sqlstate = error.sqlstate, error = error.message, "a commit failed");
                    self.connection = None;
                    batch.uncertain = true;
                    if last_chance || !is_lost_connection(&error) {
                        return Err(AppendError::Unavailable);
                    }
                }
            }
        }
        Err(AppendError::Unavailable)
    }

    fn try_write(&mut self, batch: &Batch) -> Result<(), PgError> {
        self.connect()?;
        let Some(connection) = &mut self.connection else { return Err(PgError::default()) };
        let mut statements = copy_statement(&day_name(batch.day));
        let parts: Vec<_> = batch.entries.iter().filter_map(|entry| entry.job.clone()).collect();
        if let Some(jobs) = job_statement(&parts) {
            statements.push_str("; ");
            statements.push_str(&jobs);
        }
        connection.copy(&statements, &[HEADER, &batch.rows, TRAILER])
    }

    fn connect(&mut self) -> Result<(), PgError> {
        if self.connection.is_some() {
            return Ok(());
        }
        if self.failed_at.is_some_and(|moment| moment.elapsed() < RECONNECT_AFTER) {
            return Err(PgError { sqlstate: String::new(), message: "Postgres was away a moment ago".into() });
        }
        let connected = RawConnection::connect(&self.conninfo).and_then(|mut connection| {
            connection.execute(SESSION)?;
            Ok(connection)
        });
        match connected {
            Ok(connection) => {
                self.connection = Some(connection);
                self.failed_at = None;
                Ok(())
            }
            Err(error) => {
                self.failed_at = Some(Instant::now());
                Err(error)
            }
        }
    }

    /// Makes the partitions of a day that maintenance has not made ahead.
    fn make_partition(&mut self, day: i64) -> Outcome {
        let Some(connection) = &mut self.connection else { return Err(AppendError::Unavailable) };
        connection.execute(&format!("SELECT ensure_partitions('{}')", day_name(day))).map_err(|error| {
            tracing::error!(error = error.message, "the day's partitions cannot be made");
            AppendError::Unavailable
        })
    }
}

const UNIQUE_VIOLATION: &str = "23505";
const UNDEFINED_TABLE: &str = "42P01";

/// Whether the rows themselves are at fault: data exceptions (class 22) and broken constraints (class 23).
fn is_row_fault(error: &PgError) -> bool {
    error.sqlstate.starts_with("22") || error.sqlstate.starts_with("23")
}

/// Whether the server went away: no SQLSTATE at all, connection exceptions (class 08), a shutdown (57P01 to 57P03).
fn is_lost_connection(error: &PgError) -> bool {
    error.sqlstate.is_empty() || error.sqlstate.starts_with("08") || error.sqlstate.starts_with("57P")
}

/// `YYYYMMDD` of a day, as partitions are named.
fn day_name(day: i64) -> String {
    DateTime::from_timestamp(day.saturating_mul(86_400), 0).unwrap_or_default().format("%Y%m%d").to_string()
}

/// The connection string with bounds on connecting and on an unreachable peer, unless it sets its own.
fn with_timeouts(url: &str) -> String {
    let mut conninfo = url.to_owned();
    for (name, value) in [
        ("connect_timeout", "2"),
        ("keepalives_idle", "5"),
        ("keepalives_interval", "2"),
        ("keepalives_count", "3"),
        ("tcp_user_timeout", "5000"),
        ("application_name", "hookgate-writer"),
    ] {
        if !url.contains(&format!("{name}=")) {
            conninfo.push(if conninfo.contains('?') { '&' } else { '?' });
            conninfo.push_str(&format!("{name}={value}"));
        }
    }
    conninfo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_the_name_of_its_partition() {
        assert_eq!(day_name(0), "19700101");
        assert_eq!(day_name(20_778), "20261121");
    }

    #[test]
    fn timeouts_are_added_where_they_are_missing() {
        let conninfo = with_timeouts("postgres://u@h/d?connect_timeout=9");
        assert!(conninfo.contains("connect_timeout=9&") && !conninfo.contains("connect_timeout=2"));
        assert!(with_timeouts("postgres://u@h/d").contains("/d?connect_timeout=2&"));
    }
}
