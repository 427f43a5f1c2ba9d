//! The service itself: health, unknown routes, traces, limits, documentation.

use std::time::Duration;

use hookgate_domain::redis::Redis;
use hookgate_testkit::{TestDatabase, eventually};
use reqwest::Method;
use serde_json::json;

use crate::service::Service;

#[tokio::test]
async fn it_is_ready_with_postgres_and_degraded_without_redis() {
    let service = Service::start().await;
    assert_eq!(service.stranger().get("/livez").await.text, "ok");
    let ready = service.stranger().get("/readyz").await.is(200);
    assert_eq!(ready, json!({"status": "ready", "postgres": "up", "redis": "up"}));

    let redis = Redis::new("redis://127.0.0.1:1/").expect("a URL");
    let lonely = Service::start_on(TestDatabase::create(), redis, |_| {}).await;
    assert_eq!(
        lonely.stranger().get("/readyz").await.is(200)["status"],
        "degraded"
    );
    lonely
        .register("ada@example.com")
        .await
        .get("/v1/me")
        .await
        .is(200);
}

#[tokio::test]
async fn without_postgres_it_says_503_and_when_to_try_again() {
    let database = TestDatabase::create();
    let settings = hookgate_domain::database::DatabaseSettings {
        acquire_timeout: Duration::from_millis(200),
        ..database.settings("postgres://nobody@127.0.0.1:1/none".to_owned())
    };
    let management = hookgate_management::start(
        hookgate_management::Settings {
            listen: "127.0.0.1:0".parse().expect("an address"),
            ..Default::default()
        },
        hookgate_domain::database::Database::new(&settings).expect("a pool"),
        database.redis(),
        hookgate_domain::crypto::MasterKey::from_bytes(&[7; 32]),
        hookgate_egress::Client::new(&Default::default()).expect("a client"),
    )
    .await
    .expect("it starts without Postgres");
    let base = format!("http://{}", management.addresses[0]);
    let service = Service {
        database,
        management,
        http: hookgate_testkit::http_client(),
        base,
    };
    assert_eq!(
        service.stranger().get("/readyz").await.is(503)["status"],
        "unavailable"
    );
    let answer = service.caller("hgm_anything").get("/v1/me").await;
    answer.is_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let service = Service::start().await;
    let stranger = service.stranger();
    stranger.get("/nothing").await.is_problem(404, "route_not_found");
    stranger
        .get("/v1/nothing")
        .await
        .is_problem(404, "route_not_found");
    let answer = stranger.send(Method::PUT, "/v1/tenant", None).await;
    answer.is_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET, PATCH, DELETE");
}

#[tokio::test]
async fn a_trace_of_the_callers_goes_on() {
    let service = Service::start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traced = service
        .stranger()
        .with("traceparent", &format!("00-{trace}-b7ad6b7169203331-00"));
    let answer = traced.get("/v1/me").await;
    assert_eq!(answer.is_problem(401, "unauthenticated")["trace_id"], trace);
    assert!(answer.header("traceparent").starts_with(&format!("00-{trace}-")));
    assert!(answer.header("traceparent").ends_with("-00"));
    let answer = service
        .stranger()
        .with("traceparent", "00-0-0-0")
        .get("/livez")
        .await;
    assert_eq!(answer.header("x-trace-id").len(), 32);
}

#[tokio::test]
async fn bodies_must_be_json_and_short() {
    let service = Service::start_with(|settings| settings.body_limit_bytes = 200).await;
    let stranger = service.stranger();
    let path = "/v1/auth/login";
    let post = |body: &str| stranger.send(Method::POST, path, Some(body.to_owned()));
    post("{").await.is_problem(400, "malformed_json");
    post("")
        .await
        .is_invalid(&[("/email", "required"), ("/password", "required")]);
    post("[]").await.is_invalid(&[("", "wrong_type")]);
    post(&format!("{{\"a\": \"{}\"}}", "x".repeat(300)))
        .await
        .is_problem(413, "body_too_large");
    let form = stranger.with("content-type", "application/x-www-form-urlencoded");
    form.send(Method::POST, path, Some("a=b".into()))
        .await
        .is_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn the_documentation_needs_nothing_from_elsewhere() {
    let service = Service::start().await;
    let stranger = service.stranger();
    assert_eq!(stranger.get("/openapi.json").await.is(200)["openapi"], "3.1.0");
    assert_eq!(stranger.get("/docs").await.header("location"), "/docs/");
    let page = stranger.get("/docs/").await;
    page.is(200);
    assert!(
        !page.text.contains("http://") && !page.text.contains("https://"),
        "{}",
        page.text
    );
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    for asset in ["swagger-ui-bundle.js", "swagger-ui.css", "swagger-initializer.js"] {
        stranger.get(&format!("/docs/{asset}")).await.is(200);
    }
    assert!(
        stranger
            .get("/docs/swagger-initializer.js")
            .await
            .text
            .contains("/openapi.json")
    );
}

#[tokio::test]
async fn it_stops_when_told() {
    let service = Service::start().await;
    let (http, base) = (service.http.clone(), service.base.clone());
    service.management.stop().await;
    eventually(Duration::from_secs(5), "the port is closed", async || {
        http.get(format!("{base}/livez")).send().await.err()
    })
    .await;
}
