//! What happens after the event: how long a caller waits for a flow, how many runs a worker gets through, and whether what
//! is slow or much of one holds up the others.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hookgate_devservers::Servers;
use hookgate_domain::clock;
use hookgate_model::ids::{DestinationId, TenantId};
use hookgate_testkit::TestDatabase;
use hookgate_testkit::fixtures::NewWebhook;
use serde_json::{Value, json};

use crate::contestant::Program;
use crate::load::{self, Outcome, Pace, Request};
use crate::rounds::{self, Running};
use crate::{Arguments, body};

/// Events whose runs are counted.
const RUNS: u64 = 20_000;
/// Events of one tenant that wait while another's come.
const QUEUED: u64 = 100_000;
/// Destinations, of which one never answers.
const DESTINATIONS: usize = 20;
/// Connections of the load that fills a queue.
const CONNECTIONS: usize = 64;
/// What each webhook is sent in a second while latency is measured.
const RATE: f64 = 10.0;
/// How often a destination that answers and one that does not take turns.
const TURNS: usize = 4;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures all of it, in about three minutes.
pub fn run(arguments: &Arguments) -> Result<()> {
    let servers = rounds::start_servers()?;
    let bench = Bench::new(arguments, &servers)?;
    let mut report = String::new();
    let outcome = bench.measure(&mut report);
    bench.stop();
    outcome?;
    servers.stop()?;
    let results = arguments
        .results
        .clone()
        .unwrap_or_else(|| "bench/results/flows.txt".into());
    std::fs::write(&results, report).with_context(|| format!("writing {}", results.display()))
}

struct Bench<'a> {
    servers: &'a Servers,
    database: std::mem::ManuallyDrop<TestDatabase>,
    ingress: Running,
    receiver: Running,
    body: Vec<u8>,
    time: Duration,
}

impl<'a> Bench<'a> {
    fn new(arguments: &Arguments, servers: &'a Servers) -> Result<Self> {
        // Dropping the servers takes it away.
        let database = std::mem::ManuallyDrop::new(TestDatabase::create());
        rounds::settle(servers, database.name())?;
        let start = |program| Running::start(program, &servers.address(), database.name(), arguments.writers);
        Ok(Self {
            ingress: start(Program::Ingress)?,
            receiver: start(Program::Receiver)?,
            body: body::named("small")?.1,
            time: Duration::from_secs(arguments.seconds * 2),
            servers,
            database,
        })
    }

    fn stop(mut self) {
        self.ingress.stop();
        self.receiver.stop();
    }

    fn worker(&self) -> Result<Running> {
        Running::start(Program::Worker, &self.servers.address(), self.database.name(), 0)
    }

    fn measure(&self, report: &mut String) -> Result<()> {
        self.measure_waiting(report)?;
        self.measure_runs(report)?;
        self.measure_fairness(report)?;
        self.measure_hanging(report)
    }

    /// What a caller waits longer for a flow's end than for the acknowledgement.
    fn measure_waiting(&self, report: &mut String) -> Result<()> {
        let tenant = self.database.tenant("Waiting");
        let plain = self.webhook(tenant, json!({}));
        let empty = self.webhook(tenant, json!({ "response": { "mode": "wait" } }));
        let called = self.webhook(
            tenant,
            json!({ "flow": self.flow(tenant, "ok")?, "response": { "mode": "wait" } }),
        );
        let mut worker = self.worker()?;
        tell(
            report,
            "A caller on an idle machine, 10 requests per second",
            "p50 ms   p99 ms",
        );
        for (what, request) in [
            ("is acknowledged at once", &plain),
            ("waits for an empty flow", &empty),
            ("waits for set and http", &called),
        ] {
            load::run(
                self.ingress.address,
                request,
                1,
                Pace::Rate(RATE),
                Duration::from_secs(2),
            )?;
            let outcome = load::run(self.ingress.address, request, 1, Pace::Rate(RATE), self.time)?;
            tell(report, what, &quantiles(&outcome));
        }
        worker.stop();
        Ok(())
    }

    /// How many runs one worker gets through.
    fn measure_runs(&self, report: &mut String) -> Result<()> {
        let tenant = self.database.tenant("Runs");
        let request = self.webhook(tenant, json!({ "flow": self.flow(tenant, "ok")? }));
        self.fill(&request, tenant, RUNS)?;
        let mut worker = self.worker()?;
        let began = Instant::now();
        let runs = self.until(tenant, RUNS)?;
        let rate = runs as f64 / began.elapsed().as_secs_f64();
        worker.stop();
        tell(
            report,
            "Runs of set and http that one worker ends in a second",
            &format!("{rate:.0}"),
        );
        Ok(())
    }

    /// What a long queue of one tenant does to another.
    fn measure_fairness(&self, report: &mut String) -> Result<()> {
        let [busy, other] = ["Busy", "Other"].map(|name| self.database.tenant(name));
        let queue = self.webhook(busy, json!({ "flow": self.flow(busy, "ok")? }));
        let waits = self.webhook(
            other,
            json!({ "flow": self.flow(other, "ok")?, "response": { "mode": "wait" } }),
        );
        let measure = || load::run(self.ingress.address, &waits, 1, Pace::Rate(RATE), self.time);
        let title =
            format!("A caller who waits for set and http, beside {QUEUED} queued events of another tenant");
        tell(report, &title, "p50 ms   p99 ms");
        let mut worker = self.worker()?;
        load::run(
            self.ingress.address,
            &waits,
            1,
            Pace::Rate(RATE),
            Duration::from_secs(2),
        )?;
        tell(report, "without them", &quantiles(&measure()?));
        worker.stop();
        self.fill(&queue, busy, QUEUED)?;
        let mut worker = self.worker()?;
        let outcome = measure()?;
        let left = self.database.query_text(&format!(
            "SELECT count(*)::text FROM jobs WHERE tenant_id = '{}'",
            busy.uuid()
        ));
        worker.stop();
        if left.first().is_none_or(|left| left == "0") {
            bail!("the queue was empty before the measurement was over: it says nothing");
        }
        tell(report, "with them", &quantiles(&outcome));
        self.database.execute("DELETE FROM jobs");
        Ok(())
    }

    /// What one destination that never answers does to the others of its tenant.
    fn measure_hanging(&self, report: &mut String) -> Result<()> {
        let tenant = self.database.tenant("Destinations");
        let mut requests = Vec::new();
        for _ in 1..DESTINATIONS {
            let revision = json!({ "flow": self.flow(tenant, "ok")?, "response": { "mode": "wait" } });
            requests.push(self.webhook(tenant, revision));
        }
        let [healthy, hanging] = [self.flow(tenant, "ok")?, self.flow(tenant, "hang")?]
            .map(|flow| self.webhook(tenant, json!({ "flow": flow })).of_flood());
        let mut worker = self.worker()?;
        let title = format!(
            "Callers who wait for {} destinations of one tenant",
            DESTINATIONS - 1
        );
        tell(report, &title, "p50 ms   p99 ms");
        self.beside(&requests, &healthy)?;
        // In turns, so that what else the machine does falls on both.
        let (mut answers, mut hangs) = (
            self.beside(&requests, &healthy)?,
            self.beside(&requests, &hanging)?,
        );
        for _ in 1..TURNS {
            answers
                .latencies
                .add(&self.beside(&requests, &healthy)?.latencies)?;
            hangs
                .latencies
                .add(&self.beside(&requests, &hanging)?.latencies)?;
        }
        worker.stop();
        let [before, beside] = [&answers, &hangs].map(|outcome| outcome.latencies.value_at_quantile(0.99));
        let times = beside as f64 / before.max(1) as f64;
        tell(report, "beside one more that answers", &quantiles(&answers));
        tell(
            report,
            "beside one more that never answers",
            &format!("{}   {times:.2} times", quantiles(&hangs)),
        );
        Ok(())
    }

    /// What the callers of some webhooks measure, while another is called as often.
    fn beside(&self, requests: &[Request], last: &Request) -> Result<Outcome> {
        let to = self.ingress.address;
        std::thread::scope(|scope| {
            let last = scope.spawn(move || load::run(to, last, 4, Pace::Rate(RATE), self.time));
            // One after the other, not all of them at the same instant.
            let apart = 1.0 / RATE / requests.len() as f64;
            let others: Vec<_> = requests
                .iter()
                .enumerate()
                .map(|(place, request)| {
                    scope.spawn(move || {
                        std::thread::park_timeout(Duration::from_secs_f64(apart * place as f64));
                        load::run(to, request, 2, Pace::Rate(RATE), self.time)
                    })
                })
                .collect();
            let mut all: Option<Outcome> = None;
            for other in others {
                let Ok(outcome) = other.join() else {
                    bail!("a load thread panicked")
                };
                let outcome = outcome?;
                match &mut all {
                    None => all = Some(outcome),
                    Some(all) => all.latencies.add(&outcome.latencies)?,
                }
            }
            if last.join().is_err() {
                bail!("a load thread panicked");
            }
            all.context("there are no others")
        })
    }

    /// A webhook with a published revision; gives the request that it accepts.
    fn webhook(&self, tenant: TenantId, revision: Value) -> Request {
        let made = self.database.webhook(
            tenant,
            NewWebhook {
                revision,
                ..NewWebhook::default()
            },
        );
        Request::new(&made.production.path, "", false, &self.body)
    }

    /// The flow that is measured, with a destination of its own.
    fn flow(&self, tenant: TenantId, path: &str) -> Result<Value> {
        let id: DestinationId = clock::new_id();
        self.database.execute(&format!(
            "INSERT INTO destinations (tenant_id, id, name, base_url) VALUES ('{}', '{}', '{id}', 'http://{}')",
            tenant.uuid(),
            id.uuid(),
            self.receiver.address
        ));
        Ok(json!({ "steps": [
            { "name": "a", "kind": "set", "values": { "at": "{{ event.received_at }}" } },
            { "name": "call", "kind": "http", "destination": id, "path": format!("/{path}"), "body": { "at": "{{ a.at }}" },
              "timeout_ms": 10_000, "retry": { "attempts": 1 } },
        ] }))
    }

    /// Stores so many events, while no worker runs.
    fn fill(&self, request: &Request, tenant: TenantId, wanted: u64) -> Result<()> {
        let began = Instant::now();
        let mut stored = 0;
        while stored < wanted {
            if began.elapsed() > PATIENCE {
                bail!("the queue did not fill in time");
            }
            load::run(
                self.ingress.address,
                request,
                CONNECTIONS,
                Pace::Flat,
                Duration::from_millis(500),
            )?;
            stored = self.count("events", tenant)?;
        }
        Ok(())
    }

    /// Waits until so many runs of a tenant have ended, and gives their number.
    fn until(&self, tenant: TenantId, runs: u64) -> Result<u64> {
        let began = Instant::now();
        loop {
            let ended = self.count("runs", tenant)?;
            if ended >= runs {
                return Ok(ended);
            }
            if began.elapsed() > PATIENCE {
                bail!("only {ended} of {runs} runs ended in time");
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    fn count(&self, table: &str, tenant: TenantId) -> Result<u64> {
        let sql = format!(
            "SELECT count(*)::text FROM {table} WHERE tenant_id = '{}'",
            tenant.uuid()
        );
        let count = self.database.query_text(&sql);
        Ok(count.first().context("no count")?.parse()?)
    }
}

fn quantiles(outcome: &Outcome) -> String {
    let ms = |quantile| outcome.latencies.value_at_quantile(quantile) as f64 / 1000.0;
    format!("{:>6.2} {:>8.2}", ms(0.5), ms(0.99))
}

/// Prints a line, and keeps it.
fn tell(report: &mut String, what: &str, figure: &str) {
    let _ = writeln!(report, "{what:<90} {figure}");
    println!("{what:<90} {figure}");
}
