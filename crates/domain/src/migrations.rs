//! The schema's history, embedded in the program.

use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::pg::{Pg, PgConnection};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::database_url;
use crate::error::{Error, Result};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Who Hookgate works as, each with its own rights.
pub const ROLES: [&str; 4] = [
    "hookgate_ingress",
    "hookgate_management",
    "hookgate_worker",
    "hookgate_admin",
];

/// Brings the database to this program's schema, as the owner of the database. Returns the names of what was applied.
///
/// # Errors
/// [`Error::Query`] with the migration's name when one fails; the database is left at the last that succeeded.
pub fn run(owner: &mut PgConnection) -> Result<Vec<String>> {
    owner.batch_execute("SET lock_timeout = '5s'; SET statement_timeout = 0")?;
    let applied = owner
        .run_pending_migrations(MIGRATIONS)
        .map_err(|error| Error::Query(error.to_string()))?;
    Ok(applied.iter().map(ToString::to_string).collect())
}

/// Takes the newest migration back.
///
/// # Errors
/// [`Error::Query`] when there is none, or it cannot be taken back.
pub fn revert_last(owner: &mut PgConnection) -> Result<String> {
    let reverted = owner
        .revert_last_migration(MIGRATIONS)
        .map_err(|error| Error::Query(error.to_string()))?;
    Ok(reverted.to_string())
}

/// Whether the database lacks a migration of this program.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn is_pending(owner: &mut PgConnection) -> Result<bool> {
    owner
        .has_pending_migration(MIGRATIONS)
        .map_err(|error| Error::Query(error.to_string()))
}

/// How the database's schema differs from this program's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Migrations of this program that the database lacks.
    pub missing: Vec<String>,
    /// Migrations of the database that this program does not know: a newer one made them.
    pub unknown: Vec<String>,
}

/// Compares them, as any of the services.
///
/// # Errors
/// [`Error::Query`] when the database was never migrated, or not since services may read how far it is.
pub fn difference(conn: &mut PgConnection) -> Result<Difference> {
    #[derive(QueryableByName)]
    struct Applied {
        #[diesel(sql_type = diesel::sql_types::Text)]
        version: String,
    }
    let applied: Vec<Applied> =
        sql_query("SELECT version::text FROM __diesel_schema_migrations ORDER BY version").load(conn)?;
    let known =
        MigrationSource::<Pg>::migrations(&MIGRATIONS).map_err(|error| Error::Query(error.to_string()))?;
    let known: Vec<(String, String)> = known
        .iter()
        .map(|migration| {
            (
                migration.name().version().to_string(),
                migration.name().to_string(),
            )
        })
        .collect();
    let has = |version: &str| applied.iter().any(|row| row.version == version);
    let knows = |version: &str| known.iter().any(|(own, _)| own == version);
    Ok(Difference {
        missing: known
            .iter()
            .filter(|(version, _)| !has(version))
            .map(|(_, name)| name.clone())
            .collect(),
        unknown: applied
            .iter()
            .filter(|row| !knows(&row.version))
            .map(|row| row.version.clone())
            .collect(),
    })
}

/// Gives the role that a service's database URL names the password in it, so that the service can log in. Only
/// Hookgate's own roles are touched; a URL without a password changes nothing.
///
/// # Errors
/// [`Error::Query`] when the URL cannot be read or the owner may not alter the role.
pub fn set_role_password(owner: &mut PgConnection, service_url: &str) -> Result<()> {
    let Some((role, password)) = database_url::credentials(service_url) else {
        return Ok(());
    };
    if !ROLES.contains(&role.as_str()) {
        return Ok(());
    }
    let quoted = password.replace('\'', "''");
    if password.contains('\\') || password.contains('\0') {
        return Err(Error::Query(
            "the password in a database URL may not contain a backslash".into(),
        ));
    }
    owner.batch_execute(&format!("ALTER ROLE {role} PASSWORD '{quoted}'"))?;
    Ok(())
}
