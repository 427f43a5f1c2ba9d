//! The settings of the whole program: defaults, then the file, then `HOOKGATE_*` variables (`__` separates levels, as in
//! `HOOKGATE_INGRESS__LISTEN`). They are read once; the services get plain values and never read the environment.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use figment::Figment;
use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::DatabaseSettings;
use hookgate_domain::redis::Redis;
use hookgate_management::admin::{self, Tokens};
use hookgate_management::mail::Mailer;
use hookgate_model::limits::{CollectionLimits, TenantLimits};
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::otlp;

const PREFIX: &str = "HOOKGATE_";
/// Variables that `hookgate listen` reads, which are no settings.
const OF_A_CLIENT: [&str; 3] = ["api_url", "key", "password"];

/// Everything that an operator can set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seals secrets at rest: base64 of 32 bytes. Every service needs the same one.
    #[serde(serialize_with = "redacted")]
    pub master_key: Option<SecretString>,
    /// Keys that open what they sealed, and seal nothing: those before a rotation.
    #[serde(serialize_with = "all_redacted")]
    pub previous_master_keys: Vec<SecretString>,
    /// PostgreSQL.
    pub database: DatabaseSection,
    /// Redis.
    pub redis: RedisSection,
    /// The port for operators: metrics and health.
    pub operator: OperatorSection,
    /// Logs.
    pub log: LogSection,
    /// Mails to people.
    pub mail: MailSection,
    /// Traces.
    pub otlp: otlp::Section,
    /// Outgoing calls.
    pub egress: hookgate_egress::Settings,
    /// What each tenant may use, unless it has limits of its own.
    pub tenant_limits: TenantLimitsSection,
    /// What a collection may hold.
    pub collections: CollectionLimits,
    /// The public URLs.
    pub ingress: hookgate_ingress::Settings,
    /// The management API.
    pub management: hookgate_management::Settings,
    /// The operator's API.
    pub admin: AdminSection,
    /// The flows.
    pub worker: hookgate_worker::Settings,
}

/// A number is a limit, 0 (each one's default) is none.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct TenantLimitsSection(pub TenantLimits);

impl<'de> Deserialize<'de> for TenantLimitsSection {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = serde_json::Map::deserialize(deserializer)?;
        // Stored limits may have more than this version knows, settings may not.
        let known = serde_json::to_value(TenantLimits::NONE).map_err(D::Error::custom)?;
        if let Some(unknown) = given.keys().find(|name| known.get(name).is_none()) {
            return Err(D::Error::custom(format_args!("unknown field: found `{unknown}`")));
        }
        let limits = serde_json::from_value(given.into()).map_err(D::Error::custom)?;
        Ok(Self(limits))
    }
}

impl Default for TenantLimitsSection {
    fn default() -> Self {
        Self(TenantLimits::NONE)
    }
}

/// One URL per role, so that each service can only do its part.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSection {
    /// For `hookgate migrate` only: the owner of the database.
    #[serde(serialize_with = "redacted")]
    pub owner_url: Option<SecretString>,
    /// Logs in as `hookgate_ingress`.
    #[serde(serialize_with = "redacted")]
    pub ingress_url: Option<SecretString>,
    /// Logs in as `hookgate_management`.
    #[serde(serialize_with = "redacted")]
    pub management_url: Option<SecretString>,
    /// Logs in as `hookgate_worker`.
    #[serde(serialize_with = "redacted")]
    pub worker_url: Option<SecretString>,
    /// Logs in as `hookgate_admin`, for the operator's API only.
    #[serde(serialize_with = "redacted")]
    pub admin_url: Option<SecretString>,
    /// The most connections of each service's pool. Default 8.
    pub pool_size: u32,
    /// How long a query waits for a free connection, in milliseconds. Default 3,000.
    pub acquire_timeout_ms: u64,
    /// How long PostgreSQL works on one statement, in milliseconds. Default 30,000.
    pub statement_timeout_ms: u64,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self {
            owner_url: None,
            ingress_url: None,
            management_url: None,
            worker_url: None,
            admin_url: None,
            pool_size: 8,
            acquire_timeout_ms: 3_000,
            statement_timeout_ms: 30_000,
        }
    }
}

/// The operator's API, `/admin/v1`: a part of the management service that is off by default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSection {
    /// Where it listens. By default nowhere: it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// What its callers present: one token, or several while one takes the place of another; at least 32 characters each.
    #[serde(serialize_with = "all_redacted")]
    pub tokens: Vec<SecretString>,
    /// A file with its certificate in PEM: connections are then encrypted. By default they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    /// The file with its private key in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
}

/// Redis holds no facts: it may be wiped at any moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSection {
    /// `redis://host:6379`, `redis+unix:///socket` or `redis+sentinel://host,host:26379/service`; `?prefix=name:` shares one Redis between installations.
    #[serde(serialize_with = "redacted")]
    pub url: Option<SecretString>,
}

/// Not for the public: metrics tell what tenants do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperatorSection {
    /// Where `/metrics`, `/livez` and `/readyz` are. Default `127.0.0.1:8082`.
    pub listen: SocketAddr,
    /// How long a process that is told to stop says that it is not ready, and still takes requests, before it takes no more, in
    /// seconds: whoever routes requests to it needs that time to notice. Default 0.
    pub drain_seconds: u64,
}

impl Default for OperatorSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8082)),
            drain_seconds: 0,
        }
    }
}

/// Mails to people: invitations, forgotten passwords.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSection {
    /// The server that takes them: `smtps://user:password@host`, or `smtp://…?tls=required`.
    #[serde(serialize_with = "redacted")]
    pub smtp_url: Option<SecretString>,
    /// Their sender. Default `Hookgate <hookgate@localhost.localdomain>`.
    pub from: String,
    /// Write them into files of this folder instead, for development.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Whether each mail's link is printed, too, at present: what `hookgate dev` does once it is ready.
    #[serde(skip)]
    pub shows_links: Arc<AtomicBool>,
}

impl Default for MailSection {
    fn default() -> Self {
        Self {
            smtp_url: None,
            from: "Hookgate <hookgate@localhost.localdomain>".to_owned(),
            folder: None,
            shows_links: Arc::default(),
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// `json` or `text`. Default `json`; `hookgate dev` writes text.
    pub format: LogFormat,
    /// Levels by module, as in `info,hookgate_worker=debug`. Default `info,actix_server=warn`;
    /// `hookgate dev` begins at `warn`.
    pub filter: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            filter: "info,actix_server=warn".to_owned(),
        }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Where settings come from.
pub struct Source(Figment);

impl Source {
    /// The file, if one is named, and the environment.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn new(file: Option<&Path>) -> Result<Self> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            if !file.is_file() {
                bail!("--config: there is no file {}", file.display());
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        Ok(Self(
            figment.merge(Env::prefixed(PREFIX).ignore(&OF_A_CLIENT).split("__")),
        ))
    }

    /// A value that holds unless the file or the environment says otherwise.
    pub fn by_default(self, key: &str, value: impl Serialize) -> Self {
        Self(self.0.join(Serialized::default(key, value)))
    }

    /// A value that holds whatever the file or the environment says.
    pub fn always(self, key: &str, value: impl Serialize) -> Self {
        Self(self.0.merge(Serialized::default(key, value)))
    }

    /// Whether the file or the environment sets a value.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains(key)
    }

    /// Reads them.
    ///
    /// # Errors
    /// A sentence per setting that cannot be, each with the names under which it is set.
    pub fn settings(&self) -> Result<Settings> {
        self.0.extract().map_err(|errors| {
            let mut text = "settings that cannot be:".to_owned();
            for error in errors {
                let _ = write!(text, "\n  {}", explain(&error));
            }
            anyhow!(text)
        })
    }
}

/// Names the setting, how to set it, and what is wrong, but never a secret's value.
fn explain(error: &figment::Error) -> String {
    let problem = match &error.kind {
        // These repeat the value.
        Kind::InvalidType(_, expected)
        | Kind::InvalidValue(_, expected)
        | Kind::InvalidLength(_, expected) => {
            format!("expected {expected}")
        }
        Kind::UnknownField(_, known) => {
            return format!(
                "{} is not a setting; there are {}",
                names(&error.path.join(".")),
                known.join(", ")
            );
        }
        other => other.to_string(),
    };
    let place = error.metadata.as_ref().and_then(|data| data.source.as_ref());
    let place = place.map_or(String::new(), |source| format!(" (in {source})"));
    if error.path.is_empty() {
        format!("{problem}{place}")
    } else {
        format!("{}: {problem}{place}", names(&error.path.join(".")))
    }
}

/// `ingress.listen (HOOKGATE_INGRESS__LISTEN)`
fn names(key: &str) -> String {
    format!("{key} ({PREFIX}{})", key.to_uppercase().replace('.', "__"))
}

fn required<'a>(key: &str, value: Option<&'a SecretString>, example: &str) -> Result<&'a SecretString> {
    let value = value.filter(|value| !value.expose_secret().is_empty());
    value.with_context(|| format!("{} is not set; it looks like {example}", names(key)))
}

impl Settings {
    /// The key that seals secrets, with those that open what they sealed before.
    ///
    /// # Errors
    /// When it is not set, or one of them is no key.
    pub fn master_key(&self) -> Result<MasterKey> {
        let previous = self.previous_master_keys.iter().map(|text| {
            let key = MasterKey::from_base64(text.expose_secret());
            key.map_err(|reason| anyhow!("{}: {reason}", names("previous_master_keys")))
        });
        Ok(self
            .current_master_key()?
            .with_previous(previous.collect::<Result<Vec<_>>>()?))
    }

    fn current_master_key(&self) -> Result<MasterKey> {
        let key = "master_key";
        let text = required(
            key,
            self.master_key.as_ref(),
            "the output of `openssl rand -base64 32`",
        )?;
        MasterKey::from_base64(text.expose_secret()).map_err(|reason| anyhow!("{}: {reason}", names(key)))
    }

    /// The Redis.
    ///
    /// # Errors
    /// When it is not set or is no URL.
    pub fn redis(&self) -> Result<Redis> {
        let key = "redis.url";
        let url = required(key, self.redis.url.as_ref(), "redis://127.0.0.1:6379")?;
        Redis::new(url.expose_secret()).map_err(|error| anyhow!("{}: {error}", names(key)))
    }
}

impl AdminSection {
    /// What the operator's API starts with; `None` when it is off.
    ///
    /// # Errors
    /// When there is no token, or one that could be guessed.
    pub fn settings(&self) -> Result<Option<admin::Settings>> {
        let Some(listen) = self.listen else {
            return Ok(None);
        };
        let tokens =
            Tokens::new(&self.tokens).map_err(|reason| anyhow!("{}: {reason}", names("admin.tokens")))?;
        Ok(Some(admin::Settings {
            listen,
            tls_certificate: self.tls_certificate.clone(),
            tls_key: self.tls_key.clone(),
            tokens,
        }))
    }
}

impl MailSection {
    /// What sends mails, if anything does.
    ///
    /// # Errors
    /// When the URL or the sender cannot be, or both an SMTP server and a folder are set.
    pub fn mailer(&self) -> Result<Option<Mailer>> {
        let url = self
            .smtp_url
            .as_ref()
            .filter(|url| !url.expose_secret().is_empty());
        let mailer = match (url, &self.folder) {
            (None, None) => return Ok(None),
            (Some(url), None) => Mailer::smtp(url.expose_secret(), &self.from),
            (None, Some(folder)) => Mailer::folder(folder.clone(), &self.from, Arc::clone(&self.shows_links)),
            (Some(_), Some(_)) => bail!("mail.smtp_url and mail.folder: set one of them"),
        };
        mailer.map(Some).map_err(|reason| anyhow!(reason))
    }
}

impl DatabaseSection {
    /// The owner's URL.
    ///
    /// # Errors
    /// When it is not set or is no URL of PostgreSQL.
    pub fn owner(&self) -> Result<DatabaseSettings> {
        self.of("owner", self.owner_url.as_ref())
    }

    /// What the ingress connects with.
    ///
    /// # Errors
    /// When it is not set or is no URL of PostgreSQL.
    pub fn ingress(&self) -> Result<DatabaseSettings> {
        self.of("ingress", self.ingress_url.as_ref())
    }

    /// What the management service connects with.
    ///
    /// # Errors
    /// When it is not set or is no URL of PostgreSQL.
    pub fn management(&self) -> Result<DatabaseSettings> {
        self.of("management", self.management_url.as_ref())
    }

    /// What the worker connects with.
    ///
    /// # Errors
    /// When it is not set or is no URL of PostgreSQL.
    pub fn worker(&self) -> Result<DatabaseSettings> {
        self.of("worker", self.worker_url.as_ref())
    }

    /// What the operator's API connects with.
    ///
    /// # Errors
    /// When it is not set or is no URL of PostgreSQL.
    pub fn admin(&self) -> Result<DatabaseSettings> {
        self.of("admin", self.admin_url.as_ref())
    }

    fn of(&self, role: &str, url: Option<&SecretString>) -> Result<DatabaseSettings> {
        let key = format!("database.{role}_url");
        let user = if role == "owner" {
            "hookgate".to_owned()
        } else {
            format!("hookgate_{role}")
        };
        let example = format!("postgres://{user}:password@127.0.0.1:5432/hookgate");
        let url = required(&key, url, &example)?;
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.expose_secret().starts_with(scheme))
        {
            bail!("{}: it looks like {example}", names(&key));
        }
        if self.pool_size == 0 {
            bail!("{}: at least 1", names("database.pool_size"));
        }
        Ok(DatabaseSettings {
            url: url.clone(),
            pool_size: self.pool_size,
            acquire_timeout: Duration::from_millis(self.acquire_timeout_ms),
            statement_timeout: Duration::from_millis(self.statement_timeout_ms),
        })
    }
}

/// Prints the settings in effect; of secrets only whether they are set.
///
/// # Errors
/// None that an operator could cause.
pub fn print(settings: &Settings) -> Result<()> {
    print!("{}", toml::to_string(settings)?);
    Ok(())
}

fn all_redacted<S: Serializer>(secrets: &[SecretString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(secrets.iter().map(|_| "(set)"))
}

fn redacted<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.is_some() { "(set)" } else { "(not set)" })
}
