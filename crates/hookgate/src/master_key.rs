//! `hookgate master-key`: what is sealed under which key, and sealing it anew after a rotation.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use hookgate_domain::crypto::{KeyId, MasterKey};
use hookgate_domain::database::{self, PgConnection};
use hookgate_domain::sealed::{self, Count};

use crate::settings::Settings;

/// What can be done.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Action {
    /// Show how many stored values each key has sealed. Keys are named by an id that tells nothing of them.
    Status,
    /// Seal what previous keys sealed anew with the current one. Everything may run meanwhile; when this was interrupted, it
    /// goes on where it was.
    Reseal,
}

/// Does it, as the owner of the database.
///
/// # Errors
/// When a setting is missing, PostgreSQL cannot be reached, or something could not be sealed anew.
pub fn run(settings: &Settings, action: Action) -> Result<()> {
    let master = settings.master_key()?;
    let owner = database::connect(&settings.database.owner()?);
    let mut owner = owner.context("connecting as the owner of the database")?;
    match action {
        Action::Status => show(&sealed::count(&mut owner)?, &master),
        Action::Reseal => reseal(&mut owner, &master)?,
    }
    Ok(())
}

fn reseal(owner: &mut PgConnection, master: &MasterKey) -> Result<()> {
    let mut done = BTreeMap::new();
    let outcome = sealed::reseal(owner, master, |column, values| {
        let so_far: &mut u64 = done.entry(column).or_default();
        *so_far += values;
        println!("{}.{}: {so_far} sealed anew", column.table(), column.name());
    })?;
    show(&sealed::count(owner)?, master);
    if outcome.unreadable > 0 {
        bail!(
            "{} values were not sealed anew: name the keys that sealed them in previous_master_keys \
             (HOOKGATE_PREVIOUS_MASTER_KEYS); what a named key sealed and does not open is damaged",
            outcome.unreadable
        );
    }
    Ok(())
}

fn show(count: &Count, master: &MasterKey) {
    println!("current key: {}", master.id());
    for ((column, key), values) in count {
        let key = key.map_or_else(|| "an unknown form".to_owned(), |key| named(key, master));
        println!("{}.{}: {values} under {key}", column.table(), column.name());
    }
    let left: i64 = count
        .iter()
        .filter(|((_, key), _)| *key != Some(master.id()))
        .map(|(_, values)| values)
        .sum();
    println!("{left} values are not under the current key");
}

fn named(key: KeyId, master: &MasterKey) -> String {
    let kind = if key == master.id() {
        "the current key"
    } else if master.knows(key) {
        "a previous key"
    } else {
        "a key that is not set"
    };
    format!("{key}, {kind}")
}
