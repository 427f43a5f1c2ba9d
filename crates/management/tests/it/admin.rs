//! The operator's API: who gets in, what they find, and what comes of what they decide.

use std::time::Duration;

use hookgate_domain::redis::changes::{Change, ChangeNotice};
use hookgate_management::openapi;
use hookgate_model::access::Scope;
use hookgate_model::ids::{PlanId, TenantId};
use hookgate_model::limits::TenantLimits;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::service::{Caller, OPERATORS_TOKEN, PASSWORD, Service};
use crate::smtp::SmtpServer;
use crate::totp;

fn id(value: &Value) -> &str {
    value["id"].as_str().expect("an id")
}

fn ids(page: &Value) -> Vec<&str> {
    page["data"].as_array().expect("a list").iter().map(id).collect()
}

/// A person with a tenant of a name of their own: the caller and the tenant's id.
async fn tenant(service: &Service, email: &str, name: &str) -> (Caller, String) {
    let registration = json!({"email": email, "password": PASSWORD, "name": "Ada", "tenant_name": name});
    let account = service
        .stranger()
        .post("/v1/auth/register", registration)
        .await
        .is(201);
    let token = account["tokens"]["access_token"].as_str().expect("a token");
    (service.caller(token), id(&account["tenant"]).to_owned())
}

/// Each operation of the document, as a method and a path that names nothing.
fn operations(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    paths
        .flat_map(|(path, item)| {
            let path: Vec<&str> = path
                .split('/')
                .map(|part| if part.starts_with('{') { "nothing" } else { part })
                .collect();
            let path = path.join("/");
            let methods = item.as_object().expect("operations").keys();
            methods
                .map(|method| (method.to_uppercase(), path.clone()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn the_operators_tokens_open_this_api_alone_and_nothing_else_opens_it() {
    let service = Service::start_with_short_streams().await;
    let (admin, operator) = service.operators_api().await;
    let owner = service.register("ada@example.com").await;
    let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let key = owner.key(&scopes).await;
    let of_operator = serde_json::to_value(openapi::admin_document()).expect("JSON");
    let of_tenants = serde_json::to_value(openapi::document()).expect("JSON");

    for (method, path) in operations(&of_operator) {
        let method = || method.parse().expect("a method");
        // Not with what tenants have.
        for credential in [
            None,
            Some(owner.credential()),
            Some(key.credential()),
            Some(&OPERATORS_TOKEN[1..]),
            Some(""),
        ] {
            let answer = operator
                .presenting(credential)
                .send(method(), &path, Some("{}".to_owned()))
                .await;
            answer.is_problem(401, "unauthenticated");
        }
        let body = (method() != "GET").then(|| "{}".to_owned());
        let answer = operator.send(method(), &path, body.clone()).await;
        assert_ne!(answer.status, 401, "{path}: {}", answer.text);
        // Not at the public listener, whoever asks.
        for credential in [OPERATORS_TOKEN, owner.credential(), key.credential()] {
            let answer = service
                .caller(credential)
                .send(method(), &path, body.clone())
                .await;
            answer.is_problem(404, "route_not_found");
        }
    }
    // Of two tokens both work.
    let other = "y".repeat(32);
    operator
        .presenting(Some(&other))
        .get("/admin/v1/plans")
        .await
        .is(200);
    for (method, path) in operations(&of_tenants) {
        let method = || method.parse().expect("a method");
        for credential in [OPERATORS_TOKEN, owner.credential()] {
            let answer = operator
                .presenting(Some(credential))
                .send(method(), &path, None)
                .await;
            answer.is_problem(404, "route_not_found");
        }
        let answer = service.caller(OPERATORS_TOKEN).send(method(), &path, None).await;
        let without = service.stranger().send(method(), &path, None).await;
        assert_eq!(answer.status, without.status, "{path}: {}", answer.text);
    }
    service
        .caller(OPERATORS_TOKEN)
        .get("/v1/me")
        .await
        .is_problem(401, "unauthenticated");
    let shown = operator
        .presenting(None)
        .get("/admin/v1/openapi.json")
        .await
        .is(200);
    assert_eq!(shown, of_operator);
    operator
        .send("PUT".parse().expect("a method"), "/admin/v1/plans", None)
        .await
        .is_problem(405, "method_not_allowed");
    admin.stop().await;
}

#[tokio::test]
async fn whoever_guesses_tokens_waits_where_they_are() {
    let service = Service::start_with(|settings| {
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        settings.login_failures_per_network = 4;
    })
    .await;
    let (_admin, operator) = service.operators_api().await;
    let from = |address: &str| operator.with("x-forwarded-for", address);
    let guess = "x".repeat(40);
    for _ in 0..4 {
        let guesser = from("203.0.113.7").presenting(Some(&guess));
        guesser
            .get("/admin/v1/plans")
            .await
            .is_problem(401, "unauthenticated");
    }
    let guesser = from("203.0.113.7").presenting(Some(&guess));
    let waits = guesser.get("/admin/v1/plans").await;
    waits.is_problem(429, "too_many_requests");
    assert_eq!(waits.header("retry-after"), "1");
    // Nobody else waits, however often they come, not even beside the guesser.
    for address in ["198.51.100.1", "203.0.113.7"].repeat(5) {
        from(address).get("/admin/v1/plans").await.is(200);
    }
}

#[tokio::test]
async fn tenants_are_found() {
    let service = Service::start().await;
    let (_admin, operator) = service.operators_api().await;
    let (_, looms) = tenant(&service, "ada@example.com", "Jacquard_Looms 100%").await;
    let (_, engines) = tenant(&service, "eve@example.com", "Analytical Engines").await;
    let (_, both) = tenant(&service, "grace@example.com", "Engines and Looms").await;
    let find = async |query: &str| {
        let found = operator.get(&format!("/admin/v1/tenants{query}")).await.is(200);
        ids(&found).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(find("").await, [&*both, &*engines, &*looms], "the newest first");
    assert_eq!(find(&format!("?q={engines}")).await, [&*engines]);
    assert_eq!(find("?q=lOOms").await, [&*both, &*looms]);
    assert_eq!(find("?q=_").await, [&*looms], "a character like any other");
    assert_eq!(find("?q=0%25").await, [&*looms]);
    assert_eq!(find("?q=EVE@example.com").await, [&*engines]);
    assert!(find("?q=example.com").await.is_empty(), "only whole addresses");
    // In pages, with a cursor that works for this list alone.
    let first = operator.get("/admin/v1/tenants?limit=1&q=e").await.is(200);
    let cursor = first["next_cursor"].as_str().expect("more");
    let second = operator
        .get(&format!("/admin/v1/tenants?q=e&cursor={cursor}"))
        .await
        .is(200);
    assert_eq!(ids(&first).len() + ids(&second).len(), 2, "{first} {second}");
    operator
        .get(&format!("/admin/v1/plans?cursor={cursor}"))
        .await
        .is_problem(400, "invalid_cursor");
    operator
        .get("/admin/v1/tenants?status=gone&plan=none")
        .await
        .is_invalid(&[("?status", "invalid"), ("?plan", "invalid")]);

    let of = |tenant: &str, what: &str| format!("/admin/v1/tenants/{tenant}{what}");
    let reason = json!({"reason": "An open invoice."});
    operator
        .post(&of(&looms, "/suspend"), reason.clone())
        .await
        .is(200);
    operator.delete(&of(&both, "")).await.is(200);
    operator.post(&of(&both, "/suspend"), reason).await.is(200);
    assert_eq!(find("?status=active").await, [&*engines]);
    assert_eq!(find("?status=suspended").await, [&*both, &*looms]);
    assert_eq!(find("?status=deleted&q=Looms").await, [&*both]);
    let absent = "/admin/v1/tenants/tnt_01k9z3v8e5f2q8r7w6t5y4x3m2";
    for answer in [
        operator.get(absent).await,
        operator.patch(absent, json!({})).await,
        operator.delete(absent).await,
        operator.get(&format!("{absent}/usage")).await,
        operator
            .post(&format!("{absent}/suspend"), json!({"reason": "x"}))
            .await,
        operator.post(&format!("{absent}/resume"), json!({})).await,
        operator.post(&format!("{absent}/restore"), json!({})).await,
        operator
            .get("/admin/v1/tenants/whk_01k9z3v8e5f2q8r7w6t5y4x3m2")
            .await,
    ] {
        answer.is_problem(404, "not_found");
    }
}

#[tokio::test]
async fn what_a_tenant_may_use_is_its_own_else_its_plans_else_the_settings() {
    let service = Service::start_with(|settings| {
        settings.tenant_limits = TenantLimits {
            body_bytes: Some(512),
            ..TenantLimits::NONE
        };
    })
    .await;
    let (_admin, operator) = service.operators_api().await;
    let (owner, tenant) = tenant(&service, "ada@example.com", "Engines").await;
    let path = format!("/admin/v1/tenants/{tenant}");
    let plan = json!({"name": "Small", "limits": {"events_per_month": 100, "requests_per_second": 5}});
    let plan = operator.post("/admin/v1/plans", plan).await.is(201);
    assert_eq!(plan["limits"]["burst"], Value::Null);

    let read = operator.get(&path).await;
    let etag = read.header("etag").to_owned();
    let found = read.is(200);
    assert_eq!((&found["plan"], &found["webhooks"]), (&Value::Null, &json!(0)));
    assert_eq!(found["owners"][0]["email"], "ada@example.com");
    assert_eq!(found["limits_in_effect"]["body_bytes"], 512);
    let terms = json!({"plan": id(&plan), "limits": {"events_per_month": 0, "body_bytes": 1024}});
    let changed = operator
        .with("if-match", &etag)
        .patch(&path, terms.clone())
        .await
        .is(200);
    assert_eq!(changed["plan"], json!({"id": id(&plan), "name": "Small"}));
    let in_effect = json!({"requests_per_second": 5, "burst": 5, "events_per_month": null,
        "body_bytes_per_month": null, "body_bytes": 1024, "waiting_callers": null, "retention_days": null});
    assert_eq!(changed["limits_in_effect"], in_effect);
    let own = owner.get("/v1/tenant").await.is(200);
    assert_eq!((&own["plan"], &own["limits"]), (&json!("Small"), &in_effect));
    operator
        .with("if-match", &etag)
        .patch(&path, terms)
        .await
        .is_problem(412, "precondition_failed");

    // A patch changes what it names; null leaves it to what comes next.
    let changed = operator
        .patch(&path, json!({"limits": {"body_bytes": null}}))
        .await
        .is(200);
    assert_eq!(changed["limits"]["events_per_month"], 0);
    assert_eq!(changed["limits_in_effect"]["body_bytes"], 512);
    operator
        .patch(&path, json!({"plan": "pln_01k9z3v8e5f2q8r7w6t5y4x3m2"}))
        .await
        .is_invalid(&[("/plan", "not_found")]);
    operator
        .patch(
            &path,
            json!({"status": "active", "limits": {"burst": 100_001, "webhooks": 1}}),
        )
        .await
        .is_invalid(&[
            ("/limits/burst", "out_of_range"),
            ("/limits/webhooks", "unknown"),
            ("/status", "unknown"),
        ]);
    assert_eq!(
        ids(&operator
            .get(&format!("/admin/v1/tenants?plan={}", id(&plan)))
            .await
            .is(200)),
        [&*tenant]
    );

    // The tenant reads in its audit log who did it; it sees nothing else of the operator.
    let audit = owner.get("/v1/audit-log?actor=operator").await.is(200);
    assert_eq!(audit["data"].as_array().expect("entries").len(), 2);
    assert!(
        audit["data"][0]["address"].is_string() && audit["data"][0]["trace_id"].is_string(),
        "{audit}"
    );
}

#[tokio::test]
async fn plans_are_made_changed_and_deleted_when_nobody_has_them() {
    let service = Service::start().await;
    let (_admin, operator) = service.operators_api().await;
    let (_, tenant) = tenant(&service, "ada@example.com", "Engines").await;
    let made = operator.post("/admin/v1/plans", json!({"name": "Small"})).await;
    let etag = made.header("etag").to_owned();
    let small = made.is(201);
    let path = format!("/admin/v1/plans/{}", id(&small));
    operator
        .post("/admin/v1/plans", json!({"name": "Small"}))
        .await
        .is_problem(409, "name_taken");
    let large = operator
        .post("/admin/v1/plans", json!({"name": "Large"}))
        .await
        .is(201);
    assert_eq!(
        ids(&operator.get("/admin/v1/plans").await.is(200)),
        [id(&large), id(&small)]
    );
    operator
        .patch(&path, json!({"name": "Large"}))
        .await
        .is_problem(409, "name_taken");
    let changed = operator
        .with("if-match", &etag)
        .patch(&path, json!({"limits": {"burst": 9}}))
        .await
        .is(200);
    assert_eq!(
        (&changed["name"], &changed["limits"]["burst"]),
        (&json!("Small"), &json!(9))
    );
    operator
        .with("if-match", &etag)
        .patch(&path, json!({"name": "Tiny"}))
        .await
        .is_problem(412, "precondition_failed");
    operator
        .post("/admin/v1/plans", json!({"name": "x".repeat(65), "price": 1}))
        .await
        .is_invalid(&[("/name", "too_long"), ("/price", "unknown")]);

    let of_tenant = format!("/admin/v1/tenants/{tenant}");
    operator
        .patch(&of_tenant, json!({"plan": id(&small)}))
        .await
        .is(200);
    assert_eq!(operator.get(&path).await.is(200)["tenants"], 1);
    operator.delete(&path).await.is_problem(409, "in_use");
    operator.patch(&of_tenant, json!({"plan": null})).await.is(200);
    operator.delete(&path).await.is(204);
    operator.get(&path).await.is_problem(404, "not_found");
    operator.delete(&path).await.is_problem(404, "not_found");

    for number in 1..100 {
        let plan = json!({"name": format!("Plan {number}")});
        operator.post("/admin/v1/plans", plan).await.is(201);
    }
    operator
        .post("/admin/v1/plans", json!({"name": "One more"}))
        .await
        .is_problem(409, "limit_reached");
}

#[tokio::test]
async fn the_plan_of_new_tenants_keeps_its_name() {
    let service =
        Service::start_with(|settings| settings.plan_of_new_tenants = Some("Free".to_owned())).await;
    let (_admin, operator) = service.operators_api().await;
    let plan = operator
        .post("/admin/v1/plans", json!({"name": "Free"}))
        .await
        .is(201);
    let path = format!("/admin/v1/plans/{}", id(&plan));
    operator
        .patch(&path, json!({"name": "Gratis"}))
        .await
        .is_problem(409, "in_use");
    operator.delete(&path).await.is_problem(409, "in_use");
    operator
        .patch(&path, json!({"limits": {"burst": 9}}))
        .await
        .is(200);
    tenant(&service, "ada@example.com", "Engines").await;
}

#[tokio::test]
async fn a_tenant_is_suspended_deleted_and_brought_back() {
    let service = Service::start().await;
    let (_admin, operator) = service.operators_api().await;
    let (owner, tenant) = tenant(&service, "ada@example.com", "Engines").await;
    let of = |what: &str| format!("/admin/v1/tenants/{tenant}{what}");
    operator
        .post(&of("/suspend"), json!({"reason": " "}))
        .await
        .is_invalid(&[("/reason", "too_short")]);
    let suspended = operator
        .post(&of("/suspend"), json!({"reason": "Spam."}))
        .await
        .is(200);
    assert_eq!(
        (&suspended["status"], &suspended["suspension_reason"]),
        (&json!("suspended"), &json!("Spam."))
    );
    let again = operator
        .post(&of("/suspend"), json!({"reason": "More spam."}))
        .await
        .is(200);
    assert_eq!(again["suspended_at"], suspended["suspended_at"]);
    owner
        .get("/v1/webhooks")
        .await
        .is_problem(403, "tenant_suspended");
    assert_eq!(
        owner.get("/v1/me").await.is(200)["tenant"]["suspension_reason"],
        "More spam."
    );

    operator
        .post(&of("/restore"), json!({}))
        .await
        .is_problem(409, "wrong_state");
    let deleted = operator.delete(&of("")).await.is(200);
    assert_eq!(deleted["status"], "deleted");
    let again = operator.delete(&of("")).await.is(200);
    assert_eq!(
        again["delete_at"], deleted["delete_at"],
        "the time does not begin anew"
    );
    owner
        .post("/v1/tenant/restore", json!({}))
        .await
        .is_problem(403, "tenant_suspended");
    assert_eq!(
        operator.post(&of("/restore"), json!({})).await.is(200)["status"],
        "suspended"
    );
    let resumed = operator.post(&of("/resume"), json!({})).await.is(200);
    assert_eq!(
        (&resumed["status"], &resumed["suspension_reason"]),
        (&json!("active"), &Value::Null)
    );
    let twice = operator.post(&of("/resume"), json!({})).await;
    assert_eq!(twice.is(200)["updated_at"], resumed["updated_at"]);
    owner.get("/v1/webhooks").await.is(200);

    owner
        .post("/v1/webhooks", json!({"name": "Orders"}))
        .await
        .is(201);
    service.database.execute(
        "INSERT INTO usage (tenant_id, day, webhook_id, events, body_bytes)
           SELECT id, (now() AT TIME ZONE 'UTC')::date, gen_random_uuid(), 7, 70 FROM tenants",
    );
    let found = operator.get(&of("")).await.is(200);
    assert_eq!(
        (&found["webhooks"], &found["this_month"]),
        (&json!(1), &json!({"events": 7, "body_bytes": 70}))
    );
    let usage = operator.get(&of("/usage?by=day")).await.is(200);
    assert_eq!(usage, owner.get("/v1/usage?by=day").await.is(200));
    assert_eq!(usage["data"][0]["events"], 7);
}

#[tokio::test]
async fn nodes_hear_of_what_the_operator_decides() {
    let service = Service::start().await;
    let (_admin, operator) = service.operators_api().await;
    let (_, tenant) = tenant(&service, "ada@example.com", "Engines").await;
    let plan = operator
        .post("/admin/v1/plans", json!({"name": "Small"}))
        .await
        .is(201);
    let (tell, mut told) = mpsc::unbounded_channel();
    let redis = service.database.redis();
    let _subscription = redis.on_change(move |notice| tell.send(notice).unwrap_or_default());
    let mut next = async || {
        let notice = tokio::time::timeout(Duration::from_secs(10), told.recv()).await;
        notice.expect("a notice in time").expect("a notice")
    };
    assert_eq!(next().await, ChangeNotice::Connected);
    let of_tenant: TenantId = tenant.parse().expect("an id");
    let of_plan: PlanId = id(&plan).parse().expect("an id");
    let path = format!("/admin/v1/tenants/{tenant}");
    operator
        .patch(&path, json!({"limits": {"burst": 1}}))
        .await
        .is(200);
    operator
        .post(&format!("{path}/suspend"), json!({"reason": "Spam."}))
        .await
        .is(200);
    operator.post(&format!("{path}/resume"), json!({})).await.is(200);
    operator.delete(&path).await.is(200);
    operator.post(&format!("{path}/restore"), json!({})).await.is(200);
    for _ in 0..5 {
        assert_eq!(next().await, ChangeNotice::Changed(Change::Tenant(of_tenant)));
    }
    let path = format!("/admin/v1/plans/{}", id(&plan));
    operator
        .patch(&path, json!({"limits": {"burst": 1}}))
        .await
        .is(200);
    assert_eq!(next().await, ChangeNotice::Changed(Change::Plan(of_plan)));
}

#[tokio::test]
async fn who_has_lost_a_second_factor_gets_in_with_the_password_again() {
    let server = SmtpServer::start().await;
    let service = Service::start_with(|settings| settings.mailer = Some(server.mailer())).await;
    let (_admin, operator) = service.operators_api().await;
    let ada = totp::enrolled(&service).await;
    totp::login(&service, json!({}))
        .await
        .is_problem(401, "totp_required");
    let path = "/admin/v1/users/ADA@example.com/remove-second-factor";
    let person = operator.post(path, json!({})).await.is(200);
    assert_eq!(
        (&person["email"], &person["name"]),
        (&json!("ada@example.com"), &json!("Ada"))
    );
    ada.caller.get("/v1/me").await.is_problem(401, "unauthenticated");
    totp::login(&service, json!({})).await.is(200);
    for subject in [
        "Verify your e-mail address",
        "Your account has a second factor",
        "Your second factor was removed",
    ] {
        server.expect("ada@example.com", subject).await;
    }
    let rows = "SELECT (SELECT count(*) FROM totp_secrets) || ' ' || (SELECT count(*) FROM recovery_codes)";
    assert_eq!(service.database.query_text(rows), ["0 0"]);
    let by_id = format!("/admin/v1/users/{}/remove-second-factor", id(&person));
    operator
        .post(&by_id, json!({}))
        .await
        .is_problem(409, "wrong_state");
    for nobody in ["eve@example.com", "usr_01k9z3v8e5f2q8r7w6t5y4x3m2", "nothing"] {
        let path = format!("/admin/v1/users/{nobody}/remove-second-factor");
        operator.post(&path, json!({})).await.is_problem(404, "not_found");
    }
}
