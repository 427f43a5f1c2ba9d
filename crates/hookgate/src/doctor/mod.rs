//! `hookgate doctor`: looks at an installation as its services do, and says what is wrong and what to do about it.
//!
//! It changes nothing, and shows no secret: of what libpq and Redis say about a connection only what names no setting's
//! value is passed on.

mod database;
mod finding;
mod keys;
mod listeners;
mod redis;
mod server;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use chrono::TimeDelta;
use clap::Args;
use hookgate_egress::Client;

use crate::dev;
use crate::services::{self, Role};
use crate::settings::{Settings, Source};
use finding::{Report, Status};

/// Clocks that differ by more are worth a look.
const CLOCK_WARNING: TimeDelta = TimeDelta::seconds(1);
/// Clocks that differ by more break what rests on times: signatures, expiries, the order of ids.
const CLOCK_ERROR: TimeDelta = TimeDelta::seconds(30);

/// What to look at.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The services that run with these settings.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "ingress,management,worker"
    )]
    roles: Vec<Role>,
    /// Look at the private servers of a running `hookgate dev` instead, by the directory of its data.
    #[arg(long, value_name = "DIRECTORY", num_args = 0..=1, default_missing_value = ".hookgate")]
    dev: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Looks at everything, prints it, and says whether nothing is broken.
///
/// # Errors
/// When settings cannot be read at all, or no `hookgate dev` runs in the directory.
pub fn run(source: Source, arguments: &Arguments) -> Result<bool> {
    let settings = match &arguments.dev {
        Some(data) => of_dev(source, data)?,
        None => source.settings()?,
    };
    let mut report = Report::default();
    look(&settings, arguments, &mut report)?;
    if arguments.json {
        println!("{}", report.json()?);
    } else {
        print!("{}", report.text());
    }
    Ok(!report.has_errors())
}

fn look(settings: &Settings, arguments: &Arguments, report: &mut Report) -> Result<()> {
    let master_key = match settings.master_key() {
        Ok(key) => {
            report.ok("settings.master_key", "is a key");
            Some(key)
        }
        Err(error) => {
            report.error(
                "settings.master_key",
                format!("{error:#}"),
                "set it, the same for all services",
            );
            None
        }
    };
    match Client::new(&settings.egress) {
        Ok(_) => report.ok("settings.egress", "can be"),
        Err(reason) => report.error("settings.egress", reason, "correct the section `egress`"),
    }
    database::look(settings, &arguments.roles, master_key.as_ref(), report);
    services::runtime()?.block_on(async {
        redis::look(settings, report).await;
        // `hookgate dev` takes free ports.
        if arguments.dev.is_none() {
            listeners::look(settings, &arguments.roles, report).await;
        }
    });
    Ok(())
}

fn of_dev(source: Source, data: &Path) -> Result<Settings> {
    match dev::running(source, data)? {
        Some(settings) => Ok(settings),
        None => bail!(
            "no `hookgate dev` runs in {}: start it, or name its directory with --dev",
            data.display()
        ),
    }
}

/// Compares the clock of a server with this machine's.
fn judge_clock(check: &str, offset: hookgate_domain::inspection::ClockOffset, report: &mut Report) {
    let differs = offset.at_least();
    let detail = format!("differs by {} ms at least", differs.num_milliseconds());
    let status = if differs > CLOCK_ERROR {
        Status::Error
    } else if differs > CLOCK_WARNING {
        Status::Warning
    } else {
        return report.ok(
            check,
            format!("{detail}, {} ms away", offset.round_trip.num_milliseconds()),
        );
    };
    report.problem(
        status,
        check,
        detail,
        "let NTP (chrony, systemd-timesyncd) set the clocks of both machines",
    );
}
