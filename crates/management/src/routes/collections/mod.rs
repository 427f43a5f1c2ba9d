//! Collections: named sets of records, which flows write.

mod records;
mod view;

use actix_web::{delete, get, post, put};
use hookgate_domain::collections;
use hookgate_model::json_schema::JsonSchema;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::{CollectionView, RecordView};

use crate::auth::Guarded;
use crate::auth::permissions::{CollectionsRead, CollectionsWrite};
use crate::body::{Json, NoContent, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode, FieldError};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, Read, text, wrong};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

/// Characters of a collection's name.
const NAME_CHARACTERS: usize = 63;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(index)
        .service(read)
        .service(replace)
        .service(remove);
    records::register(config);
}

/// A collection to make.
#[derive(ToSchema)]
#[schema(example = json!({"name": "orders", "schema": {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}}}))]
pub struct NewCollection {
    /// A name, unique in the tenant: a-z, 0-9, `-` and `_`, beginning with a letter. It never changes.
    #[schema(pattern = "^[a-z][a-z0-9_-]{0,62}$")]
    name: String,
    /// What its records must fit: JSON Schema, draft 2020-12, whose references lead to places in itself. At most 64 KiB.
    #[schema(value_type = Value, required = false)]
    schema: Option<Value>,
}

impl FromFields for NewCollection {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", name);
        let schema = fields.optional("schema", schema);
        Some(Self {
            name: name?,
            schema: schema?,
        })
    }
}

fn name(value: Value) -> Read<String> {
    let name = text(1..=NAME_CHARACTERS)(value)?;
    let is_sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_sign) {
        return Ok(name);
    }
    wrong(
        FieldCode::Invalid,
        "must be of a-z, 0-9, `-` and `_`, and begin with a letter",
    )
}

fn schema(value: Value) -> Read<Value> {
    match JsonSchema::compile(&value) {
        Ok(_) => Ok(value),
        Err(misfit) => Err(vec![FieldError {
            pointer: misfit.pointer,
            code: FieldCode::Invalid,
            detail: misfit.detail,
        }]),
    }
}

/// Create a collection
///
/// A set of records that flows write and the API lists, with a JSON Schema if one is given.
#[utoipa::path(tag = "collections", operation_id = "createCollection",
    security(("bearer" = ["collections:write"])), request_body = NewCollection,
    responses((status = 201, description = "The collection", body = CollectionView),
        (status = 409, description = "name_taken, limit_reached")))]
#[post("/collections")]
async fn create(
    caller: Guarded<CollectionsWrite>,
    Json(new): Json<NewCollection>,
) -> ApiResult<Reply<CollectionView>> {
    let collection = caller
        .run(move |conn, scope| collections::create(conn, scope, &new.name, new.schema.as_ref()))
        .await?;
    let version = collection.version;
    Ok(Reply::created(CollectionView::from(collection)).version(version))
}

/// List collections
///
/// Each with its schema, newest first.
#[utoipa::path(tag = "collections", operation_id = "listCollections",
    security(("bearer" = ["collections:read"])), params(PagingParams),
    responses((status = 200, description = "A page of collections, newest first", body = Page<CollectionView>)))]
#[get("/collections")]
async fn index(caller: Guarded<CollectionsRead>, paging: Paging) -> ApiResult<Reply<Page<CollectionView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .run(move |conn, scope| collections::list(conn, scope, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |collection| collection.id.uuid(),
        CollectionView::from,
    )?))
}

/// Read a collection
///
/// With its schema, if it has one.
#[utoipa::path(tag = "collections", operation_id = "getCollection",
    security(("bearer" = ["collections:read"])),
    responses((status = 200, description = "The collection", body = CollectionView)))]
#[get("/collections/{name}")]
async fn read(
    caller: Guarded<CollectionsRead>,
    Path((name,)): Path<(String,)>,
) -> ApiResult<Reply<CollectionView>> {
    let collection = caller
        .run(move |conn, scope| collections::read(conn, scope, &name))
        .await?;
    let version = collection.version;
    Ok(Reply::ok(CollectionView::from(collection)).version(version))
}

/// What can be changed of a collection.
#[derive(ToSchema)]
#[schema(as = CollectionSettings, example = json!({"schema": null}))]
pub struct SettingsBody {
    /// What its records must fit; null for anything.
    #[schema(value_type = Value, required = false)]
    schema: Option<Value>,
}

impl FromFields for SettingsBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let schema = fields.optional("schema", schema);
        Some(Self { schema: schema? })
    }
}

/// Replace the schema of a collection
///
/// Records that are there stay as they are; what is written from now on must fit.
#[utoipa::path(tag = "collections", operation_id = "replaceCollection",
    security(("bearer" = ["collections:write"])), request_body = SettingsBody,
    responses((status = 200, description = "The collection as it is now", body = CollectionView),
        (status = 412, description = "precondition_failed")))]
#[put("/collections/{name}")]
async fn replace(
    caller: Guarded<CollectionsWrite>,
    Path((name,)): Path<(String,)>,
    if_match: IfMatch,
    Json(settings): Json<SettingsBody>,
) -> ApiResult<Reply<CollectionView>> {
    let collection = caller
        .run(move |conn, scope| {
            let current = collections::read_for_change(conn, scope, &name)?;
            if_match.check(current.version)?;
            Ok::<_, ApiError>(collections::set_schema(
                conn,
                scope,
                current.id,
                settings.schema.as_ref(),
            )?)
        })
        .await?;
    let version = collection.version;
    Ok(Reply::ok(CollectionView::from(collection)).version(version))
}

/// Delete a collection
///
/// This is final, and deletes all its records. A collection that the draft or the published revision of a webhook writes to
/// cannot be deleted.
#[utoipa::path(tag = "collections", operation_id = "deleteCollection",
    security(("bearer" = ["collections:write"])),
    responses((status = 204, description = "It is gone"), (status = 409, description = "in_use"),
        (status = 412, description = "precondition_failed")))]
#[delete("/collections/{name}")]
async fn remove(
    caller: Guarded<CollectionsWrite>,
    Path((name,)): Path<(String,)>,
    if_match: IfMatch,
) -> ApiResult<NoContent> {
    caller
        .run(move |conn, scope| {
            let collection = collections::read_for_change(conn, scope, &name)?;
            if_match.check(collection.version)?;
            let webhooks: Vec<String> = collections::used_by(conn, scope, &name)?
                .iter()
                .map(ToString::to_string)
                .collect();
            if !webhooks.is_empty() {
                let detail = format!(
                    "it is written by the draft or the published revision of {}",
                    webhooks.join(", ")
                );
                return Err(ApiError::new(ErrorCode::InUse, detail));
            }
            collections::delete(conn, scope, collection.id)?;
            Ok(NoContent)
        })
        .await
}
