//! HTTP as no decent client writes it: a documented answer, and the next request works.

mod bombs;
mod expectations;
mod framing;
mod pace;

use hookgate_ingress::Settings;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};

use crate::harness::Harness;
use crate::wire::status_of;

fn hasty() -> Settings {
    Settings {
        header_timeout_ms: 1_500,
        body_grace_ms: 500,
        answer_timeout_ms: 1_000,
        linger_timeout_ms: 1_000,
        idle_timeout_ms: 2_000,
        ..Settings::default()
    }
}

/// Sends each request, and one that is well-formed before and after it.
async fn check(table: Vec<(&str, Vec<u8>, u16)>, harness: &Harness, webhook: &Webhook) {
    let before = harness.post(&webhook.production).send().await.expect("an answer");
    assert_eq!(before.status(), 200);
    for (what, request, expected) in table {
        assert_eq!(status_of(harness.address, &[&request]).await, expected, "{what}");
        let after = harness.post(&webhook.production).send().await.expect("an answer");
        assert_eq!(after.status(), 200, "after {what}");
    }
}

#[tokio::test]
async fn malformed_heads_get_their_answer() {
    let mut harness = Harness::with(hasty()).await;
    let webhook = harness.webhook(NewWebhook::default());
    let path = &webhook.production.path;
    let head = |more: &str| format!("POST {path} HTTP/1.1\r\nhost: a\r\n{more}\r\n").into_bytes();
    let target =
        |target: &str| format!("POST {target} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").into_bytes();
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let long = "x".repeat(200_000);
    let table = vec![
        (
            "a length beyond the limit",
            head("content-length: 1048577\r\n"),
            413,
        ),
        ("a folded header", head("x-a: 1\r\n 2\r\n"), 400),
        ("a blank in a header's name", head("x a: 1\r\n"), 400),
        ("NUL in a header", head("x-a: a\0b\r\n"), 400),
        ("two hosts", head("host: b\r\n"), 400),
        (
            "no host",
            format!("POST {path} HTTP/1.1\r\n\r\n").into_bytes(),
            400,
        ),
        ("enormous headers", head(&format!("x-long: {long}\r\n")), 431),
        ("many headers", head(&many), 431),
        ("an enormous URL", target(&format!("/{long}")), 431),
        ("no HTTP", b"hello\r\n\r\n".to_vec(), 400),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 400),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            400,
        ),
        (
            "slow headers",
            format!("POST {path} HTTP/1.1\r\nhost: a\r\n").into_bytes(),
            408,
        ),
        ("nothing", Vec::new(), 408),
        ("NUL in the path", target(&format!("{path}\0")), 400),
        ("NUL in the path, escaped", target(&format!("{path}%00")), 404),
        (
            "bytes that are no UTF-8 in the path",
            [b"POST ", path.as_bytes(), b"\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n"].concat(),
            400,
        ),
        (
            "bytes that are no UTF-8 in a header",
            [
                &head("content-length: 0\r\nx-a: ")[..head("content-length: 0\r\nx-a: ").len() - 2],
                b"\xff\xfe\r\n\r\n",
            ]
            .concat(),
            200,
        ),
        (
            "an absolute target",
            target(&format!("http://elsewhere.example{path}")),
            200,
        ),
        ("an asterisk", target("*"), 404),
        ("a fragment, which is left out", target(&format!("{path}#x")), 200),
        (
            "HTTP/1.0",
            format!("POST {path} HTTP/1.0\r\ncontent-length: 2\r\n\r\n{{}}").into_bytes(),
            200,
        ),
        (
            "HTTP/1.0 without a length",
            format!("POST {path} HTTP/1.0\r\n\r\n").into_bytes(),
            400,
        ),
        (
            "an unknown method",
            format!("BREW {path} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes(),
            405,
        ),
        (
            "a method in lower case",
            format!("post {path} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes(),
            405,
        ),
    ];
    check(table, &harness, &webhook).await;
    let token = webhook.production.token.to_string();
    for suffix in [
        "/../orders",
        "/./orders",
        "/%2e%2e/orders",
        "/orders/%2e%2e/orders",
        "/orders%00",
        "/orders%ff",
        "/orders/..",
        "%2Forders",
        "/orders%2F",
        "/orders%5C",
        "/orders;x=1",
        "/orders/",
        "//orders",
        "/ORDERS",
    ] {
        assert_eq!(
            status_of(harness.address, &[&target(&format!("/{token}{suffix}"))]).await,
            404,
            "{suffix}"
        );
    }
    harness.stop().await;
}

#[tokio::test]
async fn malformed_bodies_get_their_answer() {
    let mut harness = Harness::with(hasty()).await;
    let webhook = harness.webhook(NewWebhook::default());
    let path = &webhook.production.path;
    let chunked = |body: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}").into_bytes()
    };
    let endless = format!("2;{}", "x".repeat(4 << 20));
    let table = vec![
        ("chunks", chunked("1\r\n{\r\n1;a=b\r\n}\r\n0\r\n\r\n"), 200),
        ("a chunk's endless extension", chunked(&endless), 408),
        (
            "a slow body",
            format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{{}}").into_bytes(),
            408,
        ),
    ];
    check(table, &harness, &webhook).await;
    harness.stop().await;
}
