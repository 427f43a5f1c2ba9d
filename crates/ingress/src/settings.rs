//! The settings of the ingress, each with its unit and default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hookgate_domain::appender::AppenderSettings;
use hookgate_model::fair_share::FairShare;
use hookgate_model::limits::TenantLimits;
pub use hookgate_model::sender_address::ForwardedHeader;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::body_room::Most;
use crate::pace::Pace;
use url::Url;

/// The settings of the ingress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The address to listen on. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// A file with the certificate in PEM, and those between it and a root that clients know: connections are then encrypted
    /// (TLS 1.2 and 1.3). It is read again when it changes. By default they are not.
    pub tls_certificate: Option<PathBuf>,
    /// The file with its private key in PEM.
    pub tls_key: Option<PathBuf>,
    /// What the public URLs begin with, since some senders sign the URL that they were given; the Host header is never
    /// believed. By default `management.public_url`.
    pub public_url: Option<Url>,
    /// Threads that serve requests; 0 (the default) for one per processor.
    pub threads: usize,
    /// The proxies in front, as networks. The sender's address is then the rightmost one of the `forwarded_header` that is
    /// not one of them; without any (the default) it is the peer's.
    pub trusted_proxies: Vec<IpNet>,
    /// The field in which the proxies name whom they forward for: `x-forwarded-for` (the default) or `forwarded`
    /// (RFC 7239). The other one does not count.
    pub forwarded_header: ForwardedHeader,
    /// A second address to listen on, for proxies that say for whom they connect: connections of others than the
    /// `trusted_proxies`, and those without a header of the PROXY protocol (version 2), are cut. By default there is none.
    pub proxy_protocol_listen: Option<SocketAddr>,
    /// How long a request's headers may take to arrive, in milliseconds. Default 10,000.
    pub header_timeout_ms: u64,
    /// How long a connection may be idle between requests, in milliseconds. Default 75,000.
    pub idle_timeout_ms: u64,
    /// How long a peer may take nothing of its answer before the connection is cut, in milliseconds. Default 30,000.
    pub answer_timeout_ms: u64,
    /// How long a peer may go on sending what will not be read, so that it gets its answer before the connection ends, in
    /// milliseconds: 0 for not at all, or 1,000 at least. Default 2,000.
    pub linger_timeout_ms: u64,
    /// How long a request's body may take to arrive, however fast it comes, in milliseconds. Default 600,000.
    pub body_timeout_ms: u64,
    /// How long it may take before it must keep a pace, in milliseconds. Default 5,000.
    pub body_grace_ms: u64,
    /// That pace: bytes for every second after the grace, on the average; 0 for none. Default 1,024.
    pub body_bytes_per_second: u32,
    /// How long the templates of one request may take that are evaluated before it is stored or answered, in milliseconds;
    /// beyond, it is stored as sensitive and answered as if there were no template. Default 1,000.
    pub template_timeout_ms: u64,
    /// How long a status URL, which a caller gets who has waited too long, works, in seconds. Default 86,400.
    pub status_url_seconds: u32,
    /// How long Postgres may take for a commit before its requests get 503, in milliseconds. Default 5,000.
    pub commit_timeout_ms: u64,
    /// The most connections of one thread. Default 25,000.
    pub connections: usize,
    /// URLs whose webhooks are kept compiled in memory. Default 100,000.
    pub cached_urls: usize,
    /// Callers that one node keeps waiting for their flows; beyond, they get the time-out answer at once. Default 10,000.
    pub waiting_callers: usize,
    /// Refused requests that are kept per webhook and minute, on each node. Default 60.
    pub refusals_per_minute: u32,
    /// The longest refused request that is kept whole, so that it can be judged again, in bytes; 0 keeps none.
    /// Default 256 KiB.
    pub refused_request_bytes: usize,
    /// Bytes of whole refused requests that are kept per webhook and minute, on each node. Default 1 MiB.
    pub refused_bytes_per_minute: usize,
    /// Connections that commit events: 1 or 2. Default 2.
    pub writers: usize,
    /// Events that may wait for their commit; beyond, requests get 503. Default 20,000.
    pub waiting_events: usize,
    /// Bytes of events that may wait for their commit; beyond, requests get 503. Default 256 MiB.
    pub waiting_bytes: usize,
    /// Bytes of memory for the bodies of requests in hand; beyond, requests with a long body get 503. Default 512 MiB.
    pub body_memory_bytes: usize,
    /// What one tenant may hold while the others hold nothing, of all that tenants share on a node: events that wait for their
    /// commit, memory for bodies, connections whose body is waited for, callers that are kept waiting; in percent. The more the
    /// others hold, the less it may, so that something is left for whoever comes next. Default 50; 100 for no bound.
    pub tenant_share_percent: u8,
    /// Requests whose data is looked at in a second, of each webhook whose `expected_data.mode` is `warn`, on this node; how further
    /// ones differ is not counted. Default 1,000; 0 for all.
    pub drift_checks_per_second: u32,
    /// How long requests in hand may take when the ingress stops, in seconds. Callers who wait for a flow then get the answer of
    /// one that takes too long when nine tenths of it are over. Default 30.
    pub shutdown_timeout_seconds: u64,
    /// What a tenant without limits of its own may use: a section of the program's settings, which the management API
    /// reads too.
    #[serde(skip)]
    pub tenant_limits: TenantLimits,
}

impl Default for Settings {
    fn default() -> Self {
        let appender = AppenderSettings::default();
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls_certificate: None,
            tls_key: None,
            public_url: None,
            threads: 0,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            proxy_protocol_listen: None,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            answer_timeout_ms: 30_000,
            linger_timeout_ms: 2_000,
            body_timeout_ms: 600_000,
            body_grace_ms: 5_000,
            body_bytes_per_second: 1_024,
            template_timeout_ms: 1_000,
            status_url_seconds: 86_400,
            commit_timeout_ms: 5_000,
            connections: 25_000,
            cached_urls: 100_000,
            waiting_callers: 10_000,
            refusals_per_minute: 60,
            refused_request_bytes: 256 << 10,
            refused_bytes_per_minute: 1 << 20,
            writers: appender.writers,
            waiting_events: appender.waiting_rows,
            waiting_bytes: appender.waiting_bytes,
            body_memory_bytes: 512 << 20,
            tenant_share_percent: 50,
            drift_checks_per_second: 1_000,
            shutdown_timeout_seconds: 30,
            tenant_limits: TenantLimits::NONE,
        }
    }
}

impl Settings {
    /// The number of threads that serve requests.
    pub(crate) fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// What the public URLs begin with, without a slash at its end.
    pub(crate) fn public_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }

    /// How long a peer may go on sending what will not be read. The server's clock goes on twice a second, and what is over
    /// by its clock when it begins never ends.
    pub(crate) fn linger(&self) -> Duration {
        match self.linger_timeout_ms {
            0 => Duration::ZERO,
            time => Duration::from_millis(time.max(1_000)),
        }
    }

    /// How long callers still wait for a flow when the ingress stops: so long that they can be answered before the end.
    pub(crate) fn longest_wait_at_stop(&self) -> Duration {
        Duration::from_secs(self.shutdown_timeout_seconds) * 9 / 10
    }

    /// The pace that bodies must keep.
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            longest: Duration::from_millis(self.body_timeout_ms),
            grace: Duration::from_millis(self.body_grace_ms),
            bytes_per_second: self.body_bytes_per_second,
        }
    }

    /// What one tenant may hold of what all share.
    pub(crate) const fn share(&self) -> FairShare {
        FairShare::percent(self.tenant_share_percent)
    }

    /// The room for bodies: a connection for each that is waited for.
    pub(crate) fn body_room(&self) -> Most {
        Most {
            bytes: self.body_memory_bytes,
            bodies: self.connections.saturating_mul(self.threads()),
        }
    }

    /// The bounds of group commit.
    pub(crate) fn appender(&self) -> AppenderSettings {
        AppenderSettings {
            writers: self.writers,
            commit_timeout: Duration::from_millis(self.commit_timeout_ms),
            waiting_rows: self.waiting_events,
            waiting_bytes: self.waiting_bytes,
            share: self.share(),
            ..AppenderSettings::default()
        }
    }
}
