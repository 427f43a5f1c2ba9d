//! A database per test, cloned from the migrated template, and a prefix of its own in the shared Redis.

use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use hookgate_devservers::OWNER;
use hookgate_domain::database::{Database, DatabaseSettings};
use hookgate_domain::redis::Redis;

use crate::servers;

/// The three services' roles.
pub const ROLES: [&str; 3] = ["hookgate_ingress", "hookgate_management", "hookgate_worker"];

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

    fn url(&self, role: &str) -> String {
        servers::address().postgres(role, &self.name)
    }
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
