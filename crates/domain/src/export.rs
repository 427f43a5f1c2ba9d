//! All that a tenant has, row by row, for taking it elsewhere: without secrets, without what only the service needs, and in parts of
//! a bounded size.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text};

use crate::error::Result;
use crate::scope::TenantScope;

/// Rows of one part.
const ROWS: i64 = 100;
/// Bytes of the long columns of one part, but for its last row.
const LONG_BYTES: i64 = 4 << 20;

/// A table that is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Columns that are secret, or of use to the service alone.
    pub left_out: &'static [&'static str],
    /// The columns that can be long.
    long: &'static [&'static str],
}

const fn table(name: &'static str, left_out: &'static [&'static str]) -> Table {
    Table {
        name,
        left_out,
        long: &[],
    }
}

impl Table {
    const fn with_long(self, long: &'static [&'static str]) -> Self {
        Self { long, ..self }
    }
}

/// What is exported, in this order.
pub const TABLES: [Table; 28] = [
    table("tenants", &[]),
    table("memberships", &[]),
    table("invitations", &["digest"]),
    table("management_keys", &["digest"]),
    table("webhooks", &[]),
    table("revisions", &[]),
    table("urls", &[]),
    table("api_keys", &["digest"]),
    table("allowlists", &[]),
    table("allowlist_entries", &[]),
    table("webhook_allowlists", &[]),
    table("destinations", &["signing_secret", "previous_signing_secret"]),
    table("destination_pauses", &[]),
    table("notification_settings", &[]),
    table("secrets", &["value"]),
    table("public_api_links", &["digest"]),
    table("collections", &[]),
    table("records", &[]),
    table("sessions", &[]),
    table("replays", &[]),
    table("captures", &[]),
    table("drift", &[]),
    table("samples", &["stored_bytes"]).with_long(&["body"]),
    table("events", &[]).with_long(&["body"]),
    table("refusals", &["request"]).with_long(&["request"]),
    table("runs", &["state"]).with_long(&["steps", "answer", "state"]),
    table("attempts", &[]),
    table("audit_log", &[]),
];

/// Tables that are not exported: what only the service needs, what it counts, and what opens something.
pub const NOT_EXPORTED: [&str; 10] = [
    "deduplication_keys",
    "duplicates",
    "failed_callbacks",
    "idempotency_keys",
    "jobs",
    "login_sessions",
    "pairings",
    "url_tokens",
    "usage",
    "outcomes",
];

/// A row.
#[derive(Debug, Clone, QueryableByName)]
pub struct Row {
    /// Where it stands in its table: the next part begins after it.
    #[diesel(sql_type = Array<Text>)]
    pub key: Vec<String>,
    /// As JSON, with all columns.
    #[diesel(sql_type = Text)]
    pub row: String,
}

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    types: Vec<String>,
}

/// The rows of a table after a key, the first ones for an empty one; none when it is over.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn rows(
    conn: &mut PgConnection,
    scope: &TenantScope,
    table: Table,
    after: &[String],
) -> Result<Vec<Row>> {
    let name = table.name;
    let key: Key = sql_query(
        "SELECT array_agg(a.attname::text ORDER BY n) AS columns, array_agg(format_type(a.atttypid, NULL) ORDER BY n) AS types
           FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, n)
           JOIN pg_attribute a ON a.attnum = k.attnum
         WHERE i.indrelid = $1::regclass AND i.indisprimary AND a.attrelid = i.indrelid",
    )
    .bind::<Text, _>(name)
    .get_result(conn)?;
    let columns = key.columns.join(", ");
    let texts: Vec<String> = key
        .columns
        .iter()
        .map(|column| format!("{column}::text"))
        .collect();
    let places = key.types.iter().enumerate();
    let bounds: Vec<String> = places
        .map(|(place, kind)| format!("($2::text[])[{}]::{kind}", place + 1))
        .collect();
    let own = if name == "tenants" { "id" } else { "tenant_id" };
    let after_key = if after.is_empty() {
        "$2::text[] = '{}'".to_owned()
    } else {
        format!("({columns}) > ({})", bounds.join(", "))
    };
    let long = table
        .long
        .iter()
        .map(|column| format!(" + coalesce(octet_length({column}), 0)"));
    let bytes = format!("(0{})", long.collect::<String>());
    let (texts, order) = (texts.join(", "), &columns);
    Ok(sql_query(format!(
        "SELECT ARRAY[{texts}] AS key, row_to_json(s)::text AS row FROM (
           SELECT t.*, sum({bytes}) OVER (ORDER BY {order}) - {bytes} AS bytes_before FROM (
             SELECT * FROM {name} WHERE {own} = $1::uuid AND {after_key} ORDER BY {order} LIMIT $3) t) s
         WHERE bytes_before <= $4 ORDER BY {order}"
    ))
    .bind::<Text, _>(scope.uuid().to_string())
    .bind::<Array<Text>, _>(after)
    .bind::<BigInt, _>(ROWS)
    .bind::<BigInt, _>(LONG_BYTES)
    .load(conn)?)
}
