//! HTTP as no decent client writes it: a documented answer, and the next request works.

use std::time::Duration;

use hookgate_ingress::Settings;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::Harness;

/// Sends bytes as they are and reads the status of the first answer; 0 when the connection is closed without one.
async fn status_of(harness: &Harness, request: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(harness.address).await.expect("a connection");
    // The other end may refuse before it has read everything.
    let _ = stream.write_all(request).await;
    next_status(&mut stream).await
}

/// The status of the next answer; 0 when the connection ends before.
async fn next_status(stream: &mut TcpStream) -> u16 {
    let mut answer = [0; 16];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer));
    let read = read.await.expect("in time").unwrap_or(0);
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    text.split(' ')
        .nth(1)
        .and_then(|status| status.get(..3)?.parse().ok())
        .unwrap_or(0)
}

fn hasty() -> Settings {
    Settings {
        header_timeout_ms: 500,
        body_grace_ms: 500,
        answer_timeout_ms: 1_000,
        ..Settings::default()
    }
}

/// Sends each request, and one that is well-formed after it.
async fn check(table: Vec<(&str, Vec<u8>, u16)>, harness: &Harness, webhook: &Webhook) {
    for (what, request, expected) in table {
        assert_eq!(status_of(harness, &request).await, expected, "{what}");
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
    let twice = "content-length: 2\r\ncontent-length: 3\r\n";
    let both = "content-length: 2\r\ntransfer-encoding: chunked\r\n";
    let coded = "transfer-encoding: gzip, chunked\r\n";
    let repeated = "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n";
    let table = vec![
        ("two lengths", [head(twice), b"{}".to_vec()].concat(), 400),
        (
            "length and chunks",
            [head(both), b"0\r\n\r\n".to_vec()].concat(),
            400,
        ),
        ("another transfer coding", head(coded), 400),
        ("chunks twice", head(repeated), 400),
        ("a negative length", head("content-length: -1\r\n"), 400),
        ("a length with a sign", head("content-length: +2\r\n"), 400),
        (
            "an enormous length",
            head("content-length: 18446744073709551616\r\n"),
            400,
        ),
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
        ("a fragment", target(&format!("{path}#x")), 400),
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
            "chunks in HTTP/1.0",
            format!("POST {path} HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").into_bytes(),
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
            status_of(&harness, &target(&format!("/{token}{suffix}"))).await,
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
        ("a bad chunk", chunked("zz\r\n"), 400),
        ("a negative chunk", chunked("-2\r\n{}\r\n0\r\n\r\n"), 400),
        ("an enormous chunk", chunked("ffffffffffffffffff\r\n"), 400),
        ("a chunk without its end", chunked("2\r\n{}2\r\n"), 400),
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

#[tokio::test]
async fn a_slow_body_that_keeps_the_pace_is_taken() {
    let settings = Settings {
        body_grace_ms: 300,
        body_bytes_per_second: 1_000,
        ..Settings::default()
    };
    let mut harness = Harness::with(settings).await;
    let webhook = harness.webhook(NewWebhook::default());
    // Bytes that are sent twenty times a second: half of the pace, and twice as many.
    for (bytes, expected) in [(25, 408), (100, 200)] {
        let mut stream = TcpStream::connect(harness.address).await.expect("a connection");
        let path = &webhook.production.path;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
            bytes * 30
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        for _ in 0..30 {
            ticks.tick().await;
            // It is cut before the end when it is too slow.
            if stream.write_all(&vec![b'x'; bytes]).await.is_err() {
                break;
            }
        }
        assert_eq!(next_status(&mut stream).await, expected, "{bytes}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_second_head_may_not_be_slower_than_the_first() {
    let mut harness = Harness::with(hasty()).await;
    let webhook = harness.webhook(NewWebhook::default());
    let path = &webhook.production.path;
    let mut stream = TcpStream::connect(harness.address).await.expect("a connection");
    let whole = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(whole.as_bytes()).await.expect("sent");
    let mut answer = [0; 4096];
    assert!(stream.read(&mut answer).await.expect("an answer") > 0);
    // A byte from time to time keeps nothing alive.
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let cut = async {
        for byte in whole
            .as_bytes()
            .iter()
            .cycle()
            .filter(|byte| byte.is_ascii_alphabetic())
        {
            ticks.tick().await;
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), cut)
        .await
        .expect("it is cut");
    harness.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order_as_far_as_answers_are_read() {
    let mut harness = Harness::with(hasty()).await;
    let webhook = harness.webhook(NewWebhook::default());
    let path = &webhook.production.path;
    let good = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{{}}");
    let unknown = "GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut stream = TcpStream::connect(harness.address).await.expect("a connection");
    let several = format!("{good}{unknown}{good}GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(several.as_bytes()).await.expect("sent");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.expect("answers");
    let statuses: Vec<&str> = answers
        .split("HTTP/1.1 ")
        .filter_map(|answer| answer.get(..3))
        .collect();
    assert_eq!(statuses, ["200", "404", "200", "405"]);

    // Whoever reads no answers is read no more, and cut in the end.
    let mut stream = TcpStream::connect(harness.address).await.expect("a connection");
    let flood = unknown.repeat(20_000);
    let mut sent = 0;
    let flooding = async {
        while stream.write_all(flood.as_bytes()).await.is_ok() {
            sent += flood.len();
        }
    };
    tokio::time::timeout(Duration::from_secs(8), flooding)
        .await
        .expect("it is cut");
    assert!(sent < 64 << 20, "{sent} bytes were taken");
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
