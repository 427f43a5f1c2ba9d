//! The directory of the servers: where it may be, who may enter it, and that one process has it at a time.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::account::Account;
use crate::address::Address;

/// A Unix socket's path holds at most 107 bytes; this is the longest name under the directory of sockets.
const SOCKET_PATH_MOST: usize = 107;
const LONGEST_SOCKET: &str = "/.s.PGSQL.5432.lock";
const TEMPORARY_PREFIX: &str = "hookgate-tmp-";
/// Root's data goes here when the servers' user cannot reach the project, such as under /root.
const ROOTS_DATA: &str = "/var/lib/hookgate-dev";

/// The servers' directory, held by this process.
pub(crate) struct Place {
    root: PathBuf,
    sockets: PathBuf,
    account: Account,
    throwaway: bool,
    _lock: Flock<File>,
}

impl Place {
    /// Makes and locks the directory.
    pub(crate) fn take(directory: &Path, account: Account, throwaway: bool) -> Result<Self> {
        let root = resolve(directory, account)?;
        account.make_private_directory(&root)?;
        let lock = lock(&root)?;
        let sockets = socket_directory(&root, account)?;
        Ok(Self {
            root,
            sockets,
            account,
            throwaway,
            _lock: lock,
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn sockets(&self) -> &Path {
        &self.sockets
    }

    pub(crate) fn account(&self) -> Account {
        self.account
    }

    /// The directories that go when the process that holds this place dies.
    pub(crate) fn doomed(&self) -> Vec<PathBuf> {
        if self.throwaway {
            vec![self.sockets.clone(), self.root.clone()]
        } else {
            Vec::new()
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.sockets.starts_with(&self.root) {
            // It is made again; a server that outlived us may still have its socket there.
            let _ = fs::remove_dir(&self.sockets);
        }
        for directory in self.doomed() {
            // What is left is swept by the next process that makes a temporary directory.
            let _ = fs::remove_dir_all(directory);
        }
    }
}

/// The directory that is used for `directory`: itself, unless the servers' user cannot reach it.
pub(crate) fn resolve(directory: &Path, account: Account) -> Result<PathBuf> {
    let directory = std::path::absolute(directory).context("finding the current directory")?;
    let Some(parent) = directory.parent() else {
        bail!("the servers' directory cannot be /")
    };
    if !parent.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    let probe = parent.join(format!(".probe-{}", std::process::id()));
    account
        .make_private_directory(&probe)
        .with_context(|| format!("making a directory in {}", parent.display()))?;
    let reachable = account.can_write(&probe);
    fs::remove_dir(&probe)?;
    if reachable {
        return Ok(directory);
    }
    let data = Path::new(ROOTS_DATA);
    fs::DirBuilder::new().recursive(true).mode(0o755).create(data)?;
    fs::set_permissions(data, fs::Permissions::from_mode(0o755))?;
    Ok(data.join(name_of(&directory)))
}

/// Removes the data of a directory that nobody uses.
pub(crate) fn remove(directory: &Path, account: Account) -> Result<()> {
    let root = resolve(directory, account)?;
    if root.exists() {
        let _lock = lock(&root)?;
        fs::remove_dir_all(&root).with_context(|| format!("removing {}", root.display()))?;
    }
    Ok(())
}

/// How to reach the servers of a directory that another process holds.
pub(crate) fn running(directory: &Path, account: Account) -> Result<Option<Address>> {
    let root = resolve(directory, account)?;
    if !root.join("lock").exists() || lock(&root).is_ok() {
        return Ok(None);
    }
    Ok(Some(Address::new(socket_directory(&root, account)?)))
}

/// A new directory for servers that are thrown away, under the system's temporary directory.
pub(crate) fn temporary_directory() -> Result<PathBuf> {
    let directory = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .tempdir()
        .context("making a temporary directory")?;
    Ok(directory.keep())
}

/// Removes temporary directories whose process ended without removing them.
pub(crate) fn sweep_abandoned() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let abandoned = entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX)
            && entry.path().join("lock").exists()
            && lock(&entry.path()).is_ok();
        if abandoned {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn lock(root: &Path) -> Result<Flock<File>> {
    let path = root.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, _)| {
        anyhow::anyhow!(
            "another process already runs servers in {}: stop it first",
            root.display()
        )
    })
}

/// Where the sockets go: in the directory, or, when that path is too long or unusual for a socket, in a short one.
fn socket_directory(root: &Path, account: Account) -> Result<PathBuf> {
    let near = root.join("run");
    let plain = near.to_str().is_some_and(|path| {
        path.len() + LONGEST_SOCKET.len() <= SOCKET_PATH_MOST
            && path
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
    });
    if plain {
        account.make_private_directory(&near)?;
        return Ok(near);
    }
    let short = std::env::temp_dir().join(format!("hookgate-{}", name_of(root)));
    if let Ok(found) = fs::symlink_metadata(&short)
        && !(found.is_dir() && found.uid() == account.uid())
    {
        bail!(
            "{} is somebody else's: remove it, or set TMPDIR to another directory",
            short.display()
        );
    }
    account.make_private_directory(&short)?;
    Ok(short)
}

/// A short name for a path.
fn name_of(path: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
