//! Who is slow: at sending a head or a body, at reading answers.

use std::time::Duration;

use hookgate_ingress::Settings;
use hookgate_testkit::fixtures::NewWebhook;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::hasty;
use crate::harness::Harness;
use crate::wire::{connect, next_status, statuses};

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
        let mut stream = connect(harness.address).await;
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
    let mut stream = connect(harness.address).await;
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
    let mut stream = connect(harness.address).await;
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
    let mut stream = connect(harness.address).await;
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
        body_memory_bytes: 600_000,
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

#[tokio::test]
async fn who_is_refused_before_the_body_may_go_on() {
    let mut harness = Harness::with(hasty()).await;
    let webhook = harness.webhook(NewWebhook::default());
    let path = &webhook.production.path;
    let unknown =
        "POST /26bh1kd4w8fnjh0n3xvjx75q37/orders HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{\"a\": 12}";
    let good = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{{}}");
    let mut stream = connect(harness.address).await;
    for (request, expected) in [(unknown, 404), (&good, 200), (unknown, 404), (&good, 200)] {
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).await.expect("an answer");
        assert_eq!(statuses(&String::from_utf8_lossy(&answer[..read])), [expected]);
    }
    harness.stop().await;
}

#[tokio::test]
async fn who_still_sends_what_is_refused_hears_the_answer_and_is_cut() {
    let mut harness = Harness::with(hasty()).await;
    let webhook = harness.webhook(NewWebhook::default());
    let path = &webhook.production.path;
    // As long as it says, and all of it.
    let long = vec![b'x'; 8 << 20];
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        long.len()
    );
    let mut stream = connect(harness.address).await;
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&long).await.expect("all is taken");
    assert_eq!(next_status(&mut stream).await, 413);
    // Without an end: it is taken for a while, and no longer.
    let head = "POST /nowhere HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut stream = connect(harness.address).await;
    stream.write_all(head.as_bytes()).await.expect("sent");
    assert_eq!(next_status(&mut stream).await, 404);
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let cut = async {
        while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), cut)
        .await
        .expect("it is cut");
    let after = harness.post(&webhook.production).send().await.expect("an answer");
    assert_eq!(after.status(), 200);
    harness.stop().await;
}
