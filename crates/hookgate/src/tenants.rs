//! `hookgate tenants`: what the operator does with tenants, as the owner of the database.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use hookgate_domain::audit::Origin;
use hookgate_domain::database::{self, PgConnection};
use hookgate_domain::redis::Redis;
use hookgate_domain::redis::changes::Change;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::tenants::{self, Tenant};
use hookgate_domain::{Error, limits, operator, plans};
use hookgate_model::ids::TenantId;

use crate::services::runtime;
use crate::settings::Settings;

/// How long Redis may take to tell the ingress nodes.
const ANNOUNCING: Duration = Duration::from_secs(5);

/// What can be done with tenants.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Show all tenants, the oldest first: id, status, day of registration, name.
    List,
    /// Suspend a tenant: its requests are refused with 403, its flows are held, its settings cannot be changed.
    Suspend {
        /// The tenant's id, such as tnt_01k9z3v8e5f2q8r7w6t5y4x3m2.
        tenant: TenantId,
        /// Why, for the tenant to read.
        #[arg(long, default_value = "", value_parser = reason)]
        reason: String,
    },
    /// Let a suspended tenant go on: what was held runs.
    Resume {
        /// The tenant's id.
        tenant: TenantId,
    },
    /// Give a tenant a plan.
    SetPlan {
        /// The tenant's id.
        tenant: TenantId,
        /// The plan's name; without one the tenant has none.
        plan: Option<String>,
    },
}

fn reason(text: &str) -> Result<String, String> {
    let most = limits::REASON_CHARACTERS;
    if text.chars().count() > most || text.chars().any(char::is_control) {
        return Err(format!(
            "at most {most} characters, none of them a control character"
        ));
    }
    Ok(text.to_owned())
}

/// Does it.
///
/// # Errors
/// When a setting is missing, PostgreSQL cannot be reached, or there is no such tenant or plan.
pub fn run(settings: &Settings, action: Action) -> Result<()> {
    let owner = database::connect(&settings.database.owner()?);
    let mut owner = owner.context("connecting as the owner of the database")?;
    match action {
        Action::List => list(&mut owner),
        Action::Suspend { tenant, reason } => change(settings, &mut owner, tenant, |conn, scope| {
            operator::suspend(conn, scope, &reason)
        }),
        Action::Resume { tenant } => change(settings, &mut owner, tenant, operator::resume),
        Action::SetPlan { tenant, plan } => change(settings, &mut owner, tenant, |conn, scope| {
            let plan = plan.map(|name| plans::named(conn, &name)).transpose()?;
            let own = tenants::lock(conn, scope)?.limits;
            operator::set_terms(conn, scope, plan.map(|plan| plan.id), &own)
        }),
    }
}

fn list(owner: &mut PgConnection) -> Result<()> {
    for tenant in operator::all_tenants(owner)? {
        println!("{}", line(&tenant));
    }
    Ok(())
}

fn line(tenant: &Tenant) -> String {
    let day = tenant.created_at.format("%Y-%m-%d");
    // A name is what somebody typed: it must not be able to forge a line.
    let name: String = tenant.name.chars().filter(|c| !c.is_control()).collect();
    let status = tenant.standing().as_str();
    format!("{}  {status:9}  {day}  {name}", tenant.id)
}

fn change(
    settings: &Settings,
    owner: &mut PgConnection,
    id: TenantId,
    queries: impl FnOnce(&mut PgConnection, &TenantScope) -> Result<Tenant, Error>,
) -> Result<()> {
    // Before anything is changed: without it the ingress nodes would go on for a while.
    let redis = settings.redis()?;
    let tenant = match operator::in_tenant(owner, &Origin::operator(), id, queries) {
        Ok(tenant) => tenant,
        Err(Error::NotFound) => bail!("there is no tenant {id}: see `hookgate tenants list`"),
        Err(error) => return Err(error).context("changing the tenant"),
    };
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
