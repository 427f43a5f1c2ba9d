//! Private servers come up, survive crashes, and keep their data. That they end with the process that started them
//! is tested in `testkit`, which has a program to kill.

use hookgate_devservers::{Options, Servers};

#[test]
fn data_survives_a_restart_and_every_kind_of_crash() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("servers");
    let mut servers = Servers::start(&root, &Options::default()).unwrap();
    servers.postgres.ensure_database("things").unwrap();
    servers
        .postgres
        .execute("things", "CREATE TABLE thing (n int)")
        .unwrap();
    let add = |servers: &Servers, n: i32| {
        servers
            .postgres
            .execute("things", &format!("INSERT INTO thing VALUES ({n})"))
            .unwrap();
    };
    add(&servers, 1);
    servers.postgres.kill();
    servers.postgres.start().unwrap();
    add(&servers, 2);
    servers.postgres.stop_immediately().unwrap();
    servers.postgres.start().unwrap();
    add(&servers, 3);
    servers.redis.kill();
    servers.redis.start().unwrap();
    servers.redis.flush().unwrap();
    let again = Servers::start(&root, &Options::default())
        .err()
        .expect("the directory is in use");
    assert!(again.to_string().contains("another process"), "{again}");
    servers.stop().unwrap();
    let servers = Servers::start(&root, &Options::default()).unwrap();
    let found = servers
        .postgres
        .execute("things", "SELECT string_agg(n::text, ',' ORDER BY n) FROM thing")
        .unwrap();
    assert_eq!(found, "1,2,3");
    servers.stop().unwrap();
    hookgate_devservers::remove(&root).unwrap();
    assert!(!root.exists());
}

#[test]
fn a_long_path_gets_a_short_directory_for_its_sockets() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("a rather long name, ".repeat(6));
    let servers = Servers::start(
        &root,
        &Options {
            durable: false,
            ..Options::default()
        },
    )
    .unwrap();
    assert!(servers.address().sockets().as_os_str().len() < 60);
    assert_eq!(servers.postgres.execute("postgres", "SELECT 1").unwrap(), "1");
    servers.stop().unwrap();
}
