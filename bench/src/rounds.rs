//! A run: starts the private servers and the contestants, lets them take turns, and reports.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hookgate_devservers::{Address, Options, Servers};
use hookgate_testkit::TestDatabase;

use crate::contestant::{Name, Program};
use crate::load::{self, Outcome, Pace};
use crate::report::{Figures, Report};
use crate::webhooks::Webhook;
use crate::{Arguments, body, cpu, learning, look_up};

/// What PostgreSQL is given beyond its defaults: memory and log that suit a machine of a few GiB.
const POSTGRES: [(&str, &str); 5] = [
    ("shared_buffers", "256MB"),
    ("min_wal_size", "2GB"),
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "15min"),
    ("wal_buffers", "32MB"),
];

/// Seconds of load before anything counts.
const WARM_UP: Duration = Duration::from_secs(2);

/// Measures everything that the arguments ask for.
pub fn run(arguments: &Arguments) -> Result<()> {
    let servers = start_servers()?;
    let bench = Bench::new(arguments, &servers)?;
    let report = bench.measure();
    bench.stop();
    let report = report?;
    servers.stop()?;
    println!("\n{report}");
    report.write(&arguments.results())
}

/// Private servers that write as durably as real ones.
pub fn start_servers() -> Result<Servers> {
    let options = Options {
        durable: true,
        throwaway: true,
        postgres: POSTGRES
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        standby_of: None,
    };
    let servers = Servers::start_temporary(&options)?;
    hookgate_testkit::servers::make_template(&servers)?;
    hookgate_testkit::servers::use_address(servers.address());
    Ok(servers)
}

struct Bench<'a> {
    arguments: &'a Arguments,
    bodies: Vec<(String, Vec<u8>)>,
    programs: BTreeMap<Program, Running>,
    webhooks: BTreeMap<Name, Webhook>,
    postgres: u32,
}

/// A program that serves contestants.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
}

impl<'a> Bench<'a> {
    fn new(arguments: &'a Arguments, servers: &Servers) -> Result<Self> {
        let address = servers.address();
        // The database lives as long as the servers, which are thrown away.
        let database = std::mem::ManuallyDrop::new(TestDatabase::create());
        servers.postgres.execute(
            database.name(),
            "CREATE TABLE naive_events (id uuid PRIMARY KEY, headers text NOT NULL, body bytea NOT NULL);
             GRANT INSERT ON naive_events TO hookgate_ingress",
        )?;
        settle(servers, database.name())?;
        let tenant = database.tenant("Bench");
        let mut programs = BTreeMap::new();
        let mut webhooks = BTreeMap::new();
        let bodies = arguments.bodies()?;
        for name in arguments.contestants() {
            webhooks.insert(name, Webhook::make(&database, tenant, name, &bodies)?);
            if let Entry::Vacant(place) = programs.entry(name.program()) {
                let serving = Running::start(name.program(), &address, database.name(), arguments.writers)?;
                place.insert(serving);
            }
        }
        Ok(Self {
            arguments,
            bodies,
            programs,
            webhooks,
            postgres: servers.postgres.id().context("PostgreSQL does not run")?,
        })
    }

    fn measure(&self) -> Result<Report> {
        let mut report = Report::new(self.arguments.seconds, self.arguments.rounds);
        for (name, body) in &self.bodies {
            if self.arguments.expected_data {
                report.learning(name, learning::measure(body));
            }
            for &connections in &self.arguments.connections {
                let rounds = self.take_turns(name, body, connections)?;
                report.add(name, body.len(), connections, rounds);
            }
        }
        if self.arguments.admission {
            for networks in [1, 100, 10_000] {
                report.look_up(networks, look_up::nanoseconds(networks));
            }
        }
        if !self.arguments.no_latency {
            self.measure_latency(&mut report)?;
        }
        Ok(report)
    }

    /// One round of each contestant, then the next of each, and so on.
    fn take_turns(
        &self,
        name: &str,
        body: &[u8],
        connections: usize,
    ) -> Result<BTreeMap<Name, Vec<Figures>>> {
        let mut rounds: BTreeMap<Name, Vec<Figures>> = BTreeMap::new();
        for round in 0..=self.arguments.rounds {
            for contestant in self.arguments.contestants() {
                let warm_up = round == 0;
                let time = if warm_up {
                    WARM_UP
                } else {
                    Duration::from_secs(self.arguments.seconds)
                };
                let figures = self.one_round(contestant, body, connections, Pace::Flat, time)?;
                if !warm_up {
                    eprintln!(
                        "{name}, {connections} connections, round {round}: {} {figures}",
                        contestant.as_str()
                    );
                    rounds.entry(contestant).or_default().push(figures);
                }
            }
        }
        Ok(rounds)
    }

    fn one_round(
        &self,
        contestant: Name,
        body: &[u8],
        connections: usize,
        pace: Pace,
        time: Duration,
    ) -> Result<Figures> {
        let (Some(server), Some(webhook)) = (
            self.programs.get(&contestant.program()),
            self.webhooks.get(&contestant),
        ) else {
            bail!("{} is not measured", contestant.as_str());
        };
        let request = webhook.request(body);
        let used = || {
            (
                cpu::seconds_of(server.child.id()),
                cpu::seconds_of_all(self.postgres),
            )
        };
        let before = used();
        let Outcome { latencies, rate, .. } = load::run(server.address, &request, connections, pace, time)?;
        let after = used();
        let requests = latencies.len().max(1) as f64;
        let micros = |before: f64, after: f64| (after - before) * 1e6 / requests;
        Ok(Figures {
            rate,
            p50_us: latencies.value_at_quantile(0.5),
            p99_us: latencies.value_at_quantile(0.99),
            p999_us: latencies.value_at_quantile(0.999),
            server_cpu_us: micros(before.0, after.0),
            postgres_cpu_us: micros(before.1, after.1),
        })
    }

    /// Latency at half of what the ingress can do, and of an idle system.
    fn measure_latency(&self, report: &mut Report) -> Result<()> {
        let (_, body) = body::named("small")?;
        let time = Duration::from_secs(self.arguments.seconds * 2);
        for name in [
            Name::Ingress,
            Name::IngressJob,
            Name::Admission,
            Name::Deduplication,
        ] {
            let Some((most, connections)) = report.highest(name) else {
                continue;
            };
            let half = self.one_round(name, &body, connections, Pace::Rate(most / 2.0), time)?;
            report.at_half(name, half);
            let idle = self.one_round(name, &body, 1, Pace::Rate(50.0), time)?;
            report.idle(name, idle);
        }
        Ok(())
    }

    fn stop(mut self) {
        for running in self.programs.values_mut() {
            running.stop();
        }
    }
}

impl Running {
    /// Ends it.
    pub fn stop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }

    /// Starts a program on a database.
    pub fn start(program: Program, address: &Address, database: &str, writers: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", program.as_str()])
            .arg(address.sockets())
            .arg(database)
            .arg(writers.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut port = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut port)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port.trim().parse()?));
        Ok(Self { child, address })
    }
}

/// Brings a new PostgreSQL into the state of one that has been running: its memory touched, and log files to use again,
/// since a server that makes a new one stops every commit for as long as it takes to write 16 MiB of zeros.
pub fn settle(servers: &Servers, database: &str) -> Result<()> {
    for statement in [
        "CREATE TABLE filler (text text)",
        "INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 1800000)",
        "DROP TABLE filler",
        "CHECKPOINT",
    ] {
        servers.postgres.execute(database, statement)?;
    }
    Ok(())
}
