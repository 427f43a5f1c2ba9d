//! What `hookgate dev` remembers between runs, in `dev.toml`: the master key and the ready account.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookgate_domain::clock;
use hookgate_model::base32;
use serde::{Deserialize, Serialize};

const HEADER: &str =
    "# Made by `hookgate dev`, for development on this machine only. `hookgate dev --fresh` makes it anew.\n";

/// The remembered values.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) master_key: String,
    pub(super) email: String,
    pub(super) password: String,
    pub(super) tenant_id: Option<String>,
    pub(super) management_key: Option<String>,
    /// Opens the operator's API. A file of an earlier version has none.
    #[serde(default = "random_token")]
    pub(super) admin_token: String,
}

/// The file and what is in it.
pub(super) struct Keepsake {
    path: PathBuf,
    pub(super) values: Remembered,
}

impl Keepsake {
    /// Reads the file.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let reading = || format!("reading {}", path.display());
        let text = fs::read_to_string(path).with_context(reading)?;
        Ok(Self {
            path: path.to_owned(),
            values: toml::from_str(&text).with_context(reading)?,
        })
    }

    /// Reads the file; makes it when there is none.
    pub(super) fn load_or_make(path: &Path) -> Result<Self> {
        let keepsake = if path.exists() {
            Self::load(path)?
        } else {
            Self {
                path: path.to_owned(),
                values: Remembered {
                    master_key: STANDARD.encode(clock::secret_bytes::<32>()),
                    email: "dev@hookgate.example".to_owned(),
                    password: random_text(),
                    tenant_id: None,
                    management_key: None,
                    admin_token: random_token(),
                },
            }
        };
        keepsake.save()?;
        Ok(keepsake)
    }

    /// Writes the file, for its owner only; never half of it.
    pub(super) fn save(&self) -> Result<()> {
        let new = self.path.with_extension("new");
        let _ = fs::remove_file(&new);
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(format!("{HEADER}{}", toml::to_string(&self.values)?).as_bytes())?;
        fs::rename(&new, &self.path).with_context(|| format!("writing {}", self.path.display()))
    }

    /// Removes the file, if there is one.
    pub(super) fn forget(path: &Path) -> Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn master_key(&self) -> &str {
        &self.values.master_key
    }
}

/// 256 random bits.
fn random_token() -> String {
    clock::secret_bytes::<32>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// 128 random bits that can be typed.
fn random_text() -> String {
    base32::encode(u128::from_be_bytes(clock::secret_bytes()))
        .iter()
        .map(|byte| char::from(*byte))
        .collect()
}
