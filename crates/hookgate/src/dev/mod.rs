//! `hookgate dev`: everything on this machine with one command, on data that stays until `--fresh`.

mod account;
mod banner;
mod keepsake;
mod ports;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use hookgate_devservers::{Address, OWNER, Options, Servers};

use crate::logging;
use crate::migrate;
use crate::services::{self, Role, Services, StopSignals};
use crate::settings::{LogFormat, Settings, Source};
use keepsake::Keepsake;

const DATABASE: &str = "hookgate";
/// Where the operator's API is, unless it is set otherwise.
const ADMIN_LISTEN: &str = "127.0.0.1:8085";

/// Starts everything, prints what to do with it, and stops everything at a signal.
///
/// # Errors
/// When the servers or a service do not start; the sentence says why.
pub fn run(source: Source, data: &Path, fresh: bool) -> Result<()> {
    let data = prepare(data, fresh)?;
    let servers_directory = data.join("servers");
    println!(
        "Starting a private PostgreSQL and Redis in {}",
        shown(&servers_directory)
    );
    let servers = Servers::start(&servers_directory, &Options::default())?;
    if servers.directory() != servers_directory {
        println!(
            "Their data is in {}: their user cannot enter {}",
            shown(servers.directory()),
            shown(&data)
        );
    }
    servers.postgres.ensure_database(DATABASE)?;
    let mut keepsake = Keepsake::load_or_make(&data.join("dev.toml"))?;
    let (settings, moved) = settings(source, &servers.address(), &keepsake, &data)?;
    logging::start(&settings.log)?;
    migrate::apply(&settings)?;
    let outcome = services::runtime()?.block_on(async {
        let services = Services::start(&settings, &Role::ALL).await?;
        let shows_links = &settings.mail.shows_links;
        let outcome = serve(&services, &mut keepsake, &moved, &data, shows_links).await;
        println!("\nStopping");
        services.stop().await;
        outcome
    });
    let stopped = servers.stop();
    outcome.and(stopped)
}

/// The settings with which a running `hookgate dev` uses its private servers; `None` when none runs in the directory.
///
/// # Errors
/// When a setting cannot be, or what it remembers cannot be read.
pub fn running(source: Source, data: &Path) -> Result<Option<Settings>> {
    let remembered = data.join("dev.toml");
    if !remembered.is_file() {
        return Ok(None);
    }
    let data = fs::canonicalize(data)?;
    let Some(address) = hookgate_devservers::running(&data.join("servers"))? else {
        return Ok(None);
    };
    let keepsake = Keepsake::load(&remembered)?;
    private(source, &address, &keepsake).settings().map(Some)
}

/// Makes the directory of the data, empty if that is wanted, and out of version control.
fn prepare(data: &Path, fresh: bool) -> Result<PathBuf> {
    fs::create_dir_all(data).with_context(|| format!("making {}", data.display()))?;
    let data = fs::canonicalize(data)?;
    if fresh {
        hookgate_devservers::remove(&data.join("servers"))?;
        Keepsake::forget(&data.join("dev.toml"))?;
    }
    fs::write(data.join(".gitignore"), "*\n")?;
    Ok(data)
}

/// The private servers' addresses always; logs for people, and calls to this machine, unless set otherwise.
fn private(source: Source, address: &Address, keepsake: &Keepsake) -> Source {
    source
        .by_default("log.format", LogFormat::Text)
        .by_default("log.filter", "warn")
        .by_default("egress.allowed_private_networks", ["127.0.0.0/8", "::1/128"])
        .by_default("admin.listen", ADMIN_LISTEN)
        .by_default("admin.tokens", [&keepsake.values.admin_token])
        .always("master_key", keepsake.master_key())
        .always("redis.url", address.redis(""))
        .always("database.owner_url", address.postgres(OWNER, DATABASE))
        .always(
            "database.ingress_url",
            address.postgres("hookgate_ingress", DATABASE),
        )
        .always(
            "database.management_url",
            address.postgres("hookgate_management", DATABASE),
        )
        .always(
            "database.worker_url",
            address.postgres("hookgate_worker", DATABASE),
        )
        .always("database.admin_url", address.postgres("hookgate_admin", DATABASE))
}

/// The settings, with free ports.
fn settings(
    source: Source,
    address: &Address,
    keepsake: &Keepsake,
    data: &Path,
) -> Result<(Settings, Vec<String>)> {
    let source = private(source, address, keepsake);
    let mut settings = source.settings()?;
    let mut addresses = vec![
        ("ingress.listen", &mut settings.ingress.listen),
        ("management.listen", &mut settings.management.listen),
        ("operator.listen", &mut settings.operator.listen),
    ];
    if let Some(listen) = &mut settings.admin.listen {
        addresses.push(("admin.listen", listen));
    }
    let moved = ports::choose(addresses)?;
    if !source.has("mail.smtp_url") {
        settings.mail.folder.get_or_insert_with(|| data.join("mails"));
    }
    if !source.has("management.public_url") {
        settings.management.public_url = format!("http://{}", settings.ingress.listen).parse()?;
    }
    Ok((settings, moved))
}

/// Makes the account ready, prints the banner, and waits for a signal.
async fn serve(
    services: &Services,
    keepsake: &mut Keepsake,
    moved: &[String],
    data: &Path,
    shows_links: &AtomicBool,
) -> Result<()> {
    let (ingress, management) = services
        .ingress_address()
        .zip(services.management_address())
        .context("no address")?;
    let account = account::ensure(keepsake, management)
        .await
        .context("making the account")?;
    let banner = banner::Banner {
        ingress,
        management,
        operator: services.operator_address(),
        admin: services.admin_address(),
        account: &account,
        moved,
        data: shown(data),
    };
    println!("{banner}");
    // Not before: the account's own mail is for nobody.
    shows_links.store(true, Ordering::Relaxed);
    StopSignals::listen()?.first().await;
    Ok(())
}

/// A path as one would type it here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
