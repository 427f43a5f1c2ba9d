//! The PostgreSQL server, and what is in the database: the same whoever asks, or what one service alone sees.

use chrono::{Days, TimeDelta};
use hookgate_domain::database::PgConnection;
use hookgate_domain::inspection::{self, DueJobs};
use hookgate_domain::{Result, clock, migrations};

use super::finding::{Report, Status};
use super::judge_clock;
use crate::services::Role;
use crate::settings::Settings;

/// Days after today for which there should be partitions at least; workers make seven.
const DAYS_AHEAD: u64 = 3;
/// Days that may be there beyond the retention: work behind them, and maintenance that is yet to come.
const DAYS_LATE: u32 = 2;
/// How long a job may be due before that is worth a look, and when nobody seems to work at all.
const DUE_WARNING: TimeDelta = TimeDelta::minutes(1);
const DUE_ERROR: TimeDelta = TimeDelta::minutes(15);
/// Write-ahead log that an idle replication slot may keep.
const SLOT_BYTES: i64 = 1 << 30;

/// A 2xx to a sender promises that the event outlives a crash.
pub(super) fn judge_durability(conn: &mut PgConnection, report: &mut Report) -> Result<()> {
    const CHECK: &str = "postgres.durability";
    const NAMES: [&str; 4] = [
        "fsync",
        "full_page_writes",
        "synchronous_commit",
        "synchronous_standby_names",
    ];
    let values = inspection::server_settings(conn, &NAMES)?;
    let value = |place: usize| values.get(place).map_or("", String::as_str);
    let off: Vec<&str> = (0..3)
        .filter(|place| value(*place) == "off")
        .map(|place| NAMES[place])
        .collect();
    if !off.is_empty() {
        report.error(
            CHECK,
            format!(
                "{} off: events that senders were told are stored can be lost",
                off.join(", ")
            ),
            "turn them on, in postgresql.conf and for the role (`ALTER ROLE hookgate_ingress RESET ALL`)",
        );
    } else if value(2) == "local" && !value(3).is_empty() {
        report.warning(
            CHECK,
            "synchronous_commit is local: the synchronous replicas may lack what senders were told is stored",
            "set synchronous_commit to on",
        );
    } else {
        report.ok(
            CHECK,
            format!("fsync, full_page_writes on; synchronous_commit {}", value(2)),
        );
    }
    Ok(())
}

pub(super) fn judge_jobs(conn: &mut PgConnection, report: &mut Report) -> Result<()> {
    const CHECK: &str = "jobs";
    let due = DueJobs::of_all(&inspection::due_jobs(conn)?);
    let age = due
        .oldest
        .map_or(TimeDelta::zero(), |oldest| clock::now() - oldest);
    let detail = format!("{} due, the oldest since {} s", due.count, age.num_seconds());
    let action = "see whether workers run and what they log; start more of them, or raise worker.jobs";
    if age > DUE_ERROR {
        report.error(CHECK, detail, action);
    } else if age > DUE_WARNING {
        report.warning(CHECK, detail, action);
    } else {
        report.ok(CHECK, detail);
    }
    Ok(())
}

pub(super) fn judge_partitions(
    conn: &mut PgConnection,
    retention_days: u32,
    report: &mut Report,
) -> Result<()> {
    const CHECK: &str = "partitions";
    let today = clock::now().date_naive();
    let days = inspection::partition_days(conn, today)?;
    let ahead = (days.first_missing - today).num_days() - 1;
    let action = "see that a worker runs, whose maintenance makes and drops them, and what it logs";
    if ahead < 0 {
        let action = "run `hookgate migrate`, which makes them, and see that a worker runs";
        report.error(CHECK, "there are none for today", action);
    } else if ahead < i64::try_from(DAYS_AHEAD).unwrap_or_default() {
        report.warning(CHECK, format!("made for {ahead} days after today only"), action);
    } else {
        report.ok(CHECK, format!("made for {ahead} days after today"));
    }
    let kept = Days::new(u64::from(retention_days.max(1).saturating_add(DAYS_LATE)));
    let expected = today.checked_sub_days(kept).unwrap_or_default();
    match days.oldest {
        Some(oldest) if oldest < expected => report.warning(
            "partitions.retention",
            format!("the oldest is of {oldest}, which is past the retention of {retention_days} days"),
            "see that a worker runs, and whether work is left behind its events (held jobs of paused webhooks)",
        ),
        Some(oldest) => report.ok("partitions.retention", format!("the oldest is of {oldest}")),
        None => {}
    }
    Ok(())
}

/// What is the same whoever asks.
pub(super) fn look_at_server(
    conn: &mut PgConnection,
    settings: &Settings,
    roles: &[Role],
    report: &mut Report,
) -> Result<()> {
    judge_migrations(conn, report);
    let unprotected = inspection::unprotected_tables(conn)?;
    if unprotected.is_empty() {
        report.ok("postgres.row_security", "forced on every table of tenants");
    } else {
        report.error(
            "postgres.row_security",
            format!("not forced on {}", unprotected.join(", ")),
            "as the owner: ALTER TABLE … ENABLE ROW LEVEL SECURITY; ALTER TABLE … FORCE ROW LEVEL SECURITY",
        );
    }
    judge_connections(conn, settings, roles, report)?;
    for slot in inspection::idle_slots(conn)? {
        let detail = format!(
            "nobody reads {}, which keeps {} MiB of WAL",
            slot.name,
            slot.bytes >> 20
        );
        let action = "start its replica again, or drop the slot before the disk is full";
        let status = if slot.bytes > SLOT_BYTES {
            Status::Error
        } else {
            Status::Warning
        };
        report.problem(status, "postgres.replication", detail, action);
    }
    judge_clock("postgres.clock", inspection::clock_offset(conn)?, report);
    Ok(())
}

fn judge_migrations(conn: &mut PgConnection, report: &mut Report) {
    const CHECK: &str = "migrations";
    let migrate = "run `hookgate migrate` with this version before its services";
    match migrations::difference(conn) {
        Err(_) => report.error(CHECK, "the database was not migrated to this version", migrate),
        Ok(difference) => {
            if !difference.missing.is_empty() {
                report.error(
                    CHECK,
                    format!("missing: {}", difference.missing.join(", ")),
                    migrate,
                );
            }
            if !difference.unknown.is_empty() {
                report.warning(
                    CHECK,
                    format!("of a newer version: {}", difference.unknown.join(", ")),
                    "finish the upgrade of the services",
                );
            }
            if difference.missing.is_empty() && difference.unknown.is_empty() {
                report.ok(CHECK, "all are applied, and none is unknown");
            }
        }
    }
}

fn judge_connections(
    conn: &mut PgConnection,
    settings: &Settings,
    roles: &[Role],
    report: &mut Report,
) -> Result<()> {
    const CHECK: &str = "postgres.connections";
    let connections = inspection::connections(conn)?;
    // Each service tells over one of its own whether it is ready; an ingress commits refusals over another.
    let pools = (i64::from(settings.database.pool_size) + 1) * i64::try_from(roles.len()).unwrap_or_default();
    let writers = if roles.contains(&Role::Ingress) {
        settings.ingress.writers + 1
    } else {
        0
    };
    let needed = pools + i64::try_from(writers).unwrap_or_default();
    let detail = format!(
        "{} of {} open, {} of them Hookgate's; one process with these settings opens up to {needed}",
        connections.open, connections.most, connections.own
    );
    let others = connections.open - connections.own;
    if connections.most - others < needed {
        let action = "raise max_connections, lower database.pool_size, or put PgBouncer in front of management and worker";
        report.error(CHECK, detail, action);
    } else {
        report.ok(CHECK, detail);
    }
    Ok(())
}
