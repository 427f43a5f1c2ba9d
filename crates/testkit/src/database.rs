//! A database per test, cloned from the migrated template, and a prefix of its own in the shared Redis.

use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use hookgate_devservers::OWNER;
use hookgate_domain::database::{Database, DatabaseSettings};
use hookgate_domain::redis::Redis;

use crate::servers;

/// Who Hookgate works as.
pub use hookgate_domain::migrations::ROLES;

/// A database that goes when this is dropped.
pub struct TestDatabase {
    name: String,
}

impl TestDatabase {
    /// Clones the template.
    pub fn create() -> Self {
        Self::clone_of(servers::TEMPLATE)
    }

    /// A database without a schema, for tests of the migrations.
    pub fn create_empty() -> Self {
        let database = Self::clone_of("template1");
        // Before PostgreSQL 15 a new database's schema belongs to the superuser.
        let sql = format!("ALTER SCHEMA public OWNER TO {OWNER}");
        database
            .superuser()
            .batch_execute(&sql)
            .expect("a schema for the owner");
        database
    }

    fn clone_of(template: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let sql = format!("CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template}");
        administer(&sql).expect("a database for the test");
        Self { name }
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL as the owner, who migrates; row-level security holds it back like everybody.
    pub fn owner_url(&self) -> String {
        self.url(OWNER)
    }

    /// The URL as `hookgate_ingress`.
    pub fn ingress_url(&self) -> String {
        self.url(ROLES[0])
    }

    /// The URL as `hookgate_management`.
    pub fn management_url(&self) -> String {
        self.url(ROLES[1])
    }

    /// The URL as `hookgate_worker`.
    pub fn worker_url(&self) -> String {
        self.url(ROLES[2])
    }

    /// The URL as `hookgate_admin`.
    pub fn admin_url(&self) -> String {
        self.url(ROLES[3])
    }

    /// The URL as the superuser, who sees every row: for looking at the outcome of a test.
    pub fn superuser_url(&self) -> String {
        servers::address().postgres_superuser(&self.name)
    }

    /// The URL of Redis, with this test's prefix.
    pub fn redis_url(&self) -> String {
        servers::address().redis(&format!("{}:", self.name))
    }

    /// What a service takes to connect as `hookgate_ingress`, and so on.
    pub fn settings(&self, url: String) -> DatabaseSettings {
        DatabaseSettings::new(url)
    }

    /// A pool as the ingress.
    pub fn ingress(&self) -> Database {
        pool(self.ingress_url())
    }

    /// A pool as the management service.
    pub fn management(&self) -> Database {
        pool(self.management_url())
    }

    /// A pool as the worker.
    pub fn worker(&self) -> Database {
        pool(self.worker_url())
    }

    /// A pool as the operator's API.
    pub fn admin(&self) -> Database {
        pool(self.admin_url())
    }

    /// A Redis with this test's prefix.
    pub fn redis(&self) -> Redis {
        Redis::new(&self.redis_url()).expect("a Redis URL")
    }

    /// Makes Redis forget what is under this test's prefix, and every script.
    pub async fn wipe_redis(&self) {
        let url = servers::address().redis("");
        let client = redis::Client::open(url.as_str()).expect("a Redis URL");
        let mut redis = client
            .get_multiplexed_async_connection()
            .await
            .expect("a connection to Redis");
        let pattern = format!("{}:*", self.name);
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg(pattern)
            .query_async(&mut redis)
            .await
            .expect("the keys");
        let mut wipe = redis::pipe();
        for key in keys {
            wipe.cmd("DEL").arg(key).ignore();
        }
        let wiped: Result<(), _> = wipe
            .cmd("SCRIPT")
            .arg("FLUSH")
            .ignore()
            .query_async(&mut redis)
            .await;
        wiped.expect("wiped");
    }

    /// A connection as the superuser.
    pub fn superuser(&self) -> PgConnection {
        PgConnection::establish(&self.superuser_url()).expect("a connection as the superuser")
    }

    /// A connection as the owner.
    pub fn owner(&self) -> PgConnection {
        PgConnection::establish(&self.owner_url()).expect("a connection as the owner")
    }

    /// Runs statements as the superuser.
    pub fn execute(&self, sql: &str) {
        self.superuser().batch_execute(sql).expect("the statements run");
    }

    /// The first column of a query's rows, which must be text, as the superuser.
    pub fn query_text(&self, sql: &str) -> Vec<String> {
        let sql = format!("SELECT column_0 AS text FROM ({sql}) AS query (column_0)");
        let rows: Vec<TextRow> = diesel::sql_query(sql)
            .load(&mut self.superuser())
            .expect("the query runs");
        rows.into_iter().map(|row| row.text).collect()
    }

    /// The tables that hold a secret in any row: as it is, or within binary data or base64.
    pub fn tables_with(&self, secret: &str) -> Vec<String> {
        let tables = self.query_text(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
               AND NOT relispartition",
        );
        let forms = forms(secret);
        let holds = |table: &String| {
            let rows = self.query_text(&format!("SELECT t::text FROM {table} t"));
            rows.iter()
                .any(|row| forms.iter().any(|form| row.contains(form.as_str())))
        };
        tables.into_iter().filter(holds).collect()
    }

    fn url(&self, role: &str) -> String {
        servers::address().postgres(role, &self.name)
    }
}

/// How a secret looks in the text of a row: as text, in hexadecimal as `bytea` is shown, in base64 at any place, and that
/// in hexadecimal.
fn forms(secret: &str) -> Vec<String> {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let base64 = (0..3).map(|before| {
        let encoded = STANDARD_NO_PAD.encode([&[0; 3][..before], secret.as_bytes()].concat());
        // The first and last characters depend on what stands around it.
        encoded[(before * 8).div_ceil(6)..encoded.len() - 1].to_owned()
    });
    let plain: Vec<String> = base64.chain([secret.to_owned()]).collect();
    plain
        .iter()
        .flat_map(|form| [form.clone(), hex(form.as_bytes())])
        .collect()
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // What cannot be dropped goes with the servers at the end of the run.
        let _ = administer(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

fn pool(url: String) -> Database {
    Database::new(&DatabaseSettings::new(url)).expect("a pool")
}

fn administer(sql: &str) -> anyhow::Result<()> {
    let mut superuser = PgConnection::establish(&servers::address().postgres_superuser("postgres"))?;
    Ok(superuser.batch_execute(sql)?)
}
