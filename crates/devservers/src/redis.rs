//! A private Redis. It keeps nothing: what Hookgate has there may be lost at any moment.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use crate::account::Account;
use crate::address::REDIS_SOCKET;
use crate::binaries;
use crate::child::{Child, wait_until};
use crate::place::Place;

const START_WITHIN: Duration = Duration::from_secs(20);
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A private Redis, which may be stopped, killed and started again.
pub struct Redis {
    program: PathBuf,
    account: Account,
    directory: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    doomed: Vec<PathBuf>,
    child: Option<Child>,
}

impl Redis {
    pub(crate) fn prepare(place: &Place) -> Result<Self> {
        let directory = place.root().join("redis");
        place.account().make_private_directory(&directory)?;
        Ok(Self {
            program: binaries::redis()?,
            account: place.account(),
            directory,
            socket: place.sockets().join(REDIS_SOCKET),
            log: place.root().join("redis.log"),
            doomed: place.doomed(),
            child: None,
        })
    }

    /// Starts it, empty. Nothing happens while it runs.
    ///
    /// # Errors
    /// When it does not answer in time; names its log.
    pub fn start(&mut self) -> Result<()> {
        if self.child.as_mut().is_some_and(|child| child.ended().is_none()) {
            return Ok(());
        }
        let mut command = self.account.command(&self.program);
        command.args([
            "--port",
            "0",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
        ]);
        command
            .arg("--unixsocket")
            .arg(&self.socket)
            .args(["--unixsocketperm", "700"]);
        command.arg("--dir").arg(&self.directory);
        let mut child = Child::start(self.account, command, &self.log, Signal::SIGTERM, &self.doomed)?;
        let answers = wait_until(START_WITHIN, || self.answers() || child.ended().is_some());
        if !answers || child.ended().is_some() {
            bail!("Redis did not start; its log is {}", self.log.display());
        }
        self.child = Some(child);
        Ok(())
    }

    /// Stops it in good order.
    ///
    /// # Errors
    /// When it had to be killed.
    pub fn stop(&mut self) -> Result<()> {
        self.child
            .take()
            .map_or(Ok(()), |child| child.stop(Signal::SIGTERM, STOP_WITHIN))
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        drop(self.child.take());
    }

    /// Deletes everything in it (`FLUSHALL`).
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn flush(&self) -> Result<()> {
        match self.ask("FLUSHALL\r\n")?.as_str() {
            "+OK\r\n" => Ok(()),
            other => bail!("Redis answered {other:?} to FLUSHALL"),
        }
    }

    fn answers(&self) -> bool {
        self.ask("PING\r\n").is_ok_and(|answer| answer == "+PONG\r\n")
    }

    fn ask(&self, line: &str) -> Result<String> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(line.as_bytes())?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }
}
