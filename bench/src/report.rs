//! The figures, as a table for people and as JSON for comparing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::contestant::Name;
use crate::learning::Learning;

/// What one round measured.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Requests per second.
    pub rate: f64,
    /// Median latency.
    pub p50_us: u64,
    /// Latency of the slowest in a hundred.
    pub p99_us: u64,
    /// Latency of the slowest in a thousand.
    pub p999_us: u64,
    /// Processor time of the server per request.
    pub server_cpu_us: f64,
    /// Processor time of PostgreSQL per request.
    pub postgres_cpu_us: f64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| us as f64 / 1000.0;
        write!(
            f,
            "{:>8.0} req/s   p50 {:>7.2} ms   p99 {:>7.2} ms   p99.9 {:>7.2} ms   CPU {:>5.1} µs server, {:>5.1} µs PostgreSQL",
            self.rate,
            ms(self.p50_us),
            ms(self.p99_us),
            ms(self.p999_us),
            self.server_cpu_us,
            self.postgres_cpu_us
        )
    }
}

/// Whose rates are compared with whose.
fn compared() -> impl Iterator<Item = (Name, Name)> {
    let durability = [Name::Ingress, Name::IngressJob]
        .into_iter()
        .flat_map(|ingress| [(ingress, Name::Bare), (ingress, Name::Naive)]);
    let admission = Name::ADMISSION
        .into_iter()
        .skip(1)
        .map(|one| (one, Name::Ingress));
    let expected_data = [Name::Warn, Name::Enforce].map(|one| (one, Name::Ingress));
    durability.chain(admission).chain(expected_data)
}

/// The round with the median rate.
fn median(mut rounds: Vec<Figures>) -> Option<Figures> {
    rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let middle = rounds.len() / 2;
    rounds.into_iter().nth(middle)
}

#[derive(Debug, Serialize)]
struct Case {
    body: String,
    body_bytes: usize,
    connections: usize,
    contestants: BTreeMap<Name, Figures>,
    /// Of one's rate to another's.
    ratios: BTreeMap<String, f64>,
}

/// Everything that a run measured.
#[derive(Debug, Serialize)]
pub struct Report {
    processors: usize,
    seconds_per_round: u64,
    rounds: usize,
    cases: Vec<Case>,
    at_half_load: BTreeMap<Name, Figures>,
    idle: BTreeMap<Name, Figures>,
    /// Nanoseconds of finding an address, by the number of networks.
    look_up_ns: BTreeMap<u32, f64>,
    /// Microseconds of reading, learning and checking, by the body.
    learning_us: BTreeMap<String, Learning>,
}

impl Report {
    /// An empty report.
    pub fn new(seconds_per_round: u64, rounds: usize) -> Self {
        Self {
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            seconds_per_round,
            rounds,
            cases: Vec::new(),
            at_half_load: BTreeMap::new(),
            idle: BTreeMap::new(),
            look_up_ns: BTreeMap::new(),
            learning_us: BTreeMap::new(),
        }
    }

    /// Adds the rounds of one body and number of connections.
    pub fn add(
        &mut self,
        body: &str,
        body_bytes: usize,
        connections: usize,
        rounds: BTreeMap<Name, Vec<Figures>>,
    ) {
        let contestants: BTreeMap<Name, Figures> = rounds
            .into_iter()
            .filter_map(|(name, rounds)| Some((name, median(rounds)?)))
            .collect();
        let mut ratios = BTreeMap::new();
        for (one, other) in compared() {
            if let (Some(mine), Some(its)) = (contestants.get(&one), contestants.get(&other)) {
                ratios.insert(
                    format!("{} / {}", one.as_str(), other.as_str()),
                    mine.rate / its.rate,
                );
            }
        }
        self.cases.push(Case {
            body: body.to_owned(),
            body_bytes,
            connections,
            contestants,
            ratios,
        });
    }

    /// The highest rate that a contestant reached with the first body, and the number of connections that it took.
    pub fn highest(&self, name: Name) -> Option<(f64, usize)> {
        let first = &self.cases.first()?.body;
        let cases = self.cases.iter().filter(|case| case.body == *first);
        let rates = cases.filter_map(|case| Some((case.contestants.get(&name)?.rate, case.connections)));
        rates.max_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Adds the latency at half the load.
    pub fn at_half(&mut self, name: Name, figures: Figures) {
        self.at_half_load.insert(name, figures);
    }

    /// Adds the latency of an idle system.
    pub fn idle(&mut self, name: Name, figures: Figures) {
        self.idle.insert(name, figures);
    }

    /// Adds what finding an address among so many networks takes.
    pub fn look_up(&mut self, networks: u32, nanoseconds: f64) {
        self.look_up_ns.insert(networks, nanoseconds);
    }

    /// Adds what learning from a body and checking it takes.
    pub fn learning(&mut self, body: &str, learning: Learning) {
        self.learning_us.insert(body.to_owned(), learning);
    }

    /// Writes the table and the JSON.
    pub fn write(&self, stem: &Path) -> Result<()> {
        if let Some(directory) = stem.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(
            stem.with_extension("json"),
            serde_json::to_string_pretty(self)? + "\n",
        )?;
        std::fs::write(stem.with_extension("txt"), self.to_string())?;
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Load generator, server and PostgreSQL (fsync and synchronous_commit on) share {} processors.\n\
             Medians of {} interleaved rounds of {} s.\n",
            self.processors, self.rounds, self.seconds_per_round
        )?;
        for case in &self.cases {
            writeln!(
                f,
                "{} ({} bytes), {} connections",
                case.body, case.body_bytes, case.connections
            )?;
            for (name, figures) in &case.contestants {
                writeln!(f, "  {:<14} {figures}", name.as_str())?;
            }
            for (ratio, value) in &case.ratios {
                writeln!(f, "  {ratio:<26} {value:.2}")?;
            }
            writeln!(f)?;
        }
        for (title, figures) in [
            (
                "At half the highest rate, with as many connections",
                &self.at_half_load,
            ),
            ("Idle: 50 requests per second, one connection", &self.idle),
        ] {
            if !figures.is_empty() {
                writeln!(f, "{title}")?;
                for (name, figures) in figures {
                    writeln!(f, "  {:<14} {figures}", name.as_str())?;
                }
                writeln!(f)?;
            }
        }
        for (networks, nanoseconds) in &self.look_up_ns {
            writeln!(
                f,
                "Finding an address among {networks:>6} networks: {nanoseconds:>5.0} ns"
            )?;
        }
        for (body, learning) in &self.learning_us {
            writeln!(
                f,
                "{body}: reading {:.1} µs, learning {} fields {:.1} µs, checking them {:.1} µs",
                learning.reading, learning.fields, learning.inference, learning.validation
            )?;
        }
        Ok(())
    }
}
