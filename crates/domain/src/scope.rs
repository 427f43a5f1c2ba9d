//! The proof that code may touch a tenant's rows.
//!
//! A [`TenantScope`] comes into being in four places only, all in this crate: an authorised caller of the
//! management API ([`crate::tenants`], [`crate::management_keys`], [`crate::invitations`]), a resolved URL ([`crate::routing`],
//! [`crate::status_urls`]), a claimed job ([`crate::jobs`]), and the operator, whose role can do little with it ([`crate::operator`]). Query functions take it, filter by its tenant, and run inside [`TenantScope::transaction`], which
//! tells row-level security the same tenant.

use diesel::pg::PgConnection;
use diesel::{Connection, RunQueryDsl, sql_query};
use hookgate_model::ids::TenantId;
use uuid::Uuid;

use crate::error::{Error, Result};

/// One tenant whose rows may be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TenantScope(TenantId);

impl TenantScope {
    /// Only for the four places that prove it.
    pub(crate) const fn proven(tenant: TenantId) -> Self {
        Self(tenant)
    }

    /// The tenant.
    pub const fn tenant(&self) -> TenantId {
        self.0
    }

    /// The tenant as it is stored, for queries to filter by.
    #[cfg(not(debug_assertions))]
    pub const fn uuid(&self) -> Uuid {
        self.0.uuid()
    }

    /// The tenant as it is stored, or the one that a test has queries filter by instead.
    #[cfg(debug_assertions)]
    pub fn uuid(&self) -> Uuid {
        mutants::filter_of(self.0).uuid()
    }

    /// Runs queries in one transaction, in which row-level security shows this tenant alone.
    ///
    /// # Errors
    /// What the queries end in; the transaction is rolled back then.
    pub fn transaction<T, E>(
        &self,
        conn: &mut PgConnection,
        queries: impl FnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Error>,
    {
        transaction(conn, |conn| {
            self.enter(conn).map_err(E::from)?;
            queries(conn)
        })
    }

    /// Sets the tenant of the running transaction, for a transaction that serves several tenants in turn.
    ///
    /// # Errors
    /// When Postgres cannot be reached.
    pub fn enter(&self, conn: &mut PgConnection) -> Result<()> {
        set_local(conn, "hookgate.tenant_id", &self.0.uuid().to_string())
    }
}

/// Queries with the wrong filter, for tests of what row-level security holds alone.
#[cfg(debug_assertions)]
pub mod mutants {
    use std::collections::HashMap;

    use hookgate_model::ids::TenantId;
    use parking_lot::RwLock;

    static FILTERS: RwLock<Option<HashMap<TenantId, TenantId>>> = RwLock::new(None);

    /// From now on the queries of a tenant's callers filter by another tenant.
    pub fn mistake(tenant: TenantId, other: TenantId) {
        FILTERS
            .write()
            .get_or_insert_with(HashMap::new)
            .insert(tenant, other);
    }

    pub(super) fn filter_of(tenant: TenantId) -> TenantId {
        let filters = FILTERS.read();
        let other = filters.as_ref().and_then(|filters| filters.get(&tenant));
        other.copied().unwrap_or(tenant)
    }
}

/// Runs queries in one transaction, whatever their error type.
///
/// # Errors
/// What the queries end in; the transaction is rolled back then.
pub fn transaction<T, E>(
    conn: &mut PgConnection,
    queries: impl FnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E>
where
    E: From<Error>,
{
    enum Stop<E> {
        Storage(diesel::result::Error),
        Caller(E),
    }
    impl<E> From<diesel::result::Error> for Stop<E> {
        fn from(error: diesel::result::Error) -> Self {
            Self::Storage(error)
        }
    }
    conn.transaction(|conn| queries(conn).map_err(Stop::Caller))
        .map_err(|stop| match stop {
            Stop::Storage(error) => E::from(Error::from(error)),
            Stop::Caller(error) => error,
        })
}

/// Shows Postgres the digest of what a caller presents, for the policies that open the row of it alone.
pub(crate) fn present_digest(conn: &mut PgConnection, digest: &[u8; 32]) -> Result<()> {
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    set_local(conn, "hookgate.key_digest", &hex)
}

/// Sets a setting for the running transaction only.
pub(crate) fn set_local(conn: &mut PgConnection, name: &str, value: &str) -> Result<()> {
    sql_query("SELECT set_config($1, $2, true)")
        .bind::<diesel::sql_types::Text, _>(name)
        .bind::<diesel::sql_types::Text, _>(value)
        .execute(conn)?;
    Ok(())
}
