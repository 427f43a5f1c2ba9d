//! What every handler may use.

use std::sync::atomic::AtomicBool;

use hookgate_domain::apart::Apart;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::Database;
use hookgate_domain::redis::Redis;
use hookgate_egress::Client;
use hookgate_egress::published_keys::PublishedKeys;
use hookgate_model::network_set::NetworkSet;
use tokio_util::sync::CancellationToken;

use crate::Settings;
use crate::auth::access_tokens::AccessTokens;
use crate::auth::passwords::Passwords;
use crate::auth::throttle::{LocalCounters, LocalFailures};
use crate::mail::Outbox;
use crate::places::Places;
use crate::request_rate::RequestRate;
use crate::sample_news::SampleNews;

/// How much memory there is for reading long bodies, in bytes.
const BODY_MEMORY: usize = 256 << 20;

/// Shared by all threads of the service.
pub struct State {
    /// The operator's settings.
    pub settings: Settings,
    /// Postgres, as the role of this service.
    pub database: Database,
    /// Redis, which may be away.
    pub redis: Redis,
    /// Seals what is secret.
    pub master_key: MasterKey,
    /// What senders publish to be verified with.
    pub published_keys: PublishedKeys,
    /// Makes and reads access tokens.
    pub access_tokens: AccessTokens,
    /// Reads bodies, which can be long.
    pub apart: Apart,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// The proxies in front.
    pub trusted_proxies: NetworkSet,
    /// What is heard of capture windows.
    pub sample_news: SampleNews,
    /// The places for streams.
    pub streams: Places,
    /// Those for searches in bodies.
    pub searches: Places,
    /// Those for exports.
    pub exports: Places,
    /// Whether it is about to stop: connections end with their next answer, and probes hear that it is not ready.
    pub is_draining: AtomicBool,
    /// Ends streams when the service stops.
    pub stopping: CancellationToken,
    /// Mails that are to be sent.
    pub mail: Outbox,
    /// How many requests tenants send.
    pub request_rate: RequestRate,
    /// What Redis counts, while it does not.
    pub counters: LocalCounters,
    /// Failed logins, likewise.
    pub failures: LocalFailures,
}

impl State {
    /// The key that seals mails, if this installation sends any.
    pub fn outbox(&self) -> Option<MasterKey> {
        self.mail.is_on().then(|| self.master_key.clone())
    }

    /// Puts the service's parts together; nothing is connected yet. Runs on tokio.
    pub fn new(
        settings: Settings,
        database: Database,
        redis: Redis,
        master_key: MasterKey,
        egress: Client,
    ) -> Self {
        Self {
            published_keys: PublishedKeys::new(egress),
            access_tokens: AccessTokens::new(database.clone(), master_key.clone(), settings.rotation()),
            passwords: Passwords::new(settings.passwords_at_once()),
            apart: Apart::new(BODY_MEMORY),
            trusted_proxies: NetworkSet::new(&settings.trusted_proxies),
            sample_news: SampleNews::start(&redis),
            streams: Places::new("streams", settings.streams, settings.streams_per_tenant),
            searches: Places::new("searches", settings.searches, settings.searches_per_tenant),
            exports: Places::new("exports", settings.exports, settings.exports_per_tenant),
            is_draining: AtomicBool::new(false),
            stopping: CancellationToken::new(),
            mail: Outbox::new(&settings),
            request_rate: RequestRate::new(&settings),
            counters: LocalCounters::default(),
            failures: LocalFailures::default(),
            settings,
            database,
            redis,
            master_key,
        }
    }
}
