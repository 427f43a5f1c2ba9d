//! Collections: named sets of records, which may have to fit a schema.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::{CollectionId, WebhookId};
use hookgate_model::json_schema::{JsonSchema, Misfit};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::{collections, revisions, webhooks};
use crate::scope::TenantScope;
use crate::{clock, limits};

/// A collection as it is stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = collections, check_for_backend(diesel::pg::Pg))]
pub struct Collection {
    /// Its id.
    #[diesel(deserialize_as = Uuid)]
    pub id: CollectionId,
    /// Its name, unique in the tenant, which never changes.
    pub name: String,
    /// What its records must fit.
    pub schema: Option<Value>,
    /// Counts the changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its schema last changed.
    pub updated_at: DateTime<Utc>,
}

impl Collection {
    /// How data does not fit the schema; empty when it does.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for a schema that is none, which cannot be saved.
    pub fn misfits(&self, data: &Value) -> Result<Vec<Misfit>> {
        let Some(schema) = &self.schema else {
            return Ok(Vec::new());
        };
        let schema = JsonSchema::compile(schema).map_err(|_| Error::Unreadable { what: "schema" })?;
        Ok(schema.misfits(data))
    }
}

/// Makes a collection.
///
/// # Errors
/// `collections_name_key` when the name is taken; [`Error::LimitReached`].
pub fn create(
    conn: &mut PgConnection,
    scope: &TenantScope,
    name: &str,
    schema: Option<&Value>,
) -> Result<Collection> {
    let existing = collections::table
        .filter(collections::tenant_id.eq(scope.uuid()))
        .count()
        .get_result::<i64>(conn)?;
    if existing >= limits::COLLECTIONS {
        return Err(Error::LimitReached {
            what: "collections",
            most: limits::COLLECTIONS,
        });
    }
    let id: CollectionId = clock::new_id();
    Ok(diesel::insert_into(collections::table)
        .values((
            collections::tenant_id.eq(scope.uuid()),
            collections::id.eq(id.uuid()),
            collections::name.eq(name),
            collections::schema.eq(schema),
        ))
        .returning(Collection::as_returning())
        .get_result(conn)?)
}

/// One collection.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read(conn: &mut PgConnection, scope: &TenantScope, name: &str) -> Result<Collection> {
    Ok(collections::table
        .filter(collections::tenant_id.eq(scope.uuid()))
        .filter(collections::name.eq(name))
        .select(Collection::as_select())
        .first(conn)?)
}

/// One collection, which nobody else changes until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read_for_change(conn: &mut PgConnection, scope: &TenantScope, name: &str) -> Result<Collection> {
    Ok(collections::table
        .filter(collections::tenant_id.eq(scope.uuid()))
        .filter(collections::name.eq(name))
        .select(Collection::as_select())
        .for_update()
        .first(conn)?)
}

/// A page of the tenant's collections.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(conn: &mut PgConnection, scope: &TenantScope, page: Page) -> Result<Vec<Collection>> {
    Ok(collections::table
        .filter(collections::tenant_id.eq(scope.uuid()))
        .filter(collections::id.lt(page.below()))
        .order(collections::id.desc())
        .limit(page.limit)
        .select(Collection::as_select())
        .load(conn)?)
}

/// Replaces the schema. Records that are there stay as they are; what is written from now on must fit.
///
/// # Errors
/// [`Error::NotFound`].
pub fn set_schema(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: CollectionId,
    schema: Option<&Value>,
) -> Result<Collection> {
    Ok(diesel::update(collections::table.find((scope.uuid(), id.uuid())))
        .set((
            collections::schema.eq(schema),
            collections::version.eq(collections::version + 1),
            collections::updated_at.eq(clock::now()),
        ))
        .returning(Collection::as_returning())
        .get_result(conn)?)
}

/// Deletes a collection with its records.
///
/// # Errors
/// [`Error::NotFound`].
pub fn delete(conn: &mut PgConnection, scope: &TenantScope, id: CollectionId) -> Result<()> {
    match diesel::delete(collections::table.find((scope.uuid(), id.uuid()))).execute(conn)? {
        0 => Err(Error::NotFound),
        _ => Ok(()),
    }
}

/// The webhooks whose draft or published revision writes to the collection.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn used_by(conn: &mut PgConnection, scope: &TenantScope, name: &str) -> Result<Vec<WebhookId>> {
    let writes = diesel::dsl::sql::<diesel::sql_types::Bool>(
        "EXISTS (SELECT FROM json_array_elements(revisions.document #> '{flow,steps}') step WHERE step ->> 'kind' = 'record' AND step ->> 'collection' = ",
    )
    .bind::<diesel::sql_types::Text, _>(name)
    .sql(")");
    let ids: Vec<Uuid> = webhooks::table
        .inner_join(
            revisions::table.on(revisions::tenant_id.eq(webhooks::tenant_id).and(
                revisions::id
                    .eq(webhooks::draft_revision_id)
                    .or(webhooks::published_revision_id.eq(revisions::id.nullable())),
            )),
        )
        .filter(webhooks::tenant_id.eq(scope.uuid()))
        .filter(writes)
        .select(webhooks::id)
        .distinct()
        .load(conn)?;
    Ok(ids.into_iter().map(WebhookId::from).collect())
}

/// Of some names, those that are collections of the tenant. They cannot be deleted until the transaction ends.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn existing(conn: &mut PgConnection, scope: &TenantScope, names: &[&str]) -> Result<HashSet<String>> {
    let present: Vec<String> = collections::table
        .filter(collections::tenant_id.eq(scope.uuid()))
        .filter(collections::name.eq_any(names))
        .select(collections::name)
        .for_key_share()
        .load(conn)?;
    Ok(present.into_iter().collect())
}
