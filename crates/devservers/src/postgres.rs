//! A private PostgreSQL.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};

use crate::account::Account;
use crate::address::{Address, POSTGRES_PORT as PORT, SUPERUSER};
use crate::child::{self, Child, wait_until};
use crate::place::Place;
use crate::{OWNER, Options, binaries};

/// Long enough for a recovery after a crash under load, and for the last backends of a killed server to go.
const START_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// A private PostgreSQL, which may be stopped, crashed and started again.
pub struct Postgres {
    programs: PathBuf,
    account: Account,
    data: PathBuf,
    sockets: PathBuf,
    log: PathBuf,
    settings: Vec<(String, String)>,
    throwaway: bool,
    doomed: Vec<PathBuf>,
    child: Option<Child>,
}

impl Postgres {
    /// Finds the programs and makes the data directory if there is none.
    pub(crate) fn prepare(place: &Place, options: &Options) -> Result<Self> {
        let data = place.root().join("postgres");
        let made_by = fs::read_to_string(data.join("PG_VERSION"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let mut settings: Vec<(String, String)> = [
            ("listen_addresses", ""),
            ("port", PORT),
            ("unix_socket_permissions", "0700"),
            ("max_connections", "400"),
            ("log_timezone", "UTC"),
            ("log_min_messages", "warning"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        settings.push((
            "unix_socket_directories".to_owned(),
            place.sockets().display().to_string(),
        ));
        if !options.durable {
            for name in ["fsync", "synchronous_commit", "full_page_writes"] {
                settings.push((name.to_owned(), "off".to_owned()));
            }
        }
        settings.extend(options.postgres.iter().cloned());
        let postgres = Self {
            programs: binaries::postgres(made_by)?,
            account: place.account(),
            data,
            sockets: place.sockets().to_owned(),
            log: place.root().join("postgres.log"),
            settings,
            throwaway: options.throwaway,
            doomed: place.doomed(),
            child: None,
        };
        if made_by.is_none() {
            postgres.initialise(options.standby_of.as_ref())?;
        }
        Ok(postgres)
    }

    /// Makes the data directory under another name and renames it, so that a half-made one is never taken for whole.
    fn initialise(&self, primary: Option<&Address>) -> Result<()> {
        let making = self.data.with_extension("making");
        if making.exists() {
            fs::remove_dir_all(&making)?;
        }
        let (name, mut command) = match primary {
            None => {
                let mut command = self.tool("initdb");
                command.args(["-E", "UTF8", "--locale=C", "--auth=trust", "--no-instructions"]);
                ("initdb", command)
            }
            Some(primary) => {
                let mut command = self.tool("pg_basebackup");
                command.arg("-h").arg(primary.sockets());
                command.args(["-p", PORT, "--write-recovery-conf", "--checkpoint=fast"]);
                ("pg_basebackup", command)
            }
        };
        command
            .arg("-D")
            .arg(&making)
            .args(["-U", SUPERUSER, "--no-sync"]);
        let output = command.output().with_context(|| format!("starting {name}"))?;
        if !output.status.success() {
            bail!(
                "{name} failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        fs::rename(&making, &self.data).context("renaming the new data directory")
    }

    /// Starts it and waits until it takes connections, after recovery if it crashed. Nothing happens while it runs.
    ///
    /// # Errors
    /// When it does not come up in time; names its log.
    pub fn start(&mut self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        self.child = None;
        self.end_leftover()?;
        let deadline = Instant::now() + START_WITHIN;
        loop {
            let mut command = self.tool("postgres");
            command.arg("-D").arg(&self.data);
            for (name, value) in &self.settings {
                command.arg("-c").arg(format!("{name}={value}"));
            }
            let mut child = Child::start(self.account, command, &self.log, Signal::SIGINT, &self.doomed)?;
            let left = deadline.saturating_duration_since(Instant::now());
            wait_until(left, || self.is_ready(child.id()) || child.ended().is_some());
            if child.ended().is_none() && self.is_ready(child.id()) {
                self.child = Some(child);
                return Ok(());
            }
            // Backends of a killed server hold its shared memory for a moment, and a new one refuses to start then.
            if Instant::now() >= deadline || !self.log_ends_with_shared_memory_in_use() {
                bail!("PostgreSQL did not start; its log is {}", self.log.display());
            }
        }
    }

    /// Stops it in good order ("fast": open transactions are rolled back).
    ///
    /// # Errors
    /// When it had to be killed.
    pub fn stop(&mut self) -> Result<()> {
        let signal = if self.throwaway {
            Signal::SIGQUIT
        } else {
            Signal::SIGINT
        };
        self.child
            .take()
            .map_or(Ok(()), |child| child.stop(signal, STOP_WITHIN))
    }

    /// Stops it as `pg_ctl stop -m immediate` does: without a checkpoint, so the next start recovers.
    ///
    /// # Errors
    /// When it had to be killed.
    pub fn stop_immediately(&mut self) -> Result<()> {
        self.child
            .take()
            .map_or(Ok(()), |child| child.stop(Signal::SIGQUIT, STOP_WITHIN))
    }

    /// Kills it and its backends with SIGKILL.
    pub fn kill(&mut self) {
        let Some(child) = self.child.take() else { return };
        let id = child.id();
        let backends = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        child.signal(Signal::SIGKILL);
        for backend in backends.split_whitespace().filter_map(|id| id.parse().ok()) {
            let _ = kill(child::pid(backend), Signal::SIGKILL);
        }
    }

    /// The process id of the server, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether the server process lives.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.ended().is_none())
    }

    /// Runs SQL as the superuser and returns what it prints.
    ///
    /// # Errors
    /// With PostgreSQL's message.
    pub fn execute(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = self.tool("psql");
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-p",
            PORT,
            "-U",
            SUPERUSER,
        ]);
        command
            .arg("-h")
            .arg(&self.sockets)
            .args(["-d", database, "-c", sql]);
        let output = command.output().context("starting psql")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Makes a database that belongs to [`OWNER`], unless it exists.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub fn ensure_database(&self, name: &str) -> Result<()> {
        let found = self.execute(
            "postgres",
            &format!("SELECT 1 FROM pg_database WHERE datname = '{name}'"),
        )?;
        if found.is_empty() {
            self.execute("postgres", &format!("CREATE DATABASE {name} OWNER {OWNER}"))?;
            // Before PostgreSQL 15 a new database's schema belongs to the superuser.
            self.execute(name, &format!("ALTER SCHEMA public OWNER TO {OWNER}"))?;
        }
        Ok(())
    }

    pub(crate) fn ensure_owner(&self) -> Result<()> {
        let found = self.execute(
            "postgres",
            &format!("SELECT 1 FROM pg_roles WHERE rolname = '{OWNER}'"),
        )?;
        if found.is_empty() {
            self.execute(
                "postgres",
                &format!("CREATE ROLE {OWNER} LOGIN CREATEROLE CREATEDB"),
            )?;
        }
        Ok(())
    }

    fn tool(&self, name: &str) -> Command {
        self.account.command(self.programs.join(name))
    }

    /// PostgreSQL writes its state in the eighth line of its lock file; `pg_ctl` waits for the same.
    fn is_ready(&self, id: u32) -> bool {
        let Ok(text) = fs::read_to_string(self.lock_file()) else {
            return false;
        };
        text.lines()
            .next()
            .is_some_and(|line| line.trim() == id.to_string())
            && text.lines().nth(7).is_some_and(|line| line.trim() == "ready")
    }

    fn lock_file(&self) -> PathBuf {
        self.data.join("postmaster.pid")
    }

    /// Ends a server that outlived its parent, and removes a lock file whose process is now another program: the
    /// directory's own lock says that nobody else uses it.
    fn end_leftover(&self) -> Result<()> {
        let Ok(text) = fs::read_to_string(self.lock_file()) else {
            return Ok(());
        };
        let Some(id) = text
            .lines()
            .next()
            .and_then(|line| line.trim().parse::<u32>().ok())
        else {
            return Ok(fs::remove_file(self.lock_file())?);
        };
        let ours = || is_server_of(id, &self.data);
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGKILL] {
            if !ours() {
                break;
            }
            let _ = kill(child::pid(id), signal);
            wait_until(Duration::from_secs(10), || !ours());
        }
        if ours() {
            bail!("a PostgreSQL from before (process {id}) does not stop");
        }
        let can_tell = Path::new("/proc/self").exists();
        if can_tell && self.lock_file().exists() {
            fs::remove_file(self.lock_file())?;
        }
        Ok(())
    }

    fn log_ends_with_shared_memory_in_use(&self) -> bool {
        let text = fs::read(&self.log).unwrap_or_default();
        let end = String::from_utf8_lossy(&text[text.len().saturating_sub(600)..]).into_owned();
        end.contains("is still in use") || end.contains("already exists")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Whether a process is a PostgreSQL server on this data directory.
fn is_server_of(id: u32, data: &Path) -> bool {
    let Ok(arguments) = fs::read(format!("/proc/{id}/cmdline")) else {
        return false;
    };
    let mut arguments = arguments.split(|byte| *byte == 0);
    let is_postgres = arguments
        .next()
        .is_some_and(|program| program.ends_with(b"postgres"));
    is_postgres && arguments.any(|argument| argument == data.as_os_str().as_bytes())
}
