//! PostgreSQL, as each service meets it.

use anyhow::Result as Attempt;
use chrono::{Days, TimeDelta};
use hookgate_domain::crypto::{KeyId, MasterKey};
use hookgate_domain::database::{DatabaseSettings, PgConnection};
use hookgate_domain::inspection::{self, DueJobs, Login};
use hookgate_domain::sealed::{self, Column};
use hookgate_domain::{Error, Result, clock, migrations, plans, signing_keys};

use super::finding::{Report, Status};
use super::judge_clock;
use crate::services::Role;
use crate::settings::Settings;

/// The oldest PostgreSQL that the schema works with.
const OLDEST_SERVER: i32 = 150_000;
/// Days after today for which there should be partitions at least; workers make seven.
const DAYS_AHEAD: u64 = 3;
/// Days that may be there beyond the retention: work behind them, and maintenance that is yet to come.
const DAYS_LATE: u32 = 2;
/// How long a job may be due before that is worth a look, and when nobody seems to work at all.
const DUE_WARNING: TimeDelta = TimeDelta::minutes(1);
const DUE_ERROR: TimeDelta = TimeDelta::minutes(15);
/// Write-ahead log that an idle replication slot may keep.
const SLOT_BYTES: i64 = 1 << 30;

/// What a role must be able to do, and what it must not.
struct Grants {
    needed: &'static [&'static str],
    forbidden: &'static [&'static str],
}

const fn grants(role: Role) -> Grants {
    match role {
        Role::Ingress => Grants {
            needed: &["SELECT webhooks", "SELECT urls", "INSERT jobs"],
            forbidden: &["SELECT events", "SELECT users", "UPDATE webhooks", "DELETE jobs"],
        },
        Role::Management => Grants {
            needed: &[
                "SELECT users",
                "INSERT webhooks",
                "SELECT events",
                "SELECT signing_keys",
            ],
            forbidden: &["DELETE events", "UPDATE events", "DELETE audit_log"],
        },
        Role::Worker => Grants {
            needed: &["SELECT events", "UPDATE jobs", "DELETE jobs", "INSERT runs"],
            forbidden: &[
                "SELECT users",
                "UPDATE webhooks",
                "SELECT signing_keys",
                "UPDATE events",
            ],
        },
    }
}

/// The operator's API is a part of the management service, with a role of its own.
const OF_ADMIN: Grants = Grants {
    needed: &["SELECT tenants", "SELECT memberships", "UPDATE plans"],
    forbidden: &[
        "SELECT events",
        "SELECT secrets",
        "SELECT webhooks",
        "DELETE tenants",
    ],
};

/// Looks at the database of each role; what is the same for all is looked at once.
pub(super) fn look(settings: &Settings, roles: &[Role], master_key: Option<&MasterKey>, report: &mut Report) {
    if let Some(key) = master_key {
        judge_all_sealed(settings, key, report);
    }
    if roles.contains(&Role::Management) && settings.admin.listen.is_some() {
        look_as_admin(settings, report);
    }
    let mut is_first = true;
    for role in roles.iter().copied() {
        let check = format!("postgres.{role}");
        let Some(mut conn) = reach(&check, database(settings, role), report) else {
            continue;
        };
        let outcome = look_as(&mut conn, role, &check, settings, master_key, report);
        let outcome = outcome.and_then(|()| {
            if std::mem::take(&mut is_first) {
                look_at_server(&mut conn, settings, roles, report)?;
            }
            Ok(())
        });
        if let Err(error) = outcome {
            unanswered(&check, &error, report);
        }
    }
}

fn look_as_admin(settings: &Settings, report: &mut Report) {
    const CHECK: &str = "postgres.admin";
    if let Err(error) = settings.admin.settings() {
        report.error("settings.admin", format!("{error:#}"), "set it");
    }
    let Some(mut conn) = reach(CHECK, settings.database.admin(), report) else {
        return;
    };
    let outcome = inspection::login(&mut conn).and_then(|login| {
        if judge_login(&login, "admin", CHECK, report) {
            judge_grants(&mut conn, &OF_ADMIN, CHECK, report)?;
        }
        Ok(())
    });
    if let Err(error) = outcome {
        unanswered(CHECK, &error, report);
    }
}

fn unanswered(check: &str, error: &Error, report: &mut Report) {
    report.error(
        check,
        format!("a question was not answered: {error}"),
        "run `hookgate migrate` with this version",
    );
}

fn database(settings: &Settings, role: Role) -> Attempt<DatabaseSettings> {
    match role {
        Role::Ingress => settings.database.ingress(),
        Role::Management => settings.database.management(),
        Role::Worker => settings.database.worker(),
    }
}

fn reach(check: &str, database: Attempt<DatabaseSettings>, report: &mut Report) -> Option<PgConnection> {
    let database = match database {
        Ok(database) => database,
        Err(error) => {
            report.error(check, format!("{error:#}"), "set it");
            return None;
        }
    };
    match hookgate_domain::database::connect(&database) {
        Ok(conn) => Some(conn),
        Err(error) => {
            let (detail, action) = explain(&error);
            report.error(check, detail, action);
            None
        }
    }
}

/// What a refused connection means. The server's and libpq's words can repeat parts of the URL, and so of a password.
fn explain(error: &Error) -> (&'static str, &'static str) {
    const SAID: [(&str, &str, &str); 8] = [
        (
            "password authentication failed",
            "the server refuses the password",
            "run `hookgate migrate` with this URL: it gives the role the password that is in it",
        ),
        (
            "no pg_hba.conf entry",
            "the server's pg_hba.conf admits no such connection",
            "add a line for this role, database and address to pg_hba.conf, and reload the server",
        ),
        (
            "role \"",
            "there is no such role",
            "run `hookgate migrate`: it makes the services' roles",
        ),
        (
            "database \"",
            "there is no such database",
            "make it, owned by the role of database.owner_url, and run `hookgate migrate`",
        ),
        (
            "translate host name",
            "the host's name is unknown",
            "correct the host in the URL; in a password write @ as %40, / as %2F",
        ),
        (
            "Connection refused",
            "nothing listens there",
            "start PostgreSQL, or correct the host and port",
        ),
        (
            "timeout expired",
            "the host does not answer",
            "correct the host and port, or open the way to it",
        ),
        (
            "too many clients",
            "all connections are taken",
            "raise max_connections, or lower database.pool_size",
        ),
    ];
    let text = error.to_string();
    let known = SAID.iter().find(|(said, ..)| text.contains(said));
    known.map_or(
        ("it cannot be reached", "correct the URL: try it with psql"),
        |(_, detail, action)| (detail, action),
    )
}

fn look_as(
    conn: &mut PgConnection,
    role: Role,
    check: &str,
    settings: &Settings,
    master_key: Option<&MasterKey>,
    report: &mut Report,
) -> Result<()> {
    let login = inspection::login(conn)?;
    if !judge_login(&login, &role.to_string(), check, report) {
        return Ok(());
    }
    judge_grants(conn, &grants(role), check, report)?;
    match role {
        Role::Ingress => {
            judge_durability(conn, report)?;
            if let Some(key) = master_key {
                let counted = sealed::count_in(conn, Column::Secret)?;
                judge_sealed("master_key.secrets", &counted, key, report);
            }
        }
        Role::Management => {
            if let Some(key) = master_key {
                judge_signing_keys(conn, key, report)?;
            }
            if let Some(name) = &settings.management.plan_of_new_tenants {
                judge_plan(conn, name, report)?;
            }
        }
        Role::Worker => {
            judge_jobs(conn, report)?;
            judge_partitions(conn, settings.worker.retention_days, report)?;
        }
    }
    Ok(())
}

/// Whether the connection is the right role's, on a server that takes writes.
fn judge_login(login: &Login, role: &str, check: &str, report: &mut Report) -> bool {
    let expected = format!("hookgate_{role}");
    let powers = [
        (login.is_superuser, "is a superuser"),
        (
            login.bypasses_row_security,
            "bypasses row-level security (BYPASSRLS)",
        ),
        (login.owned_tables > 0, "owns tables"),
        (login.memberships > 0, "is a member of other roles"),
    ];
    let powers: Vec<&str> = powers
        .iter()
        .filter(|(has, _)| *has)
        .map(|(_, power)| *power)
        .collect();
    if login.is_replica {
        let action = "name the primary server in the URL";
        report.error(check, "the server is a replica, which takes no writes", action);
        return false;
    }
    if login.server_version < OLDEST_SERVER {
        let version = format!("PostgreSQL {} is too old", login.server_version / 10_000);
        report.error(
            check,
            version,
            format!("install PostgreSQL {} or newer", OLDEST_SERVER / 10_000),
        );
    }
    if !powers.is_empty() {
        report.error(
            check,
            format!(
                "the role {} {}: nothing keeps tenants apart but the program",
                login.role,
                powers.join(", ")
            ),
            format!("log in as {expected}, and take these rights from it"),
        );
    } else if login.role == expected {
        report.ok(
            check,
            format!(
                "connected as {expected}, PostgreSQL {}",
                login.server_version / 10_000
            ),
        );
    } else {
        report.error(
            check,
            format!("connected as {}, not as {expected}", login.role),
            format!("set database.{role}_url to a URL of {expected}"),
        );
    }
    true
}

fn judge_grants(conn: &mut PgConnection, grants: &Grants, check: &str, report: &mut Report) -> Result<()> {
    let check = format!("{check}.grants");
    let Grants { needed, forbidden } = *grants;
    let held = inspection::held_privileges(conn, &[needed, forbidden].concat())?;
    let is_held = |privilege: &&&str| held.iter().any(|held| held == *privilege);
    let missing: Vec<&str> = needed.iter().filter(|one| !is_held(one)).copied().collect();
    let excess: Vec<&str> = forbidden.iter().filter(is_held).copied().collect();
    if !missing.is_empty() {
        let action = "run `hookgate migrate`; if it has nothing to do, grant these as the owner";
        report.error(&check, format!("it may not {}", missing.join(", ")), action);
    }
    if !excess.is_empty() {
        let action = "revoke these as the owner of the database";
        report.error(
            &check,
            format!("it may {}, which it must not", excess.join(", ")),
            action,
        );
    }
    if missing.is_empty() && excess.is_empty() {
        report.ok(check, "may do its part, and no more");
    }
    Ok(())
}

/// Nobody can register while new tenants are to get a plan that is not there.
fn judge_plan(conn: &mut PgConnection, name: &str, report: &mut Report) -> Result<()> {
    const CHECK: &str = "management.plan_of_new_tenants";
    match plans::named(conn, name) {
        Ok(_) => report.ok(CHECK, "is there"),
        Err(error @ Error::NoSuchPlan(_)) => report.error(
            CHECK,
            format!("{error}: nobody can register"),
            "make it under /admin/v1/plans, or correct the setting",
        ),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// A 2xx to a sender promises that the event outlives a crash.
fn judge_durability(conn: &mut PgConnection, report: &mut Report) -> Result<()> {
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

fn judge_signing_keys(conn: &mut PgConnection, key: &MasterKey, report: &mut Report) -> Result<()> {
    const CHECK: &str = "master_key";
    let keys = signing_keys::live(conn, clock::now())?;
    let opens = |stored: &signing_keys::SigningKey| {
        key.open(&signing_keys::context(&stored.kid), &stored.private_key)
            .is_ok()
    };
    let closed = keys.iter().filter(|stored| !opens(stored)).count();
    if keys.is_empty() {
        report.ok(CHECK, "nothing is sealed yet");
    } else if closed == 0 {
        report.ok(CHECK, "opens what is stored");
    } else {
        report.error(
            CHECK,
            format!("does not open {closed} of {} stored signing keys", keys.len()),
            "set the master key that this database was used with",
        );
    }
    Ok(())
}

/// Which keys have sealed what is stored.
fn judge_sealed(check: &str, counted: &[(Option<KeyId>, i64)], key: &MasterKey, report: &mut Report) {
    let sum = |wanted: &dyn Fn(Option<KeyId>) -> bool| -> i64 {
        counted
            .iter()
            .filter(|(id, _)| wanted(*id))
            .map(|(_, values)| values)
            .sum()
    };
    let unknown = sum(&|id| !id.is_some_and(|id| key.knows(id)));
    let previous = sum(&|id| id.is_some_and(|id| id != key.id() && key.knows(id)));
    if unknown > 0 {
        report.error(
            check,
            format!("{unknown} values are sealed with keys that are not set"),
            "name the earlier keys in previous_master_keys (HOOKGATE_PREVIOUS_MASTER_KEYS)",
        );
    } else if previous > 0 {
        report.warning(
            check,
            format!("{previous} values are still sealed with a previous key"),
            "once all services have the new key, run `hookgate master-key reseal`",
        );
    } else {
        report.ok(
            check,
            format!("{} values are sealed with the current key", sum(&|_| true)),
        );
    }
}

/// Everything, which the owner alone sees; most services' machines rightly do not know the owner's password.
fn judge_all_sealed(settings: &Settings, key: &MasterKey, report: &mut Report) {
    const CHECK: &str = "master_key.all";
    if settings.database.owner_url.is_none() {
        return;
    }
    let Some(mut owner) = reach("postgres.owner", settings.database.owner(), report) else {
        return;
    };
    match sealed::count(&mut owner) {
        Ok(count) => {
            let counted: Vec<_> = count.into_iter().map(|((_, id), values)| (id, values)).collect();
            judge_sealed(CHECK, &counted, key, report);
        }
        Err(_) => report.error(
            CHECK,
            "what is sealed could not be counted",
            "set database.owner_url to the owner of the tables, and run `hookgate migrate`",
        ),
    }
}

fn judge_jobs(conn: &mut PgConnection, report: &mut Report) -> Result<()> {
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

fn judge_partitions(conn: &mut PgConnection, retention_days: u32, report: &mut Report) -> Result<()> {
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
fn look_at_server(
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
    let pools = i64::from(settings.database.pool_size) * i64::try_from(roles.len()).unwrap_or_default();
    let writers = if roles.contains(&Role::Ingress) {
        settings.ingress.writers
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
