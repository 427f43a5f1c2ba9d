//! How much is sealed under which key.

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bytea};

use super::Column;
use crate::crypto::KeyId;
use crate::error::Result;
use crate::operator;
use crate::scope;

/// Values by column and by the key that sealed them; `None` for a form that is not known.
pub type Count = BTreeMap<(Column, Option<KeyId>), i64>;

/// Counts everything, as the owner of the database: row-level security shows it one tenant after the other.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn count(owner: &mut PgConnection) -> Result<Count> {
    let mut all = Count::new();
    let (of_tenants, others): (Vec<Column>, Vec<Column>) =
        Column::ALL.into_iter().partition(|column| column.is_tenants());
    for column in others {
        add(&mut all, column, count_in(owner, column)?);
    }
    for tenant in operator::all_tenants(owner)? {
        scope::transaction(owner, |owner| {
            scope::set_local(owner, "hookgate.tenant_id", &tenant.id.uuid().to_string())?;
            for column in &of_tenants {
                add(&mut all, *column, count_in(owner, *column)?);
            }
            Ok::<_, crate::Error>(())
        })?;
    }
    Ok(all)
}

/// Counts one column, over the rows that the connection's role sees.
///
/// # Errors
/// When Postgres cannot be reached, or the role may not read the column.
pub fn count_in(conn: &mut PgConnection, column: Column) -> Result<Vec<(Option<KeyId>, i64)>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bytea)]
        prefix: Vec<u8>,
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let (table, name) = (column.table(), column.name());
    let rows: Vec<Row> = sql_query(format!(
        "SELECT substring({name} FROM 1 FOR 5) AS prefix, count(*) AS count FROM {table} WHERE {} GROUP BY 1",
        column.condition()
    ))
    .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| (KeyId::of(&row.prefix), row.count))
        .collect())
}

fn add(all: &mut Count, column: Column, counted: Vec<(Option<KeyId>, i64)>) {
    for (key, count) in counted {
        *all.entry((column, key)).or_default() += count;
    }
}
