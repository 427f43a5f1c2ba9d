//! What keeps the tables in shape: days made ahead and dropped behind, what has expired deleted.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use hookgate_domain::{
    audit, clock, deduplication, failed_callbacks, jobs, maintenance, partitions, replays, samples, sessions,
    tenants,
};

use crate::Shared;

/// How many days there are partitions for, after today.
const DAYS_AHEAD: u64 = 7;
/// Rows that one transaction deletes of what has expired.
const CHUNK: i64 = 2_000;
/// Rows of a tenant that one transaction erases: some have much that goes with them.
const ERASED_TOGETHER: i32 = 500;
/// How soon it is tried again when Postgres was away.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Runs the maintenance at once and then regularly, until the worker stops.
pub async fn keep(shared: Arc<Shared>) {
    loop {
        let delay = match run(&shared).await {
            Ok(()) => {
                metrics::gauge!("hookgate_maintenance_done_timestamp_seconds")
                    .set(clock::now().timestamp() as f64);
                Duration::from_secs(shared.settings.maintenance_seconds.max(1))
            }
            Err(error) => {
                tracing::warn!(%error, "the maintenance failed; trying again");
                RETRY_DELAY
            }
        };
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            () = tokio::time::sleep(delay) => {}
        }
    }
}

async fn run(shared: &Shared) -> hookgate_domain::Result<()> {
    let now = clock::now();
    // Also while another worker is at the rest: events cannot be stored on a day without partitions.
    shared.database.run(move |conn| make_days(conn, now)).await?;
    let (retention, refusals) = (
        shared.settings.retention_days,
        shared.settings.refusals_per_webhook,
    );
    let oldest = now
        .date_naive()
        .checked_sub_days(Days::new(retention.max(1).into()))
        .unwrap_or_default();
    // Each a transaction of its own: dropping a partition locks its table until the end.
    let drop_days = move |conn: &mut _| maintenance::alone(conn, |conn| partitions::drop_older(conn, oldest));
    if let Some(dropped) = shared.database.run(drop_days).await?
        && !dropped.is_empty()
    {
        tracing::info!(
            partitions = dropped.join(","),
            "partitions past their retention were dropped"
        );
    }
    erase_tenants(shared, now).await?;
    let before = oldest.and_time(NaiveTime::MIN).and_utc();
    in_chunks(shared, deduplication::delete_expired).await?;
    in_chunks(shared, sessions::delete_expired).await?;
    let stranded = |conn: &mut _| maintenance::alone(conn, jobs::release_stranded);
    shared.database.run(stranded).await?;
    in_chunks(shared, move |conn, most| {
        deduplication::delete_counts(conn, before, most)
    })
    .await?;
    in_chunks(shared, move |conn, most| {
        replays::delete_finished(conn, before, most)
    })
    .await?;
    in_chunks(shared, move |conn, most| {
        samples::delete_older(conn, before, most)
    })
    .await?;
    in_chunks(shared, move |conn, most| {
        failed_callbacks::delete_old(conn, before, most)
    })
    .await?;
    let audited = now - TimeDelta::days(shared.settings.audit_retention_days.max(1).into());
    in_chunks(shared, move |conn, most| audit::delete_older(conn, audited, most)).await?;
    let trim =
        move |conn: &mut _| maintenance::alone(conn, |conn| maintenance::trim_refusals(conn, refusals));
    shared.database.run(trim).await?;
    let bytes = shared.settings.refused_bytes_per_webhook;
    let trim =
        move |conn: &mut _| maintenance::alone(conn, |conn| maintenance::trim_refused_requests(conn, bytes));
    shared.database.run(trim).await?;
    let delete = move |conn: &mut _| maintenance::alone(conn, |conn| maintenance::delete_expired(conn, now));
    shared.database.run(delete).await?;
    Ok(())
}

/// Erases the tenants that their owners deleted, once their time has come.
async fn erase_tenants(shared: &Shared, now: DateTime<Utc>) -> hookgate_domain::Result<()> {
    let due = shared
        .database
        .run(move |conn| tenants::to_be_erased(conn, now))
        .await?;
    for tenant in due {
        let mut rows = 0;
        loop {
            let erase = move |conn: &mut _| {
                maintenance::alone(conn, |conn| tenants::erase(conn, tenant, ERASED_TOGETHER))
            };
            match shared.database.run(erase).await? {
                // Another worker is at it.
                None => return Ok(()),
                Some(0) => break,
                Some(erased) => rows += erased,
            }
            if shared.stopping.is_cancelled() {
                return Ok(());
            }
        }
        if let Err(error) = shared.redis.forget_quotas(tenant, now).await {
            tracing::debug!(%error, "what quotas counted expires by itself");
        }
        tracing::info!(%tenant, rows, "a tenant was erased, as its owner wanted");
    }
    Ok(())
}

/// Deletes in small transactions, so that nobody waits long for a row, until little is left.
async fn in_chunks(
    shared: &Shared,
    delete: impl Fn(&mut maintenance::Connection, i64) -> hookgate_domain::Result<usize> + Copy + Send + 'static,
) -> hookgate_domain::Result<()> {
    loop {
        let chunk = move |conn: &mut _| maintenance::alone(conn, |conn| delete(conn, CHUNK));
        let deleted = shared.database.run(chunk).await?.unwrap_or(0);
        if i64::try_from(deleted).unwrap_or(i64::MAX) < CHUNK || shared.stopping.is_cancelled() {
            return Ok(());
        }
    }
}

fn make_days(conn: &mut maintenance::Connection, now: DateTime<Utc>) -> hookgate_domain::Result<()> {
    for ahead in 0..=DAYS_AHEAD {
        if let Some(day) = now.date_naive().checked_add_days(Days::new(ahead)) {
            partitions::ensure(conn, day)?;
        }
    }
    Ok(())
}
