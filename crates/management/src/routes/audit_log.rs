//! The audit log: who changed what.

use actix_web::{HttpResponse, get};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use hookgate_domain::audit::{self, Entry, Filter};
use hookgate_domain::page::Page as Rows;
use hookgate_model::base32;
use hookgate_model::ids::AuditEntryId;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::auth::permissions::{AuditRead, Demand};
use crate::auth::{Caller, Guarded};
use crate::body::Reply;
use crate::error::ApiResult;
use crate::fields::{Fields, FromFields, Read, parsed, text, time};
use crate::json_lines::{self, Export};
use crate::page::{Page, Paging, PagingParams};
use crate::query::Query;
use crate::request_view::address;

/// Entries that an export reads together.
const TOGETHER: i64 = 500;
/// The longest kind, action or actor.
const NAME: usize = 50;

/// Kinds of objects, and the prefix of their ids.
const KINDS: [(&str, &str); 22] = [
    ("tenant", "tnt"),
    ("membership", "usr"),
    ("invitation", "inv"),
    ("management_key", "mgk"),
    ("webhook", "whk"),
    ("capture", "whk"),
    ("revision", "rev"),
    ("url", "url"),
    ("url_token", "url"),
    ("api_key", "key"),
    ("allowlist", "alw"),
    ("allowlist_entry", "ale"),
    ("webhook_allowlist", "alw"),
    ("destination", "dst"),
    ("destination_pause", "dst"),
    ("notification_settings", "tnt"),
    ("secret", "sec"),
    ("collection", "col"),
    ("replay", "rpl"),
    ("public_api_link", "pal"),
    // In the operator's log.
    ("plan", "pln"),
    ("second_factor", "usr"),
];

/// Kinds that are not audited, likewise.
const DATA_KINDS: [(&str, &str); 9] = [
    ("record", "rec"),
    ("session", "whk"),
    ("drift", "whk"),
    ("sample", "smp"),
    ("event", "evt"),
    ("refusal", "ref"),
    ("run", "run"),
    ("attempt", "att"),
    ("audit_log", "aud"),
];

/// Columns that name other objects, and the prefix of their ids.
const REFERENCES: [(&str, &str); 15] = [
    ("user_id", "usr"),
    ("invited_by", "usr"),
    ("revision_id", "rev"),
    ("event_id", "evt"),
    ("run_id", "run"),
    ("webhook_id", "whk"),
    ("draft_revision_id", "rev"),
    ("published_revision_id", "rev"),
    ("url_id", "url"),
    ("allowlist_id", "alw"),
    ("destination_id", "dst"),
    ("secret_id", "sec"),
    ("collection_id", "col"),
    ("replay_id", "rpl"),
    ("plan_id", "pln"),
];

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(index).service(export);
}

/// Which entries a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
struct Filters {
    /// Of this user or management key, or of the `operator`.
    #[param(max_length = 50, example = "usr_01k9z3v8e5f2q8r7w6t5y4x3m2")]
    actor: Option<String>,
    /// `created`, `changed` or `deleted`.
    #[param(max_length = 50, example = "changed")]
    action: Option<String>,
    /// About this kind of object.
    #[param(max_length = 50, example = "webhook")]
    object_kind: Option<String>,
    /// About this object, by its id.
    #[param(max_length = 50, example = "whk_01k9z3v8e5f2q8r7w6t5y4x3m2")]
    object: Option<String>,
    /// At this moment or later.
    from: Option<DateTime<Utc>>,
    /// Before this moment.
    to: Option<DateTime<Utc>>,
}

/// What they ask of the log.
pub(super) struct Wanted(pub Filter);

impl FromFields for Wanted {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let actor = fields.optional("actor", text(1..=NAME));
        let action = fields.optional("action", text(1..=NAME));
        let object_kind = fields.optional("object_kind", text(1..=NAME));
        let object_id = fields.optional("object", any_id);
        let from = fields.optional("from", time);
        let to = fields.optional("to", time);
        Some(Self(Filter {
            actor: actor?,
            action: action?,
            object_kind: object_kind?,
            object_id: object_id?,
            from: from?,
            to: to?,
        }))
    }
}

/// Reads an id of whatever kind.
fn any_id(value: Value) -> Read<Uuid> {
    parsed::<AnyId>(value).map(|AnyId(id)| id)
}

struct AnyId(Uuid);

#[derive(Debug, thiserror::Error)]
#[error("expected the id of an object, such as whk_01k9z3v8e5f2q8r7w6t5y4x3m2")]
struct InvalidId;

impl std::str::FromStr for AnyId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bits = text
            .split_once('_')
            .and_then(|(_, id)| base32::decode(id.as_bytes()));
        bits.map(|bits| Self(Uuid::from_u128(bits))).ok_or(InvalidId)
    }
}

/// What was done to a tenant's configuration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "aud_01k9z3v8e5f2q8r7w6t5y4x3m2", "at": "2026-11-21T12:00:00Z",
    "actor": "usr_01k9z3v8e5f2q8r7w6t5y4x3m2", "address": "203.0.113.7", "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "action": "changed", "object_kind": "webhook", "object": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "before": {"status": "active"}, "after": {"status": "paused"}}))]
struct AuditEntry {
    id: AuditEntryId,
    /// When.
    at: DateTime<Utc>,
    /// Who: a user or management key, or the `operator` of the installation; null for the system itself.
    #[schema(example = "usr_01k9z3v8e5f2q8r7w6t5y4x3m2")]
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
    /// What kind of object it was done to, such as `webhook`, `url_token` (a rotation) or `membership`.
    #[schema(example = "webhook")]
    object_kind: String,
    /// To which.
    #[schema(example = "whk_01k9z3v8e5f2q8r7w6t5y4x3m2")]
    object: String,
    /// What was before: of a change the fields that differ. Secrets are `[secret]`.
    #[schema(value_type = Option<Object>)]
    before: Option<Map<String, Value>>,
    /// What is since: of a change the fields that differ. Secrets that differ are `[changed]`.
    #[schema(value_type = Option<Object>)]
    after: Option<Map<String, Value>>,
}

impl From<Entry> for AuditEntry {
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

/// The kind of the objects of a table, and the prefix of their ids; those that are not audited included.
pub(super) fn kind_of_table(table: &str) -> (&'static str, &'static str) {
    let singular = match table {
        "memberships" => "membership",
        "notification_settings" | "drift" | "audit_log" => table,
        "allowlist_entries" => "allowlist_entry",
        _ => table.strip_suffix("s").unwrap_or(table),
    };
    let known = KINDS
        .iter()
        .chain(&DATA_KINDS)
        .find(|(kind, _)| *kind == singular);
    known.copied().unwrap_or(("object", "obj"))
}

/// The prefix of the ids of a kind that is audited.
pub(super) fn prefix(kind: &str) -> &'static str {
    let known = KINDS.iter().find(|(known, _)| *known == kind);
    known.map_or("obj", |(_, prefix)| prefix)
}

pub(super) fn with_prefix(prefix: &str, id: Uuid) -> String {
    format!("{prefix}_{}", base32::to_string(id.as_u128()))
}

/// A row as the API shows it: with the ids that the API has.
pub(super) fn row(row: Option<Value>, prefix: &str) -> Option<Map<String, Value>> {
    let Some(Value::Object(mut row)) = row else {
        return None;
    };
    for (name, value) in &mut row {
        let reference = REFERENCES.iter().find(|(column, _)| column == name);
        let prefix = match reference {
            Some((_, prefix)) => prefix,
            None if name == "id" => prefix,
            None => continue,
        };
        if let Some(id) = value.as_str().and_then(|text| text.parse().ok()) {
            *value = with_prefix(prefix, id).into();
        }
    }
    Some(row)
}

/// List what was changed
///
/// Every change of the tenant's configuration, with who made it, from where, and what was before and after, without secrets.
/// Entries are written in the transaction of the change, and nobody can change them. What flows and senders write (events,
/// records, sessions, samples) is not in it.
#[utoipa::path(tag = "audit log", operation_id = "listAuditEntries", security(("bearer" = ["audit:read"])),
    params(Filters, PagingParams),
    responses((status = 200, description = "A page of entries, newest first", body = Page<AuditEntry>)))]
#[get("/audit-log")]
async fn index(caller: Guarded<AuditRead>, paging: Paging<Wanted>) -> ApiResult<Reply<Page<AuditEntry>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let Wanted(filter) = paging.filters;
    let found = caller
        .run(move |conn, scope| audit::list(conn, scope, &filter, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |entry| entry.id.uuid(),
        AuditEntry::from,
    )?))
}

/// Export what was changed
///
/// The same entries, all that the filters find, as JSON Lines: one entry on each line, newest first.
#[utoipa::path(tag = "audit log", operation_id = "exportAuditEntries", security(("bearer" = ["audit:read"])),
    params(Filters),
    responses((status = 200, description = "The entries", body = String, content_type = "application/jsonl",
        example = json!("{\"id\":\"aud_01k9z3v8e5f2q8r7w6t5y4x3m2\",\"action\":\"changed\",\"object_kind\":\"webhook\"}\n")),
        (status = 429, description = "too_many_requests")))]
#[get("/audit-log/export")]
async fn export(caller: Guarded<AuditRead>, Query(Wanted(filter)): Query<Wanted>) -> ApiResult<HttpResponse> {
    let export = AuditExport { filter, before: None };
    json_lines::answer((*caller).clone(), AuditRead::PERMISSION, export).await
}

/// Where an export is.
struct AuditExport {
    filter: Filter,
    before: Option<Uuid>,
}

impl Export for AuditExport {
    async fn next(mut self, caller: &Caller) -> ApiResult<(Bytes, Option<Self>)> {
        let (filter, before) = (self.filter.clone(), self.before);
        let page = Rows {
            before,
            limit: TOGETHER,
            effort: caller.state().settings.effort(),
        };
        let found = caller
            .run(move |conn, scope| audit::list(conn, scope, &filter, page))
            .await?;
        let is_full = i64::try_from(found.rows.len()).unwrap_or(i64::MAX) >= TOGETHER;
        let last = found.rows.last().filter(|_| is_full);
        self.before = last.map(|entry| entry.id.uuid()).or(found.seen_to);
        let lines = json_lines::lines(found.rows.into_iter().map(AuditEntry::from))?;
        Ok((lines, self.before.is_some().then_some(self)))
    }
}
