//! Logs go to standard error, through `tracing`.

use std::io::IsTerminal;

use anyhow::{Result, anyhow};
use tracing_subscriber::{EnvFilter, fmt};

use crate::settings::{LogFormat, LogSection};

/// Starts logging, for the whole process.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(settings: &LogSection) -> Result<()> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| {
        anyhow!("log.filter (HOOKGATE_LOG__FILTER): {error}; it looks like info,hookgate_worker=debug")
    })?;
    let logs = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Json => logs.json().flatten_event(true).init(),
        LogFormat::Text => logs
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .compact()
            .init(),
    }
    Ok(())
}
