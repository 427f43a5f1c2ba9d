//! The few calls of libpq that a committer needs and diesel does not offer: several statements and a COPY in one exchange,
//! without a thread that waits for it.
//!
//! `COPY …; EXECUTE …` sent as one simple query is one transaction (PostgreSQL protocol, "Multiple Statements in a Simple
//! Query") and costs two round trips, whatever is in it. Diesel would need five. It also hides the SQLSTATE, which
//! tells a missing partition from a full disk. This is the only module of the workspace with unsafe code.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::time::Duration;

use pq_sys::{
    ConnStatusType, ExecStatusType, PG_DIAG_MESSAGE_PRIMARY, PG_DIAG_SQLSTATE, PGconn, PGresult, PQclear,
    PQconnectdb, PQconsumeInput, PQerrorMessage, PQfinish, PQflush, PQgetResult, PQgetisnull, PQgetvalue,
    PQisBusy, PQnfields, PQntuples, PQputCopyData, PQputCopyEnd, PQresultErrorField, PQresultStatus,
    PQsendQuery, PQsetnonblocking, PQsocket, PQstatus,
};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

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

    /// Whether the table is not there: a day without partitions.
    pub fn is_missing_table(&self) -> bool {
        self.sqlstate == "42P01"
    }

    /// Whether somebody else held a lock for too long: `lock_not_available`.
    pub fn is_lock_timeout(&self) -> bool {
        self.sqlstate == "55P03"
    }

    /// Whether the transaction got in the way of another and may simply be tried again: `serialization_failure`,
    /// `deadlock_detected`.
    pub fn is_conflict(&self) -> bool {
        self.sqlstate == "40001" || self.sqlstate == "40P01"
    }

    /// Whether the server went away: no SQLSTATE at all, connection exceptions (class 08), a shutdown (57P01 to 57P05), a
    /// transaction that stood still for too long (25P03).
    pub fn is_lost_connection(&self) -> bool {
        self.sqlstate.is_empty()
            || self.sqlstate.starts_with("08")
            || self.sqlstate.starts_with("57P")
            || self.sqlstate == "25P03"
    }

    /// The connection is of no use any more.
    fn connection(message: String) -> Self {
        Self {
            sqlstate: String::new(),
            message,
        }
    }
}

/// A row of a result, as text; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// A connection that is not yet part of an event loop.
pub struct Connected(Handle);

impl Connected {
    /// Connects; blocks for as long as the connection string's `connect_timeout`.
    pub fn open(conninfo: &str) -> Result<Self, PgError> {
        let conninfo =
            CString::new(conninfo).map_err(|_| PgError::connection("the URL contains a NUL".into()))?;
        // SAFETY: the string is NUL-terminated and outlives the call.
        let pointer = unsafe { PQconnectdb(conninfo.as_ptr()) };
        let handle =
            Handle(NonNull::new(pointer).ok_or_else(|| PgError::connection("out of memory".into()))?);
        // SAFETY: the pointer is live until drop.
        if handle.is_usable() && unsafe { PQsetnonblocking(handle.0.as_ptr(), 1) } == 0 {
            Ok(Self(handle))
        } else {
            Err(handle.error())
        }
    }
}

/// libpq's handle of a connection.
struct Handle(NonNull<PGconn>);

// SAFETY: libpq allows a connection to be used from any thread, as long as it is one at a time; ownership sees to that.
unsafe impl Send for Handle {}

impl Handle {
    fn is_usable(&self) -> bool {
        // SAFETY: the pointer is live until drop.
        unsafe { PQstatus(self.0.as_ptr()) == ConnStatusType::CONNECTION_OK }
    }

    fn error(&self) -> PgError {
        // SAFETY: the message belongs to the connection and is copied before the next call.
        let message = unsafe { CStr::from_ptr(PQerrorMessage(self.0.as_ptr())) };
        PgError::connection(message.to_string_lossy().trim().to_owned())
    }

    /// `Ok` when libpq says that a call succeeded.
    fn check(&self, succeeded: bool) -> Result<(), PgError> {
        if succeeded { Ok(()) } else { Err(self.error()) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: nothing uses the pointer after this.
        unsafe { PQfinish(self.0.as_ptr()) }
    }
}

/// A connection in the event loop of the task that uses it.
pub struct RawConnection {
    // The socket is a duplicate, so that it may be closed before or after libpq's own; first, so that it leaves the event
    // loop before libpq closes the connection.
    socket: AsyncFd<OwnedFd>,
    handle: Handle,
    patience: Duration,
}

impl RawConnection {
    /// Puts a connection into the running event loop. An exchange in which Postgres is silent for longer than `patience`
    /// fails: the server is stopped, or a network swallows everything.
    pub fn attach(connected: Connected, patience: Duration) -> Result<Self, PgError> {
        let Connected(handle) = connected;
        // SAFETY: the descriptor is open as long as the handle lives, and is only borrowed for duplicating it.
        let socket = unsafe { BorrowedFd::borrow_raw(PQsocket(handle.0.as_ptr())) };
        let failed = |error: std::io::Error| PgError::connection(error.to_string());
        let socket = socket.try_clone_to_owned().map_err(failed)?;
        // SAFETY: the descriptor is owned by the registration, which nothing takes it out of.
        let socket =
            unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE | Interest::WRITABLE) };
        let socket = socket.map_err(|error| failed(error.into()))?;
        Ok(Self {
            socket,
            handle,
            patience,
        })
    }

    /// Runs statements that copy nothing; rows that they give are thrown away.
    pub async fn execute(&mut self, statements: &str) -> Result<(), PgError> {
        self.query(statements).await.map(|_| ())
    }

    /// Runs statements that copy nothing; returns the rows that they give, those of all statements together.
    pub async fn query(&mut self, statements: &str) -> Result<Vec<Row>, PgError> {
        self.send(statements).await?;
        let mut rows = Vec::new();
        self.finish(&mut rows).await.map(|()| rows)
    }

    /// Runs statements of which the first is a `COPY … FROM STDIN`, giving it the data.
    pub async fn copy(&mut self, statements: &str, data: &[&[u8]]) -> Result<(), PgError> {
        self.send(statements).await?;
        let Some(first) = self.next().await? else {
            return Err(self.handle.error());
        };
        if let Some(error) = first.error() {
            return self.finish(&mut Vec::new()).await.and(Err(error));
        }
        if first.status() != ExecStatusType::PGRES_COPY_IN {
            return self
                .finish(&mut Vec::new())
                .await
                .and(Err(PgError::connection("COPY did not begin".into())));
        }
        for part in data.iter().flat_map(|piece| piece.chunks(1 << 28)) {
            let length = c_int::try_from(part.len()).unwrap_or(c_int::MAX);
            // SAFETY: the pointer and length are of a live slice, which libpq copies.
            let put =
                unsafe { PQputCopyData(self.handle.0.as_ptr(), part.as_ptr().cast::<c_char>(), length) };
            self.handle.check(put == 1)?;
        }
        // SAFETY: a null message ends the COPY with success.
        let ended = unsafe { PQputCopyEnd(self.handle.0.as_ptr(), std::ptr::null()) };
        self.handle.check(ended == 1)?;
        self.flush().await?;
        self.finish(&mut Vec::new()).await
    }

    async fn send(&mut self, statements: &str) -> Result<(), PgError> {
        let statements =
            CString::new(statements).map_err(|_| PgError::connection("a statement contains a NUL".into()))?;
        // SAFETY: the string is NUL-terminated and copied by the call.
        let sent = unsafe { PQsendQuery(self.handle.0.as_ptr(), statements.as_ptr()) };
        self.handle.check(sent == 1)?;
        self.flush().await
    }

    /// Hands everything that libpq holds to the operating system.
    async fn flush(&mut self) -> Result<(), PgError> {
        loop {
            // SAFETY: the pointer is live until drop.
            match unsafe { PQflush(self.handle.0.as_ptr()) } {
                0 => return Ok(()),
                1 => self.wait(Interest::READABLE | Interest::WRITABLE).await?,
                _ => return Err(self.handle.error()),
            }
        }
    }

    /// The next result; `None` when the exchange is over.
    async fn next(&mut self) -> Result<Option<QueryResult>, PgError> {
        // SAFETY: the pointer is live until drop.
        while unsafe { PQisBusy(self.handle.0.as_ptr()) } == 1 {
            self.wait(Interest::READABLE).await?;
        }
        // SAFETY: the pointer is live; a null result says that nothing is left.
        Ok(NonNull::new(unsafe { PQgetResult(self.handle.0.as_ptr()) }).map(QueryResult))
    }

    /// Reads what is left of the results; the first error counts.
    async fn finish(&mut self, rows: &mut Vec<Row>) -> Result<(), PgError> {
        let mut outcome = Ok(());
        while let Some(result) = self.next().await? {
            rows.extend(result.rows());
            if let (Some(error), true) = (result.error(), outcome.is_ok()) {
                outcome = Err(error);
            }
            if !self.handle.is_usable() {
                break;
            }
        }
        if self.handle.is_usable() {
            outcome
        } else {
            outcome.and(Err(self.handle.error()))
        }
    }

    /// Waits for the socket and takes in what it has.
    async fn wait(&mut self, interest: Interest) -> Result<(), PgError> {
        let ready = tokio::time::timeout(self.patience, self.socket.ready(interest)).await;
        let Ok(Ok(mut ready)) = ready else {
            return Err(PgError::connection("Postgres is silent".into()));
        };
        // SAFETY: the pointer is live until drop.
        let consumed = unsafe { PQconsumeInput(self.handle.0.as_ptr()) };
        // Readiness is told by edges: it may be forgotten only when nothing is left to read, and libpq does not always read
        // everything. What arrives from now on is told again.
        if is_drained(self.socket.get_ref()) {
            ready.clear_ready();
        }
        self.handle.check(consumed == 1)
    }
}

/// Whether a socket has nothing to read at present.
fn is_drained(socket: &OwnedFd) -> bool {
    let peeked = SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]);
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

struct QueryResult(NonNull<PGresult>);

// SAFETY: a result is plain memory of libpq's that nothing else refers to; ownership sees to one use at a time.
unsafe impl Send for QueryResult {}

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

    fn rows(&self) -> impl Iterator<Item = Row> {
        // SAFETY: the result is live until drop.
        let (rows, columns) = unsafe { (PQntuples(self.0.as_ptr()), PQnfields(self.0.as_ptr())) };
        (0..rows).map(move |row| (0..columns).map(|column| self.value(row, column)).collect())
    }

    /// A value within the bounds that [`Self::rows`] keeps.
    fn value(&self, row: c_int, column: c_int) -> Option<String> {
        // SAFETY: the result is live until drop, and row and column are within its bounds.
        let (is_null, text) = unsafe {
            (
                PQgetisnull(self.0.as_ptr(), row, column) == 1,
                PQgetvalue(self.0.as_ptr(), row, column),
            )
        };
        if is_null || text.is_null() {
            return None;
        }
        // SAFETY: libpq gives NUL-terminated text, which belongs to the result and is copied at once.
        Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
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
