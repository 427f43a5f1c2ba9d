//! Suspension and deletion in the schema: who may change them, and what an upgrade makes of what there is.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use hookgate_domain::migrations;
use hookgate_testkit::TestDatabase;

/// The migration that tells the two apart.
const THE_UPGRADE: &str = "20261122820010";

/// How each tenant stands, by its name.
fn standings(database: &TestDatabase) -> Vec<String> {
    database.query_text(
        "SELECT concat_ws(' ', name, status, CASE WHEN suspended_at IS NOT NULL THEN 'by the operator' END,
           CASE WHEN delete_at IS NOT NULL THEN 'deleted' END) FROM tenants ORDER BY name",
    )
}

#[test]
fn an_upgrade_keeps_suspensions_and_deletions_apart() {
    let database = TestDatabase::create();
    let mut owner = database.owner();
    while migrations::revert_last(&mut owner).expect("reverted") != THE_UPGRADE {}
    database.execute(
        "INSERT INTO tenants (id, name, status, delete_at) VALUES
           (gen_random_uuid(), 'A', 'active', NULL),
           (gen_random_uuid(), 'B', 'suspended', NULL),
           (gen_random_uuid(), 'C', 'suspended', now() + interval '1 day')",
    );
    migrations::run(&mut owner).expect("migrated");
    assert_eq!(
        standings(&database),
        ["A active", "B suspended by the operator", "C suspended deleted"]
    );
    let before = database.query_text("SELECT count(*)::text FROM tenants WHERE suspended_at = updated_at");
    assert_eq!(before, ["1"], "since when it was, as far as that is known");
}

#[test]
fn the_service_that_tenants_use_cannot_change_what_the_operator_decides() {
    let database = TestDatabase::create();
    let tenant = database.tenant("A").uuid();
    database.execute("UPDATE tenants SET suspended_at = now(), suspension_reason = 'Spam.'");
    let mut management = PgConnection::establish(&database.management_url()).expect("a connection");
    let mut change = |columns: &str| {
        let changed = management.batch_execute(&format!(
            "BEGIN; SELECT set_config('hookgate.tenant_id', '{tenant}', true); UPDATE tenants SET {columns}; COMMIT"
        ));
        if changed.is_err() {
            management.batch_execute("ROLLBACK").expect("rolled back");
        }
        changed
    };
    for columns in [
        "limits = '{\"burst\": 0}'",
        "plan_id = gen_random_uuid()",
        "suspended_at = NULL",
        "suspension_reason = 'A mistake.'",
    ] {
        let error = change(columns).expect_err(columns).to_string();
        assert!(error.contains("only the operator changes"), "{columns}: {error}");
    }
    // What follows from the others it cannot set either; the rest is the tenant's own.
    change("status = 'active', name = 'B'").expect("changed");
    assert_eq!(standings(&database), ["B suspended by the operator"]);
}
