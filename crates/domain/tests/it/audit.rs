//! The audit log's entries stand in the order of what they tell of.

use diesel::connection::SimpleConnection;
use hookgate_testkit::TestDatabase;

/// The names of the allowlists that the log tells of, the oldest entry first.
fn told(database: &TestDatabase) -> Vec<String> {
    database.query_text("SELECT after ->> 'name' FROM audit_log WHERE object_kind = 'allowlist' ORDER BY id")
}

#[test]
fn entries_of_one_millisecond_are_in_order() {
    let database = TestDatabase::create();
    let tenant = database.tenant("A").uuid();
    let add = |from: u32, to: u32| {
        format!(
            "INSERT INTO allowlists (tenant_id, id, name)
             SELECT '{tenant}', gen_random_uuid(), 'List ' || lpad(n::text, 4, '0') FROM generate_series({from}, {to}) n;"
        )
    };
    let mut owner = database.superuser();
    let together = format!("BEGIN; {} {} COMMIT", add(1, 500), add(501, 501));
    owner.batch_execute(&together).expect("stored");
    for number in 502..=600 {
        owner.batch_execute(&add(number, number)).expect("stored");
    }
    let told = told(&database);
    assert_eq!(told.len(), 600);
    let misplaced = told.windows(2).find(|two| two[0] >= two[1]);
    assert_eq!(misplaced, None);
}

#[test]
fn entries_of_a_transaction_are_in_order_when_the_clock_goes_back() {
    let database = TestDatabase::create();
    let tenant = database.tenant("A").uuid();
    // As if the entry before had been written in an hour.
    let ahead = "SELECT set_config('hookgate.audited_at', ((extract(epoch FROM now()) + 3600) * 1000000)::bigint::text, true)";
    let add = |number: u32| {
        format!(
            "INSERT INTO allowlists (tenant_id, id, name) VALUES ('{tenant}', gen_random_uuid(), 'List {number:04}')"
        )
    };
    let mut owner = database.superuser();
    let together = format!("BEGIN; {ahead}; {}; {}; COMMIT", add(1), add(2));
    owner.batch_execute(&together).expect("stored");
    assert_eq!(told(&database), ["List 0001", "List 0002"]);
    let times = database.query_text(
        "SELECT (to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) > now() + interval '59 minutes')::text
         FROM audit_log WHERE object_kind = 'allowlist'",
    );
    assert_eq!(times, ["true", "true"]);
    owner.batch_execute(&add(3)).expect("stored");
    assert_eq!(
        told(&database)[0],
        "List 0003",
        "another transaction goes by the clock"
    );
}
