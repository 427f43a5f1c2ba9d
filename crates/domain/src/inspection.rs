//! What `hookgate doctor` looks at in PostgreSQL, as one of the services' roles: plain facts, which nobody judges here. Nothing
//! is changed, and nothing here tells what tenants store.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Date, Integer, Nullable, Text, Timestamptz};

use crate::clock;
use crate::error::Result;

/// As whom a connection works.
#[derive(Debug, QueryableByName)]
pub struct Login {
    /// The role.
    #[diesel(sql_type = Text)]
    pub role: String,
    /// Whether nothing holds it back.
    #[diesel(sql_type = Bool)]
    pub is_superuser: bool,
    /// Whether row-level security does not hold it back.
    #[diesel(sql_type = Bool)]
    pub bypasses_row_security: bool,
    /// Tables of the schema that are its own, so that it may change their policies.
    #[diesel(sql_type = BigInt)]
    pub owned_tables: i64,
    /// Roles that it belongs to, whose rights it could take.
    #[diesel(sql_type = BigInt)]
    pub memberships: i64,
    /// Whether the server is a replica, which takes no writes.
    #[diesel(sql_type = Bool)]
    pub is_replica: bool,
    /// The server's version, such as 150004.
    #[diesel(sql_type = Integer)]
    pub server_version: i32,
}

/// Reads it.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn login(conn: &mut PgConnection) -> Result<Login> {
    Ok(sql_query(
        "SELECT rolname::text AS role, rolsuper AS is_superuser, rolbypassrls AS bypasses_row_security,
           (SELECT count(*) FROM pg_class WHERE relowner = r.oid AND relnamespace = 'public'::regnamespace) AS owned_tables,
           (SELECT count(*) FROM pg_auth_members WHERE member = r.oid) AS memberships,
           pg_is_in_recovery() AS is_replica, current_setting('server_version_num')::integer AS server_version
         FROM pg_roles r WHERE rolname = current_user",
    )
    .get_result(conn)?)
}

/// Which of some privileges (`INSERT events`) the connection's role has, of tables that there are.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn held_privileges(conn: &mut PgConnection, privileges: &[&str]) -> Result<Vec<String>> {
    Ok(lines(
        sql_query(
            "SELECT line FROM unnest($1) AS line
             WHERE CASE WHEN to_regclass(split_part(line, ' ', 2)) IS NULL THEN false
               ELSE has_table_privilege(split_part(line, ' ', 2), split_part(line, ' ', 1)) END",
        )
        .bind::<Array<Text>, _>(privileges)
        .load(conn)?,
    ))
}

/// Tables of tenants' rows without forced row-level security.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn unprotected_tables(conn: &mut PgConnection) -> Result<Vec<String>> {
    // A person's logins are not one tenant's.
    Ok(lines(
        sql_query(
            "SELECT c.relname::text AS line FROM pg_class c
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
               AND c.relname <> 'login_sessions' AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
             ORDER BY 1",
        )
        .load(conn)?,
    ))
}

/// The values of PostgreSQL's settings, as they are in effect for this connection, in the order of their names given.
///
/// # Errors
/// For a name that PostgreSQL does not know; when it cannot be reached.
pub fn server_settings(conn: &mut PgConnection, names: &[&str]) -> Result<Vec<String>> {
    Ok(lines(
        sql_query(
            "SELECT current_setting(name) AS line FROM unnest($1) WITH ORDINALITY AS asked (name, place) ORDER BY place",
        )
        .bind::<Array<Text>, _>(names)
        .load(conn)?,
    ))
}

/// The connections of the server.
#[derive(Debug, QueryableByName)]
pub struct Connections {
    /// Those that ordinary roles may open together.
    #[diesel(sql_type = BigInt)]
    pub most: i64,
    /// Those that are open, of clients.
    #[diesel(sql_type = BigInt)]
    pub open: i64,
    /// Those of them that are Hookgate's.
    #[diesel(sql_type = BigInt)]
    pub own: i64,
}

/// Counts them.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn connections(conn: &mut PgConnection) -> Result<Connections> {
    Ok(sql_query(
        "SELECT current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
             - coalesce(current_setting('reserved_connections', true)::bigint, 0) AS most,
           count(*) AS open, count(*) FILTER (WHERE usename LIKE 'hookgate\\_%') AS own
         FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )
    .get_result(conn)?)
}

/// Bytes of the write-ahead log that are kept for replication that does not go on.
#[derive(Debug, QueryableByName)]
pub struct IdleSlot {
    /// The replication slot.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// How many bytes.
    #[diesel(sql_type = BigInt)]
    pub bytes: i64,
}

/// Finds replication slots that nobody reads, on a server that takes writes.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn idle_slots(conn: &mut PgConnection) -> Result<Vec<IdleSlot>> {
    Ok(sql_query(
        "SELECT slot_name::text AS name, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint AS bytes
         FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL ORDER BY 1",
    )
    .load(conn)?)
}

/// How far PostgreSQL's clock is before this machine's (behind it: less than zero), give or take half of `round_trip`.
#[derive(Debug, Clone, Copy)]
pub struct ClockOffset {
    /// The difference.
    pub ahead: TimeDelta,
    /// How long the question and the answer took.
    pub round_trip: TimeDelta,
}

impl ClockOffset {
    /// What a clock told between two moments of this one.
    pub fn of(told: DateTime<Utc>, before: DateTime<Utc>, after: DateTime<Utc>) -> Self {
        let round_trip = after - before;
        Self {
            ahead: told - (before + round_trip / 2),
            round_trip,
        }
    }

    /// By how much the clocks differ at least.
    pub fn at_least(&self) -> TimeDelta {
        (self.ahead.abs() - self.round_trip / 2).max(TimeDelta::zero())
    }
}

/// Compares the clocks.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn clock_offset(conn: &mut PgConnection) -> Result<ClockOffset> {
    #[derive(QueryableByName)]
    struct Now {
        #[diesel(sql_type = Timestamptz)]
        now: DateTime<Utc>,
    }
    let before = clock::now();
    let told: Now = sql_query("SELECT clock_timestamp() AS now").get_result(conn)?;
    Ok(ClockOffset::of(told.now, before, clock::now()))
}

/// The days for which the append-only tables have partitions.
#[derive(Debug, QueryableByName)]
pub struct PartitionDays {
    /// The first day.
    #[diesel(sql_type = Nullable<Date>)]
    pub oldest: Option<NaiveDate>,
    /// The first day, from today on, that one of the tables has no partition for.
    #[diesel(sql_type = Date)]
    pub first_missing: NaiveDate,
}

/// Reads them.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn partition_days(conn: &mut PgConnection, today: NaiveDate) -> Result<PartitionDays> {
    Ok(sql_query(
        "WITH parents AS (SELECT oid, relname FROM pg_class
             WHERE relkind = 'p' AND relnamespace = 'public'::regnamespace),
         days AS (SELECT parents.oid AS parent, to_date(right(child.relname, 8), 'YYYYMMDD') AS day
             FROM parents JOIN pg_inherits ON inhparent = parents.oid JOIN pg_class child ON child.oid = inhrelid
             WHERE child.relname ~ '_[0-9]{8}$')
         SELECT (SELECT min(day) FROM days) AS oldest, min(ahead::date) AS first_missing
         FROM generate_series($1, $1 + 60, interval '1 day') AS ahead
         WHERE EXISTS (SELECT FROM parents WHERE NOT EXISTS (SELECT FROM days WHERE parent = parents.oid AND day = ahead::date))",
    )
    .bind::<Date, _>(today)
    .get_result(conn)?)
}

/// Jobs that could be claimed, of the tenants of one plan.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct DueJobs {
    /// The plan's name; `None` for tenants that have none, and for all together.
    #[diesel(sql_type = Nullable<Text>)]
    pub plan: Option<String>,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    /// Since when the oldest is due.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub oldest: Option<DateTime<Utc>>,
}

impl DueJobs {
    /// Those of all plans together.
    pub fn of_all(plans: &[Self]) -> Self {
        Self {
            plan: None,
            count: plans.iter().map(|due| due.count).sum(),
            oldest: plans.iter().filter_map(|due| due.oldest).min(),
        }
    }
}

/// Counts the jobs that are due over all tenants, as the worker: neither held, nor behind others of their session, nor of a
/// suspended tenant. There is an entry for each plan, also when nothing is due, and one for tenants without a plan when something is.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn due_jobs(conn: &mut PgConnection) -> Result<Vec<DueJobs>> {
    // By tenant first: then the jobs are gone through once, and what is joined are tenants.
    Ok(sql_query(
        "WITH of_tenant AS (
           SELECT tenant_id, count(*) AS count, min(greatest(due_at, leased_until)) AS oldest FROM jobs
           WHERE NOT is_held AND NOT is_queued AND greatest(due_at, leased_until) <= now() GROUP BY tenant_id
         ), of_plan AS (
           SELECT plan_id, sum(count)::bigint AS count, min(oldest) AS oldest
           FROM of_tenant LEFT JOIN tenants ON tenants.id = tenant_id
           WHERE tenants.status IS DISTINCT FROM 'suspended' GROUP BY plan_id
         )
         SELECT plans.name AS plan, coalesce(count, 0) AS count, oldest
         FROM of_plan FULL JOIN plans ON plans.id = of_plan.plan_id",
    )
    .load(conn)?)
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(rows: Vec<Line>) -> Vec<String> {
    rows.into_iter().map(|row| row.line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_differ_by_what_the_way_does_not_explain() {
        let moment = |ms: i64| DateTime::from_timestamp_millis(1_800_000_000_000 + ms).expect("a moment");
        let offset = ClockOffset::of(moment(5_050), moment(0), moment(100));
        assert_eq!(offset.ahead, TimeDelta::milliseconds(5_000));
        assert_eq!(offset.at_least(), TimeDelta::milliseconds(4_950));
        let behind = ClockOffset::of(moment(-2_000), moment(0), moment(0));
        assert_eq!(behind.at_least(), TimeDelta::seconds(2));
        let explained = ClockOffset::of(moment(90), moment(0), moment(100));
        assert_eq!(explained.at_least(), TimeDelta::zero());
    }
}
