//! The services of one process: started in the order of their needs, stopped so that nothing in hand is lost.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::{Database, DatabaseSettings};
use hookgate_domain::redis::Redis;
use hookgate_egress::Client;
use hookgate_ingress::Ingress;
use hookgate_management::Management;
use hookgate_management::admin::{self, Admin};
use hookgate_worker::Worker;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::operator::{self, Operator};
use crate::otlp::{self, Export};
use crate::settings::Settings;

/// A part of Hookgate that can run in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Takes requests at the tenants' public URLs.
    Ingress,
    /// The REST API.
    Management,
    /// Runs the flows.
    Worker,
}

impl Role {
    /// Every part.
    pub const ALL: [Self; 3] = [Self::Ingress, Self::Management, Self::Worker];
}

impl Display for Role {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Management => "management",
            Self::Worker => "worker",
        })
    }
}

/// What runs.
pub struct Services {
    ingress: Option<Ingress>,
    management: Option<Management>,
    admin: Option<Admin>,
    worker: Option<Worker>,
    operator: Operator,
    export: Option<Export>,
    /// How long it goes on once it is told to stop.
    drain: Duration,
}

impl Services {
    /// Starts the services of some roles. PostgreSQL and Redis may be away.
    ///
    /// # Errors
    /// When a setting is missing or cannot be, or a port is taken.
    pub async fn start(settings: &Settings, roles: &[Role]) -> Result<Self> {
        let Needs {
            redis,
            ingress,
            management,
            admin,
            worker,
        } = Needs::read(settings, roles)?;
        let metrics = operator::collect()?;
        let export = otlp::start(&settings.otlp, roles)?;
        let egress = Client::new(&settings.egress).map_err(|reason| anyhow!("egress: {reason}"))?;
        let mut databases = Vec::new();
        let mut services = (None, None, None);
        let mut operators = None;
        if let Some((database, master_key)) = worker {
            let database = Database::new(&database)?;
            databases.push(("worker", database.clone()));
            let worker = hookgate_worker::Settings {
                tenant_limits: settings.tenant_limits.0,
                collections: settings.collections,
                ..settings.worker.clone()
            };
            services.2 = Some(hookgate_worker::start(
                worker,
                database,
                redis.clone(),
                master_key,
                egress.clone(),
            ));
        }
        if let Some((database, master_key)) = management {
            let database = Database::new(&database)?;
            databases.push(("management", database.clone()));
            let mailer = settings.mail.mailer()?;
            if settings.management.require_verified_email && mailer.is_none() {
                bail!("management.require_verified_email needs mails: set mail.smtp_url");
            }
            let own = hookgate_management::Settings {
                mailer,
                tenant_limits: settings.tenant_limits.0,
                collections: settings.collections,
                ..settings.management.clone()
            };
            let started =
                hookgate_management::start(own, database, redis.clone(), master_key, egress.clone()).await;
            let management = started.context("the management API")?;
            if let Some((database, own)) = admin {
                let database = Database::new(&database)?;
                databases.push(("operator's API", database.clone()));
                let started = admin::start(&management, own, database).await;
                operators = Some(started.context("admin.listen (HOOKGATE_ADMIN__LISTEN)")?);
            }
            services.1 = Some(management);
        }
        if let Some((database, master_key)) = ingress {
            let listen = settings.ingress.listen;
            let mut own = hookgate_ingress::Settings {
                tenant_limits: settings.tenant_limits.0,
                ..settings.ingress.clone()
            };
            own.public_url
                .get_or_insert_with(|| settings.management.public_url.clone());
            let started = hookgate_ingress::start(own, &database, redis.clone(), master_key, egress).await;
            let started = started.with_context(|| {
                format!("ingress.listen (HOOKGATE_INGRESS__LISTEN): the ingress cannot listen on {listen}")
            });
            let started = started?;
            databases.push(("ingress", started.database().clone()));
            services.0 = Some(started);
        }
        let operator = operator::start(settings.operator.listen, metrics, databases, redis).await?;
        let (ingress, management, worker) = services;
        Ok(Self {
            ingress,
            management,
            admin: operators,
            worker,
            operator,
            export,
            drain: Duration::from_secs(settings.operator.drain_seconds),
        })
    }

    /// Where the public URLs are.
    pub fn ingress_address(&self) -> Option<SocketAddr> {
        self.ingress
            .as_ref()
            .and_then(|ingress| ingress.addresses().first().copied())
    }

    /// Where the management API is.
    pub fn management_address(&self) -> Option<SocketAddr> {
        self.management
            .as_ref()
            .and_then(|management| management.addresses.first().copied())
    }

    /// Where the operator's API is.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
            .as_ref()
            .and_then(|admin| admin.addresses.first().copied())
    }

    /// Where metrics and health are.
    pub fn operator_address(&self) -> SocketAddr {
        self.operator.address()
    }

    /// Says that it is not ready and goes on for a while; then stops what takes work in before what does it: callers who wait
    /// for a flow still get its answer.
    pub async fn stop(self) {
        self.operator.drain();
        if let Some(ingress) = &self.ingress {
            ingress.drain();
        }
        if let Some(management) = &self.management {
            management.drain();
        }
        tokio::time::sleep(self.drain).await;
        if let Some(ingress) = self.ingress {
            ingress.stop().await;
        }
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
        if let Some(management) = self.management {
            management.stop().await;
        }
        if let Some(worker) = self.worker {
            worker.stop().await;
        }
        if let Some(export) = self.export {
            export.stop().await;
        }
    }
}

/// What the services of some roles connect with.
struct Needs {
    redis: Redis,
    ingress: Option<(DatabaseSettings, MasterKey)>,
    management: Option<(DatabaseSettings, MasterKey)>,
    admin: Option<(DatabaseSettings, admin::Settings)>,
    worker: Option<(DatabaseSettings, MasterKey)>,
}

impl Needs {
    /// Looks at all settings before anything starts, so that one error tells everything that is missing.
    fn read(settings: &Settings, roles: &[Role]) -> Result<Self> {
        let database = &settings.database;
        let mut problems = Vec::new();
        let redis = keep(settings.redis(), &mut problems);
        let has = |role| roles.contains(&role);
        let master_key = keep(settings.master_key(), &mut problems);
        let mut reach = |role, url: &dyn Fn() -> Result<DatabaseSettings>| {
            has(role).then(|| keep(url(), &mut problems)).flatten()
        };
        let ingress = reach(Role::Ingress, &|| database.ingress());
        let management = reach(Role::Management, &|| database.management());
        let worker = reach(Role::Worker, &|| database.worker());
        let admin = has(Role::Management)
            .then(|| keep(settings.admin.settings(), &mut problems))
            .flatten()
            .flatten();
        let admin = admin.and_then(|admin| keep(database.admin(), &mut problems).zip(Some(admin)));
        let Some(redis) = redis.filter(|_| problems.is_empty()) else {
            bail!("{}", problems.join("\n  "));
        };
        let sealing = |database: Option<DatabaseSettings>| database.zip(master_key.clone());
        Ok(Self {
            redis,
            ingress: sealing(ingress),
            management: sealing(management),
            admin,
            worker: sealing(worker),
        })
    }
}

fn keep<T>(outcome: Result<T>, problems: &mut Vec<String>) -> Option<T> {
    outcome.map_err(|error| problems.push(format!("{error:#}"))).ok()
}

/// The runtime that everything but the HTTP servers runs on.
///
/// # Errors
/// When no thread can be made.
pub fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
}

/// The signals that ask a process to stop: SIGINT, SIGTERM and SIGHUP.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl StopSignals {
    /// Listens from now on, so that a signal during the start ends the process in good order, too.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the first one. From then on another one ends the process at once.
    pub async fn first(mut self) {
        self.any().await;
        tokio::spawn(async move {
            self.any().await;
            std::process::exit(130);
        });
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
