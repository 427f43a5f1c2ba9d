//! Who changed what of a tenant's configuration, and what the operator changed. Triggers write the entries, in the transaction of
//! the change; here they are read, and transactions are told who is behind them.

use std::net::IpAddr;
use std::ops::Range;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::{AuditEntryId, TenantId};
use ipnet::IpNet;
use serde_json::Value;
use uuid::Uuid;

use crate::error::Result;
use crate::page::{self, Found, Page};
use crate::schema::{audit_log, operators_audit_log};
use crate::scope::{self, TenantScope};

/// Who is behind a transaction.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The id of a user or a management key, or `operator`.
    pub actor: String,
    /// Which of the operator's tokens, for the operator's audit log.
    pub credential: Option<String>,
    /// From where.
    pub address: Option<IpAddr>,
    /// The request's trace id.
    pub trace_id: Option<String>,
}

impl Origin {
    /// Who runs the installation, at its own command line.
    pub fn operator() -> Self {
        Self {
            actor: "operator".to_owned(),
            ..Self::default()
        }
    }

    /// Tells the running transaction.
    ///
    /// # Errors
    /// When Postgres cannot be reached.
    pub fn enter(&self, conn: &mut PgConnection) -> Result<()> {
        scope::set_local(conn, "hookgate.actor", &self.actor)?;
        if let Some(credential) = &self.credential {
            scope::set_local(conn, "hookgate.credential", credential)?;
        }
        if let Some(address) = self.address {
            scope::set_local(conn, "hookgate.address", &address.to_string())?;
        }
        if let Some(trace_id) = &self.trace_id {
            scope::set_local(conn, "hookgate.trace_id", trace_id)?;
        }
        Ok(())
    }
}

/// A change, of a tenant's log or of the operator's.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit_log, check_for_backend(diesel::pg::Pg))]
pub struct Entry {
    /// Its id, which carries the time.
    #[diesel(deserialize_as = Uuid)]
    pub id: AuditEntryId,
    /// Who: the id of a user or a management key, `operator`, or nobody but the system. In the operator's own log the token that was
    /// used.
    pub actor: Option<String>,
    /// From where.
    pub address: Option<IpNet>,
    /// In which request.
    pub trace_id: Option<String>,
    /// What was done.
    pub action: String,
    /// To what kind of object.
    pub object_kind: String,
    /// To which.
    pub object_id: Uuid,
    /// What was before, as far as it differs.
    pub before: Option<Value>,
    /// What is now, as far as it differs.
    pub after: Option<Value>,
}

/// Which entries are wanted; `None` means any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this actor.
    pub actor: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// About this kind of object.
    pub object_kind: Option<String>,
    /// About this object.
    pub object_id: Option<Uuid>,
    /// At this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Before this moment.
    pub to: Option<DateTime<Utc>>,
}

/// A page of the tenant's entries.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &Filter,
    page: Page,
) -> Result<Found<Entry>> {
    let time = page::between(filter.from, filter.to);
    let indexed = |ids: Range<Uuid>| {
        let mut query = audit_log::table
            .filter(audit_log::tenant_id.eq(scope.uuid()))
            .filter(audit_log::id.ge(time.start.max(ids.start)))
            .filter(audit_log::id.lt(time.end.min(ids.end)))
            .order(audit_log::id.desc())
            .into_boxed();
        if let Some(id) = filter.object_id {
            query = query.filter(audit_log::object_id.eq(id));
        }
        query
    };
    let newest = |conn: &mut PgConnection, ids, most| {
        let mut query = indexed(ids).limit(most);
        if let Some(actor) = &filter.actor {
            query = query.filter(audit_log::actor.eq(actor.clone()));
        }
        if let Some(action) = &filter.action {
            query = query.filter(audit_log::action.eq(action.clone()));
        }
        if let Some(kind) = &filter.object_kind {
            query = query.filter(audit_log::object_kind.eq(kind.clone()));
        }
        Ok(query.select(Entry::as_select()).load(conn)?)
    };
    if filter.actor.is_none() && filter.action.is_none() && filter.object_kind.is_none() {
        return page.recent_first(conn, newest);
    }
    page.in_slices(
        conn,
        |conn, below, n| {
            let nth = indexed(Uuid::nil()..below).offset(n - 1).limit(1);
            Ok(nth.select(audit_log::id).first(conn).optional()?)
        },
        newest,
    )
}

/// A page of what the operator changed.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list_of_operator(conn: &mut PgConnection, filter: &Filter, page: Page) -> Result<Found<Entry>> {
    let time = page::between(filter.from, filter.to);
    let indexed = |ids: Range<Uuid>| {
        let mut query = operators_audit_log::table
            .filter(operators_audit_log::id.ge(time.start.max(ids.start)))
            .filter(operators_audit_log::id.lt(time.end.min(ids.end)))
            .order(operators_audit_log::id.desc())
            .into_boxed();
        if let Some(id) = filter.object_id {
            query = query.filter(operators_audit_log::object_id.eq(id));
        }
        query
    };
    page.in_slices(
        conn,
        |conn, below, n| {
            let nth = indexed(Uuid::nil()..below).offset(n - 1).limit(1);
            Ok(nth.select(operators_audit_log::id).first(conn).optional()?)
        },
        |conn, ids, most| {
            let mut query = indexed(ids).limit(most);
            if let Some(actor) = &filter.actor {
                query = query.filter(operators_audit_log::actor.eq(actor.clone()));
            }
            if let Some(action) = &filter.action {
                query = query.filter(operators_audit_log::action.eq(action.clone()));
            }
            if let Some(kind) = &filter.object_kind {
                query = query.filter(operators_audit_log::object_kind.eq(kind.clone()));
            }
            let columns = (
                operators_audit_log::id,
                operators_audit_log::actor,
                operators_audit_log::address,
                operators_audit_log::trace_id,
                operators_audit_log::action,
                operators_audit_log::object_kind,
                operators_audit_log::object_id,
                operators_audit_log::before,
                operators_audit_log::after,
            );
            Ok(query.select(columns).load(conn)?)
        },
    )
}

/// Deletes what the operator changed before a moment, and what is older than the newest entries, as the worker. Gives how many.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete_of_operator(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
    newest: i64,
    most: i64,
) -> Result<usize> {
    Ok(diesel::sql_query(
        "DELETE FROM operators_audit_log WHERE id IN (
           SELECT id FROM operators_audit_log
           WHERE id < $1 OR id <= (SELECT id FROM operators_audit_log ORDER BY id DESC OFFSET $2 LIMIT 1)
           LIMIT $3)",
    )
    .bind::<diesel::sql_types::Uuid, _>(page::floor(before))
    .bind::<diesel::sql_types::BigInt, _>(newest)
    .bind::<diesel::sql_types::BigInt, _>(most)
    .execute(conn)?)
}

/// Deletes entries of before a moment, over all tenants, as the worker. Gives how many.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete_older(conn: &mut PgConnection, before: DateTime<Utc>, most: i64) -> Result<usize> {
    Ok(diesel::sql_query(
        "DELETE FROM audit_log WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM audit_log WHERE id < $1 LIMIT $2)",
    )
    .bind::<diesel::sql_types::Uuid, _>(page::floor(before))
    .bind::<diesel::sql_types::BigInt, _>(most)
    .execute(conn)?)
}

/// Deletes a tenant's entries but the newest, at most so many. For the maintenance.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete_surplus(conn: &mut PgConnection, tenant: TenantId, newest: i64, most: i64) -> Result<usize> {
    Ok(diesel::sql_query(
        "DELETE FROM audit_log USING (
           SELECT tenant_id, id FROM audit_log WHERE tenant_id = $1 ORDER BY id DESC OFFSET $2 LIMIT $3) surplus
         WHERE audit_log.tenant_id = surplus.tenant_id AND audit_log.id = surplus.id",
    )
    .bind::<diesel::sql_types::Uuid, _>(tenant.uuid())
    .bind::<diesel::sql_types::BigInt, _>(newest)
    .bind::<diesel::sql_types::BigInt, _>(most)
    .execute(conn)?)
}
