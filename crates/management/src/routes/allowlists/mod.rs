//! Allowlists: which addresses may send.

mod view;

use actix_web::{delete, get, patch, post};
use hookgate_domain::allowlists::{self, NewEntry};
use hookgate_domain::database::PgConnection;
use hookgate_domain::limits;
use hookgate_domain::redis::changes::Change;
use hookgate_domain::scope::TenantScope;
use hookgate_model::cidr;
use hookgate_model::ids::{AllowlistEntryId, AllowlistId};
use ipnet::IpNet;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::{AllowlistView, EntryView};

use crate::auth::Guarded;
use crate::auth::permissions::{AllowlistsRead, AllowlistsWrite};
use crate::body::{Json, NoContent, Patch, Reply};
use crate::changes::change;
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, Read, list, object, text, wrong};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

/// The most networks with which an allowlist can be made; more are added afterwards.
const FIRST_ENTRIES: usize = 1_000;

type AllowlistPatch = Patch<AllowlistSettings>;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(index)
        .service(read)
        .service(update)
        .service(remove)
        .service(add_entry)
        .service(list_entries)
        .service(remove_entry);
}

/// An allowlist to make.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"name": "the shop's data centres", "entries": [{"network": "203.0.113.0/24", "note": "Frankfurt"}]}))]
pub struct NewAllowlist {
    /// A name, unique in the tenant.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Its first networks.
    #[schema(required = false, max_items = 1_000)]
    entries: Vec<NewAllowlistEntry>,
}

impl FromFields for NewAllowlist {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        let entries = fields.or("entries", Vec::new(), list(0..=FIRST_ENTRIES, object));
        Some(Self {
            name: name?,
            entries: entries?,
        })
    }
}

/// A network to add to an allowlist.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"network": "203.0.113.0/24", "note": "Frankfurt"}))]
pub struct NewAllowlistEntry {
    /// A network in CIDR form, or one address; IPv4 or IPv6.
    #[schema(value_type = String)]
    network: IpNet,
    /// Why it is there.
    #[schema(required = false, max_length = 500)]
    note: String,
}

impl FromFields for NewAllowlistEntry {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let network = fields.required("network", network);
        let note = fields.or("note", String::new(), text(0..=limits::NOTE_CHARACTERS));
        Some(Self {
            network: network?,
            note: note?,
        })
    }
}

fn network(value: Value) -> Read<IpNet> {
    let written = text(1..=100)(value)?;
    cidr::parse(&written).or_else(|error| wrong(FieldCode::Invalid, error.to_string()))
}

impl From<NewAllowlistEntry> for NewEntry {
    fn from(new: NewAllowlistEntry) -> Self {
        Self {
            network: new.network,
            note: new.note,
        }
    }
}

/// Create an allowlist
///
/// It counts for the webhooks that name it in `allowlists`.
#[utoipa::path(tag = "allowlists", operation_id = "createAllowlist", security(("bearer" = ["allowlists:write"])),
    request_body = NewAllowlist,
    responses((status = 201, description = "The allowlist", body = AllowlistView),
        (status = 409, description = "name_taken, already_exists, limit_reached")))]
#[post("/allowlists")]
async fn create(
    caller: Guarded<AllowlistsWrite>,
    Json(new): Json<NewAllowlist>,
) -> ApiResult<Reply<AllowlistView>> {
    let entries: Vec<NewEntry> = new.entries.into_iter().map(NewEntry::from).collect();
    let name = new.name;
    let allowlist = caller
        .run(move |conn, scope| allowlists::create(conn, scope, &name, &entries))
        .await?;
    let version = allowlist.version;
    Ok(Reply::created(AllowlistView::from(allowlist)).version(version))
}

/// List allowlists
///
/// Each with the number of its networks, newest first.
#[utoipa::path(tag = "allowlists", operation_id = "listAllowlists", security(("bearer" = ["allowlists:read"])),
    params(PagingParams),
    responses((status = 200, description = "A page of allowlists, newest first", body = Page<AllowlistView>)))]
#[get("/allowlists")]
async fn index(caller: Guarded<AllowlistsRead>, paging: Paging) -> ApiResult<Reply<Page<AllowlistView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .run(move |conn, scope| allowlists::list(conn, scope, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |allowlist| allowlist.id.uuid(),
        AllowlistView::from,
    )?))
}

/// Read an allowlist
///
/// Its name and the number of its networks; `listAllowlistEntries` has the networks.
#[utoipa::path(tag = "allowlists", operation_id = "getAllowlist", security(("bearer" = ["allowlists:read"])),
    responses((status = 200, description = "The allowlist", body = AllowlistView)))]
#[get("/allowlists/{id}")]
async fn read(
    caller: Guarded<AllowlistsRead>,
    Path((id,)): Path<(AllowlistId,)>,
) -> ApiResult<Reply<AllowlistView>> {
    let allowlist = caller
        .run(move |conn, scope| allowlists::read(conn, scope, id))
        .await?;
    let version = allowlist.version;
    Ok(Reply::ok(AllowlistView::from(allowlist)).version(version))
}

/// What can be changed of an allowlist itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"name": "the shop's data centres"}))]
pub struct AllowlistSettings {
    /// A name, unique in the tenant.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

impl FromFields for AllowlistSettings {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        Some(Self { name: name? })
    }
}

/// Rename an allowlist
///
/// Its networks stay as they are.
#[utoipa::path(tag = "allowlists", operation_id = "updateAllowlist", security(("bearer" = ["allowlists:write"])),
    request_body(content = AllowlistPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The allowlist as it is now", body = AllowlistView),
        (status = 409, description = "name_taken")))]
#[patch("/allowlists/{id}")]
async fn update(
    caller: Guarded<AllowlistsWrite>,
    Path((id,)): Path<(AllowlistId,)>,
    if_match: IfMatch,
    patch: AllowlistPatch,
) -> ApiResult<Reply<AllowlistView>> {
    let allowlist = caller
        .run(move |conn, scope| {
            let current = allowlists::read_for_change(conn, scope, id)?;
            if_match.check(current.version)?;
            let settings = patch.apply(&AllowlistSettings { name: current.name })?;
            Ok::<_, ApiError>(allowlists::rename(conn, scope, id, &settings.name)?)
        })
        .await?;
    let version = allowlist.version;
    Ok(Reply::ok(AllowlistView::from(allowlist)).version(version))
}

/// Delete an allowlist
///
/// This is final. Its entries go with it. An allowlist that is attached to a webhook cannot be deleted: the webhook would
/// take requests from everywhere.
#[utoipa::path(tag = "allowlists", operation_id = "deleteAllowlist", security(("bearer" = ["allowlists:write"])),
    responses((status = 204, description = "It is gone"), (status = 409, description = "in_use"),
        (status = 412, description = "precondition_failed")))]
#[delete("/allowlists/{id}")]
async fn remove(
    caller: Guarded<AllowlistsWrite>,
    Path((id,)): Path<(AllowlistId,)>,
    if_match: IfMatch,
) -> ApiResult<NoContent> {
    caller
        .run(move |conn, scope| {
            if_match.check(allowlists::read_for_change(conn, scope, id)?.version)?;
            let webhooks: Vec<String> = allowlists::attached_to(conn, scope, id)?
                .iter()
                .map(ToString::to_string)
                .collect();
            if !webhooks.is_empty() {
                let detail = format!("detach it first: it is attached to {}", webhooks.join(", "));
                return Err(ApiError::new(ErrorCode::InUse, detail));
            }
            allowlists::delete(conn, scope, id)?;
            Ok(NoContent)
        })
        .await
}

/// Add a network to an allowlist
///
/// It counts at once for every webhook that the list is attached to.
#[utoipa::path(tag = "allowlists", operation_id = "addAllowlistEntry", security(("bearer" = ["allowlists:write"])),
    request_body = NewAllowlistEntry,
    responses((status = 201, description = "The entry", body = EntryView),
        (status = 409, description = "already_exists, limit_reached")))]
#[post("/allowlists/{id}/entries")]
async fn add_entry(
    caller: Guarded<AllowlistsWrite>,
    Path((id,)): Path<(AllowlistId,)>,
    Json(new): Json<NewAllowlistEntry>,
) -> ApiResult<Reply<EntryView>> {
    let new = NewEntry::from(new);
    let entry = change(&caller, move |conn, scope| {
        Ok((
            allowlists::add_entry(conn, scope, id, &new)?,
            changed(conn, scope, id)?,
        ))
    })
    .await?;
    Ok(Reply::created(entry.into()))
}

/// List the networks of an allowlist
///
/// Each with its note, newest first.
#[utoipa::path(tag = "allowlists", operation_id = "listAllowlistEntries",
    security(("bearer" = ["allowlists:read"])), params(PagingParams),
    responses((status = 200, description = "A page of entries, newest first", body = Page<EntryView>)))]
#[get("/allowlists/{id}/entries")]
async fn list_entries(
    caller: Guarded<AllowlistsRead>,
    Path((id,)): Path<(AllowlistId,)>,
    paging: Paging,
) -> ApiResult<Reply<Page<EntryView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .run(move |conn, scope| allowlists::list_entries(conn, scope, id, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |entry| entry.id.uuid(),
        EntryView::from,
    )?))
}

/// Remove a network from an allowlist
///
/// When it was the last one, the webhooks that have only this allowlist take no requests any more.
#[utoipa::path(tag = "allowlists", operation_id = "removeAllowlistEntry",
    security(("bearer" = ["allowlists:write"])),
    responses((status = 204, description = "It is gone")))]
#[delete("/allowlists/{id}/entries/{entry_id}")]
async fn remove_entry(
    caller: Guarded<AllowlistsWrite>,
    Path((id, entry)): Path<(AllowlistId, AllowlistEntryId)>,
) -> ApiResult<NoContent> {
    change(&caller, move |conn, scope| {
        allowlists::remove_entry(conn, scope, id, entry)?;
        Ok((NoContent, changed(conn, scope, id)?))
    })
    .await
}

/// The webhooks for which a change of an allowlist's entries counts.
fn changed(conn: &mut PgConnection, scope: &TenantScope, id: AllowlistId) -> ApiResult<Vec<Change>> {
    let webhooks = allowlists::attached_to(conn, scope, id)?;
    Ok(webhooks.into_iter().map(Change::Webhook).collect())
}
