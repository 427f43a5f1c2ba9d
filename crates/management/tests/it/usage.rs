//! What a tenant received.

use chrono::{Days, Utc};
use serde_json::json;

use crate::service::Service;
use crate::stored;
use crate::webhooks::create;

#[tokio::test]
async fn usage_is_summed_by_day_or_webhook() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let orders = create(&owner, json!({"name": "Orders"})).await;
    let returns = create(&owner, json!({"name": "Returns"})).await;
    for (webhook, days_ago, events) in [
        (&orders, 0, 5),
        (&orders, 1, 7),
        (&returns, 1, 1),
        (&orders, 40, 9),
    ] {
        stored::usage(&service, webhook, days_ago, events);
    }
    #[expect(clippy::disallowed_methods, reason = "the day that the database counts by")]
    let today = Utc::now().date_naive();
    let yesterday = today - Days::new(1);
    let of_day = |day: chrono::NaiveDate, events: u32| {
        json!({"day": day, "webhook_id": null, "events": events, "body_bytes": events * 100,
        "duplicates": 0, "refused": {"rate_limited": events}, "runs": {}})
    };
    let of_webhook = |webhook: &serde_json::Value, events: u32| {
        json!({"day": null, "webhook_id": webhook["id"], "events": events,
        "body_bytes": events * 100, "duplicates": 0, "refused": {"rate_limited": events}, "runs": {}})
    };
    for (query, expected) in [
        (String::new(), json!([of_day(yesterday, 8), of_day(today, 5)])),
        (format!("?to={yesterday}"), json!([of_day(yesterday, 8)])),
        (
            format!("?webhook_id={}", orders["id"].as_str().expect("an id")),
            json!([of_day(yesterday, 7), of_day(today, 5)]),
        ),
        (
            "?by=webhook".to_owned(),
            json!([of_webhook(&orders, 12), of_webhook(&returns, 1)]),
        ),
        (
            format!("?by=webhook&from={}&to={today}", today - Days::new(60)),
            json!([of_webhook(&orders, 21), of_webhook(&returns, 1)]),
        ),
    ] {
        let usage = owner.get(&format!("/v1/usage{query}")).await.is(200);
        assert_eq!(usage["data"], expected, "{query}");
        assert!(usage["this_month"]["events"].as_i64() >= Some(5), "{usage}");
    }
    for (query, field) in [
        ("from=yesterday", "?from"),
        ("from=2026-02-02&to=2026-02-01", "?from"),
        ("by=hour", "?by"),
    ] {
        owner
            .get(&format!("/v1/usage?{query}"))
            .await
            .is_invalid(&[(field, "invalid")]);
    }
}
