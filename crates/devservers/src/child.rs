//! A server as a child process that ends with its parent.
//!
//! A parent's death signal (`prctl`) would fire when the *thread* that started the server ends. Here a shell waits on a
//! pipe whose other end only the parent has: the pipe ends when the parent does, however it dies, and the shell then
//! stops the server.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::account::Account;

/// Waits for the pipe's end, stops the server `$1` with signal `$2`, kills it after ten seconds, and removes the
/// directories that follow. A dead process that nobody has reaped yet has no program any more.
const WATCHER: &str = r#"
trap '' INT TERM HUP
while read -r _; do :; done
pid=$1; kill -s "$2" "$pid" 2>/dev/null; shift 2
waited=0
lives() { kill -s 0 "$pid" 2>/dev/null && { [ ! -e /proc/self/exe ] || [ -e "/proc/$pid/exe" ]; }; }
while [ $waited -lt 100 ] && lives; do sleep 0.1; waited=$((waited + 1)); done
kill -s KILL "$pid" 2>/dev/null
for directory in "$@"; do rm -rf -- "$directory"; done
"#;

/// A running server.
pub(crate) struct Child {
    process: Process,
    watcher: Process,
}

impl Child {
    /// Starts a server whose output goes to a log; `stop` is the signal that stops it when this process dies, and
    /// `doomed` are the directories that are removed then.
    pub(crate) fn start(
        account: Account,
        mut command: Command,
        log: &Path,
        stop: Signal,
        doomed: &[PathBuf],
    ) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log);
        let output = output.with_context(|| format!("opening {}", log.display()))?;
        account.give(log)?;
        command.stdout(output.try_clone()?).stderr(output);
        let process = command
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        let signal = stop.as_str().trim_start_matches("SIG");
        let watcher = account
            .command("sh")
            .args([
                "-c",
                WATCHER,
                "hookgate-watcher",
                &process.id().to_string(),
                signal,
            ])
            .args(doomed)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the shell that stops the server when this process dies")?;
        Ok(Self { process, watcher })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // The process is not reaped yet, so its id cannot belong to another.
        let _ = kill(pid(self.process.id()), signal);
    }

    /// Stops it with a signal; kills it when that takes longer than `patience`.
    pub(crate) fn stop(mut self, signal: Signal, patience: Duration) -> Result<()> {
        if self.ended().is_some() {
            return Ok(());
        }
        self.signal(signal);
        if wait_until(patience, || self.ended().is_some()) {
            return Ok(());
        }
        self.signal(Signal::SIGKILL);
        let _ = self.process.wait();
        bail!(
            "a server did not stop within {} s and was killed",
            patience.as_secs()
        )
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::SIGKILL);
            let _ = self.process.wait();
        }
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}

pub(crate) fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed())
}

/// Waits until a condition holds; `false` when it does not within the time.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that waits for a condition with a deadline"
)]
pub(crate) fn wait_until(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
