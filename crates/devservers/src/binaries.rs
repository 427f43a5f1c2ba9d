//! Where the servers' programs are installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

const INSTALL: &str = "on Debian and Ubuntu `scripts/install-deps.sh` installs it";

/// Debian and Ubuntu, then Fedora: a directory per major version, outside the PATH.
const VERSIONED: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];

/// A directory of PostgreSQL's programs, of the given major version or else of the newest.
pub(crate) fn postgres(major: Option<u32>) -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = candidates()
        .into_iter()
        .filter(|directory| directory.join("initdb").is_file())
        .filter_map(|directory| Some((major_of(&directory.join("postgres"))?, directory)))
        .collect();
    found.sort();
    let wanted = found
        .into_iter()
        .rev()
        .find(|(version, _)| major.is_none_or(|major| major == *version));
    match (wanted, major) {
        (Some((_, directory)), _) => Ok(directory),
        (None, None) => bail!("PostgreSQL is not installed: {INSTALL}"),
        (None, Some(major)) => bail!(
            "the data was made by PostgreSQL {major}, which is not installed: install it, or start anew with `hookgate dev --fresh`"
        ),
    }
}

/// The program `redis-server`, or its successor `valkey-server`.
pub(crate) fn redis() -> Result<PathBuf> {
    match ["redis-server", "valkey-server"]
        .iter()
        .find_map(|name| on_path(name))
    {
        Some(program) => Ok(program),
        None => bail!("Redis is not installed: {INSTALL}"),
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for (parent, prefix) in VERSIONED {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        directories.extend(
            entries
                .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
                .map(|entry| entry.path().join("bin")),
        );
    }
    // A link on the PATH leads to the directory that holds the other programs too.
    let linked = on_path("postgres").and_then(|program| fs::canonicalize(program).ok());
    directories.extend(linked.and_then(|program| program.parent().map(Path::to_owned)));
    directories
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → 15.
fn major_of(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}
