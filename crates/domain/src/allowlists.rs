//! Allowlists: named lists of networks. A webhook with attached allowlists takes requests from addresses in any of
//! them; one without takes them from everywhere.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use std::collections::HashMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use diesel::dsl::count_star;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::{AllowlistEntryId, AllowlistId, WebhookId};
use ipnet::IpNet;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::{allowlist_entries, allowlists, webhook_allowlists};
use crate::scope::TenantScope;
use crate::{clock, limits};

/// A named list of networks.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = allowlists, check_for_backend(diesel::pg::Pg))]
pub struct Allowlist {
    /// Its id.
    #[diesel(deserialize_as = Uuid)]
    pub id: AllowlistId,
    /// A name, unique in the tenant.
    pub name: String,
    /// Counts the changes of the name.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its name or entries last changed.
    pub updated_at: DateTime<Utc>,
}

/// A network of an allowlist.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = allowlist_entries, check_for_backend(diesel::pg::Pg))]
pub struct Entry {
    /// Its id.
    #[diesel(deserialize_as = Uuid)]
    pub id: AllowlistEntryId,
    /// The allowlist.
    #[diesel(deserialize_as = Uuid)]
    pub allowlist_id: AllowlistId,
    /// The network.
    pub network: IpNet,
    /// Why it is there.
    pub note: String,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// A network to add.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The network.
    pub network: IpNet,
    /// Why it is there.
    pub note: String,
}

/// Makes an allowlist with its first entries.
///
/// # Errors
/// `allowlists_name_key` when the name is taken, `allowlist_entries_network_key` for a network that is there twice,
/// [`Error::LimitReached`].
pub fn create(
    conn: &mut PgConnection,
    scope: &TenantScope,
    name: &str,
    entries: &[NewEntry],
) -> Result<Allowlist> {
    let existing = allowlists::table
        .filter(allowlists::tenant_id.eq(scope.uuid()))
        .count()
        .get_result::<i64>(conn)?;
    if existing >= limits::ALLOWLISTS {
        return Err(Error::LimitReached {
            what: "allowlists",
            most: limits::ALLOWLISTS,
        });
    }
    let id: AllowlistId = clock::new_id();
    let allowlist = diesel::insert_into(allowlists::table)
        .values((
            allowlists::tenant_id.eq(scope.uuid()),
            allowlists::id.eq(id.uuid()),
            allowlists::name.eq(name),
        ))
        .returning(Allowlist::as_returning())
        .get_result(conn)?;
    for entry in entries {
        insert_entry(conn, scope, id, entry)?;
    }
    Ok(allowlist)
}

/// One allowlist.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read(conn: &mut PgConnection, scope: &TenantScope, id: AllowlistId) -> Result<Allowlist> {
    Ok(allowlists::table
        .find((scope.uuid(), id.uuid()))
        .select(Allowlist::as_select())
        .first(conn)?)
}

/// One allowlist, which nobody else changes until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read_for_change(conn: &mut PgConnection, scope: &TenantScope, id: AllowlistId) -> Result<Allowlist> {
    Ok(allowlists::table
        .find((scope.uuid(), id.uuid()))
        .select(Allowlist::as_select())
        .for_no_key_update()
        .first(conn)?)
}

/// A page of the tenant's allowlists.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(conn: &mut PgConnection, scope: &TenantScope, page: Page) -> Result<Vec<Allowlist>> {
    Ok(allowlists::table
        .filter(allowlists::tenant_id.eq(scope.uuid()))
        .filter(allowlists::id.lt(page.below()))
        .order(allowlists::id.desc())
        .limit(page.limit)
        .select(Allowlist::as_select())
        .load(conn)?)
}

/// Renames an allowlist.
///
/// # Errors
/// [`Error::NotFound`], `allowlists_name_key` when the name is taken.
pub fn rename(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: AllowlistId,
    name: &str,
) -> Result<Allowlist> {
    read_for_change(conn, scope, id)?;
    Ok(diesel::update(allowlists::table.find((scope.uuid(), id.uuid())))
        .set((
            allowlists::name.eq(name),
            allowlists::version.eq(allowlists::version + 1),
            allowlists::updated_at.eq(clock::now()),
        ))
        .returning(Allowlist::as_returning())
        .get_result(conn)?)
}

/// Deletes an allowlist with its entries.
///
/// # Errors
/// [`Error::NotFound`]; `webhook_allowlists_allowlist_fkey` while it is attached to a
/// webhook: without it that webhook would take requests from everywhere.
pub fn delete(conn: &mut PgConnection, scope: &TenantScope, id: AllowlistId) -> Result<()> {
    read_for_change(conn, scope, id)?;
    diesel::delete(allowlists::table.find((scope.uuid(), id.uuid()))).execute(conn)?;
    Ok(())
}

/// The webhooks to which an allowlist is attached.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn attached_to(conn: &mut PgConnection, scope: &TenantScope, id: AllowlistId) -> Result<Vec<WebhookId>> {
    let ids: Vec<Uuid> = webhook_allowlists::table
        .filter(webhook_allowlists::tenant_id.eq(scope.uuid()))
        .filter(webhook_allowlists::allowlist_id.eq(id.uuid()))
        .order(webhook_allowlists::webhook_id)
        .select(webhook_allowlists::webhook_id)
        .load(conn)?;
    Ok(ids.into_iter().map(WebhookId::from).collect())
}

/// Of some ids, those that are no allowlists of the tenant.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn missing(
    conn: &mut PgConnection,
    scope: &TenantScope,
    ids: &[AllowlistId],
) -> Result<Vec<AllowlistId>> {
    let wanted: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let present: Vec<Uuid> = allowlists::table
        .filter(allowlists::tenant_id.eq(scope.uuid()))
        .filter(allowlists::id.eq_any(wanted))
        .select(allowlists::id)
        .load(conn)?;
    Ok(ids
        .iter()
        .copied()
        .filter(|id| !present.contains(&id.uuid()))
        .collect())
}

/// Adds a network.
///
/// # Errors
/// [`Error::NotFound`] for the allowlist, `allowlist_entries_network_key` for a network that is there already,
/// [`Error::LimitReached`].
pub fn add_entry(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: AllowlistId,
    entry: &NewEntry,
) -> Result<Entry> {
    read_for_change(conn, scope, id)?;
    let existing = allowlist_entries::table
        .filter(allowlist_entries::tenant_id.eq(scope.uuid()))
        .filter(allowlist_entries::allowlist_id.eq(id.uuid()))
        .count()
        .get_result::<i64>(conn)?;
    if existing >= limits::ALLOWLIST_ENTRIES {
        return Err(Error::LimitReached {
            what: "entries of an allowlist",
            most: limits::ALLOWLIST_ENTRIES,
        });
    }
    let entry = insert_entry(conn, scope, id, entry)?;
    touch(conn, scope, id)?;
    Ok(entry)
}

/// A page of an allowlist's entries.
///
/// # Errors
/// [`Error::NotFound`] for an allowlist that is not there.
pub fn list_entries(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: AllowlistId,
    page: Page,
) -> Result<Vec<Entry>> {
    read(conn, scope, id)?;
    Ok(allowlist_entries::table
        .filter(allowlist_entries::tenant_id.eq(scope.uuid()))
        .filter(allowlist_entries::allowlist_id.eq(id.uuid()))
        .filter(allowlist_entries::id.lt(page.below()))
        .order(allowlist_entries::id.desc())
        .limit(page.limit)
        .select(Entry::as_select())
        .load(conn)?)
}

/// Removes a network.
///
/// # Errors
/// [`Error::NotFound`], also for an entry of another allowlist.
pub fn remove_entry(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: AllowlistId,
    entry: AllowlistEntryId,
) -> Result<()> {
    read_for_change(conn, scope, id)?;
    let removed = diesel::delete(
        allowlist_entries::table
            .find((scope.uuid(), entry.uuid()))
            .filter(allowlist_entries::allowlist_id.eq(id.uuid())),
    )
    .execute(conn)?;
    if removed == 0 {
        return Err(Error::NotFound);
    }
    touch(conn, scope, id)
}

/// An allowlist that is attached to a webhook, and what it says of an address.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Its id.
    pub id: AllowlistId,
    /// Its name.
    pub name: String,
    /// How many networks it holds.
    pub entries: i64,
    /// The narrowest of its networks that hold the address.
    pub entry: Option<Entry>,
}

/// What each of a webhook's allowlists says of an address, in the order of their names.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn check(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    address: IpAddr,
) -> Result<Vec<Checked>> {
    let holding = entries_for(conn, scope, webhook, address)?;
    let lists: Vec<(Uuid, String)> = webhook_allowlists::table
        .inner_join(
            allowlists::table.on(allowlists::tenant_id
                .eq(webhook_allowlists::tenant_id)
                .and(allowlists::id.eq(webhook_allowlists::allowlist_id))),
        )
        .filter(webhook_allowlists::tenant_id.eq(scope.uuid()))
        .filter(webhook_allowlists::webhook_id.eq(webhook.uuid()))
        .order((allowlists::name, allowlists::id))
        .select((allowlists::id, allowlists::name))
        .load(conn)?;
    let ids: Vec<Uuid> = lists.iter().map(|(id, _)| *id).collect();
    let counts: HashMap<Uuid, i64> = allowlist_entries::table
        .filter(allowlist_entries::tenant_id.eq(scope.uuid()))
        .filter(allowlist_entries::allowlist_id.eq_any(ids))
        .group_by(allowlist_entries::allowlist_id)
        .select((allowlist_entries::allowlist_id, count_star()))
        .load::<(Uuid, i64)>(conn)?
        .into_iter()
        .collect();
    let checked = lists.into_iter().map(|(id, name)| {
        let entries = counts.get(&id).copied().unwrap_or(0);
        let id = AllowlistId::from(id);
        let entry = holding.iter().find(|entry| entry.allowlist_id == id).cloned();
        Checked {
            id,
            name,
            entries,
            entry,
        }
    });
    Ok(checked.collect())
}

/// The narrowest entry of a webhook's allowlists that holds an address.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn entry_for(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    address: IpAddr,
) -> Result<Option<Entry>> {
    Ok(entries_for(conn, scope, webhook, address)?.into_iter().next())
}

/// The entries of a webhook's allowlists that hold an address, the narrowest first.
fn entries_for(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    address: IpAddr,
) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = allowlist_entries::table
        .inner_join(
            webhook_allowlists::table.on(webhook_allowlists::tenant_id
                .eq(allowlist_entries::tenant_id)
                .and(webhook_allowlists::allowlist_id.eq(allowlist_entries::allowlist_id))),
        )
        .filter(webhook_allowlists::tenant_id.eq(scope.uuid()))
        .filter(webhook_allowlists::webhook_id.eq(webhook.uuid()))
        .filter(allowlist_entries::network.contains_or_eq(IpNet::from(address.to_canonical())))
        .select(Entry::as_select())
        .load(conn)?;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.network.prefix_len()));
    Ok(entries)
}

fn insert_entry(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: AllowlistId,
    entry: &NewEntry,
) -> Result<Entry> {
    let entry_id: AllowlistEntryId = clock::new_id();
    Ok(diesel::insert_into(allowlist_entries::table)
        .values((
            allowlist_entries::tenant_id.eq(scope.uuid()),
            allowlist_entries::id.eq(entry_id.uuid()),
            allowlist_entries::allowlist_id.eq(id.uuid()),
            allowlist_entries::network.eq(entry.network),
            allowlist_entries::note.eq(&entry.note),
        ))
        .returning(Entry::as_returning())
        .get_result(conn)?)
}

fn touch(conn: &mut PgConnection, scope: &TenantScope, id: AllowlistId) -> Result<()> {
    diesel::update(allowlists::table.find((scope.uuid(), id.uuid())))
        .set(allowlists::updated_at.eq(clock::now()))
        .execute(conn)?;
    Ok(())
}
