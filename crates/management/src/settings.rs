//! What an operator can set of this service.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use hookgate_domain::page::Effort;
use hookgate_domain::samples::Room;
use hookgate_domain::signing_keys::Rotation;
use hookgate_model::limits::{CollectionLimits, TenantLimits};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::mail::Mailer;

/// The settings of the management service, each with a default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// A file with the certificate in PEM, and those between it and a root that clients know: connections are then encrypted
    /// (TLS 1.2 and 1.3). It is read again when it changes. By default they are not.
    pub tls_certificate: Option<PathBuf>,
    /// The file with its private key in PEM.
    pub tls_key: Option<PathBuf>,
    /// Threads that serve requests; 0 for one per processor.
    pub threads: usize,
    /// The longest request body that is read, in bytes.
    pub body_limit_bytes: usize,
    /// How long a peer may take nothing of its answer before the connection is cut, in milliseconds: an export that nobody reads
    /// leaves its place.
    pub answer_timeout_ms: u64,
    /// How long a stop waits for requests in flight, in seconds.
    pub shutdown_timeout_seconds: u64,
    /// What the public URLs of webhooks begin with.
    pub public_url: Url,
    /// Where people and programs reach this API: links to it begin with this. By default http:// and the host that the
    /// request names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_url: Option<Url>,
    /// The application where people accept invitations and reset passwords: links in mails begin with this. Without one mails
    /// name the operations of this API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_url: Option<Url>,
    /// Whether a person logs in only after they have shown, with a mail's token, that the address of their account is theirs.
    pub require_verified_email: bool,
    /// How long an access token works, in seconds.
    pub access_token_seconds: u32,
    /// After how many days a key that signs access tokens is followed by another; 0 for never.
    pub signing_key_days: u32,
    /// How long a login can be left alone before it ends, in seconds.
    pub refresh_token_seconds: u32,
    /// How long a login lasts at most, however often it is refreshed, in seconds.
    pub login_seconds: u32,
    /// How many passwords are hashed at once; each takes 19 MiB and a processor for some 20 ms. 0 for one per processor.
    pub passwords_at_once: usize,
    /// Failed logins of one account in one network (an address, of IPv6 a /64) before the next try has to wait: a second, and
    /// twice as long each time.
    pub login_failures: u32,
    /// Failed logins of one network, to whatever accounts, before it has to wait likewise.
    pub login_failures_per_network: u32,
    /// Attempts on one account from all networks, within the window, from which on three failures are free in each.
    pub login_failures_per_account: u32,
    /// How long such a wait is at most, and after how long without a failure it is forgotten, in seconds.
    pub login_failure_window_seconds: u32,
    /// Mails that one network (an address, of IPv6 a /64) may ask for before further ones wait.
    pub mails_per_network: u32,
    /// Mails of one kind to one address that may be asked for before further ones wait.
    pub mails_per_recipient: u32,
    /// The time in which those mails are counted, in seconds.
    pub mail_window_seconds: u32,
    /// Attempts to register from one address (of IPv6, one /64) before further ones wait.
    pub registrations_per_address: u32,
    /// Attempts to register in all before further ones wait.
    pub registrations: u32,
    /// The time in which those attempts are counted, in seconds.
    pub registration_window_seconds: u32,
    /// The most members of one tenant.
    pub members_per_tenant: u32,
    /// The most invitations of one tenant that are not accepted yet.
    pub invitations_per_tenant: u32,
    /// How long an invitation can be accepted, in seconds.
    pub invitation_seconds: u32,
    /// How long a tenant that its owner has deleted can be restored before it is erased, in hours; 1 at least.
    pub tenant_restore_hours: u32,
    /// The most tenants that one person owns.
    pub tenants_per_person: u32,
    /// The plan of new tenants, by its name. By default they have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_of_new_tenants: Option<String>,
    /// The most samples of one webhook, captured or given.
    pub samples_per_webhook: u32,
    /// The most bytes of them, as they are stored.
    pub sample_bytes_per_webhook: u64,
    /// Requests per second that a tenant may send to this API in the long run, on all nodes together; beyond, they get 429. 0 for no
    /// limit.
    pub requests_per_second: u32,
    /// Requests that may come at once after a pause; at least those of a second.
    pub requests_at_once: u32,
    /// Streams that one process serves at the same time; beyond, they get 429.
    pub streams: usize,
    /// How many of them one tenant may have.
    pub streams_per_tenant: usize,
    /// How long a stream lasts at most, in seconds: its client comes back then, with a credential that is looked at anew.
    pub stream_seconds: u32,
    /// How many rows a list looks at for what no index finds; then its page ends early, and its cursor goes on.
    pub scanned_rows: u32,
    /// For how long it looks, in milliseconds, likewise.
    pub scan_ms: u32,
    /// Searches for text in bodies that one process works on at the same time; beyond, they get 429. Each has a connection of the
    /// pool (`database.pool_size`, 8 by default) while it reads.
    pub searches: usize,
    /// How many of them one tenant may have.
    pub searches_per_tenant: usize,
    /// Exports that one process writes at the same time; beyond, they get 429.
    pub exports: usize,
    /// How many of them one tenant may have.
    pub exports_per_tenant: usize,
    /// How often an export looks whether its caller may still read what it writes, in seconds.
    pub export_check_seconds: u32,
    /// The proxies in front, as networks. The caller's address is then the rightmost of X-Forwarded-For that is not one of
    /// them; without any it is the peer's.
    pub trusted_proxies: Vec<IpNet>,
    /// Sends mails, as a section of the program's settings says.
    #[serde(skip)]
    pub mailer: Option<Mailer>,
    /// What a tenant may use that has neither limits of its own nor a plan: a section of the program's settings, which the ingress reads too.
    #[serde(skip)]
    pub tenant_limits: TenantLimits,
    /// What a collection may hold: a section of the program's settings, which the worker reads too.
    #[serde(skip)]
    pub collections: CollectionLimits,
}

impl Default for Settings {
    #[allow(clippy::expect_used)]
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            tls_certificate: None,
            tls_key: None,
            threads: 0,
            body_limit_bytes: 1 << 20,
            answer_timeout_ms: 60_000,
            shutdown_timeout_seconds: 10,
            public_url: "http://127.0.0.1:8080".parse().expect("a URL"),
            api_url: None,
            app_url: None,
            require_verified_email: false,
            access_token_seconds: 15 * 60,
            signing_key_days: 30,
            refresh_token_seconds: 14 * 24 * 3600,
            login_seconds: 90 * 24 * 3600,
            passwords_at_once: 0,
            login_failures: 10,
            login_failures_per_network: 100,
            login_failures_per_account: 100,
            login_failure_window_seconds: 15 * 60,
            mails_per_network: 30,
            mails_per_recipient: 5,
            mail_window_seconds: 3_600,
            registrations_per_address: 20,
            registrations: 1_000,
            registration_window_seconds: 3_600,
            members_per_tenant: 1_000,
            invitations_per_tenant: 200,
            invitation_seconds: 7 * 24 * 3600,
            tenant_restore_hours: 7 * 24,
            tenants_per_person: 20,
            plan_of_new_tenants: None,
            samples_per_webhook: 200,
            sample_bytes_per_webhook: 32 << 20,
            requests_per_second: 100,
            requests_at_once: 1_000,
            streams: 1_000,
            streams_per_tenant: 20,
            stream_seconds: 300,
            scanned_rows: 100_000,
            scan_ms: 20,
            searches: 6,
            searches_per_tenant: 2,
            exports: 3,
            exports_per_tenant: 2,
            export_check_seconds: 30,
            trusted_proxies: Vec::new(),
            mailer: None,
            tenant_limits: TenantLimits::NONE,
            collections: CollectionLimits::default(),
        }
    }
}

impl Settings {
    /// The number of threads that serve requests.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        or_processors(self.threads)
    }

    /// How long a peer may take nothing of its answer.
    pub(crate) const fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms)
    }

    /// When keys that sign access tokens make room for others.
    pub(crate) fn rotation(&self) -> Rotation {
        let days = Some(self.signing_key_days).filter(|days| *days > 0);
        Rotation {
            age: days.map(|days| TimeDelta::days(days.into())),
            tokens_live: TimeDelta::seconds(self.access_token_seconds.into()),
        }
    }

    /// How far a list looks for what no index finds.
    pub(crate) fn effort(&self) -> Effort {
        Effort {
            rows: self.scanned_rows.max(1).into(),
            time: Duration::from_millis(self.scan_ms.into()),
        }
    }

    /// What a webhook's samples may take together.
    pub(crate) fn sample_room(&self) -> Room {
        Room {
            samples: i32::try_from(self.samples_per_webhook).unwrap_or(i32::MAX),
            bytes: i64::try_from(self.sample_bytes_per_webhook).unwrap_or(i64::MAX),
        }
    }

    /// The number of passwords that are hashed at once.
    pub(crate) fn passwords_at_once(&self) -> NonZeroUsize {
        or_processors(self.passwords_at_once)
    }
}

fn or_processors(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count)
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}
