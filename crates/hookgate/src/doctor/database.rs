//! PostgreSQL, as each service meets it: as whom it logs in, and with which rights.

use anyhow::Result as Attempt;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::{DatabaseSettings, PgConnection};
use hookgate_domain::inspection::{self, Login};
use hookgate_domain::sealed::{self, Column};
use hookgate_domain::{Error, Result, plans};

use super::finding::Report;
use super::keys::{judge_all_sealed, judge_sealed, judge_signing_keys};
use super::server::{judge_durability, judge_jobs, judge_partitions, look_at_server};
use crate::services::Role;
use crate::settings::Settings;

/// The oldest PostgreSQL that the schema works with.
const OLDEST_SERVER: i32 = 150_000;
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
    needed: &[
        "SELECT tenants",
        "SELECT memberships",
        "UPDATE plans",
        "SELECT operators_audit_log",
    ],
    forbidden: &[
        "SELECT events",
        "SELECT secrets",
        "SELECT webhooks",
        "DELETE tenants",
        "DELETE operators_audit_log",
    ],
};

/// Looks at the database of each role; what is the same for all is looked at once.
pub(super) fn look(settings: &Settings, roles: &[Role], master_key: Option<&MasterKey>, report: &mut Report) {
    if settings.database.owner_url.is_some() {
        look_as_owner(settings, master_key, report);
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

/// Most services' machines rightly do not know the owner's password.
fn look_as_owner(settings: &Settings, master_key: Option<&MasterKey>, report: &mut Report) {
    const CHECK: &str = "postgres.owner";
    let Some(mut owner) = reach(CHECK, settings.database.owner(), report) else {
        return;
    };
    match inspection::login(&mut owner) {
        Ok(login) => judge_owner(&login, CHECK, report),
        Err(error) => return unanswered(CHECK, &error, report),
    }
    if let Some(key) = master_key {
        judge_all_sealed(&mut owner, key, report);
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
            "run `hookgate migrate` with this URL: it gives a service's role the password that is in it; the owner's is set by a superuser (`ALTER ROLE … PASSWORD`)",
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

/// Those of some powers that a role has.
fn held(powers: &[(bool, &'static str)]) -> Vec<&'static str> {
    let held = powers.iter().filter(|(has, _)| *has);
    held.map(|(_, power)| *power).collect()
}

const SUPERUSER: &str = "is a superuser";
const BYPASSES: &str = "bypasses row-level security (BYPASSRLS)";

/// The functions that erase and delete run with the owner's rights, and row-level security keeps them to one tenant.
fn judge_owner(login: &Login, check: &str, report: &mut Report) {
    let role = &login.role;
    let powers = held(&[
        (login.is_superuser, SUPERUSER),
        (login.bypasses_row_security, BYPASSES),
    ]);
    if powers.is_empty() {
        return report.ok(check, format!("connected as {role}, who is no superuser"));
    }
    report.error(
        check,
        format!(
            "the role {role} {}: row-level security does not hold for what runs with its rights",
            powers.join(", ")
        ),
        format!(
            "as another superuser: ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS. The one that the server was made with cannot be \
             changed: restore a backup into a database of an ordinary owner"
        ),
    );
}

/// Whether the connection is the right role's, on a server that takes writes.
fn judge_login(login: &Login, role: &str, check: &str, report: &mut Report) -> bool {
    let expected = format!("hookgate_{role}");
    let powers = held(&[
        (login.is_superuser, SUPERUSER),
        (login.bypasses_row_security, BYPASSES),
        (login.owned_tables > 0, "owns tables"),
        (login.memberships > 0, "is a member of other roles"),
    ]);
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
