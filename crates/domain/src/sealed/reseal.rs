//! Sealing what previous keys sealed anew with the current one, while everything runs.
//!
//! Rows are taken in the order of their keys, a chunk in a transaction; one that somebody works on is passed over and met
//! again in the next round, so nobody waits for a row here and none of them can deadlock. What is done is done: a run that was
//! killed goes on where it was, since only what another key sealed is looked at.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bytea, Text};
use hookgate_model::ids::TenantId;

use super::Column;
use crate::crypto::MasterKey;
use crate::error::{Error, Result};
use crate::operator;
use crate::scope::{self, transaction};

/// Rows of one transaction. The longest sealed values are refused requests, of 256 KiB by default.
const CHUNK: i64 = 100;

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Values that are now sealed with the current key.
    pub resealed: u64,
    /// Values that no known key opens, or that are damaged.
    pub unreadable: u64,
}

/// Seals everything anew, as the owner of the database. `on_chunk` hears how many values of a column a transaction has sealed.
///
/// # Errors
/// When Postgres cannot be reached. What was sealed until then stays so.
pub fn reseal(
    owner: &mut PgConnection,
    master: &MasterKey,
    mut on_chunk: impl FnMut(Column, u64),
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    loop {
        let round = round(owner, master, &mut on_chunk)?;
        outcome.resealed += round.resealed;
        outcome.unreadable = round.unreadable;
        if round.resealed == 0 {
            return Ok(outcome);
        }
    }
}

fn round(
    owner: &mut PgConnection,
    master: &MasterKey,
    on_chunk: &mut impl FnMut(Column, u64),
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let tenants = operator::all_tenants(owner)?;
    for column in Column::ALL {
        // A table without a tenant is shown whatever the tenant.
        let nobody = [TenantId::from(uuid::Uuid::nil())];
        let of_tenants: Vec<TenantId> = tenants.iter().map(|tenant| tenant.id).collect();
        let owners = if column.is_tenants() {
            &of_tenants[..]
        } else {
            &nobody
        };
        for tenant in owners {
            let mut after = Vec::new();
            loop {
                let chunk = chunk(owner, master, column, *tenant, &after)?;
                outcome.resealed += chunk.outcome.resealed;
                outcome.unreadable += chunk.outcome.unreadable;
                if chunk.outcome.resealed > 0 {
                    on_chunk(column, chunk.outcome.resealed);
                }
                let Some(last) = chunk.last else { break };
                after = last;
            }
        }
    }
    Ok(outcome)
}

#[derive(Default)]
struct Chunk {
    outcome: Outcome,
    /// The key of the last row; `None` when there was none.
    last: Option<Vec<String>>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Array<Text>)]
    key: Vec<String>,
    #[diesel(sql_type = Bytea)]
    sealed: Vec<u8>,
}

fn chunk(
    owner: &mut PgConnection,
    master: &MasterKey,
    column: Column,
    tenant: TenantId,
    after: &[String],
) -> Result<Chunk> {
    transaction::<_, Error>(owner, |owner| {
        scope::set_local(owner, "hookgate.tenant_id", &tenant.uuid().to_string())?;
        scope::set_local(owner, "hookgate.resealing", "on")?;
        let rows = sealed_otherwise(owner, master, column, tenant, after)?;
        let mut chunk = Chunk::default();
        for row in rows {
            match column.sealed_anew(master, tenant, &row.key, &row.sealed) {
                Ok(anew) => {
                    store(owner, column, tenant, &row.key, &anew)?;
                    chunk.outcome.resealed += 1;
                }
                Err(Error::Unreadable { .. }) => chunk.outcome.unreadable += 1,
                Err(error) => return Err(error),
            }
            chunk.last = Some(row.key);
        }
        Ok(chunk)
    })
}

/// The next rows whose value another key has sealed, locked.
fn sealed_otherwise(
    owner: &mut PgConnection,
    master: &MasterKey,
    column: Column,
    tenant: TenantId,
    after: &[String],
) -> Result<Vec<Row>> {
    let (table, name, condition) = (column.table(), column.name(), column.condition());
    let key = column.key();
    let order = key.join(", ");
    let texts: Vec<String> = key.iter().map(|part| format!("{part}::text")).collect();
    let of_tenant = if column.is_tenants() {
        "tenant_id = $1::uuid"
    } else {
        "$1 <> ''"
    };
    let bound = if after.is_empty() {
        "$4::text[] = '{}'".to_owned()
    } else {
        let bounds: Vec<String> = (1..=key.len())
            .map(|place| format!("($4::text[])[{place}]{}", column.key_cast()))
            .collect();
        format!("({order}) > ({})", bounds.join(", "))
    };
    Ok(sql_query(format!(
        "SELECT ARRAY[{}] AS key, {name} AS sealed FROM {table}
         WHERE {of_tenant} AND {condition} AND substring({name} FROM 1 FOR 5) <> $2 AND {bound}
         ORDER BY {order} LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED",
        texts.join(", ")
    ))
    .bind::<Text, _>(tenant.uuid().to_string())
    .bind::<Bytea, _>(master.id().prefix())
    .bind::<BigInt, _>(CHUNK)
    .bind::<Array<Text>, _>(after)
    .load(owner)?)
}

fn store(
    owner: &mut PgConnection,
    column: Column,
    tenant: TenantId,
    key: &[String],
    sealed: &[u8],
) -> Result<()> {
    let of_tenant = if column.is_tenants() {
        "tenant_id = $1::uuid"
    } else {
        "$1 <> ''"
    };
    let same: Vec<String> = column
        .key()
        .iter()
        .enumerate()
        .map(|(place, part)| format!("{part} = ($3::text[])[{}]{}", place + 1, column.key_cast()))
        .collect();
    sql_query(format!(
        "UPDATE {} SET {} = $2 WHERE {of_tenant} AND {}",
        column.table(),
        column.name(),
        same.join(" AND ")
    ))
    .bind::<Text, _>(tenant.uuid().to_string())
    .bind::<Bytea, _>(sealed)
    .bind::<Array<Text>, _>(key)
    .execute(owner)?;
    Ok(())
}
