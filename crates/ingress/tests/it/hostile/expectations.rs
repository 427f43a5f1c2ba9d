//! `Expect: 100-continue`: whoever waits before sending a body is told to send it only when it will be read.

use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::hasty;
use crate::harness::Harness;
use crate::wire::{connect, next_status, send, statuses, until_closed};

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

fn expecting(method: &str, path: &str, length: usize) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-Continue\r\ncontent-length: {length}\r\n\r\n")
        .into_bytes()
}

/// Sends a head, waits to be told to go on, sends the body, and returns the status.
async fn deliver(harness: &Harness, webhook: &Webhook, body: &[u8]) -> u16 {
    let mut stream = connect(harness.address).await;
    let head = expecting("POST", &webhook.production.path, body.len());
    send(&mut stream, &[&head]).await;
    let mut told = [0; CONTINUE.len()];
    stream.read_exact(&mut told).await.expect("an answer");
    assert_eq!(told, CONTINUE.as_bytes());
    send(&mut stream, &[body]).await;
    next_status(&mut stream).await
}

#[tokio::test]
async fn whoever_will_be_read_is_told_to_go_on() {
    let mut harness = Harness::with(hasty()).await;
    let webhook = harness.webhook(NewWebhook::default());
    let path = &webhook.production.path;
    // Also when the route is not known yet, and also once more on the same connection.
    assert_eq!(deliver(&harness, &webhook, b"{}").await, 200);
    let body = vec![b'x'; 300_000];
    assert_eq!(deliver(&harness, &webhook, &body).await, 200);
    let last = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    let mut stream = connect(harness.address).await;
    // Some do not wait.
    send(
        &mut stream,
        &[&expecting("POST", path, 2), b"{}", last.as_bytes()],
    )
    .await;
    let answers = until_closed(&mut stream).await;
    assert_eq!(statuses(&answers), [100, 200, 100, 200]);
    // HTTP/1.0 knows no such answer.
    let old = format!("POST {path} HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{{}}");
    let mut stream = connect(harness.address).await;
    send(&mut stream, &[old.as_bytes()]).await;
    assert_eq!(statuses(&until_closed(&mut stream).await), [200]);
    // A body that does not come after all.
    let mut stream = connect(harness.address).await;
    send(&mut stream, &[&expecting("POST", path, 2)]).await;
    assert_eq!(statuses(&until_closed(&mut stream).await), [100, 408]);
    harness.stop().await;
    let events = harness.events(&webhook);
    let lengths: Vec<usize> = events.iter().map(|event| event.body().len()).collect();
    assert_eq!(lengths, [2, 300_000, 2, 2, 2]);
}

#[tokio::test]
async fn whoever_is_refused_by_the_head_is_not() {
    let mut harness = Harness::with(hasty()).await;
    let open = harness.webhook(NewWebhook::default());
    let disabled = harness.webhook(NewWebhook {
        status: "disabled".to_owned(),
        ..NewWebhook::default()
    });
    let locked = harness.webhook(NewWebhook {
        authentication: json!({"kind": "api_key"}),
        ..NewWebhook::default()
    });
    let limited = harness.webhook(NewWebhook::default());
    harness.execute(&format!(
        "UPDATE webhooks SET limits = '{{\"requests_per_second\": 1, \"burst\": 1}}' WHERE id = '{}'",
        limited.id.uuid()
    ));
    // A request that expects to be told counts once.
    assert_eq!(deliver(&harness, &limited, b"{}").await, 200);
    let path = &open.production.path;
    let table = [
        ("POST", limited.production.path.clone(), 2, 429),
        ("POST", path.clone(), 2 << 20, 413),
        ("POST", format!("{path}/other"), 2, 404),
        ("POST", "/nowhere".to_owned(), 2, 404),
        ("PUT", path.clone(), 2, 405),
        ("OPTIONS", path.clone(), 2, 204),
        ("POST", disabled.production.path.clone(), 2, 403),
        ("POST", locked.production.path.clone(), 2, 401),
        ("POST", "/livez".to_owned(), 2, 404),
    ];
    for (method, path, length, expected) in &table {
        let mut stream = connect(harness.address).await;
        send(&mut stream, &[&expecting(method, path, *length)]).await;
        let answers = until_closed(&mut stream).await;
        assert_eq!(statuses(&answers), [*expected], "{method} {path}");
        assert!(answers.contains("connection: close\r\n"), "{answers}");
    }
    // A body that comes all the same is no request.
    let hidden = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    let chunked = format!(
        "PUT {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n{hidden}"
    );
    for head in [expecting("PUT", path, hidden.len()), chunked.into_bytes()] {
        let mut stream = connect(harness.address).await;
        send(&mut stream, &[&head, hidden.as_bytes()]).await;
        assert_eq!(statuses(&until_closed(&mut stream).await), [405]);
    }
    assert_eq!(deliver(&harness, &open, b"{}").await, 200);
    harness.stop().await;
    assert_eq!(harness.events(&open).len(), 1);
    // Each refusal is kept, once.
    assert_eq!(harness.refusals(&locked).len(), 1);
    assert_eq!(harness.refusals(&limited).len(), 1);
    assert_eq!(harness.refusals(&open).len(), 5);
}
