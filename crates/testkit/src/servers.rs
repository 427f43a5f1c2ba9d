//! The PostgreSQL and Redis that the tests of a run share, with the template that their databases are cloned from.

use std::env;
use std::sync::{LazyLock, OnceLock};

use anyhow::{Context, Result};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use hookgate_devservers::{Address, OWNER, Options, Servers};

/// Where `with-servers` tells the tests the directory of the servers' sockets.
pub const VARIABLE: &str = "TESTKIT_SERVERS";

/// The migrated database that tests clone.
pub const TEMPLATE: &str = "hookgate_template";

/// Starts throwaway servers with a migrated template database.
///
/// # Errors
/// When a server does not start or a migration fails.
pub fn start() -> Result<Servers> {
    let servers = Servers::start_temporary(&Options {
        durable: false,
        ..Options::default()
    })?;
    make_template(&servers)?;
    Ok(servers)
}

/// Makes the template database on running servers.
///
/// # Errors
/// When a migration fails.
pub fn make_template(servers: &Servers) -> Result<()> {
    servers.postgres.ensure_database(TEMPLATE)?;
    migrate(&servers.address().postgres(OWNER, TEMPLATE))?;
    let close = format!("ALTER DATABASE {TEMPLATE} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false");
    servers.postgres.execute("postgres", &close)?;
    Ok(())
}

/// Migrates a database as its owner and makes the partitions around today.
///
/// # Errors
/// When a migration fails.
pub fn migrate(owner_url: &str) -> Result<()> {
    let mut owner = PgConnection::establish(owner_url).context("connecting as the owner")?;
    hookgate_domain::migrations::run(&mut owner)?;
    owner.batch_execute(
        "SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date + day) FROM generate_series(-1, 2) AS day",
    )?;
    Ok(())
}

static CHOSEN: OnceLock<Address> = OnceLock::new();

/// Makes this process use servers that it started itself. The first choice counts.
pub fn use_address(address: Address) {
    let _ = CHOSEN.set(address);
}

/// The servers of this run: the ones chosen by [`use_address`], else those of `with-servers`, or this process's own, which end with it.
pub fn address() -> &'static Address {
    static ADDRESS: LazyLock<Address> = LazyLock::new(|| match env::var_os(VARIABLE) {
        Some(sockets) => Address::new(sockets),
        None => {
            // A static is never dropped; the servers stop and their directory goes when this process ends.
            static OWN: LazyLock<Servers> = LazyLock::new(|| start().expect("private servers for the tests"));
            OWN.address()
        }
    });
    CHOSEN.get().unwrap_or_else(|| &ADDRESS)
}
