//! Who the servers run as. PostgreSQL refuses to run as root, so root's servers run as an unprivileged user.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::unistd::{Gid, Uid, User, chown, getegid, geteuid};

/// Debian's package makes the first; the second is everywhere.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The user and group of the servers and their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    uid: Uid,
    gid: Gid,
    dropped: bool,
}

impl Account {
    /// The user of this process, or an unprivileged one if that is root.
    pub(crate) fn for_servers() -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self {
                uid: geteuid(),
                gid: getegid(),
                dropped: false,
            });
        }
        for name in UNPRIVILEGED {
            if let Some(user) = User::from_name(name).context("reading the list of users")? {
                return Ok(Self {
                    uid: user.uid,
                    gid: user.gid,
                    dropped: true,
                });
            }
        }
        anyhow::bail!(
            "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as"
        )
    }

    pub(crate) fn uid(self) -> u32 {
        self.uid.as_raw()
    }

    /// A command that runs as this user, in a process group of its own so that Ctrl-C in the terminal reaches only the
    /// process that started it, and without the settings that PostgreSQL's programs take from the environment.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"PG")) {
            command.env_remove(name);
        }
        command
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null());
        if self.dropped {
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Makes a directory that only this user can enter, if it is missing.
    pub(crate) fn make_private_directory(self, path: &Path) -> Result<()> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("making the directory {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("closing the directory {} to others", path.display()))?;
        self.give(path)
    }

    /// Makes this user the owner of a file or directory.
    pub(crate) fn give(self, path: &Path) -> Result<()> {
        if self.dropped {
            chown(path, Some(self.uid), Some(self.gid))
                .with_context(|| format!("giving {} to the servers' user", path.display()))?;
        }
        Ok(())
    }

    /// Whether this user can reach and write a directory: root's home, for one, is closed to everybody else.
    pub(crate) fn can_write(self, directory: &Path) -> bool {
        !self.dropped
            || self
                .command("test")
                .arg("-w")
                .arg(directory)
                .status()
                .is_ok_and(|status| status.success())
    }
}
