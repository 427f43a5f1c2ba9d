//! Runs a command with private servers for its tests: `with-servers cargo test --workspace`.
//!
//! The servers stop when the command ends. What the command prints is passed on; if it ran Rust's tests, their results are
//! added up in a last line.

#![allow(clippy::expect_used, reason = "test support")]

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use hookgate_testkit::servers;

fn main() -> Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let program = arguments
        .next()
        .context("say which command to run, such as `cargo test --workspace`")?;
    let started = Instant::now();
    let private = servers::start()?;
    let mut child = Command::new(&program)
        .args(arguments)
        .env(servers::VARIABLE, private.address().sockets())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    let mut totals = Totals::default();
    let output = child.stdout.take().expect("it is piped");
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        totals.add(&String::from_utf8_lossy(&line));
        let mut out = std::io::stdout().lock();
        out.write_all(&line)?;
        out.write_all(b"\n")?;
    }
    let status = child.wait()?;
    drop(private);
    if let Some(summary) = totals.summary(started.elapsed().as_secs()) {
        println!("\n{summary}");
    }
    Ok(ExitCode::from(
        u8::try_from(status.code().unwrap_or(1)).unwrap_or(1),
    ))
}

/// What the test binaries reported.
#[derive(Default)]
struct Totals {
    binaries: u32,
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Totals {
    /// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        self.binaries += 1;
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else {
                continue;
            };
            let number = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    fn summary(&self, seconds: u64) -> Option<String> {
        let ignored = if self.ignored > 0 {
            format!(", {} ignored", self.ignored)
        } else {
            String::new()
        };
        (self.binaries > 0).then(|| {
            format!(
                "hookgate tests: {} passed, {} failed{ignored} in {seconds} s",
                self.passed, self.failed
            )
        })
    }
}
