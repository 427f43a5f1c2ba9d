//! HTTP as no decent client writes it: a documented answer, and the next request works.

use std::time::Duration;

use hookgate_ingress::Settings;
use hookgate_testkit::fixtures::NewWebhook;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::Harness;

/// Sends bytes as they are and reads the status of the first answer; 0 when the connection is closed without one.
async fn status_of(harness: &Harness, request: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(harness.address).await.expect("a connection");
    stream.write_all(request).await.expect("sent");
    let mut answer = [0; 16];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer))
        .await
        .expect("in time");
    let text = String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned();
    text.split(' ')
        .nth(1)
        .and_then(|status| status.get(..3)?.parse().ok())
        .unwrap_or(0)
}

#[tokio::test]
async fn malformed_requests_get_their_answer() {
    let settings = Settings {
        header_timeout_ms: 500,
        body_timeout_ms: 500,
        ..Settings::default()
    };
    let mut harness = Harness::with(settings).await;
    let webhook = harness.webhook(NewWebhook::default());
    let path = &webhook.production.path;
    let long = "x".repeat(200_000);
    let table: [(&str, String, &[u16]); 9] = [
        (
            "conflicting lengths",
            format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"),
            &[400],
        ),
        (
            "length and chunks",
            format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            &[400, 200],
        ),
        (
            "a negative length",
            format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n"),
            &[400],
        ),
        (
            "a bad chunk",
            format!("POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
            &[400],
        ),
        ("no HTTP", "hello\r\n\r\n".to_owned(), &[400]),
        (
            "enormous headers",
            format!("POST {path} HTTP/1.1\r\nhost: a\r\nx-long: {long}\r\n\r\n"),
            &[400, 431, 0],
        ),
        (
            "a slow body",
            format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{{}}"),
            &[408],
        ),
        (
            "slow headers",
            format!("POST {path} HTTP/1.1\r\nhost: a\r\n"),
            &[408, 0],
        ),
        (
            "NUL in the path",
            format!("POST {path}%00 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"),
            &[404],
        ),
    ];
    for (what, request, expected) in table {
        let status = status_of(&harness, request.as_bytes()).await;
        assert!(expected.contains(&status), "{what}: {status}");
        assert_eq!(
            harness
                .post(&webhook.production)
                .send()
                .await
                .expect("an answer")
                .status(),
            200,
            "after {what}"
        );
    }
    for suffix in [
        "/../orders",
        "/%2e%2e/orders",
        "%2Forders",
        "/orders%2F",
        "/orders;x=1",
        "//orders",
    ] {
        let token = webhook.production.token.to_string();
        let request = format!("POST /{token}{suffix} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(status_of(&harness, request.as_bytes()).await, 404, "{suffix}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn long_bodies_share_bounded_memory() {
    let settings = Settings {
        body_memory_bytes: 300_000,
        ..Settings::default()
    };
    let mut harness = Harness::with(settings).await;
    let webhook = harness.webhook(NewWebhook::default());
    let post = async |bytes: usize| {
        let request = harness.post(&webhook.production).body(vec![b'x'; bytes]);
        request.send().await.expect("an answer")
    };
    let refused = post(900_000).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "2");
    // What was refused has given its room back.
    for _ in 0..3 {
        assert_eq!(post(250_000).await.status(), 200);
    }
    harness.stop().await;
}
