//! The operator's audit log: what was changed under `/admin/v1` and at the command line.

use actix_web::get;
use chrono::{DateTime, Utc};
use hookgate_domain::audit::{self, Entry};
use hookgate_model::ids::AuditEntryId;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::admin::Operator;
use crate::body::Reply;
use crate::error::ApiResult;
use crate::page::{Page, Paging, PagingParams};
use crate::request_view::address;
use crate::routes::audit_log::{Wanted, prefix, row, with_prefix};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(index);
}

/// Which entries a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
struct Filters {
    /// With this token, or at the command line of the `operator`.
    #[param(max_length = 50, example = "token_3f9a1c22")]
    actor: Option<String>,
    /// `created`, `changed` or `deleted`.
    #[param(max_length = 50, example = "changed")]
    action: Option<String>,
    /// About this kind of object: `plan`, `tenant` or `second_factor`.
    #[param(max_length = 50, example = "plan")]
    object_kind: Option<String>,
    /// About this object, by its id.
    #[param(max_length = 50, example = "pln_01k9z3v8e5f2q8r7w6t5y4x3m2")]
    object: Option<String>,
    /// At this moment or later.
    from: Option<DateTime<Utc>>,
    /// Before this moment.
    to: Option<DateTime<Utc>>,
}

/// What the operator changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "aud_01k9z3v8e5f2q8r7w6t5y4x3m2", "at": "2026-11-21T12:00:00Z",
    "actor": "token_3f9a1c22", "address": "203.0.113.7", "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "action": "changed", "object_kind": "plan", "object": "pln_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "before": {"name": "Small"}, "after": {"name": "Business"}}))]
struct OperatorsAuditEntry {
    id: AuditEntryId,
    /// When.
    at: DateTime<Utc>,
    /// With which of `admin.tokens`: `token_` and the first eight hexadecimal digits of its SHA-256. `operator` for the command line,
    /// null for whoever changed the database itself.
    #[schema(example = "token_3f9a1c22")]
    actor: Option<String>,
    /// From where.
    #[schema(example = "203.0.113.7")]
    address: Option<String>,
    /// The trace id of the request. What one request changed has the same.
    #[schema(example = "0af7651916cd43dd8448eb211c80319c")]
    trace_id: Option<String>,
    /// `created`, `changed` or `deleted`.
    #[schema(example = "changed")]
    action: String,
    /// What kind of object it was done to: `plan`, `tenant`, or `second_factor`.
    #[schema(example = "plan")]
    object_kind: String,
    /// To which; of a second factor, the person.
    #[schema(example = "pln_01k9z3v8e5f2q8r7w6t5y4x3m2")]
    object: String,
    /// What was before: of a change the fields that differ.
    #[schema(value_type = Option<Object>)]
    before: Option<Map<String, Value>>,
    /// What is since: of a change the fields that differ.
    #[schema(value_type = Option<Object>)]
    after: Option<Map<String, Value>>,
}

impl From<Entry> for OperatorsAuditEntry {
    fn from(entry: Entry) -> Self {
        let prefix = prefix(&entry.object_kind);
        Self {
            at: entry.id.created_at(),
            id: entry.id,
            actor: entry.actor,
            address: entry.address.map(address),
            trace_id: entry.trace_id,
            action: entry.action,
            object: with_prefix(prefix, entry.object_id),
            object_kind: entry.object_kind,
            before: row(entry.before, prefix),
            after: row(entry.after, prefix),
        }
    }
}

/// List what the operator changed
///
/// Plans that were made, changed and deleted, second factors that were removed, and tenants' plans, limits, suspensions and deletions,
/// which stand in the tenant's audit log, too, until it is erased. With the token that was used, from where, and what was before and
/// after. Entries are written in the transaction of the change, and nobody can change them.
#[utoipa::path(tag = "audit log", operation_id = "listAuditEntries", security(("operator" = [])), params(Filters, PagingParams),
    responses((status = 200, description = "A page of entries, newest first", body = Page<OperatorsAuditEntry>)))]
#[get("/audit-log")]
async fn index(operator: Operator, paging: Paging<Wanted>) -> ApiResult<Reply<Page<OperatorsAuditEntry>>> {
    let window = paging.window_of_operator(operator.state())?;
    let rows = window.rows();
    let Wanted(filter) = paging.filters;
    let found = operator
        .run(move |conn| audit::list_of_operator(conn, &filter, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |entry| entry.id.uuid(),
        OperatorsAuditEntry::from,
    )?))
}
