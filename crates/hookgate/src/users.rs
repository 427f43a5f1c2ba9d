//! `hookgate users`: what the operator does for people, as the owner of the database.

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use hookgate_domain::audit::Origin;
use hookgate_domain::operator::{self, Person};
use hookgate_domain::{Error, database};
use hookgate_management::admin;

use crate::settings::Settings;

/// What can be done for people.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Take away the second factor of somebody who has lost it and their recovery codes: their logins end, and a mail tells them.
    RemoveSecondFactor {
        /// The person's id, or the e-mail address of their account.
        user: String,
    },
}

/// Does it.
///
/// # Errors
/// When a setting is missing, PostgreSQL cannot be reached, or there is no such person or no second factor.
pub fn run(settings: &Settings, action: &Action) -> Result<()> {
    let Action::RemoveSecondFactor { user } = action;
    // The mail is sent by a management process.
    let outbox = settings
        .mail
        .mailer()?
        .map(|_| settings.master_key())
        .transpose()?;
    let owner = database::connect(&settings.database.owner()?);
    let mut owner = owner.context("connecting as the owner of the database")?;
    let removed = operator::in_transaction(&mut owner, &Origin::operator(), |conn| {
        admin::remove_second_factor(conn, outbox.as_ref(), &Person::parse(user))
    });
    match removed {
        Ok(Some(person)) => {
            println!("{}  {}", person.id, person.email);
            Ok(())
        }
        Ok(None) => bail!("{user} has no second factor"),
        Err(Error::NotFound) => bail!("there is no person {user}"),
        Err(error) => Err(error).context("removing the second factor"),
    }
}
