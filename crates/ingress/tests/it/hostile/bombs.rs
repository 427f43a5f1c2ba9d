//! Bodies that are small and would become huge, deep or ambiguous.

use std::io::Write;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use hookgate_ingress::Settings;
use hookgate_testkit::fixtures::NewWebhook;
use serde_json::{Value, json};

use crate::harness::Harness;

/// 64 MiB of spaces, as Node's zlib writes them in brotli.
const BROTLI: &str = "y///P/glQOKxQCD3/o///3/wSwDEYRGA7v0f////4JcAiMMCAN37P/7//8EvARCHBQC693/8//+DXwIgDgsAdO//+P//B78EQBwWAOje//H//w9+CYA4LADQvf/L//8//BIAcVgAoHv/Bw==";

fn spaces(write: &mut impl Write) {
    let piece = [b' '; 1 << 20];
    for _ in 0..64 {
        write.write_all(&piece).expect("written");
    }
}

fn gzip() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    spaces(&mut encoder);
    encoder.finish().expect("written")
}

fn zlib() -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    spaces(&mut encoder);
    encoder.finish().expect("written")
}

fn bare_deflate() -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    spaces(&mut encoder);
    encoder.finish().expect("written")
}

/// Blocks that repeat one byte (RFC 8878, section 3.1.1.2): 4 bytes for 128 KiB.
fn zstd() -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    for _ in 0..10_000 {
        frame.extend([0x02, 0x00, 0x10, b' ']);
    }
    frame.extend([0x03, 0x00, 0x10, b' ']);
    frame
}

fn again(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("written")
}

/// Parts within parts; only the outermost are read.
fn nested(depth: usize) -> Vec<u8> {
    let mut body = b"deep".to_vec();
    for level in (0..depth).rev() {
        let head = format!(
            "--b{level}\r\ncontent-disposition: form-data; name=part\r\ncontent-type: multipart/mixed; boundary=b{}\r\n\r\n",
            level + 1
        );
        body = [head.as_bytes(), &body, format!("\r\n--b{level}--\r\n").as_bytes()].concat();
    }
    body
}

fn many_parts() -> Vec<u8> {
    let part = b"--b\r\ncontent-disposition: form-data; name=x\r\n\r\n\r\n";
    [part.repeat(20_000), b"--b--".to_vec()].concat()
}

struct Bomb {
    what: &'static str,
    content_type: &'static str,
    encoding: &'static str,
    body: Vec<u8>,
    /// What a webhook answers that refuses what it cannot read.
    strict: u16,
}

fn bomb(what: &'static str, encoding: &'static str, body: Vec<u8>) -> Bomb {
    Bomb {
        what,
        content_type: "application/json",
        encoding,
        body,
        strict: 413,
    }
}

fn odd(what: &'static str, content_type: &'static str, body: impl Into<Vec<u8>>, strict: u16) -> Bomb {
    Bomb {
        what,
        content_type,
        encoding: "identity",
        body: body.into(),
        strict,
    }
}

fn bombs() -> Vec<Bomb> {
    let brotli = BASE64_STANDARD.decode(BROTLI).expect("base64");
    vec![
        bomb("gzip", "gzip", gzip()),
        bomb("zlib", "deflate", zlib()),
        bomb("deflate", "deflate", bare_deflate()),
        bomb("brotli", "br", brotli.clone()),
        bomb("zstd", "zstd", zstd()),
        bomb("gzip in gzip", "gzip, gzip", again(&gzip())),
        bomb("brotli in gzip", "br, gzip", again(&brotli)),
        Bomb {
            strict: 415,
            ..bomb("too many encodings", "gzip, gzip, gzip, gzip", gzip())
        },
        Bomb {
            strict: 400,
            ..bomb("half a stream", "gzip", gzip()[..1000].to_vec())
        },
        odd("deep lists", "application/json", "[".repeat(500_000), 400),
        odd("deep objects", "application/json", "{\"a\":".repeat(150_000), 400),
        odd("deep XML", "application/xml", "<a>".repeat(300_000), 400),
        odd(
            "laughs",
            "application/xml",
            "<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;&b;\">]><a>&c;</a>",
            400,
        ),
        odd(
            "the same name twice",
            "application/json",
            "{\"a\": 1, \"a\": 2}",
            400,
        ),
        odd("no UTF-8", "application/json", *b"{\"a\": \"\xff\xfe\"}", 400),
        odd("NUL", "application/json", *b"{\"a\": 1}\0", 400),
        odd("NUL in a text", "application/json", *b"{\"a\": \"\0\"}", 400),
        odd("NUL, escaped", "application/json", "{\"a\": \"\\u0000\"}", 200),
        odd("half a pair", "application/json", "{\"a\": \"\\ud800\"}", 400),
        odd("an enormous number", "application/json", "9".repeat(100_000), 400),
        odd(
            "NUL in a form",
            "application/x-www-form-urlencoded",
            "a=%00&b=%ff",
            200,
        ),
        odd(
            "parts in parts",
            "multipart/form-data; boundary=b0",
            nested(500),
            200,
        ),
        odd("many parts", "multipart/form-data; boundary=b", many_parts(), 400),
        odd(
            "a part without an end",
            "multipart/form-data; boundary=b",
            "--b\r\ncontent-disposition: form-data; name=x\r\n\r\n",
            400,
        ),
    ]
}

async fn send(harness: &Harness, path: &str, bomb: &Bomb) -> (u16, Value) {
    let request = harness
        .request(reqwest::Method::POST, path)
        .header("content-type", bomb.content_type)
        .header("content-encoding", bomb.encoding)
        .body(bomb.body.clone());
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn they_are_stored_as_they_came_or_refused_and_never_unfold() {
    let mut harness = Harness::with(Settings::default()).await;
    // Templates that read the whole body.
    let reading = |malformed_bodies: &str| NewWebhook {
        malformed_bodies: malformed_bodies.to_owned(),
        deduplication: Some(
            json!({ "key": "{{ body.order.id }}{{ body_text | length }}", "remember_hours": 1 }),
        ),
        revision: json!({ "response": { "body": { "id": "{{ body.order.id }}" } } }),
        ..NewWebhook::default()
    };
    let (tolerant, strict) = (
        harness.webhook(reading("accept")),
        harness.webhook(reading("refuse")),
    );
    let bombs = bombs();
    for bomb in &bombs {
        let began = Instant::now();
        let (status, answer) = send(&harness, &strict.production.path, bomb).await;
        assert_eq!(status, bomb.strict, "{}: {answer}", bomb.what);
        if status != 200 {
            assert_eq!(answer["code"], "body_malformed", "{}", bomb.what);
        }
        let (status, answer) = send(&harness, &tolerant.production.path, bomb).await;
        assert_eq!(status, 200, "{}: {answer}", bomb.what);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "{}: {took:?}", bomb.what);
        let after = harness.post(&strict.production).body("{}").send().await;
        assert_eq!(after.expect("an answer").status(), 200, "after {}", bomb.what);
    }
    harness.stop().await;
    let events = harness.events(&tolerant);
    assert!(!events.is_empty());
    for event in events {
        assert!(bombs.iter().any(|bomb| bomb.body == event.body()));
    }
}
