//! Where a request ends: nobody may hide one behind another, whatever is in front of us (RFC 9112, section 11.2).

use hookgate_testkit::fixtures::NewWebhook;

use super::hasty;
use crate::harness::Harness;
use crate::wire::{connect, send, statuses, until_closed};

/// Sends bytes and returns all answers; the connection must be closed.
async fn answers(harness: &Harness, bytes: &[u8]) -> String {
    let mut stream = connect(harness.address).await;
    send(&mut stream, &[bytes]).await;
    until_closed(&mut stream).await
}

#[tokio::test]
async fn a_doubtful_end_closes_the_connection_and_hides_nothing() {
    let mut harness = Harness::with(hasty()).await;
    let webhook = harness.webhook(NewWebhook::default());
    let path = &webhook.production.path;
    let hidden = format!("POST {path}?hidden HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{{}}");
    for fields in [
        "content-length: 2\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 2",
        "transfer-encoding: chunked\r\ncontent-length: 0",
        "content-length: 2\r\ncontent-length: 3",
        "content-length: 2\r\ncontent-length: 2",
        "content-length: 2, 2",
        "content-length: 2 2",
        "content-length: -1",
        "content-length: +2",
        "content-length: 0x2",
        "content-length: 2e0",
        "content-length: 18446744073709551616",
        "content-length:",
        "content-length: 2\0",
        "content-length : 2",
        "content-length: 1\r\n 0",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: \x0bchunked",
        "transfer-encoding:",
        "transfer-encoding : chunked",
        "transfer-encoding\t: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding:\r\n chunked",
        " transfer-encoding: chunked\r\ncontent-length: 2",
        "x-a: b\ntransfer-encoding: chunked\r\ncontent-length: 2",
        "x-a: b\rtransfer-encoding: chunked\r\ncontent-length: 2",
    ] {
        for body in ["{}", "0\r\n\r\n", "2\r\n{}\r\n0\r\n\r\n"] {
            let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n{body}{hidden}");
            let answers = answers(&harness, request.as_bytes()).await;
            assert_eq!(statuses(&answers), [400], "{fields:?} with {body:?}");
        }
    }
    for body in [
        "zz\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "2 2\r\n{}\r\n0\r\n\r\n",
        "2\n{}\n0\n\n",
        "2\r{}\r\n0\r\n\r\n",
        "2;a\nb\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}XX0\r\n\r\n",
        "1\r\n{}\r\n0\r\n\r\n",
        "10000000000000002\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\r\n\r\n",
        "2\r\n{}\r\n0\r\n\rX",
        "\r\n2\r\n{}\r\n0\r\n\r\n",
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        let answers = answers(&harness, format!("{head}{body}{hidden}").as_bytes()).await;
        // The server ends the connection even if the route is not known yet, and with it the answer.
        let answers = statuses(&answers);
        assert!(answers.is_empty() || answers == [400], "{body:?}: {answers:?}");
    }
    // Transfer codings came with HTTP/1.1.
    let old = format!("POST {path} HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}");
    assert_eq!(statuses(&answers(&harness, old.as_bytes()).await), [400]);
    // What is too much, is no request.
    let longer = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{{}}{{}}\r\n{hidden}");
    assert_eq!(statuses(&answers(&harness, longer.as_bytes()).await), [200, 400]);
    let after = harness.post(&webhook.production).send().await.expect("an answer");
    assert_eq!(after.status(), 200);
    harness.stop().await;
    let events = harness.events(&webhook);
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.query.is_empty()));
}

#[tokio::test]
async fn who_asks_for_another_protocol_is_answered_in_this_one() {
    let mut harness = Harness::with(hasty()).await;
    let webhook = harness.webhook(NewWebhook::default());
    let path = &webhook.production.path;
    let hidden = format!("POST {path}?hidden HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{{}}");
    let websocket = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==";
    let h2c =
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA";
    let alone = "upgrade: websocket";
    let table = [
        (websocket, "content-length: 2\r\n", "{}", "{}"),
        (websocket, "content-length: 0\r\n", "", ""),
        (websocket, "", "", ""),
        (
            websocket,
            "transfer-encoding: chunked\r\n",
            "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            "{}",
        ),
        (alone, "content-length: 2\r\n", "{}", "{}"),
        (h2c, "content-length: 2\r\n", "{}", "{}"),
        (
            h2c,
            "transfer-encoding: chunked\r\n",
            "2\r\n{}\r\n0\r\n\r\n",
            "{}",
        ),
    ];
    for (upgrade, length, body, _) in table {
        // What follows is no part of the body, and the connection ends.
        let follows = if upgrade == websocket { hidden.as_str() } else { "" };
        let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{upgrade}\r\n{length}\r\n{body}{follows}");
        let answers = answers(&harness, request.as_bytes()).await;
        assert_eq!(statuses(&answers).first(), Some(&200), "{upgrade} {length}");
        assert!(answers.contains("connection: close\r\n"), "{answers}");
        assert!(!answers.contains("101"), "{answers}");
    }
    // A body that does not come to its declared end is none.
    let short = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{websocket}\r\ncontent-length: 3\r\n\r\n{{}}");
    assert_eq!(statuses(&answers(&harness, short.as_bytes()).await), [408]);
    let tunnel = "CONNECT elsewhere.example:443 HTTP/1.1\r\nhost: elsewhere.example\r\n\r\n";
    assert_eq!(statuses(&answers(&harness, tunnel.as_bytes()).await), [404]);
    let after = harness.post(&webhook.production).send().await.expect("an answer");
    assert_eq!(after.status(), 200);
    harness.stop().await;
    let mut bodies: Vec<_> = harness
        .events(&webhook)
        .iter()
        .filter(|event| event.query.is_empty())
        .map(|event| String::from_utf8(event.body()).expect("text"))
        .collect();
    assert_eq!(bodies.pop().as_deref(), Some(""));
    assert_eq!(bodies, table.map(|(.., expected)| expected));
}

#[tokio::test]
async fn trailers_count_for_nothing() {
    let mut harness = Harness::with(hasty()).await;
    let webhook = harness.webhook(NewWebhook::default());
    let path = &webhook.production.path;
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: a\r\ntrailer: x-late\r\ntransfer-encoding: chunked\r\n");
    let with_trailers = format!("{head}\r\n2\r\n{{}}\r\n0\r\nx-late: 1\r\ncontent-length: 9\r\n\r\n");
    let last = format!("{head}connection: close\r\n\r\n0\r\n\r\n");
    let both = answers(&harness, format!("{with_trailers}{last}").as_bytes()).await;
    assert_eq!(statuses(&both), [200, 200]);
    // They do not go on for ever.
    let endless = format!("{head}\r\n2\r\n{{}}\r\n0\r\n{}", "x-late: 1\r\n".repeat(200_000));
    assert_eq!(statuses(&answers(&harness, endless.as_bytes()).await), [408]);
    harness.stop().await;
    let events = harness.events(&webhook);
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].body(), b"{}");
    assert_eq!(hookgate_model::headers::find(&events[0].headers, "x-late"), None);
}
