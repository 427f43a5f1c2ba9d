use super::*;
use crate::protection::DataProtection;
use proptest::prelude::*;
use serde_json::{Value, json};

fn protection(settings: Value) -> Protection {
    let settings: DataProtection = serde_json::from_value(settings).expect("settings");
    Protection::compile(&settings).expect("compiled")
}

fn headers_of(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut stored = Vec::new();
    for (name, value) in pairs {
        headers::write(&mut stored, name.as_bytes(), value.as_bytes());
    }
    stored
}

struct Sent {
    headers: Vec<u8>,
    query: &'static str,
    path: &'static str,
    address: Option<IpAddr>,
    body: Vec<u8>,
}

impl Default for Sent {
    fn default() -> Self {
        Self {
            headers: headers_of(&[("content-type", "application/json")]),
            query: "",
            path: "orders/7",
            address: None,
            body: Vec::new(),
        }
    }
}

impl Sent {
    fn json(body: &str) -> Self {
        Self {
            body: body.as_bytes().to_vec(),
            ..Self::default()
        }
    }

    fn kept(&self, protection: &Protection, is_sensitive: bool) -> Kept {
        let parts = Parts {
            headers: &self.headers,
            query: self.query,
            path: self.path,
            suffix: &UrlSuffix::parse("orders/{id}").expect("a suffix"),
            address: self.address,
            body: &Bytes::copy_from_slice(&self.body),
        };
        protection.apply(&parts, is_sensitive)
    }
}

fn body_of(mask: &[&str], body: &str) -> String {
    let kept = Sent::json(body).kept(&protection(json!({ "mask": mask })), false);
    match kept.body {
        None => body.to_owned(),
        Some(body) => String::from_utf8(body).expect("text"),
    }
}

#[test]
fn a_masked_value_is_replaced_where_it_stands() {
    let body = "{ \"id\" : 12345678901234567890123,\n  \"card\": {\"number\":\"4111\", \"exp\" : [1,2]}, \"a\\u0062c\": 1.50e3 }";
    for (mask, expected) in [
        (
            &["body.card.number"][..],
            body.replace("\"4111\"", "\"[masked]\""),
        ),
        (&["body.card.exp"], body.replace("[1,2]", "\"[masked]\"")),
        (
            &["body.card"],
            body.replace("{\"number\":\"4111\", \"exp\" : [1,2]}", "\"[masked]\""),
        ),
        (&["body.abc"], body.replace("1.50e3", "\"[masked]\"")),
        (
            &["body.id"],
            body.replace("12345678901234567890123", "\"[masked]\""),
        ),
        (&["body.card.cvv", "body.number", "body.Card"], body.to_owned()),
    ] {
        assert_eq!(body_of(mask, body), expected, "{mask:?}");
    }
}

#[test]
fn paths_find_their_values() {
    for (mask, body, expected) in [
        (
            "body.items[].iban",
            r#"{"items":[{"iban":"A"},{"iban":"B","x":1}]}"#,
            r#"{"items":["#,
        ),
        (
            "body.items.iban",
            r#"{"items":{"iban":"A"}}"#,
            r#"{"items":{"iban":"[masked]"}}"#,
        ),
        (
            "body[].a",
            r#"[[{"a":"A"}],{"a":"A"}]"#,
            r#"[[{"a":"[masked]"}],{"a":"[masked]"}]"#,
        ),
        ("body.tags[]", r#"{"tags":["A","B"]}"#, r#"{"tags":"[masked]"}"#),
        (
            "body.*.a",
            r#"{"x":{"a":"A"},"y":[{"a":"A"}],"a":"c"}"#,
            r#"{"x":{"a":"[masked]"},"y":[{"a":"[masked]"}],"a":"c"}"#,
        ),
        (
            "body.**.a",
            r#"{"a":"A","b":{"c":[{"a":{"a":"A"}}],"d":{"b":"c"}}}"#,
            r#"{"a":"[masked]","b":{"c":[{"a":"[masked]"}],"d":{"b":"c"}}}"#,
        ),
        (
            "body.b.**.a",
            r#"{"a":"c","b":{"x":{"b":{"a":"A"}}}}"#,
            r#"{"a":"c","b":{"x":{"b":{"a":"[masked]"}}}}"#,
        ),
        (
            "body[\"a.b\"]",
            r#"{"a.b":"A","a":{"b":"c"}}"#,
            r#"{"a.b":"[masked]","a":{"b":"c"}}"#,
        ),
        (
            "body.a",
            r#"{"a":"A","a":"B","b":"c"}"#,
            r#"{"a":"[masked]","a":"[masked]","b":"c"}"#,
        ),
    ] {
        let kept = body_of(&[mask], body);
        assert!(kept.starts_with(expected), "{mask}: {kept}");
        assert!(
            !kept.contains("\"A\"") && !kept.contains("\"B\""),
            "{mask}: {kept}"
        );
    }
}

#[test]
fn a_body_that_cannot_be_read_is_not_stored() {
    let protection = protection(json!({ "mask": ["body.card"] }));
    let typed = |content_type: &str, body: &[u8]| Sent {
        headers: headers_of(&[("Content-Type", content_type), ("x", "y")]),
        body: body.to_vec(),
        ..Sent::default()
    };
    let deep = format!("{}\"card\"{}", "[".repeat(200), "]".repeat(200));
    let utf_16: Vec<u8> = "{\"card\": \"4111\"}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for sent in [
        typed("application/json", b"{\"card\": \"4111\""),
        typed("application/json", b"{\"card\": \"4111\"} trailing"),
        typed("application/json", b"{\"card\": \"\xff4111\"}"),
        typed("application/json", deep.as_bytes()),
        typed("application/json; charset=utf-16le", &utf_16),
        typed("application/x-ndjson", b"{\"card\": 1}\n{\"card\""),
        typed("text/xml", b"<card>4111</card>"),
        typed("text/plain", b"4111"),
        typed("multipart/form-data; boundary=x", b"--x\r\n"),
        typed("application/x-www-form-urlencoded", b"card=\xff4111"),
        typed("application/x-www-form-urlencoded; charset=utf-16", b"card=4111"),
        typed("image/png", b"\x89PNG"),
        typed("application/x-www-form-urlencoded", b" {\"card\":\"4111\""),
    ] {
        let kept = sent.kept(&protection, false);
        assert_eq!(
            kept.body.as_deref(),
            Some(&b""[..]),
            "{:?}",
            String::from_utf8_lossy(&sent.body)
        );
        assert_eq!(kept.masked.body_removed, Some(BodyRemoved::NotReadable));
        assert_eq!(kept.secrets, Secrets::Everything);
    }
    let compressed = Sent {
        headers: headers_of(&[("Content-Encoding", "gzip")]),
        body: b"{}".to_vec(),
        ..Sent::default()
    };
    assert_eq!(
        compressed.kept(&protection, false).body.as_deref(),
        Some(&b""[..])
    );
    let identity = Sent {
        headers: headers_of(&[("Content-Encoding", " Identity ")]),
        body: b"{}".to_vec(),
        ..Sent::default()
    };
    assert_eq!(identity.kept(&protection, false), Kept::default());
    assert_eq!(Sent::json("").kept(&protection, false), Kept::default());
}

#[test]
fn a_form_keeps_what_is_not_masked() {
    let protection = protection(json!({ "mask": ["body.card", "body[\"a[b]\"]"] }));
    let form = |body: &str| Sent {
        headers: headers_of(&[("content-type", "Application/X-WWW-form-urlencoded; charset=utf-8")]),
        body: body.as_bytes().to_vec(),
        ..Sent::default()
    };
    let kept = form("x=1&c%61rd=4111+1111&&card=2222&card&a%5Bb%5D=3333&z=%zz").kept(&protection, false);
    assert_eq!(
        kept.body.as_deref(),
        Some(&b"x=1&c%61rd=%5Bmasked%5D&&card=%5Bmasked%5D&card&a%5Bb%5D=%5Bmasked%5D&z=%zz"[..])
    );
    assert_eq!(kept.masked.paths, ["body.card", "body[\"a[b]\"]"]);
    assert_eq!(
        kept.secrets,
        Secrets::Values(vec!["2222".into(), "3333".into(), "4111 1111".into()])
    );
    // JSON that is called a form.
    let kept = form(r#" {"card": "4111&x=1"}"#).kept(&protection, false);
    assert_eq!(kept.body.as_deref(), Some(&br#" {"card": "[masked]"}"#[..]));
}

#[test]
fn lines_and_marks_keep_their_places() {
    let protection = protection(json!({ "mask": ["body.card"] }));
    let lines = Sent {
        headers: headers_of(&[("content-type", "application/x-ndjson")]),
        body: b"\xef\xbb\xbf{\"card\": 1}\n\n {\"x\":1}\r\n{\"card\":[2]}".to_vec(),
        ..Sent::default()
    };
    let kept = lines.kept(&protection, false);
    assert_eq!(
        kept.body.as_deref(),
        Some(&b"\xef\xbb\xbf{\"card\": \"[masked]\"}\n\n {\"x\":1}\r\n{\"card\":\"[masked]\"}"[..])
    );
    let marked = Sent::json("\u{feff}{\"card\": 1}").kept(&protection, false);
    assert_eq!(
        marked.body.as_deref(),
        Some("\u{feff}{\"card\": \"[masked]\"}".as_bytes())
    );
}

#[test]
fn parts_of_a_multipart_body_are_masked() {
    let protection = protection(json!({ "mask": ["body.card", "body.scan", "body.photo"] }));
    let part = |name: &str, content: &[u8]| {
        let head = format!("--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    };
    let of = |card: &[u8], scan: &[u8]| {
        let file = part("scan; filename=a.txt", scan);
        [part("x", b"1"), part("card", card), file, b"--b--\r\n".to_vec()].concat()
    };
    let sent = Sent {
        headers: headers_of(&[("content-type", "multipart/form-data; boundary=b")]),
        body: of(b"4111", b"line 1\r\nline 2"),
        ..Sent::default()
    };
    let kept = sent.kept(&protection, false);
    assert_eq!(kept.body, Some(of(b"[masked]", b"[masked]")));
    assert_eq!(kept.masked.paths, ["body.card", "body.scan"]);
    assert_eq!(
        kept.secrets,
        Secrets::Values(vec!["4111".into(), "line 1\r\nline 2".into()])
    );
    let binary = Sent {
        body: of(b"4111", b"\xff\xfe"),
        ..sent
    };
    assert_eq!(binary.kept(&protection, false).secrets, Secrets::Everything);
}

#[test]
fn headers_query_path_and_address_are_masked() {
    let protection = protection(json!({
        "mask": ["headers.Authorization", "query.token", "path.id", "headers.absent"], "mask_address": true }));
    let sent = Sent {
        headers: headers_of(&[
            ("Authorization", "Bearer abcdefgh"),
            ("X-Forwarded-For", "203.0.113.77"),
            ("content-md5", "abc"),
            ("x", "y"),
        ]),
        query: "a=1&t%6fken=s%20s&token&b",
        path: "orders/an%20id",
        address: Some([203, 0, 113, 77].into()),
        body: b"{}".to_vec(),
    };
    let kept = sent.kept(&protection, false);
    assert_eq!(
        kept.headers.as_deref(),
        Some(&b"Authorization: [masked]\r\nX-Forwarded-For: [masked]\r\ncontent-md5: abc\r\nx: y\r\n"[..])
    );
    assert_eq!(kept.query.as_deref(), Some("a=1&t%6fken=%5Bmasked%5D&token&b"));
    assert_eq!(kept.path.as_deref(), Some("orders/%5Bmasked%5D"));
    assert_eq!(
        kept.address.map(|net| net.to_string()).as_deref(),
        Some("203.0.113.0/24")
    );
    assert_eq!(kept.body, None);
    assert_eq!(
        kept.masked.paths,
        ["headers.Authorization", "query.token", "path.id", "address"]
    );
    let Secrets::Values(values) = &kept.secrets else {
        panic!("values")
    };
    for value in ["Bearer abcdefgh", "abcdefgh", "s s", "an id", "203.0.113.77"] {
        assert!(values.iter().any(|known| known == value), "{value}");
    }
    let v6 = Sent {
        address: Some("2001:db8:1:2:3::4".parse().expect("an address")),
        ..Sent::default()
    };
    let network = v6.kept(&protection, false).address.expect("a network");
    assert_eq!(network.to_string(), "2001:db8:1::/48");
    let mapped = Sent {
        address: Some("::ffff:203.0.113.77".parse().expect("an address")),
        ..Sent::default()
    };
    let network = mapped.kept(&protection, false).address.expect("a network");
    assert_eq!(network.to_string(), "203.0.113.0/24");
}

#[test]
fn a_path_of_no_url_is_masked_as_a_whole() {
    let protection = protection(json!({ "mask": ["path.id"] }));
    let path = |path| {
        Sent {
            path,
            ..Sent::default()
        }
        .kept(&protection, false)
        .path
    };
    assert_eq!(path("orders/secret/more").as_deref(), Some("%5Bmasked%5D"));
    assert_eq!(path("orders/{id}").as_deref(), Some("orders/%5Bmasked%5D"));
}

#[test]
fn digests_go_with_the_values_that_they_would_betray() {
    let sent = Sent {
        headers: headers_of(&[("Content-MD5", "abc"), ("x-signature", "def")]),
        body: br#"{"pin": 1234}"#.to_vec(),
        ..Sent::default()
    };
    let kept = sent.kept(&protection(json!({ "mask": ["body.pin"] })), false);
    assert_eq!(
        kept.headers.as_deref(),
        Some(&b"Content-MD5: [masked]\r\nx-signature: def\r\n"[..])
    );
}

#[test]
fn a_notification_keeps_its_mark_and_nobody_else_a_value_in_its_place() {
    let mark = crate::notification::Mark {
        kind: crate::notification::Kind::RunFailed,
        id: uuid::Uuid::nil().into(),
        mac: [0; 32],
    };
    let asked = protection(json!({ "mask": ["headers.hookgate-notification"] }));
    for (value, is_kept) in [(mark.to_string(), true), (format!("{mark}, Ada"), false)] {
        let sent = Sent {
            headers: headers_of(&[("hookgate-notification", &value)]),
            ..Sent::default()
        };
        for (protection, is_sensitive) in [(&asked, false), (&protection(json!({})), true)] {
            let kept = sent.kept(protection, is_sensitive).headers;
            assert_eq!(kept.is_none(), is_kept, "{kept:?}");
        }
    }
}

#[test]
fn of_a_sensitive_request_nothing_is_left() {
    let sent = Sent {
        headers: headers_of(&[
            ("content-type", "application/json"),
            ("X-Signature", "secret"),
            ("host", "hooks.example.com"),
        ]),
        query: "a=secret&secret",
        path: "orders/secret",
        body: b"secret".to_vec(),
        address: Some([203, 0, 113, 77].into()),
    };
    let kept = sent.kept(&protection(json!({ "sensitive_if": "{{ true }}" })), true);
    assert_eq!(
        kept.headers.as_deref(),
        Some(&b"content-type: application/json\r\nX-Signature: [masked]\r\nhost: hooks.example.com\r\n"[..])
    );
    assert_eq!(kept.query.as_deref(), Some("a=%5Bmasked%5D&%5Bmasked%5D"));
    assert_eq!(kept.path.as_deref(), Some("orders/%5Bmasked%5D"));
    assert_eq!(kept.body.as_deref(), Some(&b""[..]));
    assert_eq!(kept.address, None);
    assert!(kept.masked.sensitive && kept.masked.body_removed == Some(BodyRemoved::Masked));
    assert_eq!(kept.secrets, Secrets::Everything);
}

proptest! {
    /// Whatever a sender writes around it, a value that templates could see at the path is not stored.
    #[test]
    fn what_a_flow_would_see_is_not_stored(body in "[\\[\\]{}\":,a-c0-9 \\\\u]{0,60}") {
        let kept = body_of(&["body.**.a"], &body);
        if let Ok(value) = serde_json::from_str::<Value>(&kept) {
            fn visible(value: &Value) -> bool {
                match value {
                    Value::Object(fields) => fields.iter().any(|(name, value)| {
                        (name == "a" && value != "[masked]") || visible(value)
                    }),
                    Value::Array(items) => items.iter().any(visible),
                    _ => false,
                }
            }
            prop_assert!(!visible(&value), "{}", kept);
        } else {
            prop_assert_eq!(kept, "");
        }
    }

    #[test]
    fn what_is_not_masked_keeps_its_bytes(body in "\\{ ?\"b\": ?(1|\"x\"|\\[1, 2\\]|1e5) ?\\}") {
        prop_assert_eq!(body_of(&["body.**.a", "body.c.d"], &body), body);
    }
}
