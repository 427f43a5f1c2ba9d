//! `hookgate signing-keys`: what the operator does with the keys that sign access tokens, as the management service.

use anyhow::{Context, Result};
use clap::Subcommand;
use hookgate_domain::database;
use hookgate_management::auth::access_tokens;

use crate::settings::Settings;

/// What can be done with the keys.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Action {
    /// Make a new key, which signs in two minutes, when all processes know it. Access tokens that are in use stay valid.
    Rotate {
        /// End all access tokens that are in use, within a minute: their logins go on with their refresh tokens.
        #[arg(long)]
        revoke: bool,
    },
}

/// Does it.
///
/// # Errors
/// When a setting is missing, or PostgreSQL cannot be reached.
pub fn run(settings: &Settings, action: Action) -> Result<()> {
    let Action::Rotate { revoke } = action;
    let master_key = settings.master_key()?;
    let conn = database::connect(&settings.database.management()?);
    let mut conn = conn.context("connecting as hookgate_management")?;
    let seconds = settings.management.access_token_seconds;
    let kid = access_tokens::rotate(&mut conn, &master_key, seconds, revoke).context("making a key")?;
    println!("{kid}");
    Ok(())
}
