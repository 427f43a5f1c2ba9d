//! The days of the append-only tables: made ahead, dropped behind. The functions in the schema do it with the owner's
//! rights; neither touches a day with live work.

use chrono::NaiveDate;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Date, Text};

use crate::error::Result;

/// Makes the partitions of a day, where they are missing.
///
/// # Errors
/// For a day far from today; when Postgres cannot be reached.
pub fn ensure(conn: &mut PgConnection, day: NaiveDate) -> Result<()> {
    sql_query("SELECT ensure_partitions($1)")
        .bind::<Date, _>(day)
        .execute(conn)?;
    Ok(())
}

/// Drops the partitions of the days before `oldest`, but for those whose events still have work behind them. Returns
/// their names.
///
/// # Errors
/// For a day in the future; when Postgres cannot be reached.
pub fn drop_older(conn: &mut PgConnection, oldest: NaiveDate) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Dropped {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let dropped: Vec<Dropped> = sql_query("SELECT name FROM drop_partitions($1) AS name")
        .bind::<Date, _>(oldest)
        .load(conn)?;
    Ok(dropped.into_iter().map(|partition| partition.name).collect())
}
