//! `hookgate tenants`: what the operator does with tenants, as the owner of the database.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use hookgate_domain::database::{self, PgConnection};
use hookgate_domain::redis::changes::Change;
use hookgate_domain::tenants::{self, Tenant, TenantStatus};
use hookgate_domain::{Error, redis::Redis};
use hookgate_model::ids::TenantId;

use crate::services::runtime;
use crate::settings::Settings;

/// How long Redis may take to tell the ingress nodes.
const ANNOUNCING: Duration = Duration::from_secs(5);

/// What can be done with tenants.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Action {
    /// Show all tenants, the oldest first: id, status, day of registration, name.
    List,
    /// Suspend a tenant: its requests are refused with 403, its flows are held, its settings cannot be changed.
    Suspend {
        /// The tenant's id, such as tnt_01k9z3v8e5f2q8r7w6t5y4x3m2.
        tenant: TenantId,
    },
    /// Let a suspended tenant go on: what was held runs.
    Resume {
        /// The tenant's id.
        tenant: TenantId,
    },
}

/// Does it.
///
/// # Errors
/// When a setting is missing, PostgreSQL cannot be reached, or there is no such tenant.
pub fn run(settings: &Settings, action: Action) -> Result<()> {
    let owner = database::connect(&settings.database.owner()?);
    let mut owner = owner.context("connecting as the owner of the database")?;
    match action {
        Action::List => list(&mut owner),
        Action::Suspend { tenant } => set_status(settings, &mut owner, tenant, TenantStatus::Suspended),
        Action::Resume { tenant } => set_status(settings, &mut owner, tenant, TenantStatus::Active),
    }
}

fn list(owner: &mut PgConnection) -> Result<()> {
    for tenant in tenants::list_all(owner)? {
        println!("{}", line(&tenant));
    }
    Ok(())
}

fn line(tenant: &Tenant) -> String {
    let day = tenant.created_at.format("%Y-%m-%d");
    // A name is what somebody typed: it must not be able to forge a line.
    let name: String = tenant.name.chars().filter(|c| !c.is_control()).collect();
    let status = if tenant.delete_at.is_some() {
        "deleted"
    } else {
        &tenant.status
    };
    format!("{}  {status:9}  {day}  {name}", tenant.id)
}

fn set_status(
    settings: &Settings,
    owner: &mut PgConnection,
    id: TenantId,
    status: TenantStatus,
) -> Result<()> {
    // Before anything is changed: without it the ingress nodes would go on for a while.
    let redis = settings.redis()?;
    let tenant = match tenants::set_status(owner, id, status) {
        Ok(tenant) => tenant,
        Err(Error::NotFound) => bail!("there is no tenant {id}: see `hookgate tenants list`"),
        Err(error) => return Err(error).context("changing the tenant"),
    };
    if tenant.delete_at.is_some() {
        bail!("an owner of {id} has deleted it: it is erased soon, and suspended until then");
    }
    println!("{}", line(&tenant));
    if let Err(reason) = announce(&redis, id) {
        eprintln!(
            "hookgate: the ingress nodes could not be told ({reason:#}): they learn of it within two seconds if Redis \
             is away for them too, and within a minute if not"
        );
    }
    Ok(())
}

fn announce(redis: &Redis, tenant: TenantId) -> Result<()> {
    runtime()?.block_on(async {
        let announced = tokio::time::timeout(ANNOUNCING, redis.announce(Change::Tenant(tenant))).await;
        Ok(announced.context("Redis does not answer")??)
    })
}
