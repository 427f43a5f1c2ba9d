//! What one types.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use hookgate_domain::clock;
use hookgate_model::ids::EventId;
use reqwest::Url;
use secrecy::SecretString;

/// The arguments of `hookgate listen`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to, such as http://127.0.0.1:3000/hooks: every event is sent there as it came, with its method, headers, query
    /// and body. Credentials are left out.
    pub to: Url,
    /// Whose events: a webhook's id, name, suffix or public URL. By default those of every webhook.
    #[arg(long)]
    pub webhook: Option<String>,
    /// Which URLs' events.
    #[arg(long, value_enum, default_value = "test")]
    pub environment: Environment,
    /// Begin with what was missed: since an event (evt_…), a time (2026-11-21T12:00:00Z), or for so long (90s, 15m, 2h, 7d).
    /// By default with what comes from now on.
    #[arg(long, value_name = "EVENT|TIME|DURATION")]
    pub since: Option<Since>,
    /// How long the address may take to answer, in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout_seconds: u64,
    /// The management API.
    #[arg(
        long,
        value_name = "URL",
        env = "HOOKGATE_API_URL",
        default_value = "http://127.0.0.1:8081"
    )]
    pub api: Url,
    /// A management key with the scopes `events:read` and `webhooks:read`; better given as HOOKGATE_KEY than typed.
    #[arg(long, env = "HOOKGATE_KEY", hide_env_values = true, conflicts_with = "email")]
    pub key: Option<SecretString>,
    /// Log in as this person instead. The password is HOOKGATE_PASSWORD, or asked for.
    #[arg(long)]
    pub email: Option<String>,
    /// The person's password.
    #[arg(long, env = "HOOKGATE_PASSWORD", hide = true, hide_env_values = true)]
    pub password: Option<SecretString>,
}

impl Arguments {
    /// How long the address may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

/// Which URLs' events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Environment {
    /// Of test URLs, which run the draft.
    Test,
    /// Of production URLs.
    Production,
    /// Of all.
    All,
}

impl Environment {
    /// What the API calls it; `None` for all.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Test => Some("test"),
            Self::Production => Some("production"),
            Self::All => None,
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} events"),
            None => f.write_str("all events"),
        }
    }
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// After an event.
    Event(EventId),
    /// At a moment.
    Time(DateTime<Utc>),
    /// So long ago.
    Ago(Duration),
}

impl FromStr for Since {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Event(id));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Time(time.to_utc()));
        }
        let unit = match text.chars().last() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            _ => 0,
        };
        let number = text
            .get(..text.len().saturating_sub(1))
            .and_then(|digits| digits.parse::<u32>().ok());
        match number {
            Some(number) if unit > 0 => Ok(Self::Ago(Duration::from_secs(u64::from(number) * unit))),
            _ => bail!(
                "expected the id of an event, a time such as 2026-11-21T12:00:00Z, or a duration such as 15m"
            ),
        }
    }
}

impl Since {
    /// The moment at which to begin, unless it is an event.
    pub fn from(self) -> Option<String> {
        let at = match self {
            Self::Event(_) => return None,
            Self::Time(time) => time,
            Self::Ago(duration) => clock::now() - duration,
        };
        Some(at.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_begin_is_an_event_a_time_or_a_duration() {
        let event = "evt_01k9z3v8e5f2q8r7w6t5y4x3m2";
        assert_eq!(event.parse::<Since>().ok(), event.parse().map(Since::Event).ok());
        for (text, seconds) in [("90s", 90), ("15m", 900), ("2h", 7_200), ("7d", 604_800)] {
            assert_eq!(
                text.parse::<Since>().ok(),
                Some(Since::Ago(Duration::from_secs(seconds))),
                "{text}"
            );
        }
        assert_eq!(
            "2026-11-21T12:00:00Z".parse::<Since>().ok().and_then(Since::from),
            Some("2026-11-21T12:00:00.000Z".to_owned())
        );
        for wrong in ["", "m", "15", "15y", "-3m", "evt_1", "yesterday", "3µ"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
    }
}
