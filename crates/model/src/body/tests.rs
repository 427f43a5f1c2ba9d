use serde_json::{Value, json};

use super::encoding::tests::{brotli, gzip};
use super::*;

fn body(fields: &[(&str, &str)], sent: impl Into<Vec<u8>>) -> Body {
    let mut stored = Vec::new();
    for (name, value) in fields {
        headers::write(&mut stored, name.as_bytes(), value.as_bytes());
    }
    Body::new(&stored, Bytes::from(sent.into()))
}

fn of_type(content_type: &str, sent: impl Into<Vec<u8>>) -> Body {
    body(&[("Content-Type", content_type)], sent)
}

/// Its kind, its value, its text, and the code of its error.
fn read(body: &Body) -> (BodyKind, Value, Option<String>, Option<&'static str>) {
    (
        body.kind(),
        body.document()
            .map_or(json!("-"), |document| document.root().to_json()),
        body.text().map(Cow::into_owned),
        body.error().map(|error| error.code()),
    )
}

#[test]
fn a_body_is_read_as_what_it_is() {
    use BodyKind::{Binary, Empty, Form, Json, JsonLines, Text, Xml};
    let none = || json!("-");
    for (content_type, sent, kind, value) in [
        ("application/json", &b"{\"a\": [1]}"[..], Json, json!({"a": [1]})),
        ("Application/JSON; charset=utf-8", b" null ", Json, json!(null)),
        ("application/cloudevents+json", b"{}", Json, json!({})),
        ("text/json", b"\xef\xbb\xbf[1]", Json, json!([1])),
        (
            "application/json; charset=utf-16le",
            b"\"\0h\0i\0\"\0",
            Json,
            json!("hi"),
        ),
        ("application/json", b"\xff\xfe\"\0h\0\"\0", Json, json!("h")),
        (
            "application/json; charset=iso-8859-1",
            b"\"\xef\"",
            Json,
            json!("ï"),
        ),
        (
            "application/json; charset=iso-8859-1",
            b"\"\xc3\xaf\"",
            Json,
            json!("ï"),
        ),
        ("application/json", b"", Empty, none()),
        ("", b"", Empty, none()),
        ("", b"{\"a\": 1}", Json, json!({"a": 1})),
        ("text/plain", b"[1, 2]", Json, json!([1, 2])),
        ("application/octet-stream", b" 42", Json, json!(42)),
        (
            "application/x-www-form-urlencoded",
            b"{\"a\": 1}",
            Json,
            json!({"a": 1}),
        ),
        (
            "application/x-www-form-urlencoded",
            b"{\"a\": 1",
            Form,
            json!({"{\"a\": 1": ""}),
        ),
        ("application/x-www-form-urlencoded", b"1", Form, json!({"1": ""})),
        (
            "application/x-www-form-urlencoded",
            b"a=1&b=2&a=3",
            Form,
            json!({"a": ["1", "3"], "b": "2"}),
        ),
        (
            "application/x-www-form-urlencoded; charset=latin1",
            b"a=%EF",
            Form,
            json!({"a": "ï"}),
        ),
        (
            "application/x-ndjson",
            b"{\"a\":1}\n{\"a\":2}\n",
            JsonLines,
            json!([{"a": 1}, {"a": 2}]),
        ),
        (
            "application/xml",
            b"<a><b>1</b></a>",
            Xml,
            json!({"a": {"b": "1"}}),
        ),
        (
            "application/soap+xml; charset=utf-8",
            b"<a>\xc3\xaf</a>",
            Xml,
            json!({"a": "ï"}),
        ),
        (
            "text/xml",
            b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xef</a>",
            Xml,
            json!({"a": "ï"}),
        ),
        (
            "text/xml; charset=utf-8",
            b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xc3\xaf</a>",
            Xml,
            json!({"a": "ï"}),
        ),
        ("text/xml", b"\xff\xfe<\0a\0/\0>\0", Xml, json!({"a": ""})),
        ("text/plain; charset=iso-8859-1", b"na\xefve", Text, none()),
        ("", "größe".as_bytes(), Text, none()),
        ("application/pdf", b"%PDF-1.7", Text, none()),
        ("", b"\xff\xfeh\0i\0", Text, none()),
        ("", b"\xff\x00\x01", Binary, none()),
        ("image/png", b"\x89PNG\r\n\0", Binary, none()),
        ("", b"a\0b", Binary, none()),
    ] {
        let body = of_type(content_type, sent);
        let found = (body.kind(), read(&body).1, body.error());
        assert_eq!(
            found,
            (kind, value, None),
            "{content_type}: {}",
            String::from_utf8_lossy(sent)
        );
    }
}

#[test]
fn a_body_that_is_not_what_it_is_called_says_so() {
    for (content_type, sent, kind, code) in [
        ("application/json", "{\"a\": 1", BodyKind::Json, "malformed"),
        ("application/json", "hello", BodyKind::Json, "malformed"),
        ("application/xml", "<a>", BodyKind::Xml, "malformed"),
        ("application/jsonl", "{}\n{", BodyKind::JsonLines, "malformed"),
        ("multipart/form-data", "x", BodyKind::Multipart, "malformed"),
        (
            "multipart/form-data; boundary=b",
            "--b",
            BodyKind::Multipart,
            "malformed",
        ),
        (
            "application/x-www-form-urlencoded; charset=klingon",
            "a=1",
            BodyKind::Form,
            "unknown_charset",
        ),
    ] {
        let body = of_type(content_type, sent);
        let (found, value, text, error) = read(&body);
        assert_eq!(
            (found, value, error),
            (kind, json!("-"), Some(code)),
            "{content_type}"
        );
        assert_eq!(text.as_deref(), Some(sent), "{content_type}");
    }
    let twice = of_type("application/json", "{\"a\": 1, \"a\": 2}");
    assert_eq!(read(&twice).1, json!({"a": 2}));
    assert_eq!(twice.error(), Some(BodyError::RepeatedName("a".into())));
}

#[test]
fn text_is_there_beside_the_values() {
    for (content_type, sent, expected) in [
        ("application/json", &b"{ }"[..], Some("{ }")),
        ("application/json", b"\"\xff\"", Some("\"\u{fffd}\"")),
        ("application/json; charset=latin1", b"\"\xef\"", Some("\"ï\"")),
        ("text/plain; charset=windows-1252", b"\x80", Some("€")),
        ("text/plain; charset=klingon", b"x\xff", Some("x\u{fffd}")),
        ("application/x-www-form-urlencoded", b"a=%41", Some("a=%41")),
        ("", b"\0", None),
        ("", b"", Some("")),
        ("multipart/form-data; boundary=b", b"--b--", Some("--b--")),
        ("multipart/form-data; boundary=b", b"\xff--b--", None),
    ] {
        let body = of_type(content_type, sent);
        assert_eq!(body.text().as_deref(), expected, "{content_type}");
    }
}

#[test]
fn files_are_addressable() {
    let sent = "--b\r\ncontent-disposition: form-data; name=note\r\n\r\nhello\r\n\
        --b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.bin\"\r\nContent-Type: image/png\r\n\r\n\x7f\x00\x01\r\n\
        --b\r\nContent-Disposition: form-data; name=\"unchosen\"; filename=\"\"\r\n\r\n\r\n--b--\r\n";
    for compressed in [false, true] {
        let mut fields = vec![("content-type", "multipart/form-data; boundary=b")];
        let sent = if compressed {
            fields.push(("content-encoding", "gzip"));
            gzip(sent.as_bytes())
        } else {
            sent.as_bytes().to_vec()
        };
        let body = body(&fields, sent);
        assert_eq!(
            body.document().map(|document| document.root().to_json()),
            Some(json!({"note": "hello"}))
        );
        let [file] = body.files() else {
            panic!("{:?}", body.files())
        };
        assert_eq!(
            (file.name.as_str(), file.filename.as_deref()),
            ("f", Some("a.bin"))
        );
        assert_eq!(file.content_type.as_deref(), Some("image/png"));
        assert_eq!(body.content_of(file).as_ref(), b"\x7f\x00\x01");
        assert_eq!(
            body.sha256_of(file),
            "1c5840cd1edc81c269d3c737a5b1dd65bc5109e0737694a133f7ac622689dfd7"
        );
    }
    let whole = body(
        &[
            ("content-type", "image/png"),
            ("content-disposition", "attachment; filename=\"a.png\""),
        ],
        b"\x89PNG\0".to_vec(),
    );
    let [file] = whole.files() else {
        panic!("{:?}", whole.files())
    };
    assert_eq!(
        (file.name.as_str(), file.filename.as_deref()),
        ("body", Some("a.png"))
    );
    assert_eq!(whole.content_of(file).as_ref(), b"\x89PNG\0");
    assert!(of_type("application/json", "{}").files().is_empty());
}

#[test]
fn a_content_encoding_is_taken_off() {
    let read_as = |encoding: &str, sent: Vec<u8>| {
        read(&body(
            &[
                ("content-type", "application/json"),
                ("content-encoding", encoding),
            ],
            sent,
        ))
    };
    let json = br#"{"a": 1}"#;
    let expected = (
        BodyKind::Json,
        json!({"a": 1}),
        Some(r#"{"a": 1}"#.to_owned()),
        None,
    );
    assert_eq!(read_as("gzip", gzip(json)), expected);
    assert_eq!(read_as("br", brotli(json)), expected);
    assert_eq!(read_as("gzip, br", brotli(&gzip(json))), expected);
    assert_eq!(read_as("identity", json.to_vec()), expected);
    for (encoding, code) in [
        ("snappy", "unknown_encoding"),
        ("gzip", "malformed_encoding"),
        ("zstd", "malformed_encoding"),
    ] {
        assert_eq!(
            read_as(encoding, json.to_vec()),
            (BodyKind::Json, json!("-"), None, Some(code)),
            "{encoding}"
        );
    }
    let bomb = gzip(&vec![b' '; 3 << 20]);
    assert_eq!(read_as("gzip", bomb).3, Some("decodes_to_too_much"));
}

proptest::proptest! {
    #[test]
    fn any_body_is_read_without_panic(
        content_type in proptest::sample::select(vec!["", "application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-16",
            "application/xml", "multipart/form-data; boundary=b", "application/x-ndjson", "application/json; charset=shift_jis"]),
        encoding in proptest::sample::select(vec!["", "gzip", "deflate", "br", "zstd", "x"]),
        sent: Vec<u8>,
    ) {
        let body = body(&[("content-type", content_type), ("content-encoding", encoding)], sent);
        let _ = read(&body);
        for file in body.files() {
            let _ = body.content_of(file);
        }
    }
}
