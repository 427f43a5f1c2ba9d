//! What a query can end in. Constraint names come out as they are, so that a service can say which rule was broken.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// The result of a query.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a query did not give its result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such row, or another tenant's: the two are not told apart.
    #[error("not found")]
    NotFound,
    /// A rule of the schema would be broken, by the name of its constraint.
    #[error("constraint {0} would be broken")]
    Constraint(String),
    /// The row was changed since the caller read it.
    #[error("the object was changed in the meantime")]
    VersionMismatch,
    /// The tenant has as many of something as it may have.
    #[error("there may be at most {most} {what}")]
    LimitReached {
        /// What there would be too many of, in the plural.
        what: &'static str,
        /// How many there may be.
        most: i64,
    },
    /// A setting or the operator names a plan that there is not.
    #[error("there is no plan {0:?}")]
    NoSuchPlan(String),
    /// Postgres or Redis cannot be reached, is shutting down, or is overloaded: try again later.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// A stored value cannot be read: a wrong master key, or damage.
    #[error("stored {what} cannot be read")]
    Unreadable {
        /// What it was.
        what: &'static str,
    },
    /// A fault of the program or the schema.
    #[error("query failed: {0}")]
    Query(String),
}

impl Error {
    /// Whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// What Postgres says when it is the server's state that is at fault, not the statement. Diesel gives no SQLSTATE, so
/// the (untranslated) beginnings of its messages are compared: classes 08, 40, 53, 57 of its error codes.
const TRANSIENT_MESSAGES: [&str; 13] = [
    "terminating connection",
    "the database system is",
    "server closed the connection",
    "could not connect",
    "connection to server",
    "no connection to the server",
    "could not extend file",
    "could not write",
    "sorry, too many clients",
    "remaining connection slots",
    "canceling statement due to",
    "cannot execute",
    // Dropping a partition takes the tables' locks in another order than a completion does.
    "deadlock detected",
];

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::NotFound => Self::NotFound,
            DieselError::DatabaseError(
                DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::ReadOnlyTransaction
                | DatabaseErrorKind::UnableToSendCommand,
                information,
            ) => Self::Unavailable(information.message().to_owned()),
            DieselError::DatabaseError(_, information) => {
                let message = information.message();
                if let Some(constraint) = information.constraint_name() {
                    Self::Constraint(constraint.to_owned())
                } else if TRANSIENT_MESSAGES
                    .iter()
                    .any(|beginning| message.contains(beginning))
                {
                    Self::Unavailable(message.to_owned())
                } else {
                    Self::Query(message.to_owned())
                }
            }
            DieselError::BrokenTransactionManager => {
                Self::Unavailable("the connection broke in a transaction".into())
            }
            DieselError::RollbackErrorOnCommit { commit_error, .. } => Self::from(*commit_error),
            other => Self::Query(other.to_string()),
        }
    }
}

impl From<diesel::ConnectionError> for Error {
    fn from(error: diesel::ConnectionError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<r2d2::Error> for Error {
    fn from(error: r2d2::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<::redis::RedisError> for Error {
    fn from(error: ::redis::RedisError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
