//! What keeps the tables in shape: days made ahead and dropped behind, what has expired deleted.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use hookgate_domain::database::Unready;
use hookgate_domain::maintenance::RefusingWebhook;
use hookgate_domain::retention::Retention;
use hookgate_domain::{
    Error, Result, audit, clock, deduplication, failed_callbacks, jobs, maintenance, partitions, replays,
    retention, samples, sessions, tenants,
};
use hookgate_model::ids::TenantId;
use uuid::Uuid;

use crate::Shared;

/// How many days there are partitions for, after today.
const DAYS_AHEAD: u64 = 7;
/// Rows that one transaction deletes of what has expired.
const CHUNK: i64 = 2_000;
/// Webhooks with refusals that are looked for at once.
const WEBHOOKS_TOGETHER: i64 = 100;
/// Rows of a tenant that one transaction erases: some have much that goes with them.
const ERASED_TOGETHER: i32 = 500;
/// Rows that one transaction deletes of what a tenant keeps no longer.
const DELETED_TOGETHER: i32 = 2_000;
/// How soon it is tried again when Postgres was away.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// How soon it is tried again when a part of it failed.
const FAILED_DELAY: Duration = Duration::from_secs(60);

/// Runs the maintenance at once and then regularly, until the worker stops.
pub async fn keep(shared: Arc<Shared>) {
    loop {
        let regularly = Duration::from_secs(shared.settings.maintenance_seconds.max(1));
        let delay = match run(&shared).await {
            Ok(0) => {
                metrics::gauge!("hookgate_maintenance_done_timestamp_seconds")
                    .set(clock::now().timestamp() as f64);
                regularly
            }
            Ok(_) => regularly.min(FAILED_DELAY),
            Err(error) => {
                tracing::warn!(%error, "the maintenance cannot be done now; trying again");
                RETRY_DELAY
            }
        };
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            () = tokio::time::sleep(delay) => {}
        }
    }
}

/// One pass: every part is done, whatever became of the others.
struct Pass<'a> {
    shared: &'a Shared,
    now: DateTime<Utc>,
    failed: usize,
}

/// Does every part; gives how many failed.
///
/// # Errors
/// When Postgres cannot be reached: the other parts are not tried then.
async fn run(shared: &Shared) -> Result<usize> {
    let mut pass = Pass {
        shared,
        now: clock::now(),
        failed: 0,
    };
    pass.all().await?;
    Ok(pass.failed)
}

impl Pass<'_> {
    async fn all(&mut self) -> Result<()> {
        let (now, settings) = (self.now, &self.shared.settings);
        // Also while another worker is at the rest: events cannot be stored on a day without partitions.
        let days = self.shared.database.run(move |conn| make_days(conn, now)).await;
        self.note("making days", days).await?;
        let oldest = now
            .date_naive()
            .checked_sub_days(Days::new(settings.retention_days.max(1).into()))
            .unwrap_or_default();
        let dropped = self.drop_days(oldest).await;
        self.note("dropping days", dropped).await?;
        self.erase_tenants().await?;
        self.shorten_retention().await?;
        let before = oldest.and_time(NaiveTime::MIN).and_utc();
        let audited = now - TimeDelta::days(settings.audit_retention_days.max(1).into());
        self.in_chunks("deliveries", deduplication::delete_expired)
            .await?;
        self.in_chunks("sessions", sessions::delete_expired).await?;
        self.alone("stranded jobs", |conn| jobs::release_stranded(conn).map(drop))
            .await?;
        self.in_chunks("repetitions", move |conn, most| {
            deduplication::delete_counts(conn, before, most)
        })
        .await?;
        self.in_chunks("replays", move |conn, most| {
            replays::delete_finished(conn, before, most)
        })
        .await?;
        self.in_chunks("samples", move |conn, most| {
            samples::delete_older(conn, before, most)
        })
        .await?;
        self.in_chunks("failed callbacks", move |conn, most| {
            failed_callbacks::delete_old(conn, before, most)
        })
        .await?;
        self.in_chunks("audit log", move |conn, most| {
            audit::delete_older(conn, audited, most)
        })
        .await?;
        let newest = settings.audit_entries_per_tenant.into();
        self.in_chunks("operator's audit log", move |conn, most| {
            audit::delete_of_operator(conn, audited, newest, most)
        })
        .await?;
        self.bound_refusals().await?;
        self.alone("what has expired", move |conn| {
            maintenance::delete_expired(conn, now)
        })
        .await?;
        // Last: it looks at every tenant.
        self.bound_audit_logs().await
    }

    /// Notes what became of a part; what else there is goes on, also when the part waited too long for a lock, or took too long.
    async fn note(&mut self, part: &'static str, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(error @ Error::Unavailable(_))
                if self.shared.database.readiness().await == Err(Unready::Away) =>
            {
                Err(error)
            }
            Err(error) => {
                tracing::warn!(part, %error, "a part of the maintenance failed; it is tried again");
                metrics::counter!("hookgate_maintenance_failures_total", "part" => part).increment(1);
                self.failed += 1;
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Dropping a partition locks its table until the end, so this is a transaction of its own.
    async fn drop_days(&self, oldest: NaiveDate) -> Result<()> {
        let drop_days =
            move |conn: &mut _| maintenance::alone(conn, |conn| partitions::drop_older(conn, oldest));
        if let Some(dropped) = self.shared.database.run(drop_days).await?
            && !dropped.is_empty()
        {
            tracing::info!(
                partitions = dropped.join(","),
                "partitions past their retention were dropped"
            );
        }
        Ok(())
    }

    /// Erases the tenants that their owners deleted, once their time has come.
    async fn erase_tenants(&mut self) -> Result<()> {
        let now = self.now;
        let due = self
            .shared
            .database
            .run(move |conn| tenants::to_be_erased(conn, now))
            .await;
        let due = self.known("erasing tenants", due).await?;
        for tenant in due {
            let erased = self.erase(tenant).await;
            self.note("erasing tenants", erased).await?;
        }
        Ok(())
    }

    async fn erase(&self, tenant: TenantId) -> Result<()> {
        let mut rows = 0;
        while !self.shared.stopping.is_cancelled() {
            let erase = move |conn: &mut _| {
                maintenance::alone(conn, |conn| tenants::erase(conn, tenant, ERASED_TOGETHER))
            };
            match self.shared.database.run(erase).await? {
                // Another worker is at it.
                None => return Ok(()),
                Some(0) => {
                    if let Err(error) = self.shared.redis.forget_quotas(tenant, self.now).await {
                        tracing::debug!(%error, "what quotas counted expires by itself");
                    }
                    tracing::info!(%tenant, rows, "a tenant was erased, as its owner wanted");
                    return Ok(());
                }
                Some(erased) => rows += erased,
            }
        }
        Ok(())
    }

    /// Deletes what tenants received longer ago than they keep it, where that is before the day is dropped.
    async fn shorten_retention(&mut self) -> Result<()> {
        const PART: &str = "retention of tenants";
        let (days, defaults) = (
            self.shared.settings.retention_days.max(1),
            self.shared.settings.tenant_limits,
        );
        let shorter = self
            .shared
            .database
            .run(move |conn| retention::shorter_than(conn, days, defaults))
            .await;
        let mut behind = TimeDelta::zero();
        for retention in self.known(PART, shorter).await? {
            let deleted = self.shorten(retention).await;
            behind = behind.max(*deleted.as_ref().unwrap_or(&TimeDelta::zero()));
            self.note(PART, deleted.map(drop)).await?;
        }
        metrics::gauge!("hookgate_retention_behind_seconds").set(behind.num_seconds() as f64);
        Ok(())
    }

    /// Gives for how long the oldest event should have been gone.
    async fn shorten(&self, retention: Retention) -> Result<TimeDelta> {
        let Retention { tenant, .. } = retention;
        let moment = retention.oldest(self.now);
        let mut behind = TimeDelta::zero();
        for table in retention::TABLES {
            let mut after = Some(Uuid::nil());
            while let Some(from) = after.filter(|_| !self.shared.stopping.is_cancelled()) {
                let delete = move |conn: &mut _| {
                    maintenance::alone(conn, |conn| {
                        retention::delete_older(conn, tenant, table, from, moment, DELETED_TOGETHER)
                    })
                };
                // Another worker is at it.
                let Some(part) = self.shared.database.run(delete).await? else {
                    return Ok(behind);
                };
                let deleted = u64::try_from(part.deleted).unwrap_or(0);
                metrics::counter!("hookgate_retention_deleted_total", "table" => table).increment(deleted);
                behind = behind.max(
                    part.oldest_at()
                        .map_or(TimeDelta::zero(), |oldest| moment - oldest),
                );
                after = part.last;
            }
        }
        Ok(behind)
    }

    /// Webhook by webhook, so that no statement takes long, however many were refused.
    async fn bound_refusals(&mut self) -> Result<()> {
        const PART: &str = "refusals";
        let settings = &self.shared.settings;
        let (newest, bytes) = (settings.refusals_per_webhook, settings.refused_bytes_per_webhook);
        let mut after = RefusingWebhook::default();
        loop {
            let find = move |conn: &mut _| maintenance::refusing_webhooks(conn, after, WEBHOOKS_TOGETHER);
            let found = self.shared.database.run(find).await;
            let webhooks = self.known(PART, found).await?;
            let Some(last) = webhooks.last().copied() else {
                return Ok(());
            };
            after = last;
            for webhook in webhooks {
                if self.shared.stopping.is_cancelled() {
                    return Ok(());
                }
                self.in_chunks(PART, move |conn, most| {
                    let deleted = maintenance::trim_refusals(conn, webhook, newest, most)?;
                    Ok(deleted + maintenance::trim_refused_requests(conn, webhook, bytes, most)?)
                })
                .await?;
            }
        }
    }

    async fn bound_audit_logs(&mut self) -> Result<()> {
        let newest = self.shared.settings.audit_entries_per_tenant.into();
        let tenants = self.shared.database.run(tenants::ids).await;
        for tenant in self.known("audit log", tenants).await? {
            self.in_chunks("audit log", move |conn, most| {
                audit::delete_surplus(conn, tenant, newest, most)
            })
            .await?;
        }
        Ok(())
    }

    /// What a part begins with; nothing when that failed.
    async fn known<T>(&mut self, part: &'static str, found: Result<Vec<T>>) -> Result<Vec<T>> {
        match found {
            Ok(found) => Ok(found),
            Err(error) => self.note(part, Err(error)).await.map(|()| Vec::new()),
        }
    }

    /// Does a part in one transaction.
    async fn alone(
        &mut self,
        part: &'static str,
        work: impl FnOnce(&mut maintenance::Connection) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let done = self
            .shared
            .database
            .run(move |conn| maintenance::alone(conn, work));
        let done = done.await.map(drop);
        self.note(part, done).await
    }

    /// Deletes in small transactions, so that nobody waits long for a row, until little is left.
    async fn in_chunks(
        &mut self,
        part: &'static str,
        delete: impl Fn(&mut maintenance::Connection, i64) -> Result<usize> + Copy + Send + 'static,
    ) -> Result<()> {
        loop {
            let chunk = move |conn: &mut _| maintenance::alone(conn, |conn| delete(conn, CHUNK));
            let deleted = match self.shared.database.run(chunk).await {
                Ok(deleted) => deleted.unwrap_or(0),
                Err(error) => return self.note(part, Err(error)).await,
            };
            if i64::try_from(deleted).unwrap_or(i64::MAX) < CHUNK || self.shared.stopping.is_cancelled() {
                return Ok(());
            }
        }
    }
}

fn make_days(conn: &mut maintenance::Connection, now: DateTime<Utc>) -> Result<()> {
    for ahead in 0..=DAYS_AHEAD {
        if let Some(day) = now.date_naive().checked_add_days(Days::new(ahead)) {
            partitions::ensure(conn, day)?;
        }
    }
    Ok(())
}
