//! `hookgate migrate`: the schema, the roles' passwords, and the partitions of the coming days.

use anyhow::{Context, Result};
use hookgate_domain::database::{self, PgConnection};
use hookgate_domain::{clock, migrations, partitions};
use secrecy::ExposeSecret;

use crate::settings::Settings;

/// Partitions are made for so many days; the worker goes on making them.
const DAYS_AHEAD: usize = 3;

/// Brings the database to this program's schema, or takes the newest migration back.
///
/// # Errors
/// When the owner's URL is not set, PostgreSQL cannot be reached, or a migration fails.
pub fn run(settings: &Settings, revert_last: bool) -> Result<()> {
    let mut owner = connect(settings)?;
    if revert_last {
        println!("reverted {}", migrations::revert_last(&mut owner)?);
        return Ok(());
    }
    let applied = prepare(&mut owner, settings)?;
    for migration in &applied {
        println!("applied {migration}");
    }
    if applied.is_empty() {
        println!("the schema is current");
    }
    Ok(())
}

/// Brings the database to this program's schema, in silence.
///
/// # Errors
/// As [`run`].
pub fn apply(settings: &Settings) -> Result<()> {
    prepare(&mut connect(settings)?, settings).map(drop)
}

fn connect(settings: &Settings) -> Result<PgConnection> {
    database::connect(&settings.database.owner()?).context("connecting as the owner of the database")
}

fn prepare(owner: &mut PgConnection, settings: &Settings) -> Result<Vec<String>> {
    let applied = migrations::run(owner)?;
    let services = [
        &settings.database.ingress_url,
        &settings.database.management_url,
        &settings.database.worker_url,
        &settings.database.admin_url,
    ];
    for url in services.into_iter().flatten() {
        migrations::set_role_password(owner, url.expose_secret())
            .context("setting a service role's password")?;
    }
    for day in clock::now().date_naive().iter_days().take(DAYS_AHEAD) {
        partitions::ensure(owner, day)?;
    }
    Ok(applied)
}
