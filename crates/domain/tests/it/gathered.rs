//! What is gathered survives an outage, and the log tells of it twice.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookgate_domain::database::PgConnection;
use hookgate_domain::gathered::{Gather, Gathered};
use hookgate_domain::{Error, Result};
use hookgate_testkit::TestDatabase;

static IS_AWAY: AtomicBool = AtomicBool::new(false);
static WRITTEN: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Is summed.
#[derive(Clone)]
struct Sum(u32);

impl Gather for Sum {
    const WHAT: &'static str = "sums";
    const EVERY: Duration = Duration::from_secs(3_600);
    const MOST: usize = 1;
    type Key = ();

    fn key(&self) {}

    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }

    fn write(_conn: &mut PgConnection, gathered: &[Self]) -> Result<()> {
        if IS_AWAY.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("on purpose".into()));
        }
        WRITTEN
            .lock()
            .expect("sums")
            .extend(gathered.iter().map(|sum| sum.0));
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_outage_is_told_when_it_begins_and_when_it_is_over() {
    let database = TestDatabase::create();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let _told = tracing::subscriber::set_default(subscriber);
    let sums = Gathered::start(database.worker());
    let add = async |sum| {
        sums.add(Sum(sum));
        sums.flush().await;
    };
    add(1).await;
    for _ in 0..2 {
        IS_AWAY.store(true, Ordering::Relaxed);
        add(2).await;
        add(3).await;
        sums.flush().await;
        IS_AWAY.store(false, Ordering::Relaxed);
        add(4).await;
        add(5).await;
    }
    assert_eq!(*WRITTEN.lock().expect("sums"), [1, 9, 5, 9, 5]);
    let told = String::from_utf8(log.0.lock().expect("the log").clone()).expect("text");
    let told: Vec<&str> = told
        .lines()
        .map(|line| line.split_whitespace().next().expect("a level"))
        .collect();
    assert_eq!(told, ["WARN", "INFO", "WARN", "INFO"]);
}
