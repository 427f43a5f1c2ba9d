use std::collections::HashMap;

use chrono::DateTime;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;
use crate::authentication::StoredHeaders;
use crate::headers;

const SECRET: &str = "s3cr3t-of-the-app";

fn secret_id() -> SecretId {
    SecretId::new(DateTime::UNIX_EPOCH, [1; 8])
}

fn handshaker(settings: Value) -> Handshaker {
    let handshake: Handshake = serde_json::from_value(settings).expect("a handshake");
    assert_eq!(handshake.problems(), []);
    let secrets = HashMap::from([(secret_id(), Zeroizing::new(SECRET.as_bytes().to_vec()))]);
    Handshaker::new(handshake, &secrets)
}

fn kind(kind: &str) -> Handshaker {
    match kind {
        "meta" | "zoom" | "x" => handshaker(json!({ "kind": kind, "secrets": [secret_id()] })),
        _ => handshaker(json!({ "kind": kind })),
    }
}

/// What a test sends.
#[derive(Clone, Copy)]
struct Sent<'a> {
    method: &'a str,
    query: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
}

const GET: Sent<'_> = Sent {
    method: "GET",
    query: "",
    headers: &[],
    body: "",
};
const POST: Sent<'_> = Sent {
    method: "POST",
    ..GET
};
const OPTIONS: Sent<'_> = Sent {
    method: "OPTIONS",
    ..GET
};

impl Sent<'_> {
    fn with<T>(&self, look: impl FnOnce(&Request<'_>) -> T) -> T {
        let mut stored = Vec::new();
        for (name, value) in self.headers {
            headers::write(&mut stored, name.as_bytes(), value.as_bytes());
        }
        look(&Request {
            method: self.method,
            public_url: "https://hooks.example.com/token/orders",
            path: "orders",
            query: self.query,
            headers: &StoredHeaders(&stored),
            body: self.body.as_bytes(),
            now: DateTime::UNIX_EPOCH,
        })
    }
}

fn head(name: &str, sent: Sent<'_>) -> Option<Outcome> {
    sent.with(|request| kind(name).answer_head(request))
}

fn body(name: &str, sent: Sent<'_>) -> Option<Outcome> {
    sent.with(|request| kind(name).answer_body(request))
}

fn answer(outcome: Option<Outcome>) -> Answer {
    match outcome {
        Some(Outcome::Answer(answer)) => answer,
        other => panic!("no answer but {other:?}"),
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let found = answer.headers.iter().find(|(candidate, _)| candidate == name);
    found.map(|(_, value)| value.as_str())
}

fn assert_text(outcome: Option<Outcome>, expected: &str) {
    let answer = answer(outcome);
    assert_eq!((answer.status, &*answer.body), (200, expected.as_bytes()));
    assert_eq!(header(&answer, "content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
}

fn assert_json(outcome: Option<Outcome>, expected: &Value) {
    let answer = answer(outcome);
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((answer.status, &body), (200, expected));
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
}

fn assert_mismatch(outcome: Option<Outcome>) {
    assert!(
        matches!(outcome, Some(Outcome::Refuse(Fault::Mismatch(_)))),
        "{outcome:?}"
    );
}

fn assert_malformed(outcome: Option<Outcome>) {
    assert!(
        matches!(outcome, Some(Outcome::Refuse(Fault::Malformed(_)))),
        "{outcome:?}"
    );
}

fn query(query: &str) -> Sent<'_> {
    Sent { query, ..GET }
}

fn post(body: &str) -> Sent<'_> {
    Sent { body, ..POST }
}

#[test]
fn meta_wants_its_verify_token() {
    let good = format!("hub.mode=subscribe&hub.verify_token={SECRET}&hub.challenge=1158201444");
    assert_text(head("meta", query(&good)), "1158201444");
    for wrong in [
        "hub.mode=subscribe&hub.verify_token=other&hub.challenge=1",
        "hub.mode=subscribe&hub.verify_token=&hub.challenge=1",
        "hub.mode=subscribe&hub.challenge=1",
        "hub.mode=unsubscribe&hub.verify_token=s3cr3t-of-the-app&hub.challenge=1",
    ] {
        assert_mismatch(head("meta", query(wrong)));
    }
    for malformed in [
        format!("hub.mode=subscribe&hub.verify_token={SECRET}"),
        format!("hub.mode=subscribe&hub.verify_token={SECRET}&hub.challenge="),
        format!(
            "hub.mode=subscribe&hub.verify_token={SECRET}&hub.challenge={}",
            "1".repeat(1025)
        ),
        format!("hub.mode=subscribe&hub.verify_token={SECRET}&hub.verify_token=x&hub.challenge=1"),
        format!("hub.mode=subscribe&hub.verify_token={SECRET}&hub.challenge=a%0Ab"),
    ] {
        assert_malformed(head("meta", query(&malformed)));
    }
    assert_eq!(head("meta", query("a=1")), None);
    assert_eq!(head("meta", Sent { query: &good, ..POST }), None);
    let without_secret = Handshaker::new(
        Handshake::Meta {
            secrets: vec![secret_id()],
        },
        &HashMap::new(),
    );
    assert_mismatch(query(&good).with(|request| without_secret.answer_head(request)));
}

#[test]
fn parameters_are_repeated_decoded() {
    assert_text(
        head("dropbox", query("challenge=abc%20%3Cscript%3E")),
        "abc <script>",
    );
    let token = "Validation%3a+Testing+client+application+reachability";
    let asked = format!("validationToken={token}");
    assert_text(
        head(
            "microsoft_graph",
            Sent {
                query: &asked,
                ..POST
            },
        ),
        "Validation: Testing client application reachability",
    );
    let longest = format!("challenge={}", "a".repeat(MAX_CHALLENGE_BYTES));
    assert_text(head("dropbox", query(&longest)), &"a".repeat(MAX_CHALLENGE_BYTES));
    assert_malformed(head("dropbox", query(&format!("{longest}a"))));
    assert_malformed(head("dropbox", query("challenge=")));
    assert_malformed(head("dropbox", query("challenge=1&challenge=2")));
    assert_eq!(head("dropbox", query("Challenge=1")), None);
    assert_eq!(
        head(
            "dropbox",
            Sent {
                query: "challenge=1",
                ..POST
            }
        ),
        None
    );
    assert_eq!(head("microsoft_graph", query(&asked)), None);
    assert_eq!(head("microsoft_graph", POST), None);
}

#[test]
fn x_gets_the_hmac_of_its_token_and_of_nothing_else() {
    // echo -n 9b4507b3-9040-4669-9ca3-6b94edb50553 | openssl dgst -sha256 -hmac s3cr3t-of-the-app -binary | base64
    let expected = "sha256=mUxMM55AC6DW8P1/hFR6/UC897WQl5JgPCHG9hdkL6o=";
    assert_json(
        head(
            "x",
            query("crc_token=9b4507b3-9040-4669-9ca3-6b94edb50553&nonce=1"),
        ),
        &json!({ "response_token": expected }),
    );
    for oracle in ["%7B%22a%22%3A1%7D", "a%26b", "a+b", "", "%C3%BC"] {
        assert_malformed(head("x", query(&format!("crc_token={oracle}"))));
    }
    assert_malformed(head("x", query(&format!("crc_token={}", "a".repeat(257)))));
    assert_eq!(head("x", query("token=1")), None);
    // Whatever it signs is no body.
    for body_like_token in ["9b4507b3-9040-4669-9ca3-6b94edb50553", "123", "true", "a=b"] {
        assert_malformed(body("x", post(body_like_token)));
    }
    for event in [r#"{"for_user_id":"1"}"#, "[]", ""] {
        assert_eq!(body("x", post(event)), None, "{event}");
    }
}

#[test]
fn okta_gets_its_header_back() {
    let asked = Sent {
        headers: &[("X-Okta-Verification-Challenge", "aB\"3_-")],
        ..GET
    };
    assert_json(head("okta", asked), &json!({ "verification": "aB\"3_-" }));
    let long = "a".repeat(1025);
    let headers = [("x-okta-verification-challenge", long.as_str())];
    assert_malformed(head(
        "okta",
        Sent {
            headers: &headers,
            ..GET
        },
    ));
    assert_eq!(head("okta", GET), None);
}

#[test]
fn cloud_events_ask_for_permission() {
    let asked = Sent {
        headers: &[
            ("WebHook-Request-Origin", "eventemitter.example.com"),
            ("WebHook-Request-Rate", "120"),
        ],
        ..OPTIONS
    };
    let first = Sent {
        headers: &asked.headers[..1],
        ..OPTIONS
    };
    let rates = [
        (json!({ "kind": "cloud_events" }), asked, "120"),
        (json!({ "kind": "cloud_events" }), first, "*"),
        (
            json!({ "kind": "cloud_events", "requests_per_minute": 60 }),
            asked,
            "60",
        ),
        (
            json!({ "kind": "cloud_events", "requests_per_minute": 600 }),
            asked,
            "120",
        ),
        (
            json!({ "kind": "cloud_events", "requests_per_minute": 600 }),
            first,
            "600",
        ),
        (
            json!({ "kind": "cloud_events", "allowed_origins": ["a.example", "EventEmitter.example.com"] }),
            asked,
            "120",
        ),
    ];
    for (settings, sent, rate) in rates {
        let answer = answer(sent.with(|request| handshaker(settings).answer_head(request)));
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(header(&answer, "allow"), Some("POST"));
        assert_eq!(
            header(&answer, "webhook-allowed-origin"),
            Some("eventemitter.example.com")
        );
        assert_eq!(header(&answer, "webhook-allowed-rate"), Some(rate));
    }
    let strict = handshaker(json!({ "kind": "cloud_events", "allowed_origins": ["a.example"] }));
    assert_mismatch(asked.with(|request| strict.answer_head(request)));
    for (origin, rate) in [
        ("a b", "1"),
        ("a\u{7f}", "1"),
        ("", "1"),
        ("a", "0"),
        ("a", "-1"),
        ("a", "many"),
    ] {
        let headers = [("webhook-request-origin", origin), ("webhook-request-rate", rate)];
        assert_malformed(head(
            "cloud_events",
            Sent {
                headers: &headers,
                ..OPTIONS
            },
        ));
    }
    assert_eq!(head("cloud_events", OPTIONS), None);
    assert_eq!(
        head(
            "cloud_events",
            Sent {
                method: "POST",
                ..asked
            }
        ),
        None
    );
}

#[test]
fn event_grid_validates_in_both_schemas() {
    let headers = [("webhook-request-origin", "eventgrid.azure.net")];
    let allowed = answer(head(
        "event_grid",
        Sent {
            headers: &headers,
            ..OPTIONS
        },
    ));
    assert_eq!(
        header(&allowed, "webhook-allowed-origin"),
        Some("eventgrid.azure.net")
    );
    let headers = [("webhook-request-origin", "else.example.com")];
    assert_mismatch(head(
        "event_grid",
        Sent {
            headers: &headers,
            ..OPTIONS
        },
    ));

    let validation = Sent {
        headers: &[("aeg-event-type", "SubscriptionValidation")],
        body: r#"[{"id":"1","topic":"t","data":{"validationCode":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6"},
            "eventType":"Microsoft.EventGrid.SubscriptionValidationEvent"}]"#,
        ..POST
    };
    assert_json(
        body("event_grid", validation),
        &json!({ "validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6" }),
    );
    assert_malformed(body(
        "event_grid",
        Sent {
            body: "[]",
            ..validation
        },
    ));
    assert_malformed(body(
        "event_grid",
        Sent {
            body: "{",
            ..validation
        },
    ));
    assert_eq!(
        body(
            "event_grid",
            Sent {
                headers: &[("aeg-event-type", "Notification")],
                ..validation
            }
        ),
        None
    );
    assert_eq!(
        body(
            "event_grid",
            Sent {
                headers: &[],
                ..validation
            }
        ),
        None
    );
    assert_eq!(head("event_grid", validation), None);
}

#[test]
fn slack_gets_its_challenge_back() {
    let asked = r#"{"token":"Jhj5dZrVaK7ZwHHjRyZWjbDl","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY","type":"url_verification"}"#;
    assert_text(body("slack", post(asked)), "3eZbrw1aBm2rZgRNFdxV2595E9CY");
    assert_malformed(body("slack", post(r#"{"type":"url_verification"}"#)));
    let long = format!(
        r#"{{"type":"url_verification","challenge":"{}"}}"#,
        "a".repeat(1025)
    );
    assert_malformed(body("slack", post(&long)));
    for event in [
        r#"{"type":"event_callback","challenge":"x"}"#,
        "{",
        "",
        "command=%2Fx",
    ] {
        assert_eq!(body("slack", post(event)), None, "{event}");
    }
}

#[test]
fn zoom_gets_the_hmac_of_its_token() {
    // echo -n qgg8vlvZRS6UYooatFL8Aw | openssl dgst -sha256 -hmac s3cr3t-of-the-app
    let expected = "5913e56e49e1a5d52011a7542ded67821516426a0555e5f144258e66e186316f";
    let asked = r#"{"payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1654503849680,"event":"endpoint.url_validation"}"#;
    assert_json(
        body("zoom", post(asked)),
        &json!({ "plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": expected }),
    );
    // It signs nothing that could be the signature of a request.
    let oracle = r#"{"payload":{"plainToken":"v0:1654503849:{}"},"event":"endpoint.url_validation"}"#;
    assert_malformed(body("zoom", post(oracle)));
    assert_malformed(body("zoom", post(r#"{"event":"endpoint.url_validation"}"#)));
    assert_malformed(body(
        "zoom",
        post(r#"{"event":"endpoint.url_validation","payload":{}}"#),
    ));
    assert_eq!(
        body(
            "zoom",
            post(r#"{"event":"meeting.started","payload":{"object":{}}}"#)
        ),
        None
    );
}

#[test]
fn discord_pings() {
    let pong = answer(body(
        "discord",
        post(r#"{"version":1,"application_id":"1","type":0}"#),
    ));
    assert_eq!((pong.status, pong.body.len()), (204, 0));
    for event in [r#"{"type":1,"event":{}}"#, r#"{"type":"0"}"#, "{}", ""] {
        assert_eq!(body("discord", post(event)), None, "{event}");
    }
}

#[test]
fn sns_is_confirmed_at_sns_alone() {
    let topic = "arn:aws:sns:eu-central-1:123456789012:orders";
    let message = |url: &str| {
        json!({ "Type": "SubscriptionConfirmation", "TopicArn": topic, "Token": "2336", "SubscribeURL": url })
            .to_string()
    };
    let right = format!(
        "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic}&Token=2336"
    );
    let Some(Outcome::Visit(url)) = body("sns", post(&message(&right))) else {
        panic!("not confirmed");
    };
    assert_eq!(url.url().as_str(), right);
    let china = right.replace("amazonaws.com", "amazonaws.com.cn");
    assert!(matches!(
        body("sns", post(&message(&china))),
        Some(Outcome::Visit(_))
    ));
    let wrong = [
        right.replace("https", "http"),
        right.replace("amazonaws.com", "amazonaws.com.attacker.example"),
        right.replace("sns.eu-central-1.", "attacker.s3."),
        right.replace("sns.eu-central-1.", "sns."),
        right.replace("sns.eu-central-1.", "sns.a.b."),
        right.replace("sns.eu-central-1", "user@sns.eu-central-1"),
        right.replace("amazonaws.com", "amazonaws.com:8443"),
        right.replace("sns.eu-central-1.amazonaws.com", "127.0.0.1"),
        right.replace("ConfirmSubscription", "Unsubscribe"),
        right.replace("123456789012", "999999999999"),
        right.replace("&Token=2336", ""),
        right.replace("/?", "/elsewhere?"),
        format!("{right}&Action=Publish"),
        format!("{right}#x"),
        "not a URL".to_owned(),
    ];
    for url in wrong {
        assert_mismatch(body("sns", post(&message(&url))));
    }
    assert_mismatch(body("sns", post(r#"{"Type":"SubscriptionConfirmation"}"#)));
    assert_eq!(body("sns", post(r#"{"Type":"Notification"}"#)), None);
    assert_eq!(body("sns", post("{")), None);
}

#[test]
fn secrets_are_offered_by_notion_and_asana() {
    let offer = |name: &str, sent: Sent<'_>| sent.with(|request| kind(name).offer(request));
    let token = r#"{"verification_token":"secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}"#;
    let offered = offer("notion", post(token))
        .expect("an offer")
        .expect("a good one");
    assert_eq!(
        offered.secret.as_str(),
        "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"
    );
    assert_eq!((offered.answer.status, offered.answer.headers.len()), (200, 0));
    assert!(!format!("{offered:?}").contains("secret_tMrl"));
    let signed = Sent {
        headers: &[("X-Notion-Signature", "sha256=00")],
        ..post(token)
    };
    assert_eq!(offer("notion", signed), None);
    assert_eq!(offer("notion", post(r#"{"type":"page.created"}"#)), None);
    assert_eq!(
        offer(
            "notion",
            Sent {
                method: "PUT",
                ..post(token)
            }
        ),
        None
    );
    for weak in [
        r#"{"verification_token":"short"}"#,
        r#"{"verification_token":"with blanks in between"}"#,
    ] {
        assert!(
            matches!(offer("notion", post(weak)), Some(Err(Fault::Malformed(_)))),
            "{weak}"
        );
    }

    let hook = Sent {
        headers: &[("X-Hook-Secret", "b537207f20cbfa02357cf448134da559")],
        body: "{}",
        ..POST
    };
    let offered = offer("asana", hook).expect("an offer").expect("a good one");
    assert_eq!(offered.secret.as_str(), "b537207f20cbfa02357cf448134da559");
    assert_eq!(
        header(&offered.answer, "x-hook-secret"),
        Some("b537207f20cbfa02357cf448134da559")
    );
    let signed = Sent {
        headers: &[
            ("x-hook-secret", "b537207f20cbfa02357cf448134da559"),
            ("x-hook-signature", "00"),
        ],
        ..hook
    };
    assert_eq!(offer("asana", signed), None);
    assert_eq!(offer("asana", POST), None);
    assert_eq!(offer("slack", hook), None);
    let long = "a".repeat(513);
    let headers = [("x-hook-secret", long.as_str())];
    assert!(matches!(
        offer(
            "asana",
            Sent {
                headers: &headers,
                ..POST
            }
        ),
        Some(Err(Fault::Malformed(_)))
    ));
}

#[test]
fn settings_that_cannot_work_are_told() {
    let id = secret_id();
    let table = [
        (json!({ "kind": "meta", "secrets": [] }), "/secrets"),
        (json!({ "kind": "x", "secrets": vec![id; 11] }), "/secrets"),
        (
            json!({ "kind": "cloud_events", "allowed_origins": ["https://a"] }),
            "/allowed_origins/0",
        ),
        (
            json!({ "kind": "cloud_events", "allowed_origins": vec!["a"; 21] }),
            "/allowed_origins",
        ),
        (
            json!({ "kind": "cloud_events", "requests_per_minute": 0 }),
            "/requests_per_minute",
        ),
    ];
    for (settings, pointer) in table {
        let handshake: Handshake = serde_json::from_value(settings.clone()).expect("readable");
        let problems = handshake.problems();
        assert_eq!(problems.len(), 1, "{settings}");
        assert_eq!(problems[0].pointer, pointer);
    }
    for unreadable in [
        json!({ "kind": "magic" }),
        json!({ "kind": "slack", "secrets": [] }),
        json!({ "kind": "meta" }),
    ] {
        assert!(serde_json::from_value::<Handshake>(unreadable).is_err());
    }
}
