//! Records: the rows of collections, each with a key and an object. The management API and the flows write them alike.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use hookgate_model::flow::definition::RecordOperation;
use hookgate_model::flow::step::record::{RecordChange, RecordOutcome, RecordWrite, RecordWritten};
use hookgate_model::ids::{CollectionId, RecordId};
use hookgate_model::json_schema::Misfit;
use hookgate_model::limits::CollectionLimits;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock;
use crate::collections::{self, Collection};
use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::records;
use crate::scope::TenantScope;

/// A record as it is stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = records, check_for_backend(diesel::pg::Pg))]
pub struct Record {
    /// Its id.
    #[diesel(deserialize_as = Uuid)]
    pub id: RecordId,
    /// Its key, unique in the collection.
    pub key: String,
    /// What it holds: an object.
    pub data: Value,
    /// Counts the changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Which records are wanted.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    /// Those that hold these fields with these values.
    pub fields: Map<String, Value>,
}

/// A page of a collection's records.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    collection: CollectionId,
    filter: &RecordFilter,
    page: Page,
) -> Result<Vec<Record>> {
    let mut query = records::table
        .filter(records::tenant_id.eq(scope.uuid()))
        .filter(records::collection_id.eq(collection.uuid()))
        .filter(records::id.lt(page.below()))
        .order(records::id.desc())
        .limit(page.limit)
        .select(Record::as_select())
        .into_boxed();
    if !filter.fields.is_empty() {
        query = query.filter(records::data.contains(Value::Object(filter.fields.clone())));
    }
    Ok(query.load(conn)?)
}

/// One record.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read(
    conn: &mut PgConnection,
    scope: &TenantScope,
    collection: CollectionId,
    key: &str,
) -> Result<Record> {
    Ok(records::table
        .filter(records::tenant_id.eq(scope.uuid()))
        .filter(records::collection_id.eq(collection.uuid()))
        .filter(records::key.eq(key))
        .select(Record::as_select())
        .first(conn)?)
}

/// One record, which nobody else changes until the transaction ends; `None` when there is none.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn find_for_change(
    conn: &mut PgConnection,
    scope: &TenantScope,
    collection: CollectionId,
    key: &str,
) -> Result<Option<Record>> {
    Ok(records::table
        .filter(records::tenant_id.eq(scope.uuid()))
        .filter(records::collection_id.eq(collection.uuid()))
        .filter(records::key.eq(key))
        .select(Record::as_select())
        .for_update()
        .first(conn)
        .optional()?)
}

/// Writes what a flow decided.
///
/// # Errors
/// When Postgres cannot be reached; what the tenant can change is a [`RecordOutcome::Refused`].
pub fn write(
    conn: &mut PgConnection,
    scope: &TenantScope,
    write: &RecordWrite,
    limits: CollectionLimits,
) -> Result<RecordOutcome> {
    let refused = |detail: String| Ok(RecordOutcome::Refused(detail));
    let key = write.key.as_str();
    let collection = match collections::read(conn, scope, &write.collection) {
        Err(Error::NotFound) => return refused(format!("there is no collection {}", write.collection)),
        other => other?,
    };
    let written = |record: Record, change| {
        RecordOutcome::Written(RecordWritten {
            id: Some(record.id),
            key: record.key,
            change,
            data: record.data,
        })
    };
    match write.operation {
        RecordOperation::Delete => {
            let deleted = delete(conn, scope, collection.id, key)?;
            Ok(RecordOutcome::Written(RecordWritten {
                id: deleted,
                key: key.to_owned(),
                change: deleted.map_or(RecordChange::Absent, |_| RecordChange::Deleted),
                data: Value::Null,
            }))
        }
        RecordOperation::Update => {
            let Some(record) = find_for_change(conn, scope, collection.id, key)? else {
                return refused(format!("{} has no record {key}", collection.name));
            };
            let mut data = record.data;
            // RFC 7396: fields replace fields, objects go into objects, null removes.
            json_patch::merge(&mut data, &Value::Object(write.data.clone()));
            match check(&collection, &data, limits)? {
                Some(detail) => refused(detail),
                None => {
                    let (record, _) = put(conn, scope, collection.id, key, &data)?;
                    Ok(written(record, RecordChange::Updated))
                }
            }
        }
        RecordOperation::Insert | RecordOperation::Upsert => {
            let data = Value::Object(write.data.clone());
            if let Some(detail) = check(&collection, &data, limits)? {
                return refused(detail);
            }
            let existing = find_for_change(conn, scope, collection.id, key)?;
            if existing.is_some() && write.operation == RecordOperation::Insert {
                return refused(format!("{} has a record {key} already", collection.name));
            }
            if existing.is_none() && is_full(conn, scope, collection.id, limits)? {
                return refused(format!(
                    "{} is full: it has {} records",
                    collection.name, limits.records
                ));
            }
            let (record, is_new) = put(conn, scope, collection.id, key, &data)?;
            if !is_new && write.operation == RecordOperation::Insert {
                // Somebody else inserted it in between: that must not be undone by this one.
                return Err(Error::Constraint("records_key_key".to_owned()));
            }
            let change = if is_new {
                RecordChange::Created
            } else {
                RecordChange::Updated
            };
            Ok(written(record, change))
        }
    }
}

/// What keeps data from being written; empty when nothing does.
///
/// # Errors
/// [`Error::Unreadable`] for a schema that is none.
pub fn faults(collection: &Collection, data: &Value, limits: CollectionLimits) -> Result<Vec<Misfit>> {
    let json = data.to_string();
    let fault = |detail: String| {
        let pointer = String::new();
        Ok(vec![Misfit { pointer, detail }])
    };
    if json.len() > limits.record_bytes {
        let most = limits.record_bytes;
        return fault(format!("a record has at most {most} bytes, not {}", json.len()));
    }
    // Postgres keeps no NUL in text.
    if json.contains("\\u0000") {
        return fault("a record cannot hold the character U+0000".to_owned());
    }
    collection.misfits(data)
}

/// The first of the faults, for the record of a run.
fn check(collection: &Collection, data: &Value, limits: CollectionLimits) -> Result<Option<String>> {
    let first = faults(collection, data, limits)?.into_iter().next();
    Ok(first.map(|Misfit { pointer, detail }| match pointer.as_str() {
        "" => format!("the record does not fit {}: {detail}", collection.name),
        _ => format!("the record does not fit {}: {pointer}: {detail}", collection.name),
    }))
}

/// Whether a collection has as many records as it may have.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn is_full(
    conn: &mut PgConnection,
    scope: &TenantScope,
    collection: CollectionId,
    limits: CollectionLimits,
) -> Result<bool> {
    let last: Option<Uuid> = records::table
        .filter(records::tenant_id.eq(scope.uuid()))
        .filter(records::collection_id.eq(collection.uuid()))
        .select(records::id)
        .offset(i64::from(limits.records.max(1)) - 1)
        .limit(1)
        .first(conn)
        .optional()?;
    Ok(last.is_some())
}

#[derive(QueryableByName)]
struct PutRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Jsonb)]
    data: Value,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    is_new: bool,
}

/// Makes a record, or replaces what it holds. Returns whether it is new.
///
/// # Errors
/// `records_collection_fkey` when the collection is gone.
pub fn put(
    conn: &mut PgConnection,
    scope: &TenantScope,
    collection: CollectionId,
    key: &str,
    data: &Value,
) -> Result<(Record, bool)> {
    let id: RecordId = clock::new_id();
    let row: PutRow = sql_query(
        "INSERT INTO records (tenant_id, collection_id, id, key, data) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT ON CONSTRAINT records_key_key DO UPDATE
           SET data = excluded.data, version = records.version + 1, updated_at = now()
         RETURNING id, data, version, created_at, updated_at, xmax = 0 AS is_new",
    )
    .bind::<SqlUuid, _>(scope.uuid())
    .bind::<SqlUuid, _>(collection.uuid())
    .bind::<SqlUuid, _>(id.uuid())
    .bind::<Text, _>(key)
    .bind::<Jsonb, _>(data)
    .get_result(conn)?;
    let record = Record {
        id: row.id.into(),
        key: key.to_owned(),
        data: row.data,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    };
    Ok((record, row.is_new))
}

/// Deletes a record; `None` when there was none.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn delete(
    conn: &mut PgConnection,
    scope: &TenantScope,
    collection: CollectionId,
    key: &str,
) -> Result<Option<RecordId>> {
    let deleted: Option<Uuid> = diesel::delete(records::table)
        .filter(records::tenant_id.eq(scope.uuid()))
        .filter(records::collection_id.eq(collection.uuid()))
        .filter(records::key.eq(key))
        .returning(records::id)
        .get_result(conn)
        .optional()?;
    Ok(deleted.map(RecordId::from))
}
