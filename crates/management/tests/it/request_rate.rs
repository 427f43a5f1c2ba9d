//! The rate of requests that a tenant may send.

use hookgate_domain::redis::Redis;
use hookgate_testkit::TestDatabase;

use crate::service::Service;

#[tokio::test]
async fn a_tenant_waits_that_sends_too_many_and_nobody_else() {
    let service = Service::start_with(|settings| {
        settings.requests_per_second = 1;
        settings.requests_at_once = 30;
    })
    .await;
    let ada = service.register("ada@example.com").await;
    let eve = service.register("eve@example.com").await;
    let machine = ada.key(&["webhooks:read"]).await;
    let mut refused = None;
    for _ in 0..60 {
        let answer = machine.get("/v1/webhooks").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        answer.is(200);
    }
    let refused = refused.expect("too many");
    let told = refused.is_problem(429, "too_many_requests");
    assert!(
        told["detail"].to_string().contains("1 requests per second"),
        "{told}"
    );
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit-policy"), "\"tenant\";q=30;w=30");
    assert_eq!(refused.header("ratelimit"), "\"tenant\";r=0;t=1");
    // The rate is the tenant's, not the key's; others have their own.
    let statuses = [ada.get("/v1/me").await.status, machine.get("/v1/me").await.status];
    assert!(statuses.iter().any(|status| *status == 429), "{statuses:?}");
    eve.get("/v1/webhooks").await.is(200);
}

#[tokio::test]
async fn nobody_waits_without_redis_or_without_a_rate() {
    let away = || Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let database = TestDatabase::create();
    let service = Service::start_on(database, away(), |settings| {
        settings.requests_per_second = 1;
        settings.requests_at_once = 1;
    })
    .await;
    let ada = service.register("ada@example.com").await;
    for _ in 0..5 {
        ada.get("/v1/webhooks").await.is(200);
    }
    let service = Service::start_with(|settings| settings.requests_per_second = 0).await;
    let ada = service.register("ada@example.com").await;
    for _ in 0..5 {
        ada.get("/v1/webhooks").await.is(200);
    }
}
