//! Readiness: what makes a service ready, and what does not make it unready.

use std::sync::mpsc;
use std::time::Duration;

use hookgate_domain::database::{Database, DatabaseSettings, Unready};
use hookgate_domain::{Error, Result};
use hookgate_testkit::TestDatabase;

fn newest(database: &TestDatabase) -> String {
    database
        .query_text("SELECT max(version)::text FROM __diesel_schema_migrations")
        .remove(0)
}

#[tokio::test]
async fn every_service_waits_for_the_migrations_of_its_version_once() {
    let test = TestDatabase::create();
    let newest = newest(&test);
    let lost = format!("DELETE FROM __diesel_schema_migrations WHERE version = '{newest}'");
    let done = format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{newest}')");
    for database in [test.ingress(), test.management(), test.worker(), test.admin()] {
        test.execute(&lost);
        assert_eq!(database.readiness().await, Err(Unready::Unmigrated));
        test.execute(&done);
        assert_eq!(database.readiness().await, Ok(()));
        test.execute(&lost);
        assert_eq!(database.readiness().await, Ok(()), "it is not asked any more");
        test.execute(&done);
    }
}

#[tokio::test]
async fn a_newer_schema_is_no_hindrance_and_an_empty_database_is_one() {
    let test = TestDatabase::create();
    test.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
    assert_eq!(test.worker().readiness().await, Ok(()));
    let empty = TestDatabase::create_empty();
    assert_eq!(empty.worker().readiness().await, Err(Unready::Unmigrated));
}

#[tokio::test]
async fn a_pool_that_is_used_up_is_not_unready() {
    let test = TestDatabase::create();
    let settings = DatabaseSettings {
        pool_size: 1,
        acquire_timeout: Duration::from_millis(500),
        ..test.settings(test.worker_url())
    };
    let database = Database::new(&settings).unwrap();
    let (taken, is_taken) = tokio::sync::oneshot::channel();
    let (give_back, until) = mpsc::channel::<()>();
    let busy = database.clone();
    let query = tokio::spawn(async move {
        busy.run(move |_| -> Result<()> {
            taken.send(()).unwrap();
            until.recv().unwrap();
            Ok(())
        })
        .await
    });
    is_taken.await.unwrap();
    let another: Result<()> = database.run(|_| Ok(())).await;
    assert!(
        matches!(another, Err(Error::Unavailable(_))),
        "no connection is left"
    );
    assert_eq!(database.readiness().await, Ok(()));
    give_back.send(()).unwrap();
    query.await.unwrap().unwrap();
}

#[tokio::test]
async fn it_finds_a_server_again() {
    let test = TestDatabase::create();
    let database = test.worker();
    assert_eq!(database.readiness().await, Ok(()));
    test.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    assert_eq!(database.readiness().await, Ok(()));
    let nowhere = test.settings("postgres://hookgate_worker@127.0.0.1:1/none".to_owned());
    let nowhere = Database::new(&nowhere).unwrap();
    assert_eq!(nowhere.readiness().await, Err(Unready::Away));
}
