//! The records of a collection.

use actix_web::{delete, get, put};
use hookgate_domain::records::{self, RecordFilter};
use hookgate_domain::{Error, collections};
use hookgate_model::flow::step::record::check_key;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::RecordView;
use crate::auth::Guarded;
use crate::auth::permissions::{CollectionsRead, CollectionsWrite};
use crate::body::{Json, NoContent, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode, FieldError};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, Read, text, wrong};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

/// The most fields that a filter may name.
const FILTER_FIELDS: usize = 10;
/// The most characters of a filter.
const FILTER_CHARACTERS: usize = 2_000;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(index).service(read).service(write).service(remove);
}

/// The query parameters of the list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
struct FilterParams {
    /// Only records that hold these fields with these values: a JSON object of at most 10 texts, numbers, booleans and
    /// nulls.
    #[param(example = "{\"status\": \"paid\"}", max_length = 2000)]
    filter: Option<String>,
}

struct Filters(RecordFilter);

impl FromFields for Filters {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let filter = fields.optional("filter", filter);
        Some(Self(RecordFilter {
            fields: filter?.unwrap_or_default(),
        }))
    }
}

fn filter(value: Value) -> Read<Map<String, Value>> {
    let text = text(1..=FILTER_CHARACTERS)(value)?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(fields)) if fields.len() <= FILTER_FIELDS && fields.values().all(is_scalar) => {
            Ok(fields)
        }
        _ => wrong(
            FieldCode::Invalid,
            format!("must be a JSON object of at most {FILTER_FIELDS} texts, numbers, booleans and nulls"),
        ),
    }
}

/// Also no text with NUL, which no record holds.
fn is_scalar(value: &Value) -> bool {
    match value {
        Value::Object(_) | Value::Array(_) => false,
        Value::String(text) => !text.contains('\0'),
        _ => true,
    }
}

/// List the records of a collection
///
/// With a filter, a large collection is read until the page is full.
#[utoipa::path(tag = "collections", operation_id = "listRecords",
    security(("bearer" = ["collections:read"])), params(PagingParams, FilterParams),
    responses((status = 200, description = "A page of records, newest first", body = Page<RecordView>)))]
#[get("/collections/{name}/records")]
async fn index(
    caller: Guarded<CollectionsRead>,
    Path((name,)): Path<(String,)>,
    paging: Paging<Filters>,
) -> ApiResult<Reply<Page<RecordView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let filter = paging.filters.0;
    let found = caller
        .run(move |conn, scope| {
            let collection = collections::read(conn, scope, &name)?;
            records::list(conn, scope, collection.id, &filter, rows)
        })
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |record| record.id.uuid(),
        RecordView::from,
    )?))
}

/// Read a record
///
/// By its key, as it is now.
#[utoipa::path(tag = "collections", operation_id = "getRecord",
    security(("bearer" = ["collections:read"])),
    responses((status = 200, description = "The record", body = RecordView)))]
#[get("/collections/{name}/records/{key}")]
async fn read(
    caller: Guarded<CollectionsRead>,
    Path((name, key)): Path<(String, String)>,
) -> ApiResult<Reply<RecordView>> {
    // What no record can have is in none.
    check_key(&key).map_err(|_| ApiError::not_found())?;
    let record = caller
        .run(move |conn, scope| {
            let collection = collections::read(conn, scope, &name)?;
            records::read(conn, scope, collection.id, &key)
        })
        .await?;
    let version = record.version;
    Ok(Reply::ok(RecordView::from(record)).version(version))
}

/// What a record is to hold.
#[derive(ToSchema)]
#[schema(example = json!({"data": {"total": 12.5}}))]
pub struct NewRecord {
    /// An object that fits the collection's schema.
    #[schema(value_type = Object)]
    data: Value,
}

impl FromFields for NewRecord {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let data = fields.required("data", object);
        Some(Self { data: data? })
    }
}

fn object(value: Value) -> Read<Value> {
    if value.is_object() {
        Ok(value)
    } else {
        wrong(FieldCode::WrongType, "must be an object")
    }
}

/// Write a record
///
/// It is made, or what it holds is replaced as a whole.
#[utoipa::path(tag = "collections", operation_id = "putRecord",
    security(("bearer" = ["collections:write"])), request_body = NewRecord,
    responses((status = 200, description = "The record as it is now", body = RecordView),
        (status = 409, description = "limit_reached"), (status = 412, description = "precondition_failed")))]
#[put("/collections/{name}/records/{key}")]
async fn write(
    caller: Guarded<CollectionsWrite>,
    Path((name, key)): Path<(String, String)>,
    if_match: IfMatch,
    Json(new): Json<NewRecord>,
) -> ApiResult<Reply<RecordView>> {
    check_key(&key).map_err(|detail| ApiError::new(ErrorCode::InvalidRequest, detail))?;
    let limits = caller.state().settings.collections;
    let record = caller
        .run(move |conn, scope| {
            let collection = collections::read(conn, scope, &name)?;
            let existing = records::find_for_change(conn, scope, collection.id, &key)?;
            // One that is not there has no version that could be meant.
            if_match.check(existing.as_ref().map_or(0, |record| record.version))?;
            let faults = records::faults(&collection, &new.data, limits)?;
            if !faults.is_empty() {
                let faults = faults.into_iter().map(|fault| FieldError {
                    pointer: format!("/data{}", fault.pointer),
                    code: FieldCode::Invalid,
                    detail: fault.detail,
                });
                return Err(ApiError::fields(faults.collect()));
            }
            if existing.is_none() && records::is_full(conn, scope, collection.id, limits)? {
                return Err(ApiError::from(Error::LimitReached {
                    what: "records of a collection",
                    most: limits.records.into(),
                }));
            }
            let (record, _) = records::put(conn, scope, collection.id, &key, &new.data)?;
            Ok(record)
        })
        .await?;
    let version = record.version;
    Ok(Reply::ok(RecordView::from(record)).version(version))
}

/// Delete a record
///
/// This is final.
#[utoipa::path(tag = "collections", operation_id = "deleteRecord",
    security(("bearer" = ["collections:write"])),
    responses((status = 204, description = "It is gone"), (status = 412, description = "precondition_failed")))]
#[delete("/collections/{name}/records/{key}")]
async fn remove(
    caller: Guarded<CollectionsWrite>,
    Path((name, key)): Path<(String, String)>,
    if_match: IfMatch,
) -> ApiResult<NoContent> {
    check_key(&key).map_err(|_| ApiError::not_found())?;
    caller
        .run(move |conn, scope| {
            let collection = collections::read(conn, scope, &name)?;
            let existing = records::find_for_change(conn, scope, collection.id, &key)?;
            let existing = existing.ok_or(Error::NotFound)?;
            if_match.check(existing.version)?;
            records::delete(conn, scope, collection.id, &key)?;
            Ok::<_, ApiError>(NoContent)
        })
        .await
}
