//! `hookgate serve`: services in the foreground until a signal.

use std::pin::pin;

use anyhow::{Context, Result};

use crate::logging;
use crate::services::{self, Role, Services, StopSignals};
use crate::settings::Settings;

/// Runs the services of some roles until SIGINT or SIGTERM.
///
/// # Errors
/// When a setting is missing or cannot be, or a port is taken.
pub fn run(settings: Settings, roles: &[Role]) -> Result<()> {
    logging::start(&settings.log)?;
    services::runtime()?.block_on(async {
        let mut told_to_stop = pin!(StopSignals::listen()?.first());
        let services = tokio::select! {
            services = Services::start(&settings, roles) => services.context("starting")?,
            () = &mut told_to_stop => return Ok(()),
        };
        tracing::info!(
            roles = ?roles,
            ingress = services.ingress_address().map(tracing::field::display),
            management = services.management_address().map(tracing::field::display),
            admin = services.admin_address().map(tracing::field::display),
            operator = %services.operator_address(),
            "Hookgate is running"
        );
        told_to_stop.await;
        tracing::info!("stopping; requests and runs in hand are finished first");
        services.stop().await;
        Ok(())
    })
}
