//! Who comes in, who does not, and what each is told.

use hookgate_ingress::Settings;
use hookgate_model::authentication::api_key;
use hookgate_model::headers;
use hookgate_testkit::fixtures::NewWebhook;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::Harness;

/// Asserts status and code of a refusal.
async fn refused(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status(), status, "{code}");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: Value = response.json().await.expect("a problem");
    assert_eq!((&body["status"], &body["code"]), (&json!(status), &json!(code)));
    assert!(
        body["detail"]
            .as_str()
            .is_some_and(|detail| detail.ends_with('.')),
        "{body}"
    );
    body
}

#[tokio::test]
async fn a_request_is_stored_as_it_was_sent() {
    let mut harness = Harness::start().await;
    let suffix = "orders/{order_id}".to_owned();
    let methods = ["POST", "GET"].map(str::to_owned).into();
    let webhook = harness.webhook(NewWebhook {
        suffix,
        methods,
        ..NewWebhook::default()
    });
    let path = webhook.production.path.replace("{order_id}", "a%20b");
    let body = "{\"naïve\": \"ünïcödé \u{1F980}\",  \"n\": 1.0}\r\n";
    let sent = harness
        .request(Method::POST, &format!("{path}?a=1&b=%2F"))
        .header("X-Custom", "Value, with comma")
        .body(body)
        .send()
        .await
        .expect("an answer");
    assert_eq!(sent.status(), 200);
    let id = sent.headers()["hookgate-event-id"]
        .to_str()
        .expect("text")
        .to_owned();
    assert_eq!(
        sent.json::<Value>().await.expect("json"),
        json!({ "status": "accepted" })
    );
    harness
        .request(Method::GET, &path)
        .send()
        .await
        .expect("an answer");

    let events = harness.events(&webhook);
    assert_eq!(events.len(), 2);
    let event = &events[0];
    assert_eq!(event.event_id(), id);
    assert_eq!(event.body(), body.as_bytes());
    assert_eq!(
        (event.method.as_str(), event.environment.as_str()),
        ("POST", "production")
    );
    assert_eq!(
        (event.path.as_str(), event.query.as_str()),
        ("orders/a%20b", "a=1&b=%2F")
    );
    assert_eq!(event.revision_id, Some(webhook.revision.uuid()));
    assert_eq!(
        headers::find(&event.headers, "x-custom"),
        Some(&b"Value, with comma"[..])
    );
    assert_eq!((events[1].method.as_str(), events[1].body().len()), ("GET", 0));
    harness.stop().await;
}

#[tokio::test]
async fn unknown_urls_all_look_the_same() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook::default());
    let gone = harness.webhook(NewWebhook::default());
    harness.execute(&format!(
        "UPDATE urls SET revoked_at = now() WHERE webhook_id = '{}'",
        gone.id.uuid()
    ));
    let expired = harness.webhook(NewWebhook::default());
    harness.execute(&format!(
        "UPDATE urls SET expires_at = now() - interval '1 s' WHERE webhook_id = '{}'",
        expired.id.uuid()
    ));
    let mut bodies = Vec::new();
    for path in [
        "/".to_owned(),
        "/nothing/here".to_owned(),
        "/01h455vb4pex5vsknk084sn02q/orders".to_owned(),
        webhook.production.path.replace("orders", "other"),
        format!("{}/", webhook.production.path),
        gone.production.path.clone(),
        expired.production.path.clone(),
    ] {
        let response = harness
            .request(Method::POST, &path)
            .send()
            .await
            .expect("an answer");
        bodies.push(refused(response, 404, "unknown_url").await);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    harness.stop().await;
    let reasons = |webhook| {
        harness
            .refusals(webhook)
            .into_iter()
            .map(|refusal| refusal.reason)
            .collect::<Vec<_>>()
    };
    assert_eq!(reasons(&webhook), ["suffix_mismatch", "suffix_mismatch"]);
    assert_eq!(reasons(&gone), ["url_ended"]);
    assert_eq!(reasons(&expired), ["url_ended"]);
    let details = harness
        .database
        .query_text("SELECT substr(detail, 1, 20) FROM refusals WHERE reason = 'url_ended' ORDER BY detail");
    assert_eq!(details, ["The URL expired at 2", "The URL was revoked "]);
}

#[tokio::test]
async fn method_and_status_are_checked() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook {
        methods: vec!["PUT".into(), "POST".into()],
        ..NewWebhook::default()
    });
    for method in [Method::GET, Method::DELETE, Method::HEAD, Method::TRACE] {
        let response = harness
            .request(method.clone(), &webhook.production.path)
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(response.headers()["allow"], "POST, PUT, OPTIONS");
    }
    let disabled = harness.webhook(NewWebhook {
        status: "disabled".into(),
        ..NewWebhook::default()
    });
    refused(
        harness
            .post(&disabled.production)
            .send()
            .await
            .expect("an answer"),
        403,
        "webhook_disabled",
    )
    .await;
    harness.execute("UPDATE tenants SET status = 'suspended'");
    let suspended = harness.webhook(NewWebhook::default());
    refused(
        harness
            .post(&suspended.production)
            .send()
            .await
            .expect("an answer"),
        403,
        "tenant_suspended",
    )
    .await;
    harness.stop().await;
    assert_eq!(harness.count("SELECT count(*) FROM events"), 0);
    assert_eq!(harness.refusals(&webhook).len(), 4);
}

#[tokio::test]
async fn an_api_key_is_required_where_it_is_configured() {
    let mut harness = Harness::start().await;
    let authentication = json!({ "kind": "api_key" });
    let webhook = harness.webhook(NewWebhook {
        authentication,
        ..NewWebhook::default()
    });
    let key = |seed: u8| api_key::text([seed; 32]);
    for (seed, more) in [
        (1, ""),
        (2, ", expires_at = now() - interval '1 s'"),
        (3, ", revoked_at = now()"),
    ] {
        let digest: String = api_key::digest(key(seed).as_bytes())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let id = uuid::Uuid::from_u128(seed.into());
        harness.execute(&format!(
            "INSERT INTO api_keys (tenant_id, id, webhook_id, name, digest, hint) VALUES ('{}', '{id}', '{}', 'k', '\\x{digest}', 'x')",
            harness.tenant.uuid(), webhook.id.uuid(),
        ));
        if !more.is_empty() {
            harness.execute(&format!("UPDATE api_keys SET name = 'k'{more} WHERE id = '{id}'"));
        }
    }
    let post = |name: &'static str, value: String| {
        harness
            .post(&webhook.production)
            .header(name, value)
            .body("{}")
            .send()
    };
    for (name, value) in [
        ("x-api-key", key(1)),
        ("Authorization", key(1)),
        ("Authorization", format!("Bearer {}", key(1))),
    ] {
        assert_eq!(
            post(name, value).await.expect("an answer").status(),
            200,
            "{name}"
        );
    }
    let missing = harness
        .post(&webhook.production)
        .body("{}")
        .send()
        .await
        .expect("an answer");
    assert_eq!(missing.headers()["www-authenticate"], "Bearer realm=\"webhook\"");
    refused(missing, 401, "api_key_missing").await;
    refused(
        post("x-api-key", key(9)).await.expect("an answer"),
        401,
        "api_key_wrong",
    )
    .await;
    refused(
        post("x-api-key", key(3)).await.expect("an answer"),
        401,
        "api_key_wrong",
    )
    .await;
    refused(
        post("x-api-key", key(2)).await.expect("an answer"),
        401,
        "api_key_expired",
    )
    .await;
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 3);
    assert_eq!(
        harness.count("SELECT count(*) FROM api_keys WHERE last_used_at IS NOT NULL"),
        1
    );
    for refusal in harness.refusals(&webhook) {
        assert_eq!(refusal.status, 401);
        let headers = String::from_utf8_lossy(&refusal.headers).into_owned();
        assert!(
            !headers.contains("hgk_"),
            "a refusal keeps no credential: {headers}"
        );
    }
}

#[tokio::test]
async fn only_listed_addresses_come_in() {
    let trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    let mut harness = Harness::with(Settings {
        trusted_proxies,
        ..Settings::default()
    })
    .await;
    let webhook = harness.webhook(NewWebhook::default());
    let (tenant, list) = (harness.tenant.uuid(), uuid::Uuid::from_u128(1));
    harness.execute(&format!(
        "INSERT INTO allowlists (tenant_id, id, name) VALUES ('{tenant}', '{list}', 'shop')"
    ));
    for (id, network) in [(2_u128, "203.0.113.0/24"), (3, "2001:db8::/32")] {
        let id = uuid::Uuid::from_u128(id);
        harness.execute(&format!("INSERT INTO allowlist_entries (tenant_id, id, allowlist_id, network) VALUES ('{tenant}', '{id}', '{list}', '{network}')"));
    }
    harness.execute(&format!(
        "INSERT INTO webhook_allowlists VALUES ('{tenant}', '{}', '{list}')",
        webhook.id.uuid()
    ));
    for (forwarded, status) in [
        ("203.0.113.7", 200),
        ("2001:db8::1", 200),
        ("198.51.100.1, 203.0.113.7", 200),
        ("203.0.113.7, 198.51.100.1", 403),
        ("203.0.113.7, 198.51.100.1, 127.0.0.2", 403),
        ("nonsense", 403),
    ] {
        let sent = harness
            .post(&webhook.production)
            .header("X-Forwarded-For", forwarded)
            .send()
            .await;
        assert_eq!(sent.expect("an answer").status(), status, "{forwarded}");
    }
    refused(
        harness.post(&webhook.production).send().await.expect("an answer"),
        403,
        "address_not_allowed",
    )
    .await;
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 3);
}

#[tokio::test]
async fn a_body_is_bounded_however_it_comes() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook {
        body_limit_bytes: 1000,
        ..NewWebhook::default()
    });
    let post = |length: usize| harness.post(&webhook.production).body("x".repeat(length)).send();
    assert_eq!(post(1000).await.expect("an answer").status(), 200);
    let problem = refused(post(1001).await.expect("an answer"), 413, "body_too_large").await;
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("1000 bytes"))
    );
    // Without Content-Length: chunks of 300 bytes.
    let chunked = |count: usize| {
        let chunks = (0..count).map(|_| Ok::<_, std::io::Error>("y".repeat(300)));
        harness
            .post(&webhook.production)
            .body(reqwest::Body::wrap_stream(futures_util::stream::iter(chunks)))
            .send()
    };
    assert_eq!(chunked(3).await.expect("an answer").status(), 200);
    refused(chunked(4).await.expect("an answer"), 413, "body_too_large").await;
    harness.stop().await;
    let lengths: Vec<_> = harness
        .events(&webhook)
        .iter()
        .map(|event| event.body().len())
        .collect();
    assert_eq!(lengths, [1000, 900]);
    let refusals = harness.refusals(&webhook);
    assert_eq!(refusals.len(), 2);
    assert_eq!(refusals[1].body_preview, "y".repeat(900).as_bytes());
}

#[tokio::test]
async fn a_large_body_comes_in_whole() {
    let mut harness = Harness::start().await;
    let limit = 26 * 1024 * 1024;
    let webhook = harness.webhook(NewWebhook {
        body_limit_bytes: limit,
        ..NewWebhook::default()
    });
    let body: Vec<u8> = (0..limit as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let sent = harness
        .post(&webhook.production)
        .body(body.clone())
        .send()
        .await
        .expect("an answer");
    assert_eq!(sent.status(), 200);
    harness.stop().await;
    assert!(
        harness.events(&webhook)[0].body() == body,
        "26 MiB come back byte for byte"
    );
}

#[tokio::test]
async fn refusals_are_bounded() {
    let mut harness = Harness::with(Settings {
        refusals_per_minute: 5,
        ..Settings::default()
    })
    .await;
    let webhook = harness.webhook(NewWebhook::default());
    for _ in 0..30 {
        let response = harness
            .request(Method::GET, &webhook.production.path)
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 405);
    }
    harness.stop().await;
    let kept = harness.refusals(&webhook).len();
    assert!((5..=7).contains(&kept), "{kept}");
}

#[tokio::test]
async fn a_url_ends_by_itself() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(NewWebhook::default());
    harness.execute(&format!(
        "UPDATE urls SET expires_at = now() + interval '700 milliseconds' WHERE id = '{}'",
        webhook.test.id.uuid()
    ));
    let status = async |url| {
        harness
            .post(url)
            .send()
            .await
            .expect("an answer")
            .status()
            .as_u16()
    };
    assert_eq!(status(&webhook.test).await, 200);
    hookgate_testkit::eventually(std::time::Duration::from_secs(10), "the URL ends", async || {
        (status(&webhook.test).await == 404).then_some(())
    })
    .await;
    assert_eq!(status(&webhook.production).await, 200, "the other URL lives on");
    harness.stop().await;
    let refusals = harness.refusals(&webhook);
    assert_eq!(
        refusals.first().map(|refusal| refusal.reason.as_str()),
        Some("url_ended")
    );
}
