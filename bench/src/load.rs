//! A bounded load generator: so many connections for so many seconds, as fast as they are answered or at a fixed rate.
//!
//! It speaks just enough HTTP/1.1 to be cheap: the request is the same bytes every time but for a delivery's id, the
//! answer is read up to the length that it declares, and only its status is looked at.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What to send.
#[derive(Clone)]
pub struct Request {
    bytes: Vec<u8>,
    /// Where the delivery's id stands, if each delivery has its own.
    id: Option<Range<usize>>,
    /// Whether it may be refused.
    is_flood: bool,
}

/// Digits of a delivery's id.
const ID_DIGITS: usize = 16;

impl Request {
    /// A POST of JSON, with lines of headers besides.
    pub fn new(path: &str, headers: &str, has_id: bool, body: &[u8]) -> Self {
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nhost: hooks.example.com\r\nuser-agent: hookgate-bench/1\r\naccept: */*\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n{headers}",
            body.len()
        )
        .into_bytes();
        let id = has_id.then(|| {
            bytes.extend_from_slice(b"x-delivery-id: ");
            let start = bytes.len();
            bytes.extend_from_slice(&[b'0'; ID_DIGITS]);
            bytes.extend_from_slice(b"\r\n");
            start..start + ID_DIGITS
        });
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        Self {
            bytes,
            id,
            is_flood: false,
        }
    }

    /// A GET, with lines of headers.
    pub fn get(path: &str, headers: &str) -> Self {
        let head = format!("GET {path} HTTP/1.1\r\nhost: api.example.com\r\naccept: */*\r\n{headers}\r\n");
        Self {
            bytes: head.into_bytes(),
            id: None,
            is_flood: false,
        }
    }

    /// The same as a part of a flood, which may be refused.
    pub fn of_flood(self) -> Self {
        Self {
            is_flood: true,
            ..self
        }
    }

    /// The bytes of the next delivery.
    fn next(&mut self) -> &[u8] {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        if let Some(id) = &self.id {
            let number = format!("{:0ID_DIGITS$x}", NUMBER.fetch_add(1, Ordering::Relaxed));
            self.bytes[id.clone()].copy_from_slice(number.as_bytes());
        }
        &self.bytes
    }
}

/// How hard to press.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Each connection sends its next request when it has the last answer.
    Flat,
    /// So many requests per second over all connections; latency counts from when a request was due.
    Rate(f64),
}

/// What was measured.
#[derive(Clone)]
pub struct Outcome {
    /// Latencies in microseconds, of 2xx answers.
    pub latencies: Histogram<u64>,
    /// Requests per second that were answered with 2xx.
    pub rate: f64,
    /// Requests per second that were refused.
    pub refused: f64,
}

/// Sends for so long. Any answer but 2xx is an error, unless it is a flood: a figure with refusals in it says nothing.
pub fn run(
    to: SocketAddr,
    request: &Request,
    connections: usize,
    pace: Pace,
    time: Duration,
) -> Result<Outcome> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(connections);
    let began = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let request = request.clone();
            let mine = connections / threads + usize::from(thread < connections % threads);
            let pace = match pace {
                Pace::Flat => Pace::Flat,
                Pace::Rate(rate) => Pace::Rate(rate * mine as f64 / connections as f64),
            };
            std::thread::spawn(move || one_thread(to, &request, mine, pace, began, began + time))
        })
        .collect();
    let mut all = Answers::new()?;
    for worker in workers {
        match worker.join() {
            Ok(result) => all.add(&result?)?,
            Err(_) => bail!("a load thread panicked"),
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(Outcome {
        rate: all.latencies.len() as f64 / seconds,
        refused: all.refused as f64 / seconds,
        latencies: all.latencies,
    })
}

/// What was answered.
struct Answers {
    latencies: Histogram<u64>,
    refused: u64,
}

impl Answers {
    fn new() -> Result<Self> {
        Ok(Self {
            latencies: histogram()?,
            refused: 0,
        })
    }

    fn add(&mut self, other: &Self) -> Result<()> {
        self.refused += other.refused;
        Ok(self.latencies.add(&other.latencies)?)
    }
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

fn one_thread(
    to: SocketAddr,
    request: &Request,
    connections: usize,
    pace: Pace,
    began: Instant,
    end: Instant,
) -> Result<Answers> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let tasks: Vec<_> = (0..connections)
            .map(|number| {
                let request = request.clone();
                tokio::task::spawn_local(async move {
                    let schedule = Schedule::new(pace, number, connections, began);
                    one_connection(to, request, schedule, end).await
                })
            })
            .collect();
        let mut all = Answers::new()?;
        for task in tasks {
            all.add(&task.await??)?;
        }
        Ok(all)
    })
}

/// When a connection's requests are due.
struct Schedule {
    next: Option<Instant>,
    every: Duration,
}

impl Schedule {
    fn new(pace: Pace, number: usize, connections: usize, began: Instant) -> Self {
        match pace {
            Pace::Flat => Self {
                next: None,
                every: Duration::ZERO,
            },
            Pace::Rate(rate) => {
                let every = Duration::from_secs_f64(connections as f64 / rate);
                Self {
                    next: Some(began + every.mul_f64(number as f64 / connections as f64)),
                    every,
                }
            }
        }
    }

    /// Waits until the next request is due, and tells when that was.
    async fn due(&mut self) -> Instant {
        let Some(next) = self.next else {
            return Instant::now();
        };
        tokio::time::sleep_until(next.into()).await;
        self.next = Some(next + self.every);
        next
    }
}

async fn one_connection(
    to: SocketAddr,
    mut request: Request,
    mut schedule: Schedule,
    end: Instant,
) -> Result<Answers> {
    let mut answers = Answers::new()?;
    let mut stream = connect(to).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let due = schedule.due().await;
        if due >= end {
            return Ok(answers);
        }
        stream.write_all(request.next()).await?;
        let answer = read_answer(&mut stream, &mut buffer, request.is_flood).await?;
        if answer.is_accepted {
            let latency = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
            answers.latencies.saturating_record(latency);
        } else {
            answers.refused += 1;
        }
        if !answer.is_kept {
            stream = connect(to).await?;
        }
    }
}

async fn connect(to: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An answer, read to its end.
struct Answer {
    /// Whether it is a 2xx.
    is_accepted: bool,
    /// Whether the connection goes on.
    is_kept: bool,
}

/// Reads one answer to its end.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>, may_refuse: bool) -> Result<Answer> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            bail!("the server hung up");
        }
        filled += read;
        let seen = &buffer[..filled];
        if let Some(head) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            let is_accepted = seen.starts_with(b"HTTP/1.1 2");
            if !is_accepted && !may_refuse {
                bail!("answered {}", String::from_utf8_lossy(&seen[..head]));
            }
            if filled >= head + 4 + declared_length(&seen[..head])? {
                let closes = seen[..head].windows(17).any(|line| line == b"connection: close");
                return Ok(Answer {
                    is_accepted,
                    is_kept: !closes,
                });
            }
        }
        if filled == buffer.len() {
            buffer.resize(filled * 2, 0);
        }
    }
}

fn declared_length(head: &[u8]) -> Result<usize> {
    const NAME: &[u8] = b"content-length: ";
    let at = head
        .windows(NAME.len())
        .position(|window| window == NAME)
        .context("an answer without a length")?;
    let digits = head[at + NAME.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    Ok(digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0')))
}
