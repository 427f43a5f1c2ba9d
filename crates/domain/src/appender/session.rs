//! A committer's connection: opened when it is needed, opened again when it was lost, and never waited for.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use super::libpq::{Connected, PgError, RawConnection, Row};
use crate::database::DatabaseSettings;
use crate::database_url::with_timeouts;

/// How long after a failed connection the next one is tried. Meanwhile everything fails at once.
const RECONNECT_AFTER: Duration = Duration::from_millis(100);

/// A connection that comes back.
pub struct Session {
    conninfo: SecretString,
    prepare: Option<String>,
    patience: Duration,
    connection: Option<RawConnection>,
    failed_at: Option<Instant>,
}

impl Session {
    /// A session that is not connected yet. `prepare` is run once on each new connection; `patience` is how long Postgres
    /// may take for a statement.
    pub fn new(
        database: &DatabaseSettings,
        application: &str,
        prepare: Option<String>,
        patience: Duration,
    ) -> Self {
        let conninfo = with_timeouts(database.url.expose_secret(), application).into();
        Self {
            conninfo,
            prepare,
            patience,
            connection: None,
            failed_at: None,
        }
    }

    /// Copies rows into the partitions of a day, and runs what follows the COPY in the same transaction. A day whose
    /// partitions maintenance has not made ahead gets them.
    pub async fn copy(&mut self, day: i64, statements: &str, data: &[&[u8]]) -> Result<(), PgError> {
        let outcome = self.try_copy(day, statements, data).await;
        if outcome.as_ref().is_err_and(|error| !error.is_row_fault()) {
            self.connection = None;
        }
        outcome
    }

    async fn try_copy(&mut self, day: i64, statements: &str, data: &[&[u8]]) -> Result<(), PgError> {
        let connection = self.connect().await?;
        match connection.copy(statements, data).await {
            Err(error) if error.is_missing_table() => {
                connection.execute(&make_partitions(day)).await?;
                connection.copy(statements, data).await
            }
            outcome => outcome,
        }
    }

    /// Runs statements of a transaction that [`Self::roll_back`] ends when it fails; returns the rows that they give.
    pub async fn query(&mut self, statements: &str) -> Result<Vec<Row>, PgError> {
        self.connect().await?.query(statements).await
    }

    /// Copies rows within the transaction that [`Self::query`] began, and runs what follows the COPY.
    pub async fn copy_on(&mut self, statements: &str, data: &[&[u8]]) -> Result<(), PgError> {
        self.connect().await?.copy(statements, data).await
    }

    /// Ends a transaction without its changes. A connection that cannot even do that is given up.
    pub async fn roll_back(&mut self) {
        if let Some(connection) = &mut self.connection
            && connection.execute("ROLLBACK").await.is_err()
        {
            self.connection = None;
        }
    }

    /// Leaves a connection that was lost.
    pub fn give_up(&mut self) {
        self.connection = None;
    }

    /// Makes the partitions of a day, where they are missing.
    pub async fn make_day(&mut self, day: i64) -> Result<(), PgError> {
        self.connect().await?.execute(&make_partitions(day)).await
    }

    /// The connection, opened if there is none.
    pub async fn connect(&mut self) -> Result<&mut RawConnection, PgError> {
        if self.connection.is_none() {
            if self
                .failed_at
                .is_some_and(|moment| moment.elapsed() < RECONNECT_AFTER)
            {
                return Err(PgError {
                    message: "Postgres was away a moment ago".into(),
                    ..PgError::default()
                });
            }
            self.failed_at = Some(Instant::now());
            let conninfo = self.conninfo.clone();
            let connected = tokio::task::spawn_blocking(move || Connected::open(conninfo.expose_secret()));
            let connected = connected.await.map_err(|_| PgError::default())??;
            let mut connection = RawConnection::attach(connected, self.patience)?;
            connection.execute(&settings(self.patience)).await?;
            if let Some(statements) = &self.prepare {
                connection.execute(statements).await?;
            }
            self.failed_at = None;
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or_else(PgError::default)
    }
}

fn make_partitions(day: i64) -> String {
    format!("SELECT ensure_partitions('{}')", day_name(day))
}

/// Names are looked up in `public` alone, a commit is durable whatever the server's default is, and nothing hangs.
fn settings(patience: Duration) -> String {
    let milliseconds = patience.as_millis();
    format!(
        "SET search_path = public; SET synchronous_commit = on; SET statement_timeout = {milliseconds}; \
         SET idle_in_transaction_session_timeout = {milliseconds}"
    )
}

/// Days since 1970 in UTC.
pub fn day_of(moment: DateTime<Utc>) -> i64 {
    moment.timestamp().div_euclid(86_400)
}

/// `YYYYMMDD` of a day, as partitions are named.
pub fn day_name(day: i64) -> String {
    DateTime::from_timestamp(day.saturating_mul(86_400), 0)
        .unwrap_or_default()
        .format("%Y%m%d")
        .to_string()
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
        let conninfo = with_timeouts("postgres://u@h/d?connect_timeout=9", "x");
        assert!(conninfo.contains("connect_timeout=9&") && !conninfo.contains("connect_timeout=2"));
        assert!(with_timeouts("postgres://u@h/d", "x").contains("/d?connect_timeout=2&"));
    }
}
