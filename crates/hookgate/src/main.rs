//! Hookgate as one program: every service, its settings, and the tools around them.

mod dev;
mod doctor;
mod listen;
mod logging;
mod master_key;
mod migrate;
mod openapi;
mod operator;
mod otlp;
mod ready;
mod serve;
mod services;
mod settings;
mod signing_keys;
mod tenants;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use services::Role;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Receives webhooks for many tenants: stores each before it is answered, runs its flow, delivers the results.
#[derive(Parser)]
#[command(version, max_term_width = 110)]
struct Arguments {
    /// The file with settings; HOOKGATE_* variables go before it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything on this machine, with a private PostgreSQL and Redis and a ready account.
    Dev {
        /// Delete what earlier runs stored, and start anew.
        #[arg(long)]
        fresh: bool,
        /// Where the data is kept.
        #[arg(long, value_name = "DIRECTORY", default_value = ".hookgate")]
        data: PathBuf,
    },
    /// Run services in the foreground.
    Serve {
        /// Which ones.
        #[arg(
            long,
            value_enum,
            value_delimiter = ',',
            default_value = "ingress,management,worker"
        )]
        roles: Vec<Role>,
    },
    /// Bring the database to this version's schema.
    Migrate {
        /// Take the newest migration back instead.
        #[arg(long)]
        revert_last: bool,
    },
    /// Forward the events of a webhook to an address on this machine while this runs, and show what it answers.
    Listen(Box<listen::Arguments>),
    /// Show what is sealed under which master key, and seal it anew with the current one.
    MasterKey {
        #[command(subcommand)]
        action: master_key::Action,
    },
    /// List, suspend and resume tenants, and give them plans.
    Tenants {
        #[command(subcommand)]
        action: tenants::Action,
    },
    /// Help people who have lost their second factor.
    Users {
        #[command(subcommand)]
        action: users::Action,
    },
    /// Check settings, database, Redis and clocks, and say what to do; ends with 1 when something is broken.
    Doctor(doctor::Arguments),
    /// Change the keys that sign people's access tokens.
    SigningKeys {
        #[command(subcommand)]
        action: signing_keys::Action,
    },
    /// Print the management API's OpenAPI document.
    Openapi {
        /// Print that of the operator's API instead.
        #[arg(long)]
        admin: bool,
    },
    /// Print the settings in effect, without secrets.
    Settings,
    /// Ask the services that run with these settings on this machine whether they are ready, for health checks.
    Ready,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hookgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let source = || settings::Source::new(arguments.config.as_deref());
    let done = match arguments.command {
        // A client of an installation, which has no settings.
        Command::Listen(arguments) => listen::run(*arguments),
        Command::Dev { fresh, data } => dev::run(source()?, &data, fresh),
        Command::Serve { roles } => serve::run(source()?.settings()?, &roles),
        Command::Migrate { revert_last } => migrate::run(&source()?.settings()?, revert_last),
        Command::MasterKey { action } => master_key::run(&source()?.settings()?, action),
        Command::Tenants { action } => tenants::run(&source()?.settings()?, action),
        Command::Users { action } => users::run(&source()?.settings()?, &action),
        Command::Doctor(arguments) => {
            let is_well = doctor::run(source()?, &arguments)?;
            return Ok(if is_well {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        Command::SigningKeys { action } => signing_keys::run(&source()?.settings()?, action),
        Command::Openapi { admin } => openapi::print(admin),
        Command::Settings => settings::print(&source()?.settings()?),
        Command::Ready => ready::run(&source()?.settings()?.operator),
    };
    done.map(|()| ExitCode::SUCCESS)
}
