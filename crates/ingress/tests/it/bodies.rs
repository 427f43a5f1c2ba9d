//! Bodies of every kind: stored byte for byte, and seen by templates as what they are.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use hookgate_testkit::fixtures::NewWebhook;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Harness;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("written")
}

/// Answers with what a template sees.
fn echoing(malformed_bodies: &str) -> NewWebhook {
    let body = json!({ "body": "{{ body }}", "text": "{{ body_text }}", "files": "{{ files | map(attribute='filename') | list }}",
        "query": "{{ query }}" });
    NewWebhook {
        methods: ["GET", "POST", "DELETE"].map(str::to_owned).into(),
        malformed_bodies: malformed_bodies.to_owned(),
        revision: json!({ "response": { "body": body } }),
        ..NewWebhook::default()
    }
}

struct Sent {
    content_type: &'static str,
    encoding: &'static str,
    body: Vec<u8>,
}

fn sent(content_type: &'static str, body: impl Into<Vec<u8>>) -> Sent {
    let body = body.into();
    Sent {
        content_type,
        encoding: "identity",
        body,
    }
}

async fn post(harness: &Harness, path: &str, sent: &Sent) -> (u16, Value) {
    let request = harness.request(Method::POST, path);
    let request = request
        .header("content-type", sent.content_type)
        .header("content-encoding", sent.encoding);
    let answer = request.body(sent.body.clone()).send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn every_kind_is_stored_as_sent_and_seen_as_what_it_is() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(echoing("accept"));
    let parts = b"--b\r\ncontent-disposition: form-data; name=note\r\n\r\nhello\r\n\
        --b\r\ncontent-disposition: form-data; name=f; filename=a.bin\r\n\r\n\x00\xff\r\n--b--";
    let table: Vec<(Sent, Value, Value)> = vec![
        (
            sent("application/json", "{\"n\": [1, 2.50]}\r\n"),
            json!({"n": [1, 2.5]}),
            json!("{\"n\": [1, 2.50]}\r\n"),
        ),
        (
            sent("text/plain", "{\"n\": 1}"),
            json!({"n": 1}),
            json!("{\"n\": 1}"),
        ),
        (
            sent("application/x-www-form-urlencoded", "a=1&b=x+y&a=2"),
            json!({"a": ["1", "2"], "b": "x y"}),
            json!("a=1&b=x+y&a=2"),
        ),
        (
            sent("multipart/form-data; boundary=b", *parts),
            json!({"note": "hello"}),
            Value::Null,
        ),
        (
            sent("application/xml", "<order id=\"7\"><line>1</line></order>"),
            json!({"order": {"@id": "7", "line": "1"}}),
            json!("<order id=\"7\"><line>1</line></order>"),
        ),
        (
            sent("text/plain; charset=iso-8859-1", *b"na\xefve"),
            Value::Null,
            json!("naïve"),
        ),
        (
            sent("application/octet-stream", *b"\x00\x01\xff"),
            Value::Null,
            Value::Null,
        ),
        (
            sent("application/x-ndjson", "{\"n\":1}\n{\"n\":2}\n"),
            json!([{"n": 1}, {"n": 2}]),
            json!("{\"n\":1}\n{\"n\":2}\n"),
        ),
        (
            sent("application/json", "{\"nul\": \"a\\u0000b\"}"),
            json!({"nul": "a\0b"}),
            json!("{\"nul\": \"a\\u0000b\"}"),
        ),
        (
            Sent {
                encoding: "gzip",
                ..sent("application/json", gzip(b"{\"n\": 1}"))
            },
            json!({"n": 1}),
            json!("{\"n\": 1}"),
        ),
        // What cannot be read is an event all the same.
        (
            sent("application/json", "{\"n\": "),
            Value::Null,
            json!("{\"n\": "),
        ),
        (
            sent(
                "application/json",
                format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)),
            ),
            Value::Null,
            json!("*"),
        ),
        (
            Sent {
                encoding: "gzip",
                ..sent("application/json", gzip(&vec![b' '; 20 << 20]))
            },
            Value::Null,
            Value::Null,
        ),
        (
            Sent {
                encoding: "snappy",
                ..sent("application/json", "{}")
            },
            Value::Null,
            Value::Null,
        ),
    ];
    for (sent, body, text) in &table {
        let (status, seen) = post(&harness, &webhook.production.path, sent).await;
        assert_eq!((status, &seen["body"]), (200, body), "{}", sent.content_type);
        if text != "*" {
            assert_eq!(&seen["text"], text, "{}", sent.content_type);
        }
        let files = match sent.content_type {
            "multipart/form-data; boundary=b" => json!(["a.bin"]),
            "application/octet-stream" => json!([null]),
            _ => json!([]),
        };
        assert_eq!(seen["files"], files, "{}", sent.content_type);
    }
    harness.stop().await;
    let stored: Vec<Vec<u8>> = harness
        .events(&webhook)
        .iter()
        .map(|event| event.body())
        .collect();
    let expected: Vec<Vec<u8>> = table.into_iter().map(|(sent, ..)| sent.body).collect();
    assert!(stored == expected, "every body is stored byte for byte");
}

#[tokio::test]
async fn get_and_delete_bring_data_in_their_query() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(echoing("accept"));
    let path = format!("{}?a=1&b=%C3%AF&a=2&c", webhook.production.path);
    for method in [Method::GET, Method::DELETE] {
        let answer = harness
            .request(method.clone(), &path)
            .send()
            .await
            .expect("an answer");
        let seen: Value = answer.json().await.expect("JSON");
        assert_eq!(
            seen["query"],
            json!({"a": ["1", "2"], "b": "ï", "c": ""}),
            "{method}"
        );
        assert_eq!(
            (&seen["body"], &seen["text"]),
            (&Value::Null, &json!("")),
            "{method}"
        );
    }
    let with_body = harness.request(Method::DELETE, &path).body("{\"n\": 1}");
    let seen: Value = with_body
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(seen["body"], json!({"n": 1}));
    harness.stop().await;
    let events = harness.events(&webhook);
    let methods: Vec<&str> = events.iter().map(|event| event.method.as_str()).collect();
    assert_eq!(methods, ["GET", "DELETE", "DELETE"]);
    assert_eq!(events[2].body(), b"{\"n\": 1}");
}

#[tokio::test]
async fn a_webhook_can_refuse_what_it_cannot_read() {
    let mut harness = Harness::start().await;
    let webhook = harness.webhook(echoing("refuse"));
    let mut refused = Vec::new();
    for (sent, status, word) in [
        (sent("application/json", "{\"a\": 1}"), 200, ""),
        (sent("application/json", ""), 200, ""),
        (sent("text/plain", "anything"), 200, ""),
        (sent("application/octet-stream", *b"\x00"), 200, ""),
        (sent("application/json", "{\"a\": "), 400, "EOF"),
        (
            sent("application/json", "{\"a\": 1, \"a\": 2}"),
            400,
            "`a` is there twice",
        ),
        (
            sent("application/json", "[".repeat(1_000_000)),
            400,
            "nested deeper than 64",
        ),
        (
            sent("application/xml", "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>"),
            400,
            "document type",
        ),
        (sent("multipart/form-data", "x"), 400, "boundary"),
        (
            Sent {
                encoding: "snappy",
                ..sent("application/json", "{}")
            },
            415,
            "`snappy`",
        ),
        (
            sent("application/x-www-form-urlencoded; charset=klingon", "a=1"),
            415,
            "`klingon`",
        ),
        (
            Sent {
                encoding: "gzip",
                ..sent("application/json", "{}")
            },
            400,
            "gzip",
        ),
        (
            Sent {
                encoding: "gzip",
                ..sent("application/json", gzip(&vec![b' '; 20 << 20]))
            },
            413,
            "decodes to more than",
        ),
        (
            Sent {
                encoding: "gzip, gzip",
                ..sent("application/json", gzip(&gzip(&vec![b' '; 20 << 20])))
            },
            413,
            "decodes to more than",
        ),
    ] {
        let (found, answer) = post(&harness, &webhook.production.path, &sent).await;
        assert_eq!(found, status, "{answer}");
        if status != 200 {
            assert_eq!(answer["code"], "body_malformed");
            let detail = answer["detail"].as_str().expect("a detail");
            assert!(detail.contains(word) && detail.ends_with('.'), "{detail}");
            refused.push(status);
        }
    }
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 4);
    let mut stored: Vec<u16> = harness
        .refusals(&webhook)
        .iter()
        .map(|refusal| refusal.status.unsigned_abs())
        .collect();
    // Of one millisecond, any may be the first.
    stored.sort_unstable();
    refused.sort_unstable();
    assert_eq!(stored, refused);
}
