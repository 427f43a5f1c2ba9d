//! The few calls of libpq that a writer needs and diesel does not offer: several statements and a COPY in one exchange.
//!
//! `COPY …; INSERT …` sent as one simple query is one transaction (PostgreSQL protocol, "Multiple Statements in a Simple
//! Query") and costs two round trips, whatever is in it. Diesel would need five. It also hides the SQLSTATE, which
//! tells a missing partition from a full disk. This is the only module of the workspace with unsafe code.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::NonNull;

use pq_sys::{
    ConnStatusType, ExecStatusType, PG_DIAG_MESSAGE_PRIMARY, PG_DIAG_SQLSTATE, PGconn, PGresult, PQclear,
    PQconnectdb, PQerrorMessage, PQexec, PQfinish, PQgetResult, PQputCopyData, PQputCopyEnd,
    PQresultErrorField, PQresultStatus, PQstatus,
};

/// What Postgres or the connection to it said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgError {
    /// The five characters of SQLSTATE; empty when the connection itself failed.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
}

impl PgError {
    /// Whether the rows themselves are at fault: data exceptions (class 22) and broken constraints (class 23).
    pub fn is_row_fault(&self) -> bool {
        self.sqlstate.starts_with("22") || self.sqlstate.starts_with("23")
    }

    /// Whether a row's id is there already: `unique_violation`.
    pub fn is_taken_id(&self) -> bool {
        self.sqlstate == "23505"
    }

    /// Whether the server went away: no SQLSTATE at all, connection exceptions (class 08), a shutdown (57P01 to 57P05).
    pub fn is_lost_connection(&self) -> bool {
        self.sqlstate.is_empty() || self.sqlstate.starts_with("08") || self.sqlstate.starts_with("57P")
    }

    /// The connection is of no use any more.
    fn connection(message: String) -> Self {
        Self {
            sqlstate: String::new(),
            message,
        }
    }
}

/// A connection that one thread owns.
pub struct RawConnection(NonNull<PGconn>);

// SAFETY: libpq allows a connection to be used from any thread, as long as it is one at a time; `&mut self` sees to that.
unsafe impl Send for RawConnection {}

impl RawConnection {
    /// Connects; blocks for as long as the connection string's `connect_timeout`.
    pub fn connect(conninfo: &str) -> Result<Self, PgError> {
        let conninfo =
            CString::new(conninfo).map_err(|_| PgError::connection("the URL contains a NUL".into()))?;
        // SAFETY: the string is NUL-terminated and outlives the call.
        let pointer = unsafe { PQconnectdb(conninfo.as_ptr()) };
        let connection =
            Self(NonNull::new(pointer).ok_or_else(|| PgError::connection("out of memory".into()))?);
        if connection.is_usable() {
            Ok(connection)
        } else {
            Err(connection.connection_error())
        }
    }

    fn is_usable(&self) -> bool {
        // SAFETY: the pointer is live until drop.
        unsafe { PQstatus(self.0.as_ptr()) == ConnStatusType::CONNECTION_OK }
    }

    fn connection_error(&self) -> PgError {
        // SAFETY: the message belongs to the connection and is copied before the next call.
        let message = unsafe { CStr::from_ptr(PQerrorMessage(self.0.as_ptr())) };
        PgError::connection(message.to_string_lossy().trim().to_owned())
    }

    /// Runs statements that give no rows and copy nothing.
    pub fn execute(&mut self, statements: &str) -> Result<(), PgError> {
        self.send(statements)?;
        self.finish()
    }

    /// Runs statements of which the first is a `COPY … FROM STDIN`, giving it the data.
    pub fn copy(&mut self, statements: &str, data: &[&[u8]]) -> Result<(), PgError> {
        if self.send(statements)? != ExecStatusType::PGRES_COPY_IN {
            return self
                .finish()
                .and(Err(PgError::connection("COPY did not begin".into())));
        }
        for piece in data.iter().filter(|piece| !piece.is_empty()) {
            for part in piece.chunks(1 << 28) {
                let length = c_int::try_from(part.len()).unwrap_or(c_int::MAX);
                // SAFETY: the pointer and length are of a live slice, which libpq copies.
                if unsafe { PQputCopyData(self.0.as_ptr(), part.as_ptr().cast::<c_char>(), length) } != 1 {
                    return Err(self.connection_error());
                }
            }
        }
        // SAFETY: a null message ends the COPY with success.
        if unsafe { PQputCopyEnd(self.0.as_ptr(), std::ptr::null()) } != 1 {
            return Err(self.connection_error());
        }
        self.finish()
    }

    /// Sends statements and looks at the first result; errors are final only after [`Self::finish`].
    fn send(&mut self, statements: &str) -> Result<ExecStatusType, PgError> {
        let statements =
            CString::new(statements).map_err(|_| PgError::connection("a statement contains a NUL".into()))?;
        // SAFETY: the string is NUL-terminated and outlives the call.
        let result = NonNull::new(unsafe { PQexec(self.0.as_ptr(), statements.as_ptr()) });
        let result = QueryResult(result.ok_or_else(|| self.connection_error())?);
        match result.error() {
            Some(error) if !error.sqlstate.is_empty() => Err(error),
            Some(_) => Err(self.connection_error()),
            None => Ok(result.status()),
        }
    }

    /// Reads what is left of the results; the first error counts.
    fn finish(&mut self) -> Result<(), PgError> {
        let mut outcome = Ok(());
        // SAFETY: the pointer is live; a null result says that nothing is left.
        while let Some(result) = NonNull::new(unsafe { PQgetResult(self.0.as_ptr()) }) {
            let error = QueryResult(result).error();
            if let (Some(error), true) = (error, outcome.is_ok()) {
                outcome = Err(error);
            }
            if !self.is_usable() {
                return outcome.and(Err(self.connection_error()));
            }
        }
        if self.is_usable() {
            outcome
        } else {
            outcome.and(Err(self.connection_error()))
        }
    }
}

impl Drop for RawConnection {
    fn drop(&mut self) {
        // SAFETY: nothing uses the pointer after this.
        unsafe { PQfinish(self.0.as_ptr()) }
    }
}

struct QueryResult(NonNull<PGresult>);

impl QueryResult {
    fn status(&self) -> ExecStatusType {
        // SAFETY: the result is live until drop.
        unsafe { PQresultStatus(self.0.as_ptr()) }
    }

    fn error(&self) -> Option<PgError> {
        let failed = matches!(
            self.status(),
            ExecStatusType::PGRES_FATAL_ERROR | ExecStatusType::PGRES_BAD_RESPONSE
        );
        failed.then(|| PgError {
            sqlstate: self.field(c_int::from(PG_DIAG_SQLSTATE)),
            message: self.field(c_int::from(PG_DIAG_MESSAGE_PRIMARY)),
        })
    }

    fn field(&self, code: c_int) -> String {
        // SAFETY: the text belongs to the result and is copied at once; null means that there is none.
        let text = unsafe { PQresultErrorField(self.0.as_ptr(), code) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: libpq gives NUL-terminated text.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}

impl Drop for QueryResult {
    fn drop(&mut self) {
        // SAFETY: nothing uses the result after this.
        unsafe { PQclear(self.0.as_ptr()) }
    }
}
