//! The worker's settings.

use std::time::Duration;

use hookgate_model::limits::{CollectionLimits, TenantLimits};
use serde::{Deserialize, Serialize};

/// The settings of the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Jobs that one worker has in hand. Default 256.
    pub jobs: usize,
    /// Jobs of one tenant that one worker has in hand, about: so that slow calls of one do not hold up the others.
    /// Default 64.
    pub jobs_per_tenant: usize,
    /// Outgoing calls at the same time. Default 512.
    pub calls: usize,
    /// Outgoing calls of one tenant at the same time. Default 128.
    pub calls_per_tenant: usize,
    /// Outgoing calls at the same time to one destination that has no limit of its own, by all workers. Default 32.
    pub calls_per_destination: u32,
    /// Calls to a destination that fail in a row before no more are made for a while. Default 10.
    pub breaker_failures: u32,
    /// How long no more are made, in seconds; then one call tries whether it is over, and if it is not, the time doubles.
    /// Default 30.
    pub breaker_open_seconds: u64,
    /// How long at most, in seconds. Default 600.
    pub breaker_open_most_seconds: u64,
    /// Outgoing calls at the same time for the events of one job. Default 16.
    pub calls_per_job: usize,
    /// Bytes of memory for reading long bodies at the same time; what there is no room for waits. Default 512 MiB.
    pub body_memory_bytes: usize,
    /// How long the templates of a flow may take from one effect to the next, in milliseconds; then the run fails.
    /// Default 5,000.
    pub template_timeout_ms: u64,
    /// How long a worker may be silent before another takes over its jobs, in milliseconds; it extends its leases three
    /// times as often. Default 30,000.
    pub lease_ms: u64,
    /// How often a job may be claimed without any progress before its run is given up as crashed. Default 5.
    pub claims: u32,
    /// How soon it looks for work again when there was some, and no wake-up comes, in milliseconds. Default 50.
    pub poll_least_ms: u64,
    /// How soon at the latest, after looking in vain several times, in milliseconds. Default 1,000.
    pub poll_most_ms: u64,
    /// How long the jobs in hand may go on when the worker stops, in milliseconds; then they are released. Default 10,000.
    pub stop_timeout_ms: u64,
    /// Notifications that a tenant is sent in a minute; what goes beyond is counted, and the next one says how many. Default
    /// 60.
    pub notifications_per_minute: u32,
    /// How many days events, runs, attempts and refusals are kept. Default 30.
    pub retention_days: u32,
    /// How many days the audit logs, of tenants and of the operator, go back. Default 400.
    pub audit_retention_days: u32,
    /// Refusals that are kept per webhook. Default 1,000.
    pub refusals_per_webhook: u32,
    /// Bytes of whole refused requests that are kept per webhook; of older refusals only what is shown. Default 64 MiB.
    pub refused_bytes_per_webhook: u64,
    /// How often the maintenance runs, in seconds; it also runs at the start. Default 3,600.
    pub maintenance_seconds: u64,
    /// Entries of the audit log that are kept per tenant, and of the operator's; older ones go. Default 1,000,000.
    pub audit_entries_per_tenant: u32,
    /// What a tenant without limits of its own may use: a section of the program's settings, which all services read.
    #[serde(skip)]
    pub tenant_limits: TenantLimits,
    /// What a collection may hold: a section of the program's settings, which the management API reads too.
    #[serde(skip)]
    pub collections: CollectionLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            jobs: 256,
            jobs_per_tenant: 64,
            calls: 512,
            calls_per_tenant: 128,
            calls_per_destination: 32,
            breaker_failures: 10,
            breaker_open_seconds: 30,
            breaker_open_most_seconds: 600,
            calls_per_job: 16,
            body_memory_bytes: 512 << 20,
            template_timeout_ms: 5_000,
            lease_ms: 30_000,
            claims: 5,
            poll_least_ms: 50,
            poll_most_ms: 1_000,
            stop_timeout_ms: 10_000,
            notifications_per_minute: 60,
            retention_days: 30,
            audit_retention_days: 400,
            refusals_per_webhook: 1_000,
            refused_bytes_per_webhook: 64 << 20,
            maintenance_seconds: 3_600,
            audit_entries_per_tenant: 1_000_000,
            tenant_limits: TenantLimits::NONE,
            collections: CollectionLimits::default(),
        }
    }
}

impl Settings {
    pub(crate) fn template_timeout(&self) -> Duration {
        Duration::from_millis(self.template_timeout_ms.max(1))
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
}
