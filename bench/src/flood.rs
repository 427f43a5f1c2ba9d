//! Whether one tenant's flood leaves another's latency alone: the latency of a tenant that sends little and steadily, alone and
//! while another sends far more than it may, or all that it can.

use std::time::Duration;

use anyhow::{Result, bail};
use hookgate_model::ids::TenantId;
use hookgate_testkit::TestDatabase;

use crate::contestant::{Name, Program};
use crate::load::{self, Outcome, Pace, Request};
use crate::rounds::{self, Running};
use crate::webhooks::Webhook;
use crate::{Arguments, body};

/// What the flooding tenant may send in a second.
const LIMIT: u32 = 500;
/// How many times as much it sends.
const TIMES: u32 = 10;
/// Connections of the flood.
const CONNECTIONS: usize = 128;
/// What the other tenant sends in a second, and over how many connections.
const MODEST: (f64, usize) = (100.0, 4);
/// How long a flood goes on before anything counts.
const WARM_UP: Duration = Duration::from_secs(2);

/// Measures it, in less than a minute.
pub fn run(arguments: &Arguments) -> Result<()> {
    let servers = rounds::start_servers()?;
    let database = std::mem::ManuallyDrop::new(TestDatabase::create());
    rounds::settle(&servers, database.name())?;
    let [modest, limited, unlimited] = ["Modest", "Limited", "Unlimited"].map(|name| database.tenant(name));
    database.execute(&format!(
        "UPDATE tenants SET limits = '{{\"requests_per_second\": {LIMIT}}}' WHERE id = '{}'",
        limited.uuid()
    ));
    let (_, body) = body::named("small")?;
    let request = |tenant: TenantId| -> Result<Request> {
        Ok(Webhook::make(&database, tenant, Name::Ingress, &[])?.request(&body))
    };
    let (modest, limited, unlimited) = (
        request(modest)?,
        request(limited)?.of_flood(),
        request(unlimited)?.of_flood(),
    );
    let mut server = Running::start(
        Program::Ingress,
        &servers.address(),
        database.name(),
        arguments.writers,
    )?;
    let time = Duration::from_secs(arguments.seconds * 2);
    let paced = Pace::Rate(f64::from(LIMIT * TIMES));
    println!(
        "One tenant sends {} requests per second; another floods over {CONNECTIONS} connections.",
        MODEST.0
    );
    println!(
        "{:<34} {:>9} {:>9} {:>9}   of the flood, accepted and refused per second",
        "", "p50 ms", "p99 ms", "p99.9 ms"
    );
    for (what, flood) in [
        ("alone", None),
        ("beside ten times the other's limit", Some((&limited, paced))),
        (
            "beside all that the other can send",
            Some((&unlimited, Pace::Flat)),
        ),
        ("alone again", None),
    ] {
        let (modest, flood) = beside(&server, &modest, flood, time)?;
        let ms = |quantile| modest.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        let flood = flood.map_or_else(String::new, |flood| {
            format!("{:.0} and {:.0}", flood.rate, flood.refused)
        });
        println!(
            "{what:<34} {:>9.2} {:>9.2} {:>9.2}   {flood}",
            ms(0.5),
            ms(0.99),
            ms(0.999)
        );
    }
    server.stop();
    servers.stop()?;
    Ok(())
}

/// What the modest tenant measures while a flood goes on, and what became of the flood.
fn beside(
    server: &Running,
    modest: &Request,
    flood: Option<(&Request, Pace)>,
    time: Duration,
) -> Result<(Outcome, Option<Outcome>)> {
    let to = server.address;
    let (rate, connections) = MODEST;
    std::thread::scope(|scope| {
        let flooding = flood.map(|(request, pace)| {
            scope.spawn(move || load::run(to, request, CONNECTIONS, pace, WARM_UP + time))
        });
        load::run(to, modest, connections, Pace::Rate(rate), WARM_UP)?;
        let measured = load::run(to, modest, connections, Pace::Rate(rate), time)?;
        let flooded = match flooding.map(std::thread::ScopedJoinHandle::join) {
            None => None,
            Some(Ok(flooded)) => Some(flooded?),
            Some(Err(_)) => bail!("the flood panicked"),
        };
        Ok((measured, flooded))
    })
}
