//! What webhooks, URLs and tenants are limited to.

use hookgate_domain::audit::Origin;
use hookgate_domain::operator;
use hookgate_model::ids::TenantId;
use hookgate_model::limits::TenantLimits;
use serde_json::{Value, json};

use crate::service::{PASSWORD, Service};
use crate::webhooks::{create, path_of};

#[tokio::test]
async fn a_webhook_and_its_urls_have_rates() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let limits = json!({"requests_per_second": 50, "burst": 100, "waiting_callers": 7});
    let webhook = create(&owner, json!({"name": "Orders", "limits": limits})).await;
    let mut expected = limits;
    expected["body_bytes"] = json!(1_048_576);
    assert_eq!(webhook["limits"], expected);
    let path = path_of(&webhook);
    let cleared = json!({"limits": {"burst": null, "waiting_callers": null}});
    let changed = owner.patch(&path, cleared).await.is(200);
    assert_eq!(
        changed["limits"],
        json!({"body_bytes": 1_048_576, "requests_per_second": 50, "burst": null, "waiting_callers": null})
    );
    owner
        .patch(
            &path,
            json!({"limits": {"requests_per_second": 0, "burst": 100_001}}),
        )
        .await
        .is_invalid(&[
            ("/limits/requests_per_second", "out_of_range"),
            ("/limits/burst", "out_of_range"),
        ]);
    owner
        .patch(
            &path,
            json!({"limits": {"requests_per_second": null, "burst": 5}}),
        )
        .await
        .is_invalid(&[("/limits/burst", "invalid")]);

    let url = &webhook["urls"][0];
    assert_eq!(url["limits"], json!({"requests_per_second": null, "burst": null}));
    let url = format!("{path}/urls/{}", url["id"].as_str().expect("an id"));
    let limits = json!({"requests_per_second": 5, "burst": 20});
    let changed = owner.patch(&url, json!({"limits": limits})).await.is(200);
    assert_eq!(changed["limits"], limits);
    assert_eq!(owner.get(&url).await.is(200)["limits"], limits);
    owner
        .patch(&url, json!({"limits": {"waiting_callers": 5}}))
        .await
        .is_invalid(&[("/limits/waiting_callers", "unknown")]);
    let changed = owner.patch(&url, json!({"limits": null})).await.is(200);
    assert_eq!(
        changed["limits"],
        json!({"requests_per_second": null, "burst": null})
    );
}

#[tokio::test]
async fn a_tenant_sees_what_the_operator_allows_it() {
    let service = Service::start_with(|settings| {
        settings.tenant_limits = TenantLimits {
            requests_per_second: Some(500),
            events_per_month: Some(1_000_000),
            ..TenantLimits::NONE
        };
    })
    .await;
    let account = service.register_account("ada@example.com").await;
    let owner = service.caller(account["tokens"]["access_token"].as_str().expect("a token"));
    let mut expected = json!({"requests_per_second": 500, "burst": 500, "events_per_month": 1_000_000,
        "body_bytes_per_month": null, "body_bytes": null, "waiting_callers": null, "retention_days": null});
    assert_eq!(owner.get("/v1/tenant").await.is(200)["limits"], expected);

    let tenant: TenantId = account["tenant"]["id"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("an id");
    let own = TenantLimits {
        events_per_month: Some(0),
        burst: Some(900),
        waiting_callers: Some(3),
        ..TenantLimits::default()
    };
    operator::in_tenant(
        &mut service.database.superuser(),
        &Origin::operator(),
        tenant,
        |conn, scope| operator::set_terms(conn, scope, None, &own),
    )
    .expect("set");
    expected["events_per_month"] = Value::Null;
    expected["burst"] = json!(900);
    expected["waiting_callers"] = json!(3);
    let read = owner.get("/v1/tenant").await;
    assert_eq!(read.is(200)["limits"], expected);
    assert_eq!(read.header("etag"), "\"2\"");
    // The tenant itself cannot change them.
    owner
        .patch("/v1/tenant", json!({"limits": {"burst": 1}}))
        .await
        .is_invalid(&[("/limits", "unknown")]);
}

#[tokio::test]
async fn a_tenants_plan_stands_between_its_own_limits_and_the_defaults() {
    let service = Service::start_with(|settings| {
        settings.plan_of_new_tenants = Some("Small".to_owned());
        settings.tenant_limits = TenantLimits {
            body_bytes: Some(512),
            events_per_month: Some(5),
            ..TenantLimits::NONE
        };
    })
    .await;
    // A name that is wrong is seen at once: else everybody would get the defaults.
    let registration =
        json!({"email": "ada@example.com", "password": PASSWORD, "name": "Ada", "tenant_name": "Engines"});
    let refused = service.stranger().post("/v1/auth/register", registration).await;
    refused.is_problem(500, "internal");
    service.database.execute(
        "INSERT INTO plans (id, name, limits) VALUES (gen_random_uuid(), 'Small', '{\"events_per_month\": 100, \"burst\": 7}')",
    );
    let owner = service.register("ada@example.com").await;
    let limits = json!({"requests_per_second": null, "burst": null, "events_per_month": 100,
        "body_bytes_per_month": null, "body_bytes": 512, "waiting_callers": null, "retention_days": null});
    let tenant = owner.get("/v1/tenant").await.is(200);
    assert_eq!((&tenant["plan"], &tenant["limits"]), (&json!("Small"), &limits));
    let renamed = owner.patch("/v1/tenant", json!({"name": "Looms"})).await.is(200);
    assert_eq!((&renamed["plan"], &renamed["limits"]), (&json!("Small"), &limits));
    owner
        .post("/v1/tenants", json!({"name": "Another"}))
        .await
        .is(201);
    let plans = service
        .database
        .query_text("SELECT DISTINCT plans.name FROM plans JOIN tenants ON plan_id = plans.id");
    assert_eq!(plans, ["Small"]);
    service.database.execute("UPDATE tenants SET plan_id = NULL");
    assert_eq!(owner.get("/v1/tenant").await.is(200)["plan"], Value::Null);
}

#[tokio::test]
async fn a_tenant_says_how_long_it_keeps_what_it_received() {
    let limits = TenantLimits {
        retention_days: Some(30),
        ..TenantLimits::NONE
    };
    let service = Service::start_with(|settings| settings.tenant_limits = limits).await;
    let owner = service.register("ada@example.com").await;
    let tenant = owner.get("/v1/tenant").await.is(200);
    assert_eq!(
        (&tenant["retention_days"], &tenant["limits"]["retention_days"]),
        (&json!(null), &json!(30))
    );
    let set =
        async |days: serde_json::Value| owner.patch("/v1/tenant", json!({"retention_days": days})).await;
    assert_eq!(set(json!(7)).await.is(200)["retention_days"], 7);
    set(json!(31))
        .await
        .is_invalid(&[("/retention_days", "out_of_range")]);
    set(json!(0))
        .await
        .is_invalid(&[("/retention_days", "out_of_range")]);
    assert_eq!(owner.get("/v1/tenant").await.is(200)["retention_days"], 7);
    // Lowered by the operator below what is wished, and with a limit that only a newer version knows.
    service
        .database
        .execute(r#"UPDATE tenants SET limits = '{"retention_days": 3, "moons": 1}'"#);
    let renamed = owner
        .patch("/v1/tenant", json!({"name": "Another"}))
        .await
        .is(200);
    assert_eq!(
        (&renamed["retention_days"], &renamed["limits"]["retention_days"]),
        (&json!(7), &json!(3))
    );
    set(json!(6))
        .await
        .is_invalid(&[("/retention_days", "out_of_range")]);
    assert_eq!(set(json!(null)).await.is(200)["retention_days"], json!(null));
}
