use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::authentication::testing::{Sent, id, material, problems, settings, verifier};
use crate::authentication::{DenialCode, Verdict, Verifier};

fn github(secrets: &[&str]) -> Verifier {
    let ids: Vec<_> = (1..).zip(secrets).map(|(seed, _)| id(seed)).collect();
    verifier(
        json!({"kind": "hmac", "secrets": ids,
            "signature": {"at": {"in": "header", "name": "X-Hub-Signature-256"}, "prefix": "sha256="}}),
        secrets,
    )
}

const GITHUB_SECRET: &str = "It's a Secret to Everybody";
const GITHUB_SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn from_github(signature: &str) -> Sent {
    Sent::new("Hello, World!").header("X-Hub-Signature-256", signature)
}

/// The example of GitHub's documentation, "Validating webhook deliveries".
#[test]
fn githubs_published_vector_is_accepted() {
    let accepted = from_github(GITHUB_SIGNATURE).secret(&github(&[GITHUB_SECRET]));
    assert_eq!(accepted, Ok(Some(id(1))));
}

/// The example of Slack's documentation, "Verifying requests from Slack".
#[test]
fn slacks_published_vector_is_accepted() {
    let slack = verifier(
        json!({"kind": "hmac", "secrets": [id(1)],
            "content": [{"part": "text", "text": "v0:"}, {"part": "timestamp"}, {"part": "text", "text": ":"}, {"part": "body"}],
            "signature": {"at": {"in": "header", "name": "x-slack-signature"}, "prefix": "v0="},
            "timestamp": {"at": {"in": "header", "name": "x-slack-request-timestamp"}}}),
        &["8f742231b10e8888abcd99yyyzzz85a5"],
    );
    let sent = Sent::new(
        "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar\
         &user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com\
         %2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.\
         803a0bc887a14d10d2c447fce8b6703c",
    )
    .header("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503")
    .header("X-Slack-Request-Timestamp", "1531420618");
    let accepted = sent.clone().at(1_531_420_618).verify(&slack).expect("accepted");
    assert_eq!(
        accepted.signed_at.map(|time| time.timestamp()),
        Some(1_531_420_618)
    );
    assert!(sent.clone().at(1_531_420_918).verify(&slack).is_ok());
    assert_eq!(
        sent.clone().at(1_531_420_919).verify(&slack),
        Err(DenialCode::TimestampTooOld)
    );
    assert_eq!(
        sent.at(1_531_420_317).verify(&slack),
        Err(DenialCode::TimestampInFuture)
    );
}

fn standard_webhooks() -> Verifier {
    verifier(
        json!({"kind": "hmac", "secrets": [id(1)], "key": {"encoding": "base64", "strip_prefix": "whsec_"},
            "content": [{"part": "header", "name": "webhook-id"}, {"part": "text", "text": "."}, {"part": "timestamp"},
                {"part": "text", "text": "."}, {"part": "body"}],
            "signature": {"at": {"in": "header", "name": "webhook-signature"}, "separator": " ", "prefix": "v1,",
                "encoding": "base64"},
            "timestamp": {"at": {"in": "header", "name": "webhook-timestamp"}}}),
        &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
}

const STANDARD_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn from_standard_webhooks(signatures: &str) -> Sent {
    Sent::new(r#"{"test": 2432232314}"#)
        .header("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
        .header("webhook-timestamp", "1614265330")
        .header("webhook-signature", signatures)
        .at(1_614_265_330)
}

/// The example of the Standard Webhooks specification and of its reference libraries.
#[test]
fn the_published_vector_of_standard_webhooks_is_accepted() {
    let other = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let wrong = Err(DenialCode::SignatureWrong);
    let table = [
        (STANDARD_SIGNATURE.to_owned(), Ok(Some(id(1)))),
        (format!("{other} {STANDARD_SIGNATURE}"), Ok(Some(id(1)))),
        (
            format!("v1a,xyz v2,g0hM {STANDARD_SIGNATURE} v1,short"),
            Ok(Some(id(1))),
        ),
        (other.to_owned(), wrong),
        (
            STANDARD_SIGNATURE.replace("v1,", "v2,"),
            Err(DenialCode::SignatureMissing),
        ),
        (
            STANDARD_SIGNATURE.trim_end_matches('=').to_owned(),
            Err(DenialCode::SignatureMalformed),
        ),
        (
            STANDARD_SIGNATURE[..20].to_owned(),
            Err(DenialCode::SignatureMalformed),
        ),
        (
            STANDARD_SIGNATURE.replace(',', ", "),
            Err(DenialCode::SignatureMalformed),
        ),
        (String::new(), Err(DenialCode::SignatureMissing)),
        (
            format!("{other} ").repeat(101),
            Err(DenialCode::SignatureMalformed),
        ),
    ];
    for (signatures, expected) in table {
        let sent = from_standard_webhooks(&signatures);
        assert_eq!(sent.secret(&standard_webhooks()), expected, "{signatures:.60}");
    }
    let mut sent = from_standard_webhooks(STANDARD_SIGNATURE);
    sent.headers.remove(0);
    assert_eq!(
        sent.secret(&standard_webhooks()),
        Err(DenialCode::SignedContentMissing)
    );
    let mut sent = from_standard_webhooks(STANDARD_SIGNATURE);
    sent.headers[1].1.push('0');
    assert_eq!(
        sent.secret(&standard_webhooks()),
        Err(DenialCode::TimestampInFuture)
    );
}

fn adyen() -> Verifier {
    let members = [
        "pspReference",
        "originalReference",
        "merchantAccountCode",
        "merchantReference",
        "amount/value",
        "amount/currency",
        "eventCode",
        "success",
    ];
    let pointers = members.map(|member| format!("/NotificationRequestItem/{member}"));
    verifier(
        json!({"kind": "hmac", "secrets": [id(1)], "key": {"encoding": "hex"}, "items": "/notificationItems",
            "content": [{"part": "json_values", "pointers": pointers, "separator": ":"}],
            "signature": {"at": {"in": "body", "pointer": "/NotificationRequestItem/additionalData/hmacSignature"},
                "encoding": "base64"}}),
        &["44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"],
    )
}

fn adyen_item() -> Value {
    json!({"NotificationRequestItem": {
        "additionalData": {"hmacSignature": "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},
        "amount": {"value": 1130, "currency": "EUR"}, "pspReference": "7914073381342284", "eventCode": "AUTHORISATION",
        "eventDate": "2019-05-06T17:15:34.121+02:00", "merchantAccountCode": "TestMerchant",
        "merchantReference": "TestPayment-1407325143704", "paymentMethod": "visa", "success": "true"}})
}

fn from_adyen(items: &[Value]) -> Sent {
    Sent::new(json!({"live": "false", "notificationItems": items}).to_string())
}

/// The example of Adyen's documentation, "Verify HMAC signatures", and of its libraries. One bad item refuses the batch.
#[test]
fn adyens_published_vector_is_accepted_item_by_item() {
    let good = adyen_item();
    let mut forged = good.clone();
    forged["NotificationRequestItem"]["amount"]["value"] = json!(1131);
    let mut unsigned = good.clone();
    unsigned["NotificationRequestItem"]["additionalData"] = json!({});
    let table = [
        (vec![good.clone()], Ok(Some(id(1)))),
        (vec![good.clone(), good.clone()], Ok(Some(id(1)))),
        (
            vec![good.clone(), forged.clone()],
            Err(DenialCode::SignatureWrong),
        ),
        (vec![forged, good.clone()], Err(DenialCode::SignatureWrong)),
        (vec![good.clone(), unsigned], Err(DenialCode::SignatureMissing)),
        (vec![good, json!(7)], Err(DenialCode::SignatureMissing)),
        (vec![], Err(DenialCode::BodyUnreadable)),
    ];
    for (items, expected) in table {
        assert_eq!(from_adyen(&items).secret(&adyen()), expected, "{items:?}");
    }
    assert_eq!(Sent::new("{}").secret(&adyen()), Err(DenialCode::BodyUnreadable));
    assert_eq!(Sent::new("").secret(&adyen()), Err(DenialCode::BodyUnreadable));
    let twice = from_adyen(&[adyen_item()]);
    let twice = String::from_utf8(twice.body)
        .expect("text")
        .replace("\"pspReference\":", "\"pspReference\":\"1\",\"pspReference\":");
    assert_eq!(Sent::new(twice).secret(&adyen()), Err(DenialCode::BodyUnreadable));
}

fn twilio(form: &str) -> Verifier {
    verifier(
        json!({"kind": "hmac", "hash": "sha1", "secrets": [id(1)],
            "content": [{"part": "url", "form": form}, {"part": "sorted_form"}],
            "signature": {"at": {"in": "header", "name": "x-twilio-signature"}, "encoding": "base64"}}),
        &["12345"],
    )
}

const TWILIO_URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
const TWILIO_FORM: &str =
    "Digits=1234&To=%2B18005551212&From=%2B14158675309&CallSid=CA1234567890ABCDE&Caller=%2B14158675309";

fn from_twilio(url: &str, body: &str, signature: &str) -> Sent {
    Sent::new(body)
        .url(url)
        .header("content-type", "application/x-www-form-urlencoded; charset=UTF-8")
        .header("X-Twilio-Signature", signature)
}

/// The example of Twilio's documentation, "Security", and those of its libraries' tests.
#[test]
fn twilios_published_vectors_are_accepted() {
    let accepted = Ok(Some(id(1)));
    let table = [
        (
            "exact",
            TWILIO_URL,
            TWILIO_FORM,
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
            accepted,
        ),
        (
            "exact",
            TWILIO_URL,
            "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
            accepted,
        ),
        (
            "with_port",
            TWILIO_URL,
            TWILIO_FORM,
            "kvajT1Ptam85bY51eRf/AJRuM3w=",
            accepted,
        ),
        (
            "with_port",
            &TWILIO_URL.replace("https", "http"),
            TWILIO_FORM,
            "0ZXoZLH/DfblKGATFgpif+LLRf4=",
            accepted,
        ),
        (
            "without_port",
            &TWILIO_URL.replace(".com", ".com:1234"),
            TWILIO_FORM,
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
            accepted,
        ),
        (
            "exact",
            "https://user:pass@mycompany.com/myapp.php?foo=1&bar=2",
            TWILIO_FORM,
            "CukzLTc1tT5dXEDIHm/tKBanW10=",
            accepted,
        ),
        (
            "with_port",
            "https://user:pass@mycompany.com/myapp.php?foo=1&bar=2",
            TWILIO_FORM,
            "ZQFR1PTIZXF2MXB8ZnKCvnnA+rI=",
            accepted,
        ),
        (
            "exact",
            "https://mycompany.com/myapp.php?foo=1&bar=3",
            TWILIO_FORM,
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
            Err(DenialCode::SignatureWrong),
        ),
        (
            "exact",
            TWILIO_URL,
            &TWILIO_FORM.replace("1234&", "1235&"),
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
            Err(DenialCode::SignatureWrong),
        ),
        (
            "exact",
            TWILIO_URL,
            TWILIO_FORM,
            "FAIL",
            Err(DenialCode::SignatureMalformed),
        ),
    ];
    for (form, url, body, signature, expected) in table {
        assert_eq!(
            from_twilio(url, body, signature).secret(&twilio(form)),
            expected,
            "{form} {url} {body}"
        );
    }
}

/// Twilio's example of a JSON body, whose hash is in the URL, from its libraries' tests. The signature covers the URL alone.
#[test]
fn twilios_signature_of_a_url_does_not_do_for_another_body() {
    let json_body = r#"{"property": "value", "boolean": true}"#;
    let url =
        format!("{TWILIO_URL}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620");
    let signature = json!({"at": {"in": "header", "name": "x-twilio-signature"}, "encoding": "base64"});
    let both = verifier(
        json!({"kind": "all_of", "of": [
            {"kind": "hmac", "hash": "sha1", "content": [{"part": "url"}], "signature": signature, "secrets": [id(1)]},
            {"kind": "digest", "value": {"at": {"in": "query", "name": "bodySHA256"}}}]}),
        &["12345"],
    );
    let sent = |body: &str| {
        Sent::new(body)
            .url(&url)
            .header("x-twilio-signature", "a9nBmqA0ju/hNViExpshrM61xv4=")
    };
    assert_eq!(sent(json_body).secret(&both), Ok(Some(id(1))));
    assert_eq!(sent("{}").secret(&both), Err(DenialCode::SignatureWrong));
    let mut unhashed = sent(json_body);
    unhashed.url = TWILIO_URL.into();
    assert_eq!(unhashed.secret(&both), Err(DenialCode::SignatureWrong));
    // A signature over an empty form is one over the URL: a body of another type must not pass under it.
    assert_eq!(
        sent(json_body).secret(&twilio("exact")),
        Err(DenialCode::BodyUnreadable)
    );
    assert_eq!(sent("").secret(&twilio("exact")), Ok(Some(id(1))));
}

#[test]
fn what_is_no_signature_is_refused() {
    let github = github(&["other", GITHUB_SECRET]);
    let malformed = Err(DenialCode::SignatureMalformed);
    let hex = &GITHUB_SIGNATURE[7..];
    let table = [
        (GITHUB_SIGNATURE.to_owned(), Ok(Some(id(2)))),
        (format!("sha256={}", hex.to_uppercase()), Ok(Some(id(2)))),
        (
            GITHUB_SIGNATURE[..GITHUB_SIGNATURE.len() - 2].to_owned(),
            malformed,
        ),
        (
            GITHUB_SIGNATURE[..GITHUB_SIGNATURE.len() - 1].to_owned(),
            malformed,
        ),
        (format!("{GITHUB_SIGNATURE}00"), malformed),
        (hex.to_owned(), malformed),
        (format!("sha1={hex}"), malformed),
        (format!("SHA256={hex}"), malformed),
        (format!("sha256= {hex}"), malformed),
        ("sha256=".to_owned(), malformed),
        (String::new(), malformed),
        (
            format!("sha256={}", "0".repeat(64)),
            Err(DenialCode::SignatureWrong),
        ),
        (format!("{GITHUB_SIGNATURE}, {GITHUB_SIGNATURE}"), malformed),
    ];
    for (signature, expected) in table {
        assert_eq!(from_github(&signature).secret(&github), expected, "{signature}");
    }
    assert_eq!(
        Sent::new("Hello, World!").secret(&github),
        Err(DenialCode::SignatureMissing)
    );
    let twice = from_github(GITHUB_SIGNATURE).header("x-hub-signature-256", GITHUB_SIGNATURE);
    assert_eq!(twice.secret(&github), malformed);
}

fn stripe(secrets: &[&str]) -> Verifier {
    let ids: Vec<_> = (1..).zip(secrets).map(|(seed, _)| id(seed)).collect();
    verifier(
        json!({"kind": "hmac", "secrets": ids,
            "content": [{"part": "timestamp"}, {"part": "text", "text": "."}, {"part": "body"}],
            "signature": {"at": {"in": "pair", "header": "stripe-signature", "key": "v1"}},
            "timestamp": {"at": {"in": "pair", "header": "stripe-signature", "key": "t"}}}),
        secrets,
    )
}

/// The signature of a content under a key, made by the crate that is also under test: for forms, not for the algorithm.
fn sign(key: &str, content: &str) -> String {
    let mut mac = Hash::Sha256.keyed(key.as_bytes()).expect("a key");
    mac.update(content.as_bytes());
    base16ct::lower::encode_string(mac.finish().as_bytes())
}

#[test]
fn pairs_hold_several_signatures_and_one_time() {
    let stripe = stripe(&["new", "old"]);
    let (new, old) = (sign("new", "1700000000.{}"), sign("old", "1700000000.{}"));
    let wrong = sign("other", "1700000000.{}");
    let table = [
        (format!("t=1700000000,v1={new}"), Ok(Some(id(1)))),
        (format!("t=1700000000,v1={old}"), Ok(Some(id(2)))),
        (
            format!("t=1700000000,v1={wrong},v1={old},v0={wrong}"),
            Ok(Some(id(2))),
        ),
        (format!("v1={new},t=1700000000"), Ok(Some(id(1)))),
        // Two lines of one name, joined by `, `: the second time has a blank before its key, as for Stripe's own library.
        (
            format!("t=1700000000,v1={new}, t=1700000000,v1={new}"),
            Ok(Some(id(1))),
        ),
        (
            format!("t=1700000000,v0={new}"),
            Err(DenialCode::SignatureMissing),
        ),
        (
            format!("t=1700000000,v1={wrong}"),
            Err(DenialCode::SignatureWrong),
        ),
        (format!("v1={new}"), Err(DenialCode::TimestampMissing)),
        (
            format!("t=1700000000,t=1700000000,v1={new}"),
            Err(DenialCode::TimestampMalformed),
        ),
        (format!("t=,v1={new}"), Err(DenialCode::TimestampMalformed)),
        (
            format!("T=1700000000,v1={new}"),
            Err(DenialCode::TimestampMissing),
        ),
        (format!("t=1700000001,v1={new}"), Err(DenialCode::SignatureWrong)),
        ("t=1700000000,v1=".to_owned(), Err(DenialCode::SignatureMalformed)),
    ];
    for (header, expected) in table {
        let sent = Sent::new("{}").header("Stripe-Signature", header.clone());
        assert_eq!(sent.secret(&stripe), expected, "{header}");
    }
}

#[test]
fn numbered_headers_hold_one_signature_each() {
    let docusign = verifier(
        json!({"kind": "hmac", "secrets": [id(1)],
            "signature": {"at": {"in": "header", "name": "x-docusign-signature"}, "numbered_up_to": 100}}),
        &["key"],
    );
    let (right, wrong) = (sign("key", "{}"), sign("other", "{}"));
    let with = |headers: &[(&str, &str)]| {
        headers
            .iter()
            .fold(Sent::new("{}"), |sent, (name, value)| sent.header(name, *value))
            .secret(&docusign)
    };
    assert_eq!(with(&[("X-DocuSign-Signature-1", &right)]), Ok(Some(id(1))));
    assert_eq!(
        with(&[
            ("X-DocuSign-Signature-1", &wrong),
            ("X-DocuSign-Signature-100", &right)
        ]),
        Ok(Some(id(1)))
    );
    assert_eq!(
        with(&[("X-DocuSign-Signature-1", &wrong)]),
        Err(DenialCode::SignatureWrong)
    );
    assert_eq!(
        with(&[("X-DocuSign-Signature-101", &right)]),
        Err(DenialCode::SignatureMissing)
    );
    assert_eq!(
        with(&[("X-DocuSign-Signature", &right)]),
        Err(DenialCode::SignatureMissing)
    );
}

#[test]
fn what_can_be_denied_before_the_body_is_read_is() {
    let github = github(&[GITHUB_SECRET]);
    assert_eq!(from_github(GITHUB_SIGNATURE).head(&github), None);
    let code = |sent: Sent, verifier: &Verifier| match sent.head(verifier) {
        Some(Verdict::Denied(denial)) => Some(denial.code),
        _ => None,
    };
    assert_eq!(code(Sent::new("x"), &github), Some(DenialCode::SignatureMissing));
    assert_eq!(
        code(from_github("sha256=?"), &github),
        Some(DenialCode::SignatureMalformed)
    );
    let old = from_standard_webhooks(STANDARD_SIGNATURE).at(1_614_266_330);
    assert_eq!(code(old, &standard_webhooks()), Some(DenialCode::TimestampTooOld));
}

#[test]
fn an_explanation_tells_the_parts_and_no_secret() {
    let wrong = from_github(&format!("sha256={}", "0".repeat(64)));
    let steps = wrong.steps(&github(&[GITHUB_SECRET]));
    let told: Vec<_> = steps
        .iter()
        .map(|step| (step.name, step.passed, step.detail.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                "signature",
                true,
                "header `x-hub-signature-256` holds 1 of the right length"
            ),
            (
                "hmac",
                false,
                "no signature belongs to 13 bytes (body (13)) under any of 1 secrets"
            ),
        ]
    );
    let text = format!("{steps:?}");
    assert!(!text.contains(GITHUB_SECRET) && !text.contains(&GITHUB_SIGNATURE[10..20]));
}

#[test]
fn keys_are_decoded_as_the_settings_say() {
    let compiles = |key: Value, secret: &str| {
        let authentication = settings(json!({"kind": "hmac", "key": key, "secrets": [id(1)],
            "signature": {"at": {"in": "header", "name": "x-signature"}}}));
        Verifier::compile(&authentication, &material(&[secret]))
            .map(|_| ())
            .map_err(|problem| problem.pointer)
    };
    let wrong = Err("/secrets/0".to_owned());
    let table = [
        (json!({}), "anything", Ok(())),
        (json!({"encoding": "hex"}), "00fF", Ok(())),
        (json!({"encoding": "hex"}), "00f", wrong.clone()),
        (json!({"encoding": "hex"}), "anything", wrong.clone()),
        (json!({"encoding": "base64"}), "+/8=", Ok(())),
        (json!({"encoding": "base64"}), "-_8", Ok(())),
        (json!({"encoding": "base64"}), "a b", wrong.clone()),
        (
            json!({"encoding": "base64", "strip_prefix": "whsec_"}),
            "whsec_+/8=",
            Ok(()),
        ),
        (
            json!({"encoding": "base64", "strip_prefix": "whsec_"}),
            "+/8=",
            Ok(()),
        ),
        (
            json!({"encoding": "base64", "strip_prefix": "whsec_"}),
            "whsec_",
            wrong.clone(),
        ),
        (json!({}), "", wrong.clone()),
    ];
    for (key, secret, expected) in table {
        assert_eq!(compiles(key.clone(), secret), expected, "{key} {secret}");
    }
    let unknown = settings(json!({"kind": "hmac", "secrets": [id(9)],
        "signature": {"at": {"in": "header", "name": "x-signature"}}}));
    let problem = Verifier::compile(&unknown, &material(&["a"]))
        .map(|_| ())
        .expect_err("no secret");
    assert_eq!(
        (problem.pointer.as_str(), problem.code),
        ("/secrets/0", ProblemCode::NotFound)
    );
}

#[test]
fn settings_that_cannot_work_are_told() {
    let at = json!({"in": "header", "name": "x-signature"});
    let table = [
        (
            json!({"kind": "hmac", "secrets": [], "signature": {"at": at}}),
            vec!["/secrets"],
        ),
        (
            json!({"kind": "hmac", "secrets": [id(1)], "content": [], "signature": {"at": at}}),
            vec!["/content"],
        ),
        (
            json!({"kind": "hmac", "secrets": [id(1)], "content": [{"part": "timestamp"}, {"part": "secret"}, {"part": "body"}],
                "signature": {"at": at, "prefix": "", "numbered_up_to": 101}}),
            vec![
                "/content/0",
                "/content/1",
                "/signature/numbered_up_to",
                "/signature/prefix",
            ],
        ),
        (
            json!({"kind": "hmac", "secrets": [id(1)], "signature": {"at": at},
                "timestamp": {"at": {"in": "header", "name": "x-time"}, "tolerance_seconds": 0}}),
            vec!["/timestamp/at", "/timestamp/tolerance_seconds"],
        ),
        (
            json!({"kind": "hmac", "secrets": [id(1)], "signature": {"at": at},
                "timestamp": {"at": {"in": "body", "pointer": "/time"}, "unit": "milliseconds"}}),
            vec![],
        ),
    ];
    for (json, expected) in table {
        assert_eq!(problems(json.clone()), expected, "{json}");
    }
}

/// One byte of the body, the signature or the time, changed.
fn flip(text: &mut [u8], index: prop::sample::Index, with: u8) -> bool {
    if text.is_empty() || with == 0 {
        return false;
    }
    let place = index.index(text.len());
    text[place] ^= with;
    true
}

proptest! {
    #[test]
    fn any_changed_byte_is_refused(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        place in 0..3usize, index: prop::sample::Index, with: u8,
    ) {
        let now = 1_700_000_000;
        let mut mac = Hash::Sha256.keyed(b"key").expect("a key");
        mac.update(format!("{now}.").as_bytes());
        mac.update(&body);
        let mut parts = [body, base16ct::lower::encode_string(mac.finish().as_bytes()).into_bytes(), now.to_string().into_bytes()];
        let original = parts.clone();
        let changed = flip(&mut parts[place], index, with);
        // Hexadecimal digits of another case are the same bytes.
        let same = parts[1].eq_ignore_ascii_case(&original[1]) && parts[0] == original[0] && parts[2] == original[2];
        let [body, signature, time] = parts;
        let (Ok(signature), Ok(time)) = (String::from_utf8(signature), String::from_utf8(time)) else { return Ok(()) };
        prop_assume!(!signature.contains(['\r', '\n', ',']) && !time.contains(['\r', '\n', ',']));
        let sent = Sent::new(body).header("stripe-signature", format!("t={time},v1={signature}"));
        let accepted = sent.secret(&stripe(&["key"])).is_ok();
        prop_assert_eq!(accepted, !changed || same);
    }

    #[test]
    fn arbitrary_requests_do_not_panic(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        header in "[ -~]{0,120}", time in "[ -~]{0,30}", query in "[ -~]{0,60}", form: bool,
    ) {
        let url = format!("https://hooks.example.com/a?{query}");
        let mut sent = Sent::new(body).url(&url);
        if form {
            sent = sent.header("content-type", "application/x-www-form-urlencoded");
        }
        for name in ["x-hub-signature-256", "stripe-signature", "webhook-signature", "x-twilio-signature"] {
            sent = sent.header(name, header.clone());
        }
        sent = sent.header("webhook-timestamp", time).header("webhook-id", "1");
        for verifier in [github(&["a"]), stripe(&["a"]), standard_webhooks(), adyen(), twilio("decoded"), twilio("with_port")] {
            prop_assert!(sent.secret(&verifier).is_err());
        }
    }
}
