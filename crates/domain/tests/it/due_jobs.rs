//! How much is due, told by plan.

use std::collections::BTreeMap;

use diesel::Connection;
use diesel::PgConnection;
use hookgate_domain::inspection::{self, DueJobs};
use hookgate_model::ids::TenantId;
use hookgate_testkit::TestDatabase;

/// Gives a tenant jobs that are due for so many seconds.
fn due(database: &TestDatabase, tenant: TenantId, jobs: u32, seconds: u32, and: &str) {
    database.execute(&format!(
        "INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, due_at)
         SELECT '{}', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '{{}}', now() - make_interval(secs => {seconds})
         FROM generate_series(1, {jobs}); {and}",
        tenant.uuid()
    ));
}

#[test]
fn each_plan_has_its_count_and_the_age_of_its_oldest() {
    let database = TestDatabase::create();
    database.execute("INSERT INTO plans (id, name) SELECT gen_random_uuid(), name FROM unnest(ARRAY['Large', 'Small', 'Unsold']) name");
    let tenant = |name: &str, plan: &str| {
        let tenant = database.tenant(name);
        database.execute(&format!(
            "UPDATE tenants SET plan_id = (SELECT id FROM plans WHERE name = '{plan}') WHERE id = '{}'",
            tenant.uuid()
        ));
        tenant
    };
    due(&database, tenant("A", "Large"), 3, 100, "");
    due(&database, tenant("B", "Large"), 2, 500, "");
    due(&database, tenant("C", "none"), 4, 50, "");
    // What nobody may claim is not due: held, leased, later, of a suspended tenant.
    let other = tenant("D", "Small");
    due(
        &database,
        other,
        1,
        900,
        "UPDATE jobs SET is_held = true WHERE due_at < now() - interval '800 s'",
    );
    due(
        &database,
        other,
        1,
        800,
        "UPDATE jobs SET leased_until = now() + interval '1 h' WHERE NOT is_held AND due_at < now() - interval '700 s'",
    );
    due(
        &database,
        tenant("E", "Small"),
        5,
        700,
        "UPDATE tenants SET suspended_at = now() WHERE name = 'E'",
    );

    let mut worker = PgConnection::establish(&database.worker_url()).expect("a connection");
    let plans = inspection::due_jobs(&mut worker).expect("counted");
    let now = hookgate_domain::clock::now();
    let told: BTreeMap<_, _> = plans
        .iter()
        .map(|due| {
            // The database's clock and this one are the same machine's.
            let age = due.oldest.map(|oldest| (now - oldest).num_seconds() / 10 * 10);
            (due.plan.as_deref(), (due.count, age))
        })
        .collect();
    let expected = BTreeMap::from([
        (None, (4, Some(50))),
        (Some("Large"), (5, Some(500))),
        (Some("Small"), (0, None)),
        (Some("Unsold"), (0, None)),
    ]);
    assert_eq!(told, expected);
    let all = DueJobs::of_all(&plans);
    assert_eq!((all.plan, all.count), (None, 9));
    assert_eq!(all.oldest, plans.iter().filter_map(|due| due.oldest).min());
}
