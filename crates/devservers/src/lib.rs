//! A PostgreSQL and a Redis of one's own, as child processes: for `hookgate dev`, the tests and the bench.
//!
//! Invariants: no TCP port is opened, only Unix sockets in a directory of mode 0700; the machine's own servers are never
//! touched; the servers end when the process that started them ends, however it ends; nothing runs as root. Errors are
//! sentences for the person at the terminal, hence `anyhow`.

mod account;
mod address;
mod binaries;
mod child;
mod place;
mod postgres;
mod redis;

use std::path::{Path, PathBuf};

use anyhow::Result;

use account::Account;
pub use address::Address;
use place::Place;
pub use postgres::Postgres;
pub use redis::Redis;

/// The role that owns Hookgate's database on a private server: it may make roles and databases, but is no superuser.
pub const OWNER: &str = "hookgate";

/// How the private servers run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether a commit survives a crash of the machine (`fsync`); turned off only for tests that need none of it.
    pub durable: bool,
    /// The directory is thrown away when the servers stop, or when this process dies.
    pub throwaway: bool,
    /// Further PostgreSQL settings, by name.
    pub postgres: Vec<(String, String)>,
    /// Makes the PostgreSQL a standby of another private one, which it follows until it is promoted.
    pub standby_of: Option<Address>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durable: true,
            throwaway: false,
            postgres: Vec::new(),
            standby_of: None,
        }
    }
}

/// A running PostgreSQL and Redis. Both stop when this is dropped.
pub struct Servers {
    /// The PostgreSQL.
    pub postgres: Postgres,
    /// The Redis.
    pub redis: Redis,
    // Last, so that the directory and its lock go after the servers.
    place: Place,
}

impl Servers {
    /// Starts both in `directory`, which is made if it is missing and whose data is used again if it is not.
    ///
    /// # Errors
    /// When another process uses the directory, a program is not installed, or a server does not come up; the sentence
    /// says what to do, and names the server's log.
    pub fn start(directory: &Path, options: &Options) -> Result<Self> {
        let account = Account::for_servers()?;
        let place = Place::take(directory, account, options.throwaway)?;
        let mut postgres = Postgres::prepare(&place, options)?;
        let mut redis = Redis::prepare(&place)?;
        redis.start()?;
        postgres.start()?;
        postgres.ensure_owner()?;
        Ok(Self {
            postgres,
            redis,
            place,
        })
    }

    /// Starts throwaway servers without durability, in a new directory under the system's temporary directory.
    ///
    /// # Errors
    /// As [`Servers::start`].
    pub fn start_temporary(options: &Options) -> Result<Self> {
        place::sweep_abandoned();
        let directory = place::temporary_directory()?;
        Self::start(
            &directory,
            &Options {
                throwaway: true,
                ..options.clone()
            },
        )
    }

    /// How clients reach them.
    pub fn address(&self) -> Address {
        Address::new(self.place.sockets())
    }

    /// Where the data really is: not always the directory that was asked for, because an unprivileged user must reach it.
    pub fn directory(&self) -> &Path {
        self.place.root()
    }

    /// Stops both, PostgreSQL with a checkpoint so that the next start is quick.
    ///
    /// # Errors
    /// When a server had to be killed.
    pub fn stop(mut self) -> Result<()> {
        let postgres = self.postgres.stop();
        self.redis.stop()?;
        postgres
    }
}

/// Removes what [`Servers::start`] keeps for a directory. Nothing happens when there is nothing.
///
/// # Errors
/// When servers run there, or the files cannot be removed.
pub fn remove(directory: &Path) -> Result<()> {
    place::remove(directory, Account::for_servers()?)
}

/// The servers that another process runs in a directory; `None` when nobody does.
///
/// # Errors
/// When the directory cannot be looked at.
pub fn running(directory: &Path) -> Result<Option<Address>> {
    place::running(directory, Account::for_servers()?)
}

/// Where [`Servers::start`] keeps the data of a directory.
///
/// # Errors
/// When the user for the servers cannot be found.
pub fn data_directory(directory: &Path) -> Result<PathBuf> {
    place::resolve(directory, Account::for_servers()?)
}
