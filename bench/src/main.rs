//! Measures durable ingest against its two limits, in one run on one machine: a bare actix-web handler that reads the
//! same body and keeps nothing, and the naive form of the same promise, one INSERT and commit for each request.
//!
//! The load generator, the server under test and PostgreSQL share the machine's processors. Rounds of the contestants
//! are interleaved, and medians are compared, so that a slow minute of the machine meets all of them.

mod body;
mod contestant;
mod cpu;
mod flood;
mod flows;
mod learning;
mod load;
mod look_up;
mod report;
mod rounds;
mod store;
mod webhooks;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Hookgate's durable ingest.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Seconds of one round.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Rounds of each contestant, of which the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What is sent: `small` (1 KiB of JSON), `push` (GitHub's largest example of a push, 7.7 kB), `long` (one of GitHub's
    /// examples, of 26 kB), or a file. By default `small` and `push`, with `--expected-data` `small` and `long`.
    #[arg(long, value_delimiter = ',')]
    body: Vec<String>,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_value = "64,256")]
    connections: Vec<usize>,
    /// Measure what admission costs, instead of what durability costs.
    #[arg(long)]
    admission: bool,
    /// Measure what looking at the data costs, instead of what durability costs.
    #[arg(long, conflicts_with = "admission")]
    expected_data: bool,
    /// Measure what one tenant's flood does to another's latency, instead of what durability costs.
    #[arg(long)]
    flood: bool,
    /// Measure flows and answers, instead of what durability costs.
    #[arg(long)]
    flows: bool,
    /// Measure lists and searches with many events in the store, instead of what durability costs.
    #[arg(long)]
    store: bool,
    /// How many events that are.
    #[arg(long, default_value_t = 5_000_000)]
    events: u64,
    /// Contestants, by name; all of the set by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<contestant::Name>,
    /// Writer threads of the ingress.
    #[arg(long, default_value_t = 2)]
    writers: usize,
    /// Leave out the measurements of latency at half the load and of an idle system.
    #[arg(long)]
    no_latency: bool,
    /// Where the results go, as JSON and as a table; by default a file of `bench/results`.
    #[arg(long)]
    results: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one program until its standard input ends (used by the bench itself).
    Serve {
        /// Which one.
        program: contestant::Program,
        /// The directory of the private servers' sockets.
        sockets: PathBuf,
        /// The database.
        database: String,
        /// Writer threads of the ingress.
        writers: usize,
    },
}

impl Arguments {
    /// Who is measured, in the order of their turns.
    fn contestants(&self) -> Vec<contestant::Name> {
        let set: &[contestant::Name] = if self.admission {
            &contestant::Name::ADMISSION
        } else if self.expected_data {
            &contestant::Name::EXPECTED_DATA
        } else {
            &contestant::Name::DURABILITY
        };
        let baseline = set.first();
        let wanted = |name: &&contestant::Name| {
            self.only.is_empty() || self.only.contains(*name) || baseline == Some(*name)
        };
        set.iter().filter(wanted).copied().collect()
    }

    /// What is sent, each with its name for the report.
    fn bodies(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let default = if self.expected_data { "long" } else { "push" };
        let names = match self.body.as_slice() {
            [] => vec!["small".to_owned(), default.to_owned()],
            names => names.to_vec(),
        };
        names.iter().map(|name| body::named(name)).collect()
    }

    /// Where the results go.
    fn results(&self) -> PathBuf {
        let set = match (self.admission, self.expected_data) {
            (true, _) => "admission",
            (_, true) => "expected-data",
            _ => "latest",
        };
        let default = || PathBuf::from("bench/results").join(set);
        self.results.clone().unwrap_or_else(default)
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Command::Serve {
            program,
            sockets,
            database,
            writers,
        }) => contestant::serve(*program, sockets, database, *writers),
        None if arguments.flood => flood::run(&arguments),
        None if arguments.flows => flows::run(&arguments),
        None if arguments.store => store::run(&arguments),
        None => rounds::run(&arguments),
    }
}
