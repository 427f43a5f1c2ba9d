use super::*;
use crate::authentication::request::{Request, StoredHeaders};
use crate::authentication::testing::now;
use crate::headers;
use serde_json::{Value, json};

fn content(parts: Value, sent: &[(&str, &str)], url: &str, body: &str) -> Result<String, DenialCode> {
    let parts: Vec<Part> = serde_json::from_value(parts).expect("parts");
    let mut stored = Vec::new();
    for (name, value) in sent {
        headers::write(&mut stored, name.as_bytes(), value.as_bytes());
    }
    let request = Request {
        method: "POST",
        public_url: url,
        path: "orders",
        query: url.split_once('?').map_or("", |(_, query)| query),
        headers: &StoredHeaders(&stored),
        body: body.as_bytes(),
        now: now(),
    };
    let mut wanted = Wanted::default();
    let compiled = SignedContent::compile(&parts, &mut wanted);
    let source = Source::whole(&request, &wanted).map_err(|denial| denial.code)?;
    let beside = Beside {
        timestamp: b"1700000000",
        secret: b"secret",
    };
    let mut written = Vec::new();
    compiled
        .write(&source, beside, &mut |bytes| written.extend_from_slice(bytes))
        .map_err(|denial| denial.code)?;
    let length = format!("{} bytes (", written.len());
    assert!(compiled.describe(&source, beside).starts_with(&length));
    Ok(String::from_utf8(written).expect("text"))
}

#[test]
fn parts_are_written_as_they_were_sent() {
    let url = "https://hooks.example.com:8443/token/orders?a=%2F&b=1";
    let sent = [
        ("x-id", "7"),
        ("X-A", "one"),
        ("x-b", "two"),
        ("x-a", "three"),
        ("x-sig", "t=1,h=x-b x-a"),
    ];
    let body = r#"{"id": 1.50, "a": "x:\\y", "n": null, "inner": {"b": true}}"#;
    let missing = Err(DenialCode::SignedContentMissing);
    let some = |text: &str| Ok(text.to_owned());
    let table = [
        (
            json!([{"part": "text", "text": "v0:"}, {"part": "timestamp"}, {"part": "secret"}]),
            some("v0:1700000000secret"),
        ),
        (
            json!([{"part": "method"}, {"part": "path_and_query"}]),
            some("POST/token/orders?a=%2F&b=1"),
        ),
        (json!([{"part": "url"}]), some(url)),
        (
            json!([{"part": "url", "form": "decoded"}]),
            some("https://hooks.example.com:8443/token/orders?a=/&b=1"),
        ),
        (
            json!([{"part": "url", "form": "without_port"}]),
            some("https://hooks.example.com/token/orders?a=%2F&b=1"),
        ),
        (json!([{"part": "header", "name": "X-ID"}]), some("7")),
        (json!([{"part": "header", "name": "x-a"}]), some("one, three")),
        (json!([{"part": "header", "name": "x-c"}]), missing.clone()),
        (
            json!([{"part": "value", "at": {"in": "query", "name": "a"}}]),
            some("/"),
        ),
        (
            json!([{"part": "value", "at": {"in": "query", "name": "c"}}]),
            missing.clone(),
        ),
        (
            json!([{"part": "listed_headers", "list": {"in": "pair", "header": "x-sig", "key": "h"}}]),
            some("two.one, three"),
        ),
        (
            json!([{"part": "listed_headers", "list": {"in": "pair", "header": "x-sig", "key": "t"}}]),
            missing,
        ),
        (
            json!([{"part": "json_values", "pointers": ["/id", "/a", "/n", "/none", "/inner/b"], "separator": ":"}]),
            some(r"1.50:x:\y:::true"),
        ),
        (
            json!([{"part": "json_values", "pointers": ["/a", "/id"], "separator": ":", "escape": true}]),
            some(r"x\:\\y:1.50"),
        ),
        (
            json!([{"part": "json_lines", "names": ["a", "n", "none", "id"]}]),
            some("a\nx:\\y\nid\n1.50\n"),
        ),
        (
            json!([{"part": "json_values", "pointers": ["/inner"]}]),
            Err(DenialCode::BodyUnreadable),
        ),
        (json!([{"part": "body"}]), some(body)),
    ];
    for (parts, expected) in table {
        assert_eq!(content(parts.clone(), &sent, url, body), expected, "{parts}");
    }
}

/// The check values of the algorithms: CRC-32 of `123456789`, SHA-256 of `abc` (FIPS 180-4).
#[test]
fn hashes_of_the_body_are_the_published_ones() {
    let url = "https://hooks.example.com";
    assert_eq!(
        content(json!([{"part": "body_crc32"}]), &[], url, "123456789"),
        Ok("3421780262".to_owned())
    );
    assert_eq!(
        content(json!([{"part": "body_hash", "hash": "sha256"}]), &[], url, "abc"),
        Ok("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned())
    );
    assert_eq!(
        content(
            json!([{"part": "body_hash", "hash": "sha1", "encoding": "base64"}]),
            &[],
            url,
            "abc"
        ),
        Ok("qZk+NkcGgWq6PiVxeFDCbJzQ2J0=".to_owned())
    );
}

#[test]
fn urls_get_and_lose_their_port() {
    let table = [
        (
            "https://a.example/x",
            "https://a.example:443/x",
            "https://a.example/x",
        ),
        (
            "http://a.example?x=:1",
            "http://a.example:80?x=:1",
            "http://a.example?x=:1",
        ),
        (
            "https://a.example:8443/x",
            "https://a.example:8443/x",
            "https://a.example/x",
        ),
        (
            "https://u:p@a.example/x",
            "https://u:p@a.example:443/x",
            "https://u:p@a.example/x",
        ),
        ("https://[::1]/x", "https://[::1]:443/x", "https://[::1]/x"),
        ("https://[::1]:8/x", "https://[::1]:8/x", "https://[::1]/x"),
        ("nonsense", "nonsense", "nonsense"),
        ("", "", ""),
    ];
    for (url, with, without) in table {
        assert_eq!(UrlForm::WithPort.of(url), with);
        assert_eq!(UrlForm::WithoutPort.of(url), without);
    }
}

/// HubSpot's list of the characters that it decodes.
#[test]
fn hubspots_characters_are_decoded() {
    let encoded = "https://a.example/%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B?q=%3a%26%20%2525%253A";
    let decoded = "https://a.example/:/?@!$'()*,;?q=:%26%20%2525%253A";
    assert_eq!(UrlForm::Decoded.of(encoded), decoded);
}

#[test]
fn a_form_is_sorted_and_nothing_else_is_taken_for_one() {
    let form = [("content-type", "Application/X-WWW-Form-Urlencoded; charset=utf-8")];
    let sorted = |sent: &[(&str, &str)], body: &str| {
        content(json!([{"part": "sorted_form"}]), sent, "https://a.example", body)
    };
    assert_eq!(sorted(&form, "b=2&a=1&b=1&b=2&c"), Ok("a1b1b2c".to_owned()));
    assert_eq!(sorted(&form, "a=%2B+%C3%A4"), Ok("a+ ä".to_owned()));
    assert_eq!(sorted(&[], ""), Ok(String::new()));
    assert_eq!(sorted(&[], "a=1"), Err(DenialCode::BodyUnreadable));
    assert_eq!(
        sorted(&[("content-type", "application/json")], "{}"),
        Err(DenialCode::BodyUnreadable)
    );
}
