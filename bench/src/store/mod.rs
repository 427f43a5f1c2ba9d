//! How quickly the management API lists and finds, with millions of events in the store.

mod fill;
mod queries;

use std::fmt::Write;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hookgate_devservers::Servers;
use hookgate_testkit::TestDatabase;

use crate::contestant::Program;
use crate::load::{self, Outcome, Pace, Request};
use crate::rounds::{self, Running};
use crate::{Arguments, body};

/// What the clients ask together, in a second, and how many there are.
const ASKED: (f64, usize) = (40.0, 4);
/// What comes in meanwhile, in a second, and over how many connections.
const INGEST: (f64, usize) = (100.0, 2);
/// The 99th percentile that is wanted, in milliseconds.
const AIM_MS: f64 = 50.0;
/// The tables that grow with events.
const GROWING: [&str; 4] = ["events", "runs", "attempts", "refusals"];

/// Fills a store and measures each query.
pub fn run(arguments: &Arguments) -> Result<()> {
    let servers = rounds::start_servers()?;
    // Dropping the servers takes it away.
    let database = ManuallyDrop::new(TestDatabase::create());
    let began = Instant::now();
    let store = fill::fill(&database, arguments.events)?;
    let mut report = format!(
        "{} events of 22 tenants, the large one with 80 % of them; filled in {} s.\n",
        arguments.events,
        began.elapsed().as_secs()
    );
    sizes(&servers, &database, &mut report)?;
    let start = |program| Running::start(program, &servers.address(), database.name(), arguments.writers);
    let (mut management, mut ingress) = (start(Program::Management)?, start(Program::Ingress)?);
    let send = Request::new(
        &store.large[0].production.path,
        "",
        false,
        &body::named("small")?.1,
    );
    let time = Duration::from_secs(arguments.seconds * 2);
    let _ = writeln!(
        report,
        "\n{} clients ask {} times a second together, beside {} requests per second that come in.\n{:<66} p50 ms   p99 ms",
        ASKED.1, ASKED.0, INGEST.0, ""
    );
    print!("{report}");
    for query in queries::all(&store) {
        let request = query.request(management.address)?;
        let measured = beside(management.address, &request, ingress.address, &send, time)?;
        let line = line(query.what, &measured);
        print!("{line}");
        report.push_str(&line);
    }
    management.stop();
    ingress.stop();
    servers.stop()?;
    let results = arguments
        .results
        .clone()
        .unwrap_or_else(|| "bench/results/store.txt".into());
    std::fs::write(&results, report).with_context(|| format!("writing {}", results.display()))
}

fn line(what: &str, measured: &Outcome) -> String {
    let ms = |quantile| measured.latencies.value_at_quantile(quantile) as f64 / 1000.0;
    let note = if ms(0.99) > AIM_MS { "   too slow" } else { "" };
    format!("{what:<66} {:>6.1} {:>8.1}{note}\n", ms(0.5), ms(0.99))
}

/// What the store takes, in all and for each row.
fn sizes(servers: &Servers, database: &TestDatabase, report: &mut String) -> Result<()> {
    for table in GROWING {
        let sizes = servers.postgres.execute(
            database.name(),
            &format!(
                "SELECT (SELECT count(*) FROM {table}), sum(pg_table_size(inhrelid)), sum(pg_indexes_size(inhrelid))
                 FROM pg_inherits WHERE inhparent = '{table}'::regclass"
            ),
        )?;
        let mut numbers = sizes.trim().split('|').map(str::parse::<f64>);
        let mut next = || numbers.next().context("no size")?.context("a size");
        let (rows, heap, indexes) = (next()?, next()?, next()?);
        let _ = writeln!(
            report,
            "{table:<10} {rows:>9} rows, {:>5.2} GB: {:>4.0} bytes each, {:>3.0} of them in indexes",
            (heap + indexes) / 1e9,
            (heap + indexes) / rows.max(1.0),
            indexes / rows.max(1.0)
        );
    }
    Ok(())
}

/// What clients measure while events come in.
fn beside(
    to: SocketAddr,
    request: &Request,
    ingress: SocketAddr,
    send: &Request,
    time: Duration,
) -> Result<Outcome> {
    std::thread::scope(|scope| {
        let coming = scope.spawn(|| load::run(ingress, send, INGEST.1, Pace::Rate(INGEST.0), time));
        // Connections, and plans that Postgres keeps for them.
        load::run(to, request, ASKED.1, Pace::Rate(ASKED.0), time / 4)?;
        let measured = load::run(to, request, ASKED.1, Pace::Rate(ASKED.0), time * 3 / 4)?;
        match coming.join() {
            Ok(stored) => stored.map(|_| measured),
            Err(_) => bail!("the load thread panicked"),
        }
    })
}
